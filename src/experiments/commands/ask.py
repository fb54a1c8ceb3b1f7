"""`experiments ask`: print what is known and predicted of one customer, and why."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.ask import ask, view_text
from experiments.workflow.config import Config
from features.errors import InputError


def main(config: Config) -> None:
    if config.customer is None:
        raise InputError("no customer is named", where="customer", hint="experiments ask customer=12347")
    print(view_text(ask(session_of(config), config.customer)))
