"""The mean of a study's best trials of unlike models, on the same validation cutoffs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from experiments.evaluation.metrics import defined, excess
from experiments.evaluation.validation import Dataset, Fold, Folds, Validation, validate
from experiments.tasks.base import Task
from experiments.tuning.space import tuned
from experiments.tuning.study import feasible, finished, worth

NAME = "ensemble"  # of the candidate
SIZES = (2, 3)


@dataclass(frozen=True)
class Joined:
    """An ensemble of trials.

    Attributes
    ----------
    trials : tuple of FrozenTrial
        Best first.
    value : float
        Mean of the task's objective over the validation cutoffs.
    """

    trials: tuple[FrozenTrial, ...]
    value: float

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the candidate `ensemble`."""
        return {"members": dict(tuned(trial.params) for trial in self.trials)}

    def __str__(self) -> str:
        return f"the mean of {labels(self.trials)}"


def labels(trials: Sequence[FrozenTrial]) -> str:
    """Return the names of trials, as their runs have them: `blend #012, lightgbm #029`."""
    return ", ".join(f"{trial.params['model']} #{trial.number:03d}" for trial in trials)


def best_of_each_model(study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trial of each model within the guards, best first."""
    of_model: dict[str, FrozenTrial] = {}
    for trial in sorted(feasible(finished(study)), key=worth, reverse=True):
        of_model.setdefault(trial.params["model"], trial)
    return list(of_model.values())


def best_ensemble(study: optuna.Study, task: Task, dataset: Dataset, folds: Folds) -> Joined | None:
    """Validate the mean of the best two, and of the best three, unlike models; return the better one.

    Each model has the parameters of its best trial, and is trained once for each fold.

    Returns
    -------
    Joined or None
        None if the task has no ensembles, fewer than two models have a trial within the guards, or no ensemble is
        within them.
    """
    trials = best_of_each_model(study)[: max(SIZES)]
    if NAME not in task.candidates() or len(trials) < min(SIZES):
        return None
    members = [validate(task.evaluate, partial(task.build, *tuned(trial.params)), dataset, folds) for trial in trials]
    found = []
    for size in SIZES[: len(trials) - min(SIZES) + 1]:
        joined = Joined(tuple(trials[:size]), -inf)
        validation = _mean_of(joined, members[:size], task, dataset, folds)
        outside = [excess(task.guards, fold.evaluation.metrics) for fold in validation.folds]
        if all(over <= 0 for fold in outside for over in fold.values()):
            value = defined(task.objective_metric, validation.metrics, validation.undefined)
            found.append(replace(joined, value=value))
    return max(found, key=lambda joined: joined.value, default=None)


def _mean_of(joined: Joined, members: Sequence[Validation], task: Task, dataset: Dataset, folds: Folds) -> Validation:
    """Evaluate the mean of models that were trained for the same folds."""
    done = []
    for step, (training, held_out) in enumerate(folds):
        model: Any = task.build(NAME, joined.params)
        model.of([member.folds[step].model for member in members])
        done.append(Fold(tuple(training), held_out[0], model, task.evaluate(model, dataset.at(*held_out))))
    return Validation(tuple(done))
