"""`experiments run`: the whole road for each question in turn, and a table of what came out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from experiments.commands.config import Config, of_each_task
from experiments.commands.project import Project
from experiments.commands.promote import describe, in_use, promote_together, rival_of
from experiments.commands.score import find_champions, score
from experiments.commands.tune import tune
from experiments.reports.decision import figure, statement
from features.errors import InputError, UnsuitableDataError

if TYPE_CHECKING:
    from experiments.tracking.gate import Look
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)


def main(config: Config) -> None:
    begun = time.monotonic()
    projects = [Project(own, overrides) for own, overrides in of_each_task(config)]
    versions, skipped = tune_all(projects)
    judged = judgeable(versions, skipped)
    looks = dict(zip([project for project, _ in judged], promote_together(judged), strict=True)) if judged else {}
    for project, look in looks.items():
        print(f"{describe(project, look)}\n")
    print(f"{summary(projects, versions, looks, skipped)}\n")

    first = next(iter(versions))
    asked = Project(config)
    if any(project.registry.champion() is not None for project in versions):
        path, customers = score(first)
        print(f"{customers:,} customers in {path}, by {', '.join(map(_model, find_champions(first).values()))}")
    else:
        print("no champion, so nothing was scored")
    print(f"done in {time.monotonic() - begun:.0f} s; next:")
    print(f"  {asked.again('ui')}\n      compare the trials in MLflow")
    for project in versions:
        print(f"  {project.again('tune')} tuning.n_trials={2 * project.config.tuning.n_trials}")
        print("      search on from here")
    for project in versions:
        if project.registry.champion() is not None:
            print(f"  mlflow models serve -m models:/{project.registered_name}@champion --env-manager local -p 5001")
            print("      answer rows of features")


def tune_all(projects: list[Project]) -> tuple[dict[Project, Version], dict[Project, InputError]]:
    """A candidate for each task, and why there is none for those that these data do not allow.

    Raises
    ------
    UnsuitableDataError
        If they allow none.
    """
    versions: dict[Project, Version] = {}
    skipped: dict[Project, InputError] = {}
    for project in projects:
        try:
            splits = project.splits
            logger.info(
                "%s: training %s; validation %s; sealed %s",
                project.task.name,
                ", ".join(map(str, splits.training)),
                ", ".join(map(str, splits.validation)),
                splits.sealed,
            )
            versions[project] = tune(project)
        except UnsuitableDataError as error:
            logger.warning("%s is skipped: %s", project.task.name, error.problem)
            skipped[project] = error
    if not versions:
        raise next(iter(skipped.values()))
    return versions, skipped


def judgeable(versions: Mapping[Project, Version], skipped: dict[Project, InputError]) -> list[tuple[Project, Version]]:
    """The candidates that the gate can judge; one that it cannot does not keep the others from being judged.

    Raises
    ------
    InputError
        If it can judge none, for another reason than that it was rolled back.
    """
    judged = []
    for project, version in versions.items():
        if "rolled_back" in version.tags:
            continue
        try:
            rival_of(project, version)
            judged.append((project, version))
        except InputError as error:
            logger.warning("%s is not judged: %s", project.task.name, error.problem)
            skipped[project] = error
    if skipped and not judged and not any("rolled_back" in version.tags for version in versions.values()):
        raise next(iter(skipped.values()))
    return judged


def summary(
    projects: list[Project],
    versions: Mapping[Project, Version],
    looks: Mapping[Project, Look],
    skipped: Mapping[Project, InputError],
) -> str:
    """One line a task: winner, figure with interval, nearest naive model, verdict, what is in use; then in words."""
    rows, words = [], []
    for project in projects:
        row = dict.fromkeys(("task", "winner", "sealed figure", "nearest naive", "verdict", "in use"), "-")
        row["task"] = name = project.task.name
        if project in versions:
            row |= {"winner": versions[project].tags["model"], "in use": in_use(project)}
        if project in looks:
            decision, outcome = looks[project].decision, looks[project].outcome
            assert outcome is not None
            low, high = map(figure, decision.interval)
            row |= {
                "sealed figure": f"{decision.metric} {figure(decision.estimate)} [{low}, {high}]",
                "nearest naive": f"{figure(decision.nearest.estimate)} {decision.naive}",
                "verdict": outcome.verdict,
            }
            words.append(f"{name}: {statement(decision, outcome)}")
        elif project in skipped:
            row["verdict"] = "skipped"
            words.append(f"{name}: skipped, {skipped[project]}")
        else:
            row["verdict"] = "rolled back"
            number = versions[project].number
            words.append(f"{name}: version {number} is still the best and was rolled back: it is not judged again")
        rows.append(row)
    table = pd.DataFrame(rows)
    widths = {column: max(len(column), *table[column].str.len()) for column in table}
    lines = [{column: column for column in table}, *rows]
    drawn = ["  ".join(line[column].ljust(width) for column, width in widths.items()).rstrip() for line in lines]
    return "\n".join([*drawn, "", *words])


def _model(version: Version) -> str:
    return f"{version.name} version {version.number}"
