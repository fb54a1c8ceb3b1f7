"""The rule: from resampled gains to two answers: does the candidate add anything, and what should be used?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scipy.stats import norm

from experiments.evaluation.bootstrap import PooledDraws
from experiments.gate.clues import Clues

POWER = 0.8
UNJUDGED = "not judged"  # verdict on a version that no look compared with baselines
RECORDED = {"baseline": "naive", "n_baselines": "n_naive"}  # keys of ledgers that are older than the attributes
STAYS = "it stays: no other model is shown to be better"
UNBEATEN = "it measured best of those that no other is shown to beat"
BEST, BEST_BASELINE = "it measured best", "it measured best of the baselines"
MORE_LIKELY_THAN_NOT = 0.5
CANDIDATE_SHARE = 0.8  # of a look's level; the baselines, which challenge too, share the rest
TAIL_DRAWS = 20  # a bound needs this many resamples beyond it, or its level is a fiction


@dataclass(frozen=True)
class Comparison:
    """A model's gain in the primary metric over one rival, on the same rows, pooled over the windows of both.

    Attributes
    ----------
    rival : str
    estimate : float
        The rival's own metric: its mean over the windows.
    estimate_interval : (float, float)
        Its two-sided interval.
    gain : float
        Model minus rival.
    lower, upper : float
        One-sided bounds of the gain, each at level alpha.
    interval : (float, float)
        Two-sided confidence interval of the gain: over resamples of the units in these windows.
    confidence : float
        Coverage of the intervals, such as 0.95.
    detectable : float
        Smallest gain that a test at level alpha finds with a power of 0.8: (z_{1-alpha} + z_{0.8}) x standard error.
    p_values : mapping of claim to float
        One-sided, of the opposite of each claim about the true gain: `gain`, it is above 0; `effect`, above
        min_effect; `loss`, below 0; `absence`, below min_effect. A p-value is below alpha where the bound at level
        alpha shows the claim. Over the nearest of several baselines, the last two are corrected for their number.
    label : str
        What people read in place of the rival's name; empty in older ledgers.
    windows : tuple of str
        First days of the windows in which both were measured; empty in older ledgers.
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
    windows: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        draws: PooledDraws,
        model: str,
        rival: str,
        label: str,
        *,
        min_effect: float,
        alpha: float,
        confidence: float,
    ) -> Comparison:
        """Compute bounds and p-values from the resampled figure of the rival and the gain over it."""
        figure, gain = draws.figure(rival, model), draws.gain(model, rival)
        return cls(
            rival=rival,
            label=label,
            windows=draws.shared(model, rival),
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
class Use:
    """A model that is used, beside the nearest one that is not.

    Attributes
    ----------
    model : str
        The candidate, a baseline by its name, or the model that was in use before.
    label : str
        What people read in place of the name.
    estimate : float
        Its primary metric: the mean over the windows in which all models were measured.
    interval : (float, float)
        Two-sided interval of the estimate.
    windows : tuple of str
        First days of these windows.
    other, other_label : str
        The best of the other models in these windows; empty if there is no other.
    other_estimate : float
        Its metric in the same windows; NaN if there is no other.
    reason : str
        Why this model is used.
    """

    model: str
    label: str
    estimate: float
    interval: tuple[float, float]
    windows: tuple[str, ...]
    other: str
    other_label: str
    other_estimate: float
    reason: str


@dataclass(frozen=True)
class Decision:
    """The result of one look at the sealed window.

    Attributes
    ----------
    promote : bool
        True if the candidate is to be used.
    verdict : str
        On the candidate's gain over the best baseline: does the model add anything?
    reasons : tuple of str
        Why the candidate is not used; empty if it is.
    comparisons : tuple of Comparison
        With every baseline, then with the model that was in use.
    metric : str
    min_effect : float
    alpha : float
        Level of this look.
    estimate : float
        The primary metric of the candidate, pooled over its windows.
    interval : (float, float)
        Its two-sided confidence interval.
    baseline : str
        The best baseline in the candidate's windows.
    guards : mapping of metric to (lowest, found, highest)
    n_baselines : int
        Number of the comparisons, from the first, that are with baselines.
    backtest : mapping of day to float
        Gain over the best baseline in each window that the candidate was measured in, the sealed one last.
    use : Use or None
        What should be used today; None in older ledgers.
    stay : Use or None
        The model that was in use, if it is to be replaced: what is used if the replacement is not shown among several
        tasks. None otherwise.
    p_replace : float
        p-value of the gain of `use` over the model that was in use; NaN if nothing is replaced.
    clues : Clues or None
        What advice follows from: see `gate.next_steps`.
    chance : float or None
        The primary metric of predictions that know nothing of a row; None where there is none, and in older ledgers.
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
    use: Use | None = None
    stay: Use | None = None
    p_replace: float = math.nan
    clues: Clues | None = None
    chance: float | None = None

    @classmethod
    def recorded(cls, content: Mapping[str, Any]) -> Decision:
        """Read a decision from the ledger, which keeps it as JSON."""
        keys = {name: RECORDED.get(name, name) for name in cls.__dataclass_fields__}
        named = {name: content[key] for name, key in keys.items() if key in content}
        named["comparisons"] = tuple(Comparison(**comparison) for comparison in content["comparisons"])
        for name in ("use", "stay"):
            named[name] = Use(**named[name]) if named.get(name) else None
        named["clues"] = Clues.recorded(named["clues"]) if named.get("clues") else None
        return cls(**{**named, "reasons": tuple(content["reasons"])})

    def to_record(self) -> dict[str, Any]:
        """Return the decision as the ledger keeps it: see `recorded`."""
        return {RECORDED.get(name, name): value for name, value in dataclasses.asdict(self).items()}

    @property
    def nearest(self) -> Comparison:
        """The comparison with the best baseline, which the verdict is about."""
        return next(comparison for comparison in self.comparisons if comparison.rival == self.baseline)

    def is_candidate(self, model: str) -> bool:
        """Return True for the candidate's name: all other models are rivals."""
        return model not in [comparison.rival for comparison in self.comparisons]

    def metrics(self) -> dict[str, float]:
        """Return the figures of the decision as a run logs them: gains with their bounds, interval, back-test."""
        metrics = {f"sealed/{self.metric}_low": self.interval[0], f"sealed/{self.metric}_high": self.interval[1]}
        for comparison in self.comparisons:
            metrics |= {
                f"sealed/gain_over_{comparison.rival}": comparison.gain,
                f"sealed/gain_over_{comparison.rival}_lower": comparison.lower,
                f"sealed/gain_over_{comparison.rival}_upper": comparison.upper,
            }
        metrics |= {f"backtest/{day}/gain": gain for day, gain in self.backtest.items()}
        return {**metrics, "sealed/detectable_gain": self.nearest.detectable}


@dataclass(frozen=True)
class Outcome:
    """A decision, corrected for the other tasks of the same run.

    Attributes
    ----------
    promote : bool
        True if the candidate is used.
    verdict : str
    reasons : tuple of str
        Why the candidate is not used.
    use : str
        Name of the model that is used: see `Use.model`. Empty in older ledgers.
    """

    promote: bool
    verdict: str
    reasons: tuple[str, ...]
    use: str = ""


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
    draws: PooledDraws,
    *,
    candidate: str,
    baselines: Sequence[str],
    in_use: str | None,
    metric: str,
    min_effect: float,
    alpha: float,
    confidence: float,
    metrics: Mapping[str, float],
    guards: Mapping[str, Sequence[float]],
    labels: Mapping[str, str],
    validated: Mapping[str, float],
) -> Decision:
    """Apply the gate's rule.

    The verdict is on the candidate's gain over the best baseline in its windows. It says whether the model adds
    anything, and nothing about use. What is used is the best that was measured, or the candidate where a baseline's
    lead over it is outweighed: see `_chosen`.

    Parameters
    ----------
    draws : PooledDraws
        The primary metric of every model, in each window that the model was not chosen on.
    candidate : str
        Name of the candidate in `draws`.
    baselines : sequence of str
        Names of the baselines.
    in_use : str or None
        Name of the model in use, which may be a baseline; None if there is none.
    metric : str
        Name of the primary metric.
    min_effect : float
        Smallest gain worth a change.
    alpha : float
        Level of this look.
    confidence : float
        Coverage of the two-sided intervals, such as 0.95.
    metrics : mapping
        The candidate's metrics, each a mean over its windows.
    guards : mapping of metric to (lowest, highest)
        A candidate outside them is not used.
    labels : mapping of model to str
        What people read in place of the names.
    validated : mapping of model to float
        The primary metric of candidate and baselines in the windows that the candidate was chosen in; empty where it
        is not known.
    """
    measured = Measured(draws, candidate, tuple(baselines), in_use, min_effect, alpha, confidence, labels, validated)
    found = {name: (low, metrics[name], high) for name, (low, high) in guards.items() if name in metrics}
    outside = [f"{name}, which has a guard, is undefined in these windows" for name in guards if name not in metrics]
    outside += [
        f"{name} is {value:.3f}, outside its guard [{low:g}, {high:g}]"
        for name, (low, value, high) in found.items()
        if not low <= value <= high
    ]
    rivals = [name for name in measured.models if name != candidate]
    reference = measured.nearest_baseline
    own = draws.figure(candidate)
    over_best = measured.over_nearest()
    comparisons = tuple(over_best if rival == reference else measured.comparison(candidate, rival) for rival in rivals)
    chosen, reason = _chosen(measured, is_eligible=not outside)
    replaces = in_use is not None and chosen != in_use
    return Decision(
        promote=chosen == candidate,
        verdict=over_best.verdict(over_best.p_values, alpha, min_effect),
        reasons=() if chosen == candidate else tuple(outside) or (_why_not(measured, chosen),),
        comparisons=comparisons,
        metric=metric,
        min_effect=min_effect,
        alpha=alpha,
        estimate=own.estimate,
        interval=own.interval(confidence),
        baseline=reference,
        guards=found,
        n_baselines=len(baselines),
        backtest={day: draws.windows[day].gain(candidate, reference).estimate for day in over_best.windows},
        use=measured.use(chosen, reason),
        stay=measured.use(in_use, STAYS) if in_use is not None and replaces else None,
        p_replace=measured.p_of_replacing(chosen, in_use) if in_use is not None and replaces else math.nan,
    )


