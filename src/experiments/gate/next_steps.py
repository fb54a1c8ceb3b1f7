"""Advice after a decision: what would make a better model, judged from what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.evaluation.validation import Evaluation
from experiments.gate.rule import Decision

FEWEST_TRIALS = 6  # below that, half of them says little
STILL_RISING = 0.2  # of min_effect, by which the second half of the trials must raise the best value


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


def rise(values: Sequence[float]) -> float:
    """Return by how much the second half of the trials raised the best value of the first half.

    Parameters
    ----------
    values : sequence of float
        Of the complete trials, in their order.

    Returns
    -------
    float
        >= 0; NaN for fewer than `FEWEST_TRIALS` trials.

    Examples
    --------
    >>> round(rise([0.80, 0.81, 0.80, 0.82, 0.81, 0.80]), 3)
    0.01
    """
    if len(values) < FEWEST_TRIALS:
        return math.nan
    return max(values) - max(values[: len(values) // 2])


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
        Those in which the metric is defined.
    """
    one = (frequency == 0).to_numpy()
    groups = {"customers with one purchase day": one, "customers with several purchase days": ~one}
    found = []
    for name, inside in groups.items():
        if inside.any():
            figure = float(metric(evaluation.y[inside], evaluation.prediction[inside]))
            if not math.isnan(figure):
                found.append(Part(name, float(inside.mean()), figure))
    return found


def advise(decision: Decision, values: Sequence[float], parts: Sequence[Part], horizon_days: int) -> tuple[str, ...]:
    """Say what would help, each with the figure that it was judged by; empty for a strong verdict.

    Parameters
    ----------
    decision : Decision
    values : sequence of float
        The objective of the study's complete trials, in their order; empty without a study.
    parts : sequence of Part
        See `parts_of`.
    horizon_days : int
    """
    if decision.verdict == "strong":
        return ()
    said = [*_of_trials(decision, values), *_of_data(decision, horizon_days)]
    if len(parts) > 1:
        worst = min(parts, key=lambda part: part.figure)
        said.append(
            f"a feature that tells {worst.name} apart: among them ({worst.share:.0%} of the rows) {decision.metric} is "
            f"{worst.figure:.3f}, {max(part.figure for part in parts):.3f} among the others"
        )
    return tuple(said)


def _of_trials(decision: Decision, values: Sequence[float]) -> list[str]:
    raised = rise(values)
    if math.isnan(raised):
        return []
    half = f"the second half of {len(values)} trials raised the best validated value by {raised:.4f}"
    if raised > STILL_RISING * decision.min_effect:
        return [f"more trials, such as tuning.n_trials={2 * len(values)}: {half}"]
    return [f"not more trials: {half}, less than a fifth of min_effect {decision.min_effect:g}"]


def _of_data(decision: Decision, horizon_days: int) -> list[str]:
    nearest, effect = decision.nearest, decision.min_effect
    rival = nearest.label or nearest.rival
    if decision.verdict == "none" and nearest.detectable <= effect:
        return [f"nothing: {rival} is as good as these data allow; a gain of {effect:g} would have been found"]
    if decision.verdict == "none":
        return [f"another kind of model or feature: this one is shown to be worse than {rival}"]
    if decision.verdict == "undecided" and effect and nearest.detectable > effect:
        factor = (nearest.detectable / effect) ** 2
        return [
            f"more data: {factor:.1f} times as many rows, or about {math.ceil(factor) - 1} more windows of "
            f"{horizon_days} days, to find a gain of {effect:g} four times in five"
        ]
    return []
