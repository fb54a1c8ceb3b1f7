"""Objective of a trial: draw a model, validate it over the cutoffs, report after each, and stop early if pruned."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import optuna

from experiments.evaluation.metrics import defined, excess
from experiments.evaluation.validation import Dataset, Folds, Validation, validate
from experiments.tasks.base import Task
from experiments.tuning.space import Space


class Best(NamedTuple):
    """Number, value and validation of a trial."""

    number: int
    value: float
    validation: Validation


@dataclass
class ValidationObjective:
    """Mean of the task's objective over the validation cutoffs, to be maximised.

    After each cutoff except the last, the mean so far is reported, so a pruner can stop the trial. The task's guards
    become constraints: the distance of a metric from its range at the worst cutoff. The metrics of each fold are
    stored in the trial.

    Attributes
    ----------
    task : Task
    space : Space
    dataset : Dataset
    folds : sequence of (training cutoffs, held-out cutoffs)
    best : Best or None
        Best trial within the guards that this process has run; None before the first.
    """

    task: Task
    space: Space
    dataset: Dataset
    folds: Folds
    best: Best | None = field(default=None, init=False)

    def __call__(self, trial: optuna.Trial) -> float:
        task = self.task
        name, params = self.space.suggest(trial)

        def report(step: int, so_far: Validation) -> None:
            trial.set_user_attr("fold_metrics", [dict(fold.evaluation.metrics) for fold in so_far.folds])
            if step + 1 < len(self.folds):
                trial.report(self._value(so_far), step)
                if trial.should_prune():
                    raise optuna.TrialPruned

        validation = validate(task.evaluate, partial(task.build, name, params), self.dataset, self.folds, report)
        outside = [excess(task.guards, fold.evaluation.metrics) for fold in validation.folds]
        constraints = {metric: max(fold[metric] for fold in outside) for metric in task.guards}
        for metric, distance in constraints.items():
            trial.set_constraint(metric, distance)
        value = self._value(validation)
        within = all(distance <= 0 for distance in constraints.values())
        if within and (self.best is None or value > self.best.value):
            self.best = Best(trial.number, value, validation)
        return value

    def validation_of(self, number: int) -> Validation | None:
        """Return the validation of a trial, if it is the best that this process has run: it need not be repeated."""
        return self.best.validation if self.best is not None and self.best.number == number else None

    def _value(self, validation: Validation) -> float:
        return defined(self.task.objective_metric, validation.metrics, validation.undefined)
