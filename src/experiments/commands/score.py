"""`experiments score`: score every customer with the champions."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.score import score


def main(config: Config) -> None:
    session = session_of(config)
    written = score(session, output=config.output)
    print(f"{written.rows:,} customers as of {written.cutoff} in {written.path}")
    print(f"next: mlflow models serve -m models:/{session.registered_name}@champion --env-manager local -p 5001")
