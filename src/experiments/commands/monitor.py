"""`experiments monitor`: what moved since training, and whether models keep their promise; exit code 1 on an alarm."""

from __future__ import annotations

from experiments.commands.compose import session_of, sessions_of_each_task
from experiments.workflow.config import Config
from experiments.workflow.monitor import monitor, watch_text


def main(config: Config) -> int:
    watch = monitor(sessions_of_each_task(config), config.output)
    print(watch_text(watch))
    print(f"page in {watch.page}")
    again = session_of(config).again
    print(f"next: {again('tune')}, then {again('promote')}" if watch.has_alarms else f"next: {again('score')}")
    return int(watch.has_alarms)
