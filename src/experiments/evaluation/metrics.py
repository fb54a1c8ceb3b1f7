"""The contract of a metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from experiments.evaluation.weighted import Values
from features.errors import InputError, UnsuitableDataError, check_type, did_you_mean, listing


@dataclass(frozen=True)
class Metric:
    """Metric that compares predictions with outcomes.

    Attributes
    ----------
    name : str
        Name in scikit-learn or in the literature.
    means : str
        Explanation in one plain sentence.
    fn : callable
        Of a whole sample: `(y, prediction, *, weights=None) -> float`, under the conventions of `evaluation.weighted`.
        With `per_unit`: `(y, prediction) -> Series`, the value of each resampled unit (customer, week), indexed by
        unit. Units without a value are absent or NaN, such as the ranked list of a customer who bought nothing.
    per_unit : bool
        True if the metric is a mean over resampled units (customers, weeks), each with one value: NDCG, pinball loss.
    gain : str
        Meaning of a higher value to a marketer, as in "the model ... better than another". Empty if lower is better,
        or if there is no better direction: such a metric cannot choose models.
    chance : float or None
        Its value for predictions that know nothing of a row: 0 of a skill, 0.5 of a ROC AUC. None if there is none.
    undefined : str
        Case in which the metric has no value, in words.
    figure : callable, optional
        Given if fn(y, p) = figure(y, p) / figure(y, y): the bootstrap then computes the denominator once for all
        models.
    """

    name: str
    means: str
    fn: Callable[..., Any]
    per_unit: bool = False
    gain: str = ""
    chance: float | None = None
    undefined: str = "there are no rows"
    figure: Callable[..., Any] | None = None

    def __call__(self, y: Any, prediction: Any, *, weights: ArrayLike | None = None) -> Values:
        """Compute the metric; NaN if it is undefined.

        Parameters
        ----------
        y, prediction : Series or DataFrame, or arrays if `fn` takes them
        weights : array, optional
            Weights of rows, as `fn` takes them; a `per_unit` metric ignores them.
        """
        if not self.per_unit:
            return self.fn(y, prediction, **({} if weights is None else {"weights": weights}))
        values = self.values(y, prediction)
        return float(values.mean()) if len(values) else float("nan")

    def values(self, y: pd.Series | pd.DataFrame, prediction: pd.Series | pd.DataFrame) -> pd.Series:
        """Compute the value of each unit that has one, for a `per_unit` metric."""
        values = self.fn(y, prediction)
        assert isinstance(values, pd.Series), f"{self.name} must give a Series, one value for each unit"
        return values.dropna()


def measure(
    metrics: Iterable[Metric], y: pd.Series | pd.DataFrame, prediction: pd.Series | pd.DataFrame
) -> tuple[dict[str, float], dict[str, str]]:
    """Compute metrics.

    Returns
    -------
    values : dict of name to float
        Metrics that are defined on these rows.
    undefined : dict of name to str
        The reason why each other metric has no value.
    """
    values, undefined = {}, {}
    for metric in metrics:
        figure = float(metric(y, prediction))
        if np.isnan(figure):
            undefined[metric.name] = metric.undefined
        else:
            values[metric.name] = figure
    return values, undefined


def check_primary_metric(name: str, metrics: Mapping[str, Metric]) -> None:
    """Check that a primary metric can choose models.

    Raises
    ------
    InputError
        If it is unknown, or has no direction that is better.
    """
    known = [metric.name for metric in metrics.values() if metric.gain]
    if name not in known:
        raise InputError(
            f"{name!r} cannot choose models",
            where="task.primary_metric",
            expected=listing(known),
            hint=did_you_mean(name, known),
        )


def check_guards(guards: Mapping[str, object], metrics: Iterable[str]) -> None:
    """Check that each guard is a range of a known metric.

    Raises
    ------
    InputError
    """
    metrics = list(metrics)
    for metric, bounds in guards.items():
        if metric not in metrics:
            raise InputError(f"unknown metric {metric!r}", where="task.guards", hint=did_you_mean(metric, metrics))
        check_type(bounds, "Sequence[float]", f"task.guards.{metric}")
        assert isinstance(bounds, Iterable)
        numbers = list(bounds)
        valid = len(numbers) == 2 and all(isinstance(bound, int | float) for bound in numbers)
        if not valid or not numbers[0] <= numbers[1]:
            raise InputError(
                f"the guard of {metric} is not a range",
                where=f"task.guards.{metric}",
                expected="[lowest, highest]",
                found=str(bounds),
            )


def excess(guards: Mapping[str, tuple[float, float]], metrics: Mapping[str, float]) -> dict[str, float]:
    """Compute the distance of each measured guard metric from its range; 0 or less if it is within."""
    measured = {name: guard for name, guard in guards.items() if name in metrics}
    return {name: max(low - metrics[name], metrics[name] - high) for name, (low, high) in measured.items()}


def mean_metrics(folds: list[Mapping[str, float]]) -> dict[str, float]:
    """Compute the mean of each metric over the folds, without metrics that a fold lacks."""
    names = [name for name in folds[0] if all(name in fold for fold in folds)] if folds else []
    return {name: float(np.mean([fold[name] for fold in folds])) for name in names}


def defined(name: str, metrics: Mapping[str, float], undefined: Mapping[str, str]) -> float:
    """Return a metric that a decision needs.

    Raises
    ------
    UnsuitableDataError
        If it is undefined: a decision never uses NaN.
    """
    if name not in metrics:
        raise UnsuitableDataError(
            f"{name} is undefined on these rows: {undefined.get(name, 'it was not measured')}",
            where="task.primary_metric",
            hint="use another horizon_days or more customers",
        )
    return metrics[name]