@dataclass(frozen=True)
class Measured:
    """The figures of all models of a look, and what may be said of them: see `decide` for the attributes."""

    draws: PooledDraws
    candidate: str
    baselines: tuple[str, ...]
    in_use: str | None
    min_effect: float
    alpha: float
    confidence: float
    labels: Mapping[str, str]
    validated: Mapping[str, float]

    @property
    def models(self) -> list[str]:
        """All models, each once."""
        return list(dict.fromkeys([self.candidate, *self.baselines, *([self.in_use] if self.in_use else [])]))

    @cached_property
    def nearest_baseline(self) -> str:
        """The best baseline in the candidate's windows, over which the candidate gains least."""
        return max(self.baselines, key=lambda name: _or_lowest(-self.draws.gain(self.candidate, name).estimate))

    def merit(self, model: str) -> float:
        """Return the figure in the windows of all models: other seasons favour other models."""
        return _or_lowest(self.draws.figure(model, *self.models).estimate)

    def comparison(self, model: str, rival: str) -> Comparison:
        return Comparison.of(
            self.draws,
            model,
            rival,
            self.labels.get(rival, ""),
            min_effect=self.min_effect,
            alpha=self.alpha,
            confidence=self.confidence,
        )

    def over_nearest(self) -> Comparison:
        """Return the comparison with the nearest baseline; what is said against the candidate is corrected.

        The nearest is the one that chance favours: of several baselines as good as the candidate, one measures better
        than it more often than one alone does. So p-values of a loss and of an absent gain are multiplied by their
        number (Bonferroni). A gain needs none: it must be shown over the best of all.
        """
        found = self.comparison(self.candidate, self.nearest_baseline)
        against = {claim: min(1.0, len(self.baselines) * found.p_values[claim]) for claim in ("loss", "absence")}
        return dataclasses.replace(found, p_values={**found.p_values, **against})

    def p_of_replacing(self, challenger: str, model: str) -> float:
        """Return the p-value of a challenger's gain over a model, corrected for the number of challengers.

        The candidate has `CANDIDATE_SHARE` of the level; the baselines share the rest (Bonferroni), so that any false
        replacement has the probability of the level at most.
        """
        n_baselines = len([name for name in self.models if name not in (self.candidate, model)])
        share = CANDIDATE_SHARE if challenger == self.candidate else (1 - CANDIDATE_SHARE) / n_baselines
        return min(1.0, self.draws.gain(challenger, model).p_at_most(0.0) / share)

    def shown_better(self, model: str, challengers: Sequence[str]) -> list[str]:
        """Return the challengers whose gain over a model is shown, and worth a change."""
        return [
            name
            for name in challengers
            if name != model
            and self.draws.gain(name, model).estimate >= self.min_effect
            and self.p_of_replacing(name, model) < self.alpha
        ]

    def is_outweighed(self, baseline: str) -> bool:
        """Return True if a baseline's lead over the candidate is small, and less than the candidate led by before.

        Small is a lead that is not more likely than not real as that of the best of so many baselines: chance favours
        the best of them (Bonferroni). At validation chance favours the candidate, because it was chosen there: its gain
        over the best baseline there must exceed the lead.
        """
        return self.is_small(baseline) and self.validated_gain > self.draws.gain(baseline, self.candidate).estimate

    def is_small(self, baseline: str) -> bool:
        """Return True if a baseline's lead over the candidate may be chance: see `is_outweighed`."""
        p_value = self.draws.gain(baseline, self.candidate).p_at_most(0.0)
        return len(self.baselines) * p_value >= MORE_LIKELY_THAN_NOT  # NaN is no evidence for the candidate

    @property
    def validated_gain(self) -> float:
        """The candidate's gain over the best baseline in the windows that it was chosen in; NaN if it is not known."""
        own, *others = (self.validated.get(name, math.nan) for name in (self.candidate, *self.baselines))
        return math.nan if any(map(math.isnan, others)) else own - max(others)

    def label(self, model: str) -> str:
        return self.labels.get(model) or model

    def use(self, model: str, reason: str) -> Use:
        """Describe the use of a model, beside the best of those that are not used."""
        other = max((name for name in self.models if name != model), key=self.merit, default="")
        own = self.draws.figure(model, *self.models)
        return Use(
            model=model,
            label=self.label(model),
            estimate=own.estimate,
            interval=own.interval(self.confidence),
            windows=self.draws.shared(*self.models),
            other=other,
            other_label=self.label(other) if other else "",
            other_estimate=self.draws.figure(other, *self.models).estimate if other else math.nan,
            reason=reason,
        )


