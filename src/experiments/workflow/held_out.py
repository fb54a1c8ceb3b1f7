"""The recipe of the model in use at the last validation cutoff, as a report compares it with other predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from experiments.case_study.held_out import MODEL, HeldOut
from experiments.models.base import Model
from experiments.reports.material import InUse
from experiments.tasks import TASKS
from experiments.tasks.base import Task
from experiments.workflow.session import Session
from experiments.workflow.shipped import default_options
from features.errors import InputError
from features.tables import parse_day

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

CODE = Path(__file__).parents[1]


def held_out(session: Session, version: Version, model: InUse, rivals: Sequence[str] = ()) -> HeldOut:
    """Fit the recipe of a version on the windows before the last validation cutoff, and predict that window.

    The version itself has learnt from that window. Predictions are kept in the cache.

    Parameters
    ----------
    session : Session
    version : Version
        In use, of a task with its default options except for the horizon.
    model : InUse
        The same in words.
    rivals : sequence of str
        Candidates of the task that predict the same rows, with their default parameters.

    Returns
    -------
    HeldOut
        Rows of the task's population.

    Raises
    ------
    InputError
        If the version has other options, or no window that it has learnt from ends by the cutoff.
    """
    task = task_of(version)
    cutoff = session.splits_over(task.horizon_days).validation[-1]
    learnt = session.client.get_run(version.run_id).data.params["training_cutoffs"].split(", ")
    horizon = timedelta(days=task.horizon_days)
    training = [day for day in map(parse_day, learnt) if day + horizon <= cutoff]
    if not training:
        raise InputError(
            f"the history is too short to fit {version.tags['model']} before the last validation window",
            where=version.name,
            expected=f"a training window that ends by {cutoff}",
            found=f"windows from {', '.join(learnt)}",
        )
    shop = task.opened(session.shop)
    held = task.judged_rows(task.dataset(shop, version.features, [cutoff]))
    recipes = {MODEL: recipe(task, version), **{name: partial(task.build, name, {}) for name in rivals}}

    def compute() -> pd.DataFrame:
        train = task.dataset(shop, version.features, training)
        found = {}
        for name, build in recipes.items():
            prediction = task.predict(build().fit(train.X, train.target), held.X)
            frame = prediction.to_frame() if isinstance(prediction, pd.Series) else prediction
            found[name] = frame.set_axis(list(task.judged), axis=1)
        kept = pd.concat(found, axis=1)
        return kept.set_axis([f"{name}/{column}" for name, column in kept], axis=1).reset_index(drop=True)

    given = [version.tags["candidate_digest"], version.tags["feature_hash"], training, cutoff, list(rivals)]
    kept = session.shop.analysis(f"held_out_{version.question}", given, compute, code=CODE)
    options = session.config.evaluation
    return HeldOut(
        model=model,
        cutoff=cutoff,
        horizon_days=task.horizon_days,
        metrics=task.metrics(),
        X=held.X,
        y=held.target,
        predictions={name: _of(kept, name, task, held.X) for name in recipes},
        n_resamples=options.n_resamples,
        seed=options.seed,
        confidence=options.confidence,
    )


def task_of(version: Version) -> Task:
    """Return the task that a version answers, if it has the default options except for the horizon.

    Raises
    ------
    InputError
        If it has others.
    """
    file, kind = next((file, kind) for file, kind in TASKS.items() if version.tags["task"] in kind.names())
    defaults = default_options(file)
    options = {name: value for name, value in defaults.items() if name not in ("name", "defaults")}
    task = kind(**options | {"horizon_days": int(version.tags["horizon_days"])})
    if task.name + task.suffix(defaults) != version.question:
        raise InputError(
            f"{version.question} has other options than conf/task/{file}.yaml",
            where=version.name,
            expected=task.name + task.suffix(defaults),
            found=version.question,
        )
    return task


def recipe(task: Task, version: Version) -> Callable[[], Model]:
    """Return a function that builds the model of a version, untrained."""
    name = version.tags["model"]
    return task.baselines(version.params)[name] if version.is_baseline else partial(task.build, name, version.params)


def _of(kept: pd.DataFrame, name: str, task: Task, X: pd.DataFrame) -> pd.Series | pd.DataFrame:
    """Return a prediction as `Task.predict` does."""
    columns = kept[[f"{name}/{column}" for column in task.judged]]
    frame = columns.set_axis(list(task.judged), axis=1).set_index(X.index)
    return frame.iloc[:, 0] if len(task.judged) == 1 else frame
