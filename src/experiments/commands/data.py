"""`experiments data`: stage, check and describe the tables."""

from __future__ import annotations

from experiments.commands.config import Config
from experiments.commands.project import Project
from experiments.tasks import TASKS
from features import profile


def main(config: Config) -> None:
    project = Project(config)
    shop = project.shop
    print(profile.describe(profile.profile(shop.staged, shop.tables, shop.engine)))
    for task, (usable, missing) in profile.usable(
        {name: task.needs for name, task in TASKS.items()}, shop.staged
    ).items():
        print(task, usable, missing)
    print(f"next: experiments tune task={project.task.name}")
