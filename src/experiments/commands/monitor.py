"""`experiments monitor`: what moved since training, and whether models keep their promise; exit code 1 on an alarm."""

from __future__ import annotations

from experiments.commands.compose import sessions_of_each_task
from experiments.workflow.config import Config
from experiments.workflow.monitor import monitor, next_text, watch_text


def main(config: Config) -> int:
    sessions = sessions_of_each_task(config)
    watch = monitor(sessions, config.output)
    print(watch_text(watch))
    print(f"page in {watch.page}")
    print(next_text(watch, sessions))
    return int(watch.has_alarms)
