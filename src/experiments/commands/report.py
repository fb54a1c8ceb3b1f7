"""`experiments report`: write one page on customers, models and what to do."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.report import report


def main(config: Config) -> None:
    session = session_of(config)
    print(f"report in {report(session, config.output)}: open it in a browser")
    print(f"next: {session.again('ui')}")
    print(f"    has its pictures and tables, in the newest run of {session.shop.staged.shop}-report")
