"""`experiments ask`: print what is known and predicted of one customer, and why."""

from __future__ import annotations

from experiments.commands.compose import customer_of, session_of
from experiments.workflow.ask import ask, view_text
from experiments.workflow.config import Config


def main(config: Config) -> None:
    customer = customer_of(config, "ask")
    print(view_text(ask(session_of(config), customer)))
