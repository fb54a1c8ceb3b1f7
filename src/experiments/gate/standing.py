"""A model beside what knows less: baselines, and controls that know nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from experiments.evaluation.controls import permuted_within_cutoff
from experiments.evaluation.metrics import defined
from experiments.evaluation.validation import Dataset, Estimator, Folds, Validation, validate
from experiments.tasks.base import Task
from features.errors import UnsuitableDataError

logger = logging.getLogger(__name__)

CONSTANT, PERMUTED = "constant", "permuted_target"


@dataclass(frozen=True)
class Standing:
    """A model's validation and, over the same cutoffs, that of all that it stands beside.

    Attributes
    ----------
    name : str
        The model's.
    primary_metric : str
    validation : Validation
    baselines : mapping of name to Validation
    constant : Validation
        Of the same prediction for everybody.
    permuted : array of shape (n_controls,)
        The primary metric of the model where the targets are permuted: see `permuted_metric`. NaN where the model
        refused them.
    """

    name: str
    primary_metric: str
    validation: Validation
    baselines: Mapping[str, Validation]
    constant: Validation
    permuted: np.ndarray

    @property
    def best_baseline(self) -> str:
        """The baseline that is best in the primary metric."""
        return max(self.baselines, key=lambda rival: self._figure(self.baselines[rival]))

    def metrics(self) -> dict[str, float]:
        """All of it under `valid/`, `naive/` and `control/`; the best baseline's metrics also without its name.

        What is undefined has no entry, as a rank correlation where all predictions are equal.
        """
        primary = self.primary_metric
        return {
            **{f"valid/{metric}": value for metric, value in self.validation.metrics.items()},
            **{f"naive/{metric}": value for metric, value in self.baselines[self.best_baseline].metrics.items()},
            **{
                f"naive/{rival}/{metric}": value
                for rival, outcome in self.baselines.items()
                for metric, value in outcome.metrics.items()
            },
            **{f"control/{CONSTANT}/{metric}": value for metric, value in self.constant.metrics.items()},
            **control_metrics(f"control/{PERMUTED}/{primary}", self.permuted),
        }

    def table(self) -> pd.DataFrame:
        """The primary metric of each: model, kind (model, baseline or control) and the metric; of controls, if any."""
        controls = [(CONSTANT, self.constant.metrics.get(self.primary_metric, math.nan))]
        controls += [(PERMUTED, value) for value in self.permuted]
        rows = [
            (self.name, "model", self._figure(self.validation)),
            *((rival, "baseline", self._figure(outcome)) for rival, outcome in self.baselines.items()),
            *((control, "control", value) for control, value in controls if not math.isnan(value)),
        ]
        return pd.DataFrame(rows, columns=["model", "kind", self.primary_metric])

    def _figure(self, validation: Validation) -> float:
        """Return the primary metric.

        Raises
        ------
        UnsuitableDataError
            If it is undefined at one of the cutoffs.
        """
        return defined(self.primary_metric, validation.metrics, validation.undefined)


def stand(
    task: Task, name: str, params: Mapping[str, Any], dataset: Dataset, folds: Folds, *, n_controls: int, seed: int
) -> Standing:
    """Validate one of the task's candidates, and all that it is to stand beside.

    Parameters
    ----------
    task : Task
    name : str
    params : mapping
    dataset : Dataset
        Rows of all cutoffs named in `folds`.
    folds : sequence of (training cutoffs, validation cutoff)
    n_controls : int
        Permutations of the targets.
    seed : int
        Of the permutations.
    """
    model = partial(task.build, name, params)
    return Standing(
        name=name,
        primary_metric=task.primary_metric,
        validation=validate(task.evaluate, model, dataset, folds),
        baselines={
            rival: validate(task.evaluate, baseline, dataset, folds)
            for rival, baseline in task.baselines(params).items()
        },
        constant=validate(task.evaluate, task.control, dataset, folds),
        permuted=np.array([permuted_metric(task, model, dataset, folds, seed + draw) for draw in range(n_controls)]),
    )


def baseline_metrics(logged: Mapping[str, float], rival: str) -> dict[str, float]:
    """Return a baseline's metrics among those that `Standing.metrics` gave."""
    prefix = f"naive/{rival}/"
    return {name.removeprefix(prefix): value for name, value in logged.items() if name.startswith(prefix)}


def permuted_metric(task: Task, build: Callable[[], Estimator], dataset: Dataset, folds: Folds, seed: int) -> float:
    """The primary metric of a model trained and judged on targets permuted among the customers of each cutoff.

    There is nothing to learn in them: what lies clearly above no skill comes from the machinery. NaN where the
    model refuses such targets, as an L1 fit does that predicts zero for everybody.
    """
    dealt = Dataset(dataset.X, permuted_within_cutoff(dataset.y, seed))
    scores = []
    for training, cutoffs in folds:
        train, held_out = dealt.at(*training), task.judged_rows(dealt.at(*cutoffs))
        try:
            model = build().fit(train.X, train.target)
        except UnsuitableDataError as error:
            logger.warning("no control from targets permuted before %s: %s", cutoffs[0], error.problem)
            return math.nan
        scores.append(task.metric(held_out.target, task.predict(model, held_out.X)))
    return float(np.mean(scores))


def control_metrics(name: str, values: np.ndarray) -> dict[str, float]:
    """Mean and largest of a control's repetitions; nothing where it could not be had."""
    values = values[~np.isnan(values)]
    return {name: float(values.mean()), f"{name}_max": float(values.max())} if len(values) else {}
