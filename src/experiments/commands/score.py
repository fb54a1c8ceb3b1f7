"""`experiments score`: score every customer with the champions."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.score import beside_text, score


def main(config: Config) -> None:
    session = session_of(config)
    written = score(session, output=config.output)
    print(f"{written.rows:,} customers as of {written.cutoff} in {written.path}")
    print(beside_text(written), end="")
    name = session.registered_name
    serve = f"mlflow models serve -m models:/{name}@champion --env-manager local -p 5001"
    print(f"next: {serve if session.registry.champion() is not None else session.again('tune')}")
