"""Test of what rises with the tier; customers are resampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from experiments.description.hypotheses.claims import Claim, large_enough
from experiments.description.hypotheses.measures import MEASURES, parameters_of
from experiments.description.hypotheses.rate_ratio import NEWTON_STEPS
from experiments.description.purchasing.window import Window
from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.spend_metrics import spearman
from experiments.evaluation.weighted import checked, ratio, value
from features.errors import InputError

LARGEST_RISE = np.log(100.0)  # stands for an infinite one


@dataclass(frozen=True)
class Trend:
    """Test of a measure that rises with the tier. Customers are resampled.

    Customers who bought nothing in the window have no share or rate and are left out, unless `absent` gives their
    value. Resampling gives interval and p-value at once, so that they agree, and does not presume, as permuting would,
    that tiers are alike in all but the mean.

    Shares and rates are to be compared by `means`. Whoever buys little has a share of exactly 0 more often, at the
    same habits; as low tiers buy less, ranks would rise with the tier where nothing does, while means do not.

    Attributes
    ----------
    columns : sequence of str
        Measures (`MEASURES`) or features of the project over the window; all must rise.
    compare : str
        "means": how much more the top tier has than the bottom tier, as a share of what the bottom tier has, on a trend
        through all tiers (`log_rise`). "ranks": Spearman's rank correlation with the tier, for amounts with long tails.
    parameters : mapping
        Of the measures.
    absent : float, optional
        What a customer has who bought nothing.
    """

    columns: Sequence[str]
    compare: str
    parameters: Mapping[str, Any]
    absent: float | None = None

    @property
    def is_correlation(self) -> bool:
        """True where the effect is a rank correlation, False where it is a relative change."""
        return self.compare == "ranks"

    def parts(self, window: Window) -> tuple[list[Claim], list[str]]:
        """Return a claim for each column, and notes."""
        parts: list[Claim] = []
        notes: list[str] = []
        missing = []
        for column in self.columns:
            try:
                values, said = self._values(column, window)
                part, of_tiers = self._part(column, values, window)
                parts.append(part)
                notes += [*of_tiers, *said]
            except InputError as error:  # another column may be there
                missing.append(error)
                notes.append(f"{column} is left out: {error.problem}.")
        if not parts:
            raise missing[0]
        return parts, list(dict.fromkeys(notes))

    def _values(self, column: str, window: Window) -> tuple[pd.Series, list[str]]:
        if column not in MEASURES:
            return window.shop.during([column], window.start, window.end)[column], []
        known = parameters_of(MEASURES[column])
        return MEASURES[column](window, **{name: self.parameters[name] for name in known})

    def _part(self, column: str, values: pd.Series, window: Window) -> tuple[Claim, list[str]]:
        frame = pd.DataFrame({"tier": window.tiers, "value": values.reindex(window.tiers.index).astype(float)})
        frame = frame.dropna() if self.absent is None else frame.fillna({"value": self.absent})
        tiers, notes = large_enough(frame["tier"], window)
        frame = frame[frame["tier"].isin(tiers)]
        if frame["value"].nunique() < 2:
            raise InputError(f"{column} does not differ between customers", found=f"{len(frame)} customers")
        rank = -frame["tier"].cat.codes.to_numpy(float)
        means = frame.groupby("tier", observed=True)["value"].mean()
        options = {"n_resamples": window.n_resamples, "seed": window.seed}
        metric = spearman if self.is_correlation else log_rise
        effect = paired_bootstrap(metric, frame["value"], {column: rank}, frame.index, **options)[column]
        if not abs(effect.estimate) < LARGEST_RISE:  # of which resamples would be as sure as of any other
            raise InputError(
                f"{column} has no ratio between tiers",
                expected=f"means above 0, the highest less than {np.exp(LARGEST_RISE):.0f} times the lowest",
                found=f"means from {means.min():.3g} to {means.max():.3g}",
                hint="parameters.compare: ranks",
            )
        details = {
            "customers": len(frame),
            "left out": int(window.tiers.isin(tiers).sum()) - len(frame),
            "rank correlation": spearman(frame["value"], rank),
            **{f"mean of {tier}": means[tier] for tier in tiers},
        }
        return Claim(column, effect, details), notes


def log_rise(y: ArrayLike, rank: ArrayLike, *, weights: ArrayLike | None = None) -> float | np.ndarray:
    """Compute the log ratio of the highest rank to the lowest on a trend through all: b of log E y = a + b x.

    x is the rank, moved and scaled to [0, 1]. Fitted by Poisson's quasi-likelihood: with two ranks it is the log
    ratio of their means, for any distribution; takes weights as a metric does.

    Returns
    -------
    float, or array of shape (n_resamples,)
        Within log 100 on both sides, as where one end alone has anything the ratio is infinite. NaN where the sum of y
        is not above 0.

    Examples
    --------
    >>> round(float(np.exp(log_rise([1.0, 2.0, 4.0], [0, 1, 2]))), 6)
    4.0
    """
    y, rank, w = checked(y, rank, weights)
    ranks, at = np.unique(rank, return_inverse=True)
    x = (ranks - ranks[0]) / np.ptp(ranks)
    of_rank = np.eye(len(ranks))[at]
    sizes, sums = w @ of_rank, (w * y) @ of_rank
    total = sums.sum(axis=-1)
    wanted = ratio(sums @ x, total)  # mean of x, each counted by its y, which the fit reproduces
    beta = np.zeros(len(total))
    for _ in range(NEWTON_STEPS):
        fitted = sizes * np.exp(np.outer(beta, x))
        mean = ratio(fitted @ x, fitted.sum(axis=-1))
        variance = ratio(fitted @ x**2, fitted.sum(axis=-1)) - mean**2
        beta = np.clip(beta + np.clip(ratio(wanted - mean, variance), -1.0, 1.0), -LARGEST_RISE, LARGEST_RISE)
    return value(np.where(total > 0, beta, np.nan))
