"""`experiments data`: stage, check and describe the tables."""

from __future__ import annotations

from experiments.commands.config import Config
from experiments.commands.project import Project
from experiments.tasks import TASKS
from features.errors import InputError, listing
from features.profile import describe, profile


def main(config: Config) -> None:
    project = Project(config)
    shop = project.shop
    print(describe(profile(shop.staged, shop.tables, shop.engine), {name: task.needs for name, task in TASKS.items()}))
    try:
        splits = project.splits
        print(
            f"\n{project.task.name} at horizon_days={project.task.horizon_days}: training "
            f"{listing(splits.training)}; validation {listing(splits.validation)}; sealed {splits.sealed}"
        )
    except InputError as error:
        print(f"\n{project.task.name} cannot be validated: {error}")
    print(f"\nnext: {project.again('tune')}")
