"""What a trial does: draw a model, validate it over the cutoffs, report, maybe stop early."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import optuna

from experiments.tasks.base import Dataset, Task, Validation, build, excess, validate
from experiments.tuning.space import Space
from experiments.tuning.study import Objective


def validation_objective(
    task: Task, space: Space, dataset: Dataset, folds: Sequence[tuple[Sequence[date], date]]
) -> Objective:
    """The task's objective, its mean over the validation cutoffs, to be maximised.

    After each cutoff but the last the mean so far is reported, so that a pruner can stop the trial.
    The task's guards become constraints: how far a metric lies outside its range at the worst cutoff. The metrics of
    each fold stay with the trial.
    """

    def objective(trial: optuna.Trial) -> float:
        name, params = space.suggest(trial)

        def report(step: int, so_far: Validation) -> None:
            trial.set_user_attr("fold_metrics", [dict(fold.evaluation.metrics) for fold in so_far.folds])
            if step + 1 < len(folds):
                trial.report(so_far.metrics[task.objective], step)
                if trial.should_prune():
                    raise optuna.TrialPruned

        validation = validate(task, lambda: build(task, name, params), dataset, folds, report)
        outside = [excess(task, fold.evaluation.metrics) for fold in validation.folds]
        for metric in task.guards:
            trial.set_constraint(metric, max(fold[metric] for fold in outside))
        return validation.metrics[task.objective]

    return objective
