"""The rule: from resampled gains over all rivals to a verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from scipy.stats import norm

from experiments.evaluation.bootstrap import Distribution, Draws

POWER = 0.8
BACKTEST_ORIGINS = 3  # the origins that a back-test should have, the sealed window among them
RECORDED = {"baseline": "naive", "n_baselines": "n_naive"}  # keys of ledgers that are older than the attributes
TAIL_DRAWS = 20  # a bound needs this many resamples beyond it, or its level is a fiction


@dataclass(frozen=True)
class Comparison:
    """A candidate's gain in the primary metric over one rival, on the same rows.

    Attributes
    ----------
    rival : str
    estimate : float
        The rival's own metric.
    estimate_interval : (float, float)
        Its two-sided interval.
    gain : float
        Candidate minus rival.
    lower, upper : float
        One-sided bounds of the gain, each at level alpha.
    interval : (float, float)
        Two-sided confidence interval of the gain: over resamples of the units in this window.
    confidence : float
        Coverage of the intervals, such as 0.95.
    detectable : float
        Smallest gain that a test at level alpha finds with a power of 0.8: (z_{1-alpha} + z_{0.8}) x standard error.
    p_values : mapping of claim to float
        One-sided, of the opposite of each claim about the true gain: `gain`, it is above 0; `effect`, above
        min_effect; `loss`, below 0; `absence`, below min_effect. A p-value is below alpha where the bound at level
        alpha shows the claim.
    label : str
        What people read in place of the rival's name; empty in ledgers of before.
    """

    rival: str
    estimate: float
    estimate_interval: tuple[float, float]
    gain: float
    lower: float
    upper: float
    interval: tuple[float, float]
    confidence: float
    detectable: float
    p_values: Mapping[str, float]
    label: str = ""

    @classmethod
    def of(
        cls,
        rival: str,
        label: str,
        figure: Distribution,
        gain: Distribution,
        *,
        min_effect: float,
        alpha: float,
        confidence: float,
    ) -> Comparison:
        """Compute bounds and p-values from the resampled figure of the rival and the gain over it."""
        return cls(
            rival=rival,
            label=label,
            estimate=figure.estimate,
            estimate_interval=figure.interval(confidence),
            gain=gain.estimate,
            lower=gain.lower_bound(alpha),
            upper=gain.upper_bound(alpha),
            interval=gain.interval(confidence),
            confidence=confidence,
            detectable=float(norm.ppf(1 - alpha) + norm.ppf(POWER)) * gain.standard_error,
            p_values={
                "gain": gain.p_at_most(0.0),
                "effect": gain.p_at_most(min_effect),
                "loss": gain.p_at_least(0.0),
                "absence": gain.p_at_least(min_effect),
            },
        )

    def verdict(self, p_values: Mapping[str, float], alpha: float, min_effect: float) -> str:
        """Return the verdict that p-values allow.

        strong: a gain above min_effect is shown. weak: a gain above 0 is shown. none: a gain below min_effect, or a
        loss, is shown. undecided: anything else. Where the smallest detectable gain exceeds min_effect, the data
        cannot show its absence: the verdict is undecided instead of none, unless a loss is shown.

        Parameters
        ----------
        p_values : mapping
            The comparison's own, or those corrected for the other tasks of a run.
        alpha : float
            Level of the look.
        min_effect : float
        """
        if p_values["effect"] < alpha:
            return "strong"
        if p_values["gain"] < alpha:
            return "weak"
        if p_values["loss"] < alpha or (p_values["absence"] < alpha and self.detectable <= min_effect):
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
    """The result of one look at the sealed window, with every reason against the candidate.

    Attributes
    ----------
    promote : bool
    verdict : str
        On the gain over the nearest baseline.
    reasons : tuple of str
        Why the candidate is refused; empty when promoted.
    comparisons : tuple of Comparison
        With every baseline, then with the champion.
    metric : str
    min_effect : float
    alpha : float
        Level of this look.
    estimate : float
        The primary metric of the candidate.
    interval : (float, float)
        Its two-sided confidence interval.
    baseline : str
        The nearest baseline: the candidate gains least over it.
    guards : mapping of metric to (lowest, found, highest)
    n_baselines : int
        Number of the comparisons, from the first, that are with baselines.
    backtest : mapping of day to float
        Gain over the nearest baseline from each origin, the sealed one last.
    """

    promote: bool
    verdict: str
    reasons: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    metric: str
    min_effect: float
    alpha: float
    estimate: float
    interval: tuple[float, float]
    baseline: str
    guards: Mapping[str, tuple[float, float, float]]
    n_baselines: int
    backtest: Mapping[str, float]

    @classmethod
    def recorded(cls, content: Mapping[str, Any]) -> Decision:
        """Read a decision from the ledger, which keeps it as JSON."""
        named = {name: content[RECORDED.get(name, name)] for name in cls.__dataclass_fields__}
        comparisons = tuple(Comparison(**comparison) for comparison in content["comparisons"])
        return cls(**{**named, "reasons": tuple(content["reasons"]), "comparisons": comparisons})

    def to_record(self) -> dict[str, Any]:
        """Return the decision as the ledger keeps it: see `recorded`."""
        return {RECORDED.get(name, name): value for name, value in dataclasses.asdict(self).items()}

    @property
    def nearest(self) -> Comparison:
        """The comparison with the nearest baseline."""
        return next(comparison for comparison in self.comparisons if comparison.rival == self.baseline)

    @property
    def claims(self) -> dict[str, float]:
        """p-values of the verdict's claims: of gains over every baseline, of loss and absence over the nearest."""
        baselines = self.comparisons[: self.n_baselines]
        gains = {
            claim: _largest(comparison.p_values[claim] for comparison in baselines) for claim in ("gain", "effect")
        }
        return {**self.nearest.p_values, **gains}

    def metrics(self) -> dict[str, float]:
        """Return the figures of the decision as a run logs them: gains with their bounds, interval, back-test."""
        metrics = {f"sealed/{self.metric}_low": self.interval[0], f"sealed/{self.metric}_high": self.interval[1]}
        for comparison in self.comparisons:
            metrics |= {
                f"sealed/gain_over_{comparison.rival}": comparison.gain,
                f"sealed/gain_over_{comparison.rival}_lower": comparison.lower,
                f"sealed/gain_over_{comparison.rival}_upper": comparison.upper,
            }
        metrics |= {f"backtest/{day}/gain": gain for day, gain in self.backtest.items() if not math.isnan(gain)}
        return {**metrics, "sealed/detectable_gain": self.nearest.detectable}

    @property
    def p_value(self) -> float:
        """p-value of a gain over every rival: the largest of the comparisons."""
        return _largest(comparison.p_values["gain"] for comparison in self.comparisons)


