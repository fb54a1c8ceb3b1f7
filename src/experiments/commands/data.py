"""`experiments data`: stage, check and describe the tables."""

from __future__ import annotations

import pandas as pd

from experiments.commands.config import Config
from experiments.commands.project import Project
from experiments.tasks import TASKS
from experiments.tasks.sufficiency import check_sufficiency
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
        print(f"\n{holdings(project)}")
        check_sufficiency(project.task, project.counts)
    except InputError as error:
        print(f"\n{project.task.name} cannot be validated: {error}")
    print(f"\nnext: {project.again('tune')}")


def holdings(project: Project) -> str:
    """What each window that trains last or validates holds, above what the task needs of it."""
    counts = project.counts.map("{:,}".format)
    counts.index = [f"from {day:%Y-%m-%d}" for day in counts.index]
    needed = {name: f"{number:,}" for name, number in project.task.minimum.items()}
    return pd.concat([counts, pd.DataFrame([needed], index=["needed"])]).fillna("").to_string()