def _chosen(measured: Measured, *, is_eligible: bool) -> tuple[str, str]:
    """Choose the model to use, and say why.

    With nothing in use it is the model that measured best; the candidate, where a baseline's lead over it is
    outweighed: see `Measured.is_outweighed`. What is in use is replaced by a challenger whose gain over it is shown,
    with an estimate of at least `min_effect`; nothing else must be beaten. Of several such challengers the best
    measured is used. A model that another of them provably beats is passed over, unless each is beaten by one.
    """
    allowed = [name for name in measured.models if is_eligible or name != measured.candidate]
    challengers = allowed if measured.in_use is None else measured.shown_better(measured.in_use, allowed)
    if not challengers:
        return str(measured.in_use), STAYS
    unbeaten = [name for name in challengers if not measured.shown_better(name, challengers)]
    best, chosen = (max(names, key=measured.merit) for names in (challengers, unbeaten or challengers))
    if measured.in_use is not None:
        gain = measured.draws.gain(chosen, measured.in_use).estimate
        return chosen, f"its gain over {measured.label(measured.in_use)}, {gain:+.4f}, is shown"
    if chosen in measured.baselines and measured.candidate in unbeaten and measured.is_outweighed(chosen):
        lead = measured.draws.gain(chosen, measured.candidate).estimate
        return measured.candidate, (
            f"{measured.label(chosen)} measured better by {lead:.4f}, which may be chance; "
            f"at validation this model led all baselines by {measured.validated_gain:.4f}"
        )
    if chosen != best:
        return chosen, UNBEATEN
    return chosen, BEST if is_eligible else BEST_BASELINE


