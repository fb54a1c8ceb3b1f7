"""`experiments tune`: search models and parameters, refit the best and register it."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.leaderboard import leaderboard_text
from experiments.workflow.tune import tune


def main(config: Config) -> None:
    session = session_of(config)
    version = tune(session)
    print(f"{version.name} version {version.number} ({version.tags['model']})")
    print(leaderboard_text(session, version))
    print(f"next: {session.again('promote')}, or {session.again('ui')} to compare its trials")
