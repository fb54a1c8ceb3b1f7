"""From resampled gains to a verdict: does the candidate beat its rivals, and can these data tell?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import norm

from experiments.evaluation.bootstrap import Distribution, Draws

POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """A candidate's gain in the primary metric over one rival, on the same customers.

    Attributes
    ----------
    rival : str
    gain : float
        Candidate minus rival.
    lower, upper : float
        One-sided bounds of the gain, each at level alpha.
    interval : (float, float)
        Two-sided interval of the gain: over resamples of these customers, in this window.
    confidence : float
        That the interval covers with, such as .95.
    detectable : float
        Smallest gain that a test at level alpha finds with a power of .8 here: (z_{1-alpha} + z_{.8}) x standard error.
    """

    rival: str
    gain: float
    lower: float
    upper: float
    interval: tuple[float, float]
    confidence: float
    detectable: float

    @classmethod
    def of(cls, rival: str, gain: Distribution, alpha: float, confidence: float) -> Comparison:
        """Read the bounds off the resampled gain."""
        return cls(
            rival=rival,
            gain=gain.estimate,
            lower=gain.lower_bound(alpha),
            upper=gain.upper_bound(alpha),
            interval=gain.interval(confidence),
            confidence=confidence,
            detectable=float(norm.ppf(1 - alpha) + norm.ppf(POWER)) * gain.standard_error,
        )

    def verdict(self, min_effect: float) -> str:
        """strong: lower bound above min_effect; weak: above 0; none: upper bound below min_effect; else undecided.

        Where the smallest detectable gain exceeds min_effect, an absence is not shown: undecided, not none,
        unless a loss is shown.
        """
        if self.lower > min_effect:
            return "strong"
        if self.lower > 0:
            return "weak"
        if self.upper < 0 or (self.upper < min_effect and self.detectable <= min_effect):
            return "none"
        return "undecided"

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.gain:+.4f} over {self.rival} "
            f"({self.confidence:.0%} interval {low:+.4f} to {high:+.4f}, lower bound {self.lower:+.4f})"
        )


@dataclass(frozen=True)
class Decision:
    """Whether a candidate becomes champion, and every reason for or against.

    Attributes
    ----------
    promote : bool
    verdict : str
        About the candidate beside the naive model that comes nearest to it.
    reasons : tuple of str
        What stood in the way; empty when promoted.
    comparisons : tuple of Comparison
        With every naive model, then with the champion.
    alpha : float
        Level of this look.
    estimate : float
        The primary metric of the candidate.
    interval : (float, float)
        Its two-sided interval.
    naive : str
        The naive model that comes nearest to the candidate.
    naive_estimate : float
        Its primary metric.
    """

    promote: bool
    verdict: str
    reasons: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    alpha: float
    estimate: float
    interval: tuple[float, float]
    naive: str
    naive_estimate: float

    @property
    def nearest(self) -> Comparison:
        """The comparison with the nearest naive model."""
        return next(comparison for comparison in self.comparisons if comparison.rival == self.naive)


def alpha_of_look(look: int, alpha: float = 0.05) -> float:
    """Level of the k-th look at one window: alpha x 6 / (pi^2 k^2), which sums to alpha over all looks.

    >>> round(alpha_of_look(1), 4), round(alpha_of_look(2), 4)
    (0.0304, 0.0076)
    """
    return alpha * 6 / (math.pi**2 * look**2)


def decide(
    draws: Draws,
    *,
    candidate: str,
    naive: Sequence[str],
    champion: str | None,
    min_effect: float,
    alpha: float,
    confidence: float,
    metrics: Mapping[str, float],
    guards: Mapping[str, Sequence[float]],
    ranking_only: bool,
) -> Decision:
    """Apply the gate's rule.

    The candidate must beat every naive model and the champion, each at level alpha. As all must be
    beaten, no correction for their number is due (intersection-union test: Berger 1982).

    Parameters
    ----------
    draws : Draws
        The primary metric of every model on the same resamples of customers.
    candidate : str
        Which of them is judged.
    naive : sequence of str
        The naive models among them.
    champion : str or None
        The champion among them, if there is one.
    min_effect : float
        Smallest gain worth a change.
    alpha : float
        Level of this look.
    confidence : float
        Of the two-sided intervals, such as .95.
    metrics : mapping
        The candidate's metrics in the sealed window.
    guards : mapping of metric to (lowest, highest)
    ranking_only : bool
        The candidate orders customers but its figures are no amounts.
    """
    comparisons = tuple(
        Comparison.of(rival, draws.gain(candidate, rival), alpha, confidence)
        for rival in [*naive, *([champion] if champion else [])]
    )
    nearest = min(comparisons[: len(naive)], key=lambda comparison: comparison.gain)
    reasons = []
    for comparison in comparisons:
        if not comparison.lower > 0:  # NaN is no gain
            reasons.append(
                f"the gain over {comparison.rival} is not shown: its lower bound at level {alpha:.4f} is "
                f"{comparison.lower:+.4f}, not above 0 (smallest detectable gain {comparison.detectable:.4f})"
            )
        elif not comparison.gain >= min_effect:
            reasons.append(
                f"the gain over {comparison.rival} is {comparison.gain:+.4f}, less than min_effect {min_effect:g}"
            )
    for name, (lowest, highest) in guards.items():
        if not lowest <= metrics[name] <= highest:
            reasons.append(f"{name} is {metrics[name]:.3f}, outside its guard [{lowest:g}, {highest:g}]")
    if ranking_only:
        reasons.append("the model only ranks customers; a champion must predict amounts")
    return Decision(
        promote=not reasons,
        verdict=nearest.verdict(min_effect),
        reasons=tuple(reasons),
        comparisons=comparisons,
        alpha=alpha,
        estimate=draws[candidate].estimate,
        interval=draws[candidate].interval(confidence),
        naive=nearest.rival,
        naive_estimate=draws[nearest.rival].estimate,
    )