def _why_not(measured: Measured, chosen: str) -> str:
    """Say what the candidate was compared with, and what came of it."""
    comparison, label = measured.comparison(measured.candidate, chosen), measured.label(chosen)
    where = f"in {counted(comparison.windows)}"
    if chosen != measured.in_use:
        said = f"{label} measured better {where}: the gain over it is {comparison.gain:+.4f}"
        if measured.is_small(chosen) and not math.isnan(measured.validated_gain):
            said += f", and at validation that over the best baseline was {measured.validated_gain:+.4f}"
        return said
    p_value = measured.p_of_replacing(measured.candidate, chosen)
    if not p_value < measured.alpha:  # NaN is no gain
        return (
            f"the gain over {label} is {comparison.gain:+.4f} {where}, and it is not shown: p = {p_value:.4f}, not "
            f"below the level {measured.alpha:.4f} (smallest detectable gain {comparison.detectable:.4f})"
        )
    return f"the gain over {label} is {comparison.gain:+.4f} {where}, less than min_effect {measured.min_effect:g}"


def counted(windows: Sequence[str]) -> str:
    """Name windows by their number and first day: "the window from 2017-10-03", "3 windows from 2017-04-06"."""
    return f"the window from {windows[0]}" if len(windows) == 1 else f"{len(windows)} windows from {windows[0]}"


