"""`experiments train`: one model with given parameters."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.candidate import make_candidate
from experiments.workflow.config import Config


def main(config: Config) -> None:
    session = session_of(config)
    version = make_candidate(session, config.model.name, config.model.params)
    print(f"{version.name} version {version.number} ({config.model.name})")
    print(f"next: {session.again('promote')}")
