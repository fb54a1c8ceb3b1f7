"""`experiments serve`: build customer_360 as one served model, and print the command that serves it."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.serve import serve, served_text


def main(config: Config) -> None:
    print(served_text(serve(session_of(config))))