def _or_lowest(value: float) -> float:
    return -math.inf if math.isnan(value) else value


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
    """Apply Holm's correction over the tasks of one run: to each claim of the verdicts, and to replacements.

    A first use needs no test, because something must be used: it is not corrected.

    Parameters
    ----------
    decisions : sequence of Decision
    unseen : int
        Number of tasks of the same run whose decision is not known: their p-values count as 1.
    """
    levels = [decision.alpha for decision in decisions] + [decisions[0].alpha] * unseen
    n_tasks, ones = len(levels), [1.0] * unseen
    replacing = holm([*(decision.p_replace for decision in decisions), *ones], levels)
    claims = {
        claim: holm([*(decision.nearest.p_values[claim] for decision in decisions), *ones], levels)
        for claim in ("gain", "effect", "loss", "absence")
    }
    outcomes = []
    for i, decision in enumerate(decisions):
        p_values = {claim: values[i] for claim, values in claims.items()}
        verdict = decision.nearest.verdict(p_values, decision.alpha, decision.min_effect)
        use, stay = decision.use, decision.stay
        if stay is None or replacing[i] < decision.alpha:
            outcomes.append(Outcome(decision.promote, verdict, decision.reasons, use.model if use is not None else ""))
            continue
        unshown = (
            f"with {n_tasks} tasks tested at once the gain over {stay.label} is not shown: "
            f"p = {decision.p_replace:.4f}, {replacing[i]:.4f} after Holm's correction, "
            f"not below the level {decision.alpha:.4f}"
        )
        is_kept = decision.is_candidate(stay.model)
        outcomes.append(Outcome(is_kept, verdict, () if is_kept else decision.reasons or (unshown,), stay.model))
    return outcomes
