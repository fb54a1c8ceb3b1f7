"""Comparison of a model with baselines and with negative controls."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from experiments.evaluation.controls import permuted_within_cutoff
from experiments.evaluation.metrics import defined
from experiments.evaluation.validation import Dataset, Estimator, Folds, Validation, validate, validate_all
from experiments.tasks.base import Task
from features.errors import UnsuitableDataError

logger = logging.getLogger(__name__)

CONSTANT, PERMUTED = "constant", "permuted_target"


@dataclass(frozen=True)
class Standing:
    """A model's validation and, over the same cutoffs, the validations of its baselines and controls.

    Attributes
    ----------
    name : str
        Name of the model.
    primary_metric : str
    validation : Validation
    baselines : mapping of name to Validation
    constant : Validation
        Validation of the same prediction for every row.
    permuted : array of shape (n_controls,)
        Primary metric of the model on permuted targets: see `permuted_metric`. NaN if the model rejects them.
    """

    name: str
    primary_metric: str
    validation: Validation
    baselines: Mapping[str, Validation]
    constant: Validation
    permuted: np.ndarray

    @property
    def best_baseline(self) -> str:
        """Name of the baseline that is best in the primary metric."""
        return max(self.baselines, key=lambda rival: self._figure(self.baselines[rival]))

    def metrics(self) -> dict[str, float]:
        """Return all metrics under `valid/`, `naive/` and `control/`.

        The metrics of the best baseline also appear without its name. Metrics that are undefined for equal
        predictions, such as a rank correlation, are left out.
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
        """Return a table of the primary metric: model, kind (model, baseline or control) and the metric.

        Controls without a value are left out: equal predictions have no rank correlation.
        """
        primary = self.primary_metric
        controls = [(CONSTANT, self.constant.metrics.get(primary, math.nan)), *((PERMUTED, v) for v in self.permuted)]
        rows = [
            (self.name, "model", self._figure(self.validation)),
            *((rival, "baseline", self._figure(outcome)) for rival, outcome in self.baselines.items()),
            *((control, "control", value) for control, value in controls if not np.isnan(value)),
        ]
        return pd.DataFrame(rows, columns=["model", "kind", primary])

    def _figure(self, validation: Validation) -> float:
        """Return the primary metric.

        Raises
        ------
        UnsuitableDataError
            If it is undefined at one of the cutoffs.
        """
        return defined(self.primary_metric, validation.metrics, validation.undefined)


def stand(
    task: Task,
    name: str,
    params: Mapping[str, Any],
    dataset: Dataset,
    folds: Folds,
    *,
    n_controls: int,
    seed: int,
    validation: Validation | None = None,
) -> Standing:
    """Validate one of the task's candidates, its baselines and its controls.

    Parameters
    ----------
    task : Task
    name : str
    params : mapping
    dataset : Dataset
        Rows of all cutoffs named in `folds`.
    folds : sequence of (training cutoffs, validation cutoff)
    n_controls : int
        Number of permutations of the targets.
    seed : int
        Seed of the permutations.
    validation : Validation, optional
        Of the candidate, where it is known.
    """
    model = partial(task.build, name, params)
    own = validation or validate(task.evaluate, model, dataset, folds)
    rivals = validate_all(task.evaluate, {**task.baselines(params), CONSTANT: task.control}, dataset, folds)
    constant = rivals.pop(CONSTANT)
    return Standing(
        name=name,
        primary_metric=task.primary_metric,
        validation=own,
        baselines=rivals,
        constant=constant,
        permuted=np.array([permuted_metric(task, model, dataset, folds, seed + draw) for draw in range(n_controls)]),
    )


def baseline_metrics(logged: Mapping[str, float], rival: str) -> dict[str, float]:
    """Return a baseline's metrics from those that `Standing.metrics` returned."""
    prefix = f"naive/{rival}/"
    return {name.removeprefix(prefix): value for name, value in logged.items() if name.startswith(prefix)}


def primary_metrics(logged: Mapping[str, float], metric: str, name: str, rivals: Iterable[str]) -> dict[str, float]:
    """Return one metric of the model and of each baseline, from the metrics that `Standing.metrics` returned.

    What was not logged is left out.
    """
    own = {name: logged.get(f"valid/{metric}", math.nan)}
    found = own | {rival: baseline_metrics(logged, rival).get(metric, math.nan) for rival in rivals}
    return {model: value for model, value in found.items() if not math.isnan(value)}


def permuted_metric(task: Task, build: Callable[[], Estimator], dataset: Dataset, folds: Folds, seed: int) -> float:
    """Compute the primary metric of a model that is trained and evaluated on permuted targets.

    Targets are permuted among the rows of each cutoff, so there is no signal to learn. A metric clearly above no skill
    shows an error in the procedure. NaN if the model rejects such targets, as an L1 fit that predicts zero for every
    customer does.
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
    """Return the mean and the largest value of a control's repetitions; an empty dict if all are NaN."""
    values = values[~np.isnan(values)]
    return {name: float(values.mean()), f"{name}_max": float(values.max())} if len(values) else {}