def _largest(p_values: Iterable[float]) -> float:
    values = list(p_values)
    return 1.0 if any(math.isnan(value) for value in values) else max(values)


@dataclass(frozen=True)
class Outcome:
    """A decision, corrected for the other tasks of the same run.

    Attributes
    ----------
    promote : bool
    verdict : str
    reasons : tuple of str
    """

    promote: bool
    verdict: str
    reasons: tuple[str, ...]


def alpha_of_look(look: int, alpha: float = 0.05) -> float:
    """Return the level of the k-th look at one window: alpha x 6 / (pi^2 k^2), which sums to alpha over all looks.

    >>> round(alpha_of_look(1), 4), round(alpha_of_look(2), 4)
    (0.0304, 0.0076)
    """
    return alpha * 6 / (math.pi**2 * look**2)


def enough_resamples(least: int, alpha: float, n_tasks: int) -> int:
    """Return the number of resamples that the smallest level of Holm's correction over the tasks needs.

    >>> enough_resamples(2000, 0.0304, n_tasks=3), enough_resamples(2000, 0.0076, n_tasks=3)
    (2000, 7895)
    """
    return max(least, math.ceil(TAIL_DRAWS * n_tasks / alpha))


def decide(
    draws: Draws,
    *,
    candidate: str,
    baselines: Sequence[str],
    champion: str | None,
    metric: str,
    min_effect: float,
    alpha: float,
    confidence: float,
    metrics: Mapping[str, float],
    guards: Mapping[str, Sequence[float]],
    backtest: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, str],
) -> Decision:
    """Apply the gate's rule.

    The candidate must beat every baseline and the champion, each at level alpha. It must beat all of them, so no
    correction for their number is needed (intersection-union test: Berger 1982).

    Parameters
    ----------
    draws : Draws
        The primary metric of every model on the same resamples.
    candidate : str
        Name of the candidate in `draws`.
    baselines : sequence of str
        Names of the baselines.
    champion : str or None
        Name of the champion; None where there is none to beat.
    metric : str
        Name of the primary metric.
    min_effect : float
        Smallest gain worth a change.
    alpha : float
        Level of this look.
    confidence : float
        Coverage of the two-sided intervals, such as 0.95.
    metrics : mapping
        The candidate's metrics in the sealed window.
    guards : mapping of metric to (lowest, highest)
    backtest : mapping of day to mapping of baseline to float
        Gain over each from each origin, NaN where a model could not be trained. The median gain over the baseline that
        is nearest in the sealed window must be above 0.
    labels : mapping of model to str
        What people read in place of the names.
    """
    comparisons = tuple(
        Comparison.of(
            rival,
            labels.get(rival, ""),
            draws[rival],
            draws.gain(candidate, rival),
            min_effect=min_effect,
            alpha=alpha,
            confidence=confidence,
        )
        for rival in [*baselines, *([champion] if champion else [])]
    )
    nearest = min(comparisons[: len(baselines)], key=lambda comparison: comparison.gain)
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
    measured = {name: guard for name, guard in guards.items() if name in metrics}
    reasons += [f"{name}, which has a guard, is undefined in this window" for name in guards if name not in measured]
    for name, (lowest, highest) in measured.items():
        if not lowest <= metrics[name] <= highest:
            reasons.append(f"{name} is {metrics[name]:.3f}, outside its guard [{lowest:g}, {highest:g}]")
    from_origins = {day: gains[nearest.rival] for day, gains in backtest.items()}
    gains = [gain for gain in from_origins.values() if not math.isnan(gain)]
    if gains and not median(gains) > 0:
        reasons.append(
            f"the median gain over {nearest.rival} from {len(gains)} origins is {median(gains):+.4f}, not above 0"
        )
    decision = Decision(
        promote=not reasons,
        verdict="undecided",
        reasons=tuple(reasons),
        comparisons=comparisons,
        metric=metric,
        min_effect=min_effect,
        alpha=alpha,
        estimate=draws[candidate].estimate,
        interval=draws[candidate].interval(confidence),
        baseline=nearest.rival,
        guards={name: (low, metrics[name], high) for name, (low, high) in measured.items()},
        n_baselines=len(baselines),
        backtest=from_origins,
    )
    return dataclasses.replace(decision, verdict=nearest.verdict(decision.claims, alpha, min_effect))


