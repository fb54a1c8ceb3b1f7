"""Clues to what would help to find a better model: the study's curve, and where the candidate errs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.evaluation.validation import Evaluation

FEWEST_TRIALS = 6  # below that, half of them says little
LEAST_SHARE = 0.1  # of the rows: a smaller part is not worth a feature


@dataclass(frozen=True)
class Part:
    """Some of the rows, and how well the candidate does among them.

    Attributes
    ----------
    name : str
        "customers with one purchase day".
    share : float
        Of all rows.
    figure : float
        Primary metric among them.
    """

    name: str
    share: float
    figure: float


@dataclass(frozen=True)
class Clues:
    """Figures that advice follows from.

    Attributes
    ----------
    n_trials : int
        Finished trials of the study, pruned and failed ones included; 0 without a study.
    rise : float
        By how much their second half raised the best value: see `rise`.
    parts : tuple of Part
        See `parts_of`.
    """

    n_trials: int
    rise: float
    parts: tuple[Part, ...]

    @classmethod
    def recorded(cls, content: Mapping[str, Any]) -> Clues:
        """Read clues from the ledger, which keeps them as JSON."""
        return cls(content["n_trials"], content["rise"], tuple(Part(**part) for part in content["parts"]))


def rise(values: Sequence[float]) -> float:
    """Return by how much the second half of the trials raised the best value of the first half.

    Parameters
    ----------
    values : sequence of float
        Of all finished trials, in their order; NaN for one that was pruned or failed.

    Returns
    -------
    float
        >= 0; NaN for fewer than `FEWEST_TRIALS` complete trials, or if the first half has none.

    Examples
    --------
    >>> round(rise([0.80, 0.81, 0.80, 0.82, 0.81, 0.80]), 3)
    0.01
    """
    complete = [value for value in values if not math.isnan(value)]
    first = [value for value in values[: len(values) // 2] if not math.isnan(value)]
    if len(complete) < FEWEST_TRIALS or not first:
        return math.nan
    return max(complete) - max(first)


def parts_of(metric: Metric, evaluation: Evaluation, frequency: pd.Series) -> list[Part]:
    """Measure the candidate among customers with one purchase day, and among those with several.

    Parameters
    ----------
    metric : Metric
        The primary metric.
    evaluation : Evaluation
        Of the candidate.
    frequency : Series
        Purchase days - 1 of each evaluated row, indexed as they are.

    Returns
    -------
    list of Part
        Those of a tenth of the rows or more, in which the metric is defined.
    """
    one = (frequency == 0).to_numpy()
    groups = {"customers with one purchase day": one, "customers with several purchase days": ~one}
    found = []
    for name, inside in groups.items():
        if inside.mean() >= LEAST_SHARE:
            figure = float(metric(evaluation.y[inside], evaluation.prediction[inside]))
            if not math.isnan(figure):
                found.append(Part(name, float(inside.mean()), figure))
    return found
