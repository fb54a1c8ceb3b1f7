"""Advice after a decision: what would make a better model, judged from what was measured."""

from __future__ import annotations

import math

from experiments.gate.clues import Clues
from experiments.gate.rule import Decision

OUT_OF_REACH = 20  # times as many rows as there are
ALIKE = 0.2  # correlation of the errors of a gain between windows of the same customers, in simulated shops of 3 years
STILL_RISING = 0.2  # of min_effect, by which the second half of the trials must raise the best value


def advise(decision: Decision, verdict: str, horizon_days: int) -> list[str]:
    """Say what would help, each with the figure that it was judged by; empty for a strong verdict.

    Parameters
    ----------
    decision : Decision
    verdict : str
        Corrected for the other tasks of the run.
    horizon_days : int
    """
    if verdict == "strong" or decision.clues is None:
        return []
    said = [*_of_trials(decision, decision.clues), *_of_data(decision, verdict, horizon_days)]
    parts = decision.clues.parts
    if len(parts) > 1:
        worst = min(parts, key=lambda part: part.figure)
        said.append(
            f"a feature that tells {worst.name} apart: among them ({worst.share:.0%} of the rows) {decision.metric} is "
            f"{worst.figure:.3f}, {max(part.figure for part in parts):.3f} among the others"
        )
    return said


def _of_trials(decision: Decision, clues: Clues) -> list[str]:
    if math.isnan(clues.rise):
        return []
    half = f"the second half of {clues.n_trials} trials raised the best validated value by {clues.rise:.4f}"
    if clues.rise > STILL_RISING * decision.min_effect:
        return [f"more trials, such as tuning.n_trials={2 * clues.n_trials}: {half}"]
    return [f"not more trials: {half}, less than a fifth of min_effect {decision.min_effect:g}"]


def _of_data(decision: Decision, verdict: str, horizon_days: int) -> list[str]:
    nearest, effect = decision.nearest, decision.min_effect
    rival = nearest.label or nearest.rival
    if verdict == "none" and nearest.detectable <= effect:
        return [f"nothing: {rival} is as good as these data allow; a gain of {effect:g} would have been found"]
    if verdict == "none":
        return [f"another kind of model or feature: this one is shown to be worse than {rival}"]
    if verdict == "undecided" and effect and nearest.detectable > effect:
        factor = (nearest.detectable / effect) ** 2
        if factor > OUT_OF_REACH:
            found = f"these data find a gain of {nearest.detectable:.3f} four times in five"
            return [f"not more data of this kind: {found}; {effect:g} would take {factor:.0f} times as many rows"]
        windows = more_windows(len(nearest.windows), factor)
        or_windows = f", or about {windows} more windows of {horizon_days} days," if windows <= OUT_OF_REACH else ""
        alone = "" if or_windows else "; more windows of the same customers would not do"
        rows = f"more data: {factor:.1f} times as many rows"
        return [f"{rows}{or_windows} to find a gain of {effect:g} four times in five{alone}"]
    return []


def more_windows(n_windows: int, factor: float) -> float:
    """Return how many more windows divide the variance of a pooled gain by a factor; infinity if no number does.

    The same customers stand in all windows. So the variance over k windows is (1 + (k - 1) x `ALIKE`) / k of that in
    one: two count as 1.7 windows of other customers, four as 2.5.

    Examples
    --------
    >>> more_windows(1, 2.0), more_windows(1, 6.0)
    (2, inf)
    """
    k = max(1, n_windows)
    left = (1 + (k - 1) * ALIKE) / k / factor - ALIKE
    return math.ceil((1 - ALIKE) / left) - k if left > 0 else math.inf
