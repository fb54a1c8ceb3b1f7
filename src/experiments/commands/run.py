"""`experiments run`: the whole road for one question, and a table of what came out."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pandas as pd

from experiments.commands.config import Config
from experiments.commands.project import Project
from experiments.commands.promote import describe, promote
from experiments.commands.score import score
from experiments.commands.tune import tune

if TYPE_CHECKING:
    from experiments.tracking.gate import Look
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)


def main(config: Config) -> None:
    begun = time.monotonic()
    project = Project(config)
    splits = project.splits
    logger.info(
        "cutoffs: training %s; validation %s; sealed %s",
        ", ".join(map(str, splits.training)),
        ", ".join(map(str, splits.validation)),
        splits.sealed,
    )
    version = tune(project)
    if "rolled_back" in version.tags:
        print(
            f"{version.name} version {version.number} is still the best and was rolled back: it is not judged again\n"
        )
    else:
        outcome = promote(project, version)
        print(f"{describe(project, outcome)}\n\n{summary(project, version, outcome)}\n")

    champion = project.registry.champion()
    if champion is None:
        print("no champion, so nothing was scored")
    else:
        path, customers = score(project)
        print(f"{customers:,} customers scored by version {champion.number} in {path}")
    print(f"done in {time.monotonic() - begun:.0f} s; next:")
    more = project.again("tune") + f" tuning.n_trials={2 * project.config.tuning.n_trials}"
    for command, purpose in ((project.again("ui"), "compare the trials in MLflow"), (more, "search on from here")):
        print(f"  {command}\n      {purpose}")
    if champion is not None:
        print(f"  mlflow models serve -m models:/{champion.name}@champion --env-manager local -p 5001")
        print("      answer rows of features")


def summary(project: Project, version: Version, outcome: Look) -> str:
    """One line a task: winner, figure with interval, nearest naive model, verdict, version."""
    decision = outcome.decision
    low, high = decision["interval"]
    row = {
        "task": project.task.name,
        "winner": version.tags["model"],
        f"sealed {project.task.primary_metric}": f"{decision['estimate']:.3f} [{low:.3f}, {high:.3f}]",
        "nearest naive": f"{decision['naive_estimate']:.3f} {decision['naive']}",
        "verdict": decision["verdict"],
        "version": f"{version.number}, {'champion' if outcome.promoted else 'refused'}",
    }
    return pd.DataFrame([row]).to_string(index=False, justify="left", formatters={key: str for key in row})
