"""`experiments train`: fit one model with given parameters and register it."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.leaderboard import leaderboard_text
from experiments.workflow.train import train


def main(config: Config) -> None:
    session = session_of(config)
    version = train(session)
    print(f"{version.name} version {version.number} ({config.model.name})")
    print(leaderboard_text(session, version))
    print(f"next: {session.again('promote')}")
