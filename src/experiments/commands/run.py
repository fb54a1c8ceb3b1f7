"""`experiments run`: the whole road for one question, and a table of what came out."""

from __future__ import annotations

import logging
import time

import pandas as pd

from experiments.commands.config import Config
from experiments.commands.project import Project
from experiments.commands.promote import describe, promote
from experiments.commands.score import score
from experiments.commands.tune import tune

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
    outcome = promote(project, version)
    print(describe(project, outcome))

    name, metric = project.registry.name, project.task.primary_metric
    decision = outcome.decision
    low, high = decision["interval"]
    summary = pd.DataFrame(
        {
            "task": [project.task.name],
            "winner": [version.tags["model"]],
            f"sealed {metric}": [f"{decision['estimate']:.3f} [{low:.3f}, {high:.3f}]"],
            "nearest naive": [f"{decision['naive_estimate']:.3f} {decision['naive']}"],
            "verdict": [decision["verdict"]],
            "version": [f"{version.number}, {'champion' if outcome.promoted else 'refused'}"],
        }
    )
    champion = project.registry.champion()
    print()
    print(summary.to_string(index=False))
    print()
    if champion is None:
        print("no champion, so nothing was scored")
    else:
        path, table = score(project)
        print(f"{len(table):,} customers scored by version {champion.number} in {path}")
    print(f"done in {time.monotonic() - begun:.0f} s; next:")
    more = project.again("tune") + f" tuning.n_trials={2 * project.config.tuning.n_trials}"
    for command, purpose in (
        (project.again("ui"), "compare the trials in MLflow"),
        (more, "search on from here"),
        (project.again("promote"), "gate the newest version"),
    ):
        print(f"  {command}\n      {purpose}")
    if champion is not None:
        print(f"  mlflow models serve -m models:/{name}@champion --env-manager local -p 5001")
        print("      answer rows of features")
