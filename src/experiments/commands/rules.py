"""`experiments rules`: what is bought together, as a table and a picture."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.rules import rules, rules_text


def main(config: Config) -> None:
    session = session_of(config)
    print(rules_text(rules(session, output=config.output), config.rules.per))
    print(f"next: {session.again('rules')} rules.level=… rules.goods=[…]; see docs/rules.md")
