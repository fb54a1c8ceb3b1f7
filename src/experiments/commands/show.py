"""`experiments show`: what is in use for each task, or all that stands behind the model of one."""

from __future__ import annotations

from experiments.commands.compose import names_a_task, session_of
from experiments.reports.text import aligned
from experiments.workflow.config import Config
from experiments.workflow.in_use import overview
from experiments.workflow.show import show


def main(config: Config) -> None:
    session = session_of(config)
    if names_a_task():
        print(show(session))
    else:
        print(aligned(overview(session).reset_index()))
        print(f"next: {session.again('show')} task=…")