def holm(p_values: Sequence[float], levels: Sequence[float]) -> list[float]:
    """Correct p-values for their number, each to be compared with its own level.

    The smallest of p / level is multiplied by m, the next by m - 1, and so on; no value falls below the one before it.
    With equal levels this is Holm's correction. With other levels the probability of any false positive is at most the
    largest level.

    Parameters
    ----------
    p_values : sequence of float
        NaN counts as 1.
    levels : sequence of float

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.

    Examples
    --------
    >>> [round(p, 4) for p in holm([0.01, 0.04, 0.03], [0.05, 0.05, 0.05])]
    [0.03, 0.06, 0.06]
    """
    p = [1.0 if math.isnan(value) else value for value in p_values]
    corrected, highest = list(p), 0.0
    for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i] / levels[i])):
        highest = max(highest, (len(p) - step) * p[i] / levels[i])
        corrected[i] = min(1.0, levels[i] * highest) if len(p) > 1 else p[i]
    return corrected


def correct(decisions: Sequence[Decision], unseen: int = 0) -> list[Outcome]:
    """Apply Holm's correction over the tasks of one run, to the gains that promote and to each claim of the verdicts.

    Parameters
    ----------
    decisions : sequence of Decision
    unseen : int
        Number of tasks of the same run whose decision is not known: their p-values count as 1.
    """
    levels = [decision.alpha for decision in decisions] + [decisions[0].alpha] * unseen
    n_tasks, ones = len(levels), [1.0] * unseen
    promoting = holm([*(decision.p_value for decision in decisions), *ones], levels)
    claims = {
        claim: holm([*(decision.claims[claim] for decision in decisions), *ones], levels)
        for claim in ("gain", "effect", "loss", "absence")
    }
    outcomes = []
    for i, decision in enumerate(decisions):
        reasons = decision.reasons
        if decision.p_value < decision.alpha <= promoting[i]:
            reasons += (
                f"with {n_tasks} tasks tested at once the gain is not shown: p = {decision.p_value:.4f}, "
                f"{promoting[i]:.4f} after Holm's correction, not below the level {decision.alpha:.4f}",
            )
        p_values = {claim: values[i] for claim, values in claims.items()}
        verdict = decision.nearest.verdict(p_values, decision.alpha, decision.min_effect)
        outcomes.append(Outcome(not reasons, verdict, reasons))
    return outcomes
