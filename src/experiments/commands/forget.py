"""`experiments forget`: remove a customer from cache and outputs; exit code 1 while the tables hold the customer."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.forget import forget, forgotten_text
from features.errors import InputError


def main(config: Config) -> int:
    if config.customer is None:
        raise InputError("no customer is named", where="customer", hint="experiments forget customer=12347")
    done = forget(session_of(config), config.customer)
    print(forgotten_text(done))
    return int(bool(done.in_source))
