"""`experiments forget`: remove a customer from cache and outputs; exit code 1 while the tables hold the customer."""

from __future__ import annotations

from experiments.commands.compose import customer_of, session_of
from experiments.workflow.config import Config
from experiments.workflow.forget import forget, forgotten_text


def main(config: Config) -> int:
    customer = customer_of(config, "forget")
    done = forget(session_of(config), customer)
    print(forgotten_text(done))
    return int(bool(done.in_source))
