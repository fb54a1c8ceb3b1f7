"""`experiments data`: stage, check and describe the tables."""

from __future__ import annotations

from experiments.commands.config import Config
from experiments.commands.project import Project
from experiments.tasks import TASKS
from features.profile import describe, profile


def main(config: Config) -> None:
    project = Project(config)
    shop = project.shop
    print(describe(profile(shop.staged, shop.tables, shop.engine), {name: task.needs for name, task in TASKS.items()}))
    print(f"\nnext: experiments tune task={project.task.name}")
