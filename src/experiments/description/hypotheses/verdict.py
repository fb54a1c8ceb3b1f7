"""Verdicts on hypotheses, read off intervals that hold for all claims of a report at once.

A hypothesis holds where an effect is shown and the estimate is large enough to matter. It does not hold where the
effect is shown to be smaller than that. Otherwise it is undecided. No verdict contradicts the interval beside it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy.stats import norm

from experiments.description.hypotheses.claims import TOGETHER, Claim
from experiments.description.hypotheses.declaration import Hypothesis, statement_of
from experiments.description.purchasing.window import Window
from experiments.evaluation.bootstrap import Distribution
from features.errors import InputError

logger = logging.getLogger(__name__)
HOLDS, FAILS, UNDECIDED, NOT_TESTED = "holds", "does not hold", "undecided", "not tested"
NO_SPREAD = 1e-9  # standard errors below it are those of draws that are all alike


@dataclass(frozen=True)
class Finding:
    """Result of a hypothesis.

    Attributes
    ----------
    name : str
    statement : mapping of language to str
        The name where it could not be read.
    verdict : str
        "holds", "does not hold", "undecided" or "not tested".
    hypothesis : Hypothesis or None
    decisive : str
        The part that the verdict rests on: all parts must show their effect, and one that lacks it refutes it.
    effect, low, high : float
        Of that part, as it is read.
    p_value : float
        Of no effect at all, or one in the other direction, in some part; corrected as the intervals are.
    parts : DataFrame
        A row for each part, by name: effect, low, high, p_value, and details. Of ratios the last is of all tiers
        together, without p_value.
    notes : tuple of str
        Sentences.
    message : str or None
        Why it was not tested.
    confidence : float
        Of all intervals of the report at once.
    """

    name: str
    statement: Mapping[str, str]
    verdict: str
    hypothesis: Hypothesis | None = None
    decisive: str = ""
    effect: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p_value: float = np.nan
    parts: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()
    message: str | None = None
    confidence: float = np.nan


@dataclass(frozen=True)
class _Tested:
    """A hypothesis and its parts, in its direction."""

    hypothesis: Hypothesis
    parts: Sequence[Claim]
    notes: Sequence[str]

    @property
    def claims(self) -> list[Claim]:
        """The parts of which each must show its effect."""
        return [part for part in self.parts if part.name != TOGETHER]


def assess(hypotheses: Mapping[str, object], window: Window, tiers_as_of: date, *, confidence: float) -> list[Finding]:
    """Test hypotheses about tiers on what happened in a window, and correct them for the number of their claims.

    An interval is the estimate -/+ z standard errors of its draws, on the scale on which 0 is no effect, with z the
    normal quantile of 1 - alpha / n (Bonferroni for n claims in all), and p-values are those that agree with it: so far
    out quantiles of a few thousand draws would be chance. No spread at all is no certainty, and gives no interval.

    Parameters
    ----------
    hypotheses : mapping of name to mapping
        As their files say; or an InputError, why a file cannot be read.
    window : Window
        It must not begin before `tiers_as_of`.
    tiers_as_of : datetime.date
        The cutoff that the tiers were made at.
    confidence : float
        Of all intervals at once, such as .95; half of the rest is alpha.

    Returns
    -------
    list of Finding
        In the order given. One that cannot be read or tested says why, and the others are tested all the same.

    Raises
    ------
    InputError
        If the window begins before the tiers were known, or is not covered by the data, or if nobody in the tiers
        bought in it.
    """
    if window.start < tiers_as_of:
        raise InputError(
            "the window begins before the tiers were known",
            where="start",
            expected=f"a window from {tiers_as_of}, when the tiers were known, or later",
            found=f"one from {window.start}",
            hint="let the window begin at the tiers' cutoff",
        )
    window.shop.tables.check_window(window.start, window.end)
    _ = window.buyers
    tested: dict[str, _Tested | Finding] = {name: _tested(name, config, window) for name, config in hypotheses.items()}
    n_claims = sum(len(result.claims) for result in tested.values() if isinstance(result, _Tested))
    return [
        _finding(result, n_claims, confidence) if isinstance(result, _Tested) else result for result in tested.values()
    ]


def _tested(name: str, config: object, window: Window) -> _Tested | Finding:
    hypothesis = None
    try:
        hypothesis = Hypothesis.from_config(name, config)
        hypothesis.check_tables(window.shop)
        parts, notes = hypothesis.test.parts(window)
    except InputError as error:
        logger.warning("hypothesis %s is not tested: %s", name, error.sentence)
        statement = {"en": name}
        with suppress(InputError):  # the mistake may be elsewhere
            statement = statement_of(config)
        return Finding(name, statement, NOT_TESTED, hypothesis, message=error.sentence)
    if hypothesis.direction == "lower":
        parts = [
            dataclasses.replace(part, effect=Distribution(-part.effect.estimate, -part.effect.draws)) for part in parts
        ]
    return _Tested(hypothesis, parts, notes)


def _finding(tested: _Tested, n_claims: int, confidence: float) -> Finding:
    """Read the verdict off the intervals: shown where each part's is above no effect, refuted where one is too low."""
    hypothesis = tested.hypothesis
    found = pd.DataFrame(
        {
            "effect": [part.effect.estimate for part in tested.parts],
            "error": [part.effect.standard_error for part in tested.parts],
        },
        index=pd.Index([part.name for part in tested.parts], name="part"),
    )
    error = found.pop("error").where(lambda error: error > NO_SPREAD, np.inf)
    z = norm.isf((1 - confidence) / 2 / n_claims)
    found["low"], found["high"] = found["effect"] - z * error, found["effect"] + z * error
    found["p_value"] = np.minimum(n_claims * norm.sf(found["effect"] / error), 1.0)
    found.loc[found.index == TOGETHER, "p_value"] = np.nan
    claims = found[found.index != TOGETHER]
    if claims["high"].min() < hypothesis.threshold:
        verdict, decisive = FAILS, claims["high"].idxmin()
    elif claims["low"].min() <= 0:
        verdict, decisive = UNDECIDED, claims["low"].idxmin()
    else:
        verdict = HOLDS if claims["effect"].min() >= hypothesis.threshold else UNDECIDED
        decisive = claims["effect"].idxmin()
    ends = ("low", "high") if hypothesis.direction == "higher" else ("high", "low")
    found["effect"], found["low"], found["high"] = (found[name].map(hypothesis.readable) for name in ("effect", *ends))
    return Finding(
        name=hypothesis.name,
        statement=hypothesis.statement,
        verdict=verdict,
        hypothesis=hypothesis,
        decisive=str(decisive),
        **found.loc[decisive, ["effect", "low", "high"]],
        p_value=claims["p_value"].max(),
        parts=found.join(pd.DataFrame([part.details for part in tested.parts], index=found.index)),
        notes=tuple(tested.notes),
        confidence=confidence,
    )
