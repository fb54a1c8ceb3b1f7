"""Tiers of customers by a weighted score whose weights are learnt at one cutoff and tested at a later one.

Each variable is scored by its quantile among the customers of the same cutoff, 1 to `n_levels`; the final score is the
weighted mean of these scores, and tiers are cut from it. Weights that are read off a model of labels which the same
variables made say what made the labels, not what a customer is worth; these come from what customers went on to spend.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from experiments.description.groups import BY, check_cuts, cut, movements
from experiments.description.value import ValueOptions, value_table
from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.spend_metrics import gini
from experiments.models.buy_till_you_die import BGNBD
from features.errors import InputError, InsufficientDataError, check_type, did_you_mean, listing
from features.families import resolve
from features.outcomes import SPEND
from features.shop import Shop

logger = logging.getLogger(__name__)

CLV = "clv"  # the one variable that is no feature
CLV_READS = ("frequency", "recency", "T", "monetary_value")
LEARNT, EQUAL, CLV_ALONE = "learnt", "equal", "clv alone"
NEW_CUSTOMERS = "new since"
FAR_OFF = 0.01  # of the customers: a tier's share that differs so much from the cut points is told
TIES = "Customers of equal scores are in one tier, so that shares of customers differ from the cut points."
DECIMALS = 9  # of a score: equal scores must be equal whatever the order in which they were added up


@dataclass
class TierOptions:
    """What customers are scored by, and how tiers are cut. Values and their meaning are in conf/tiers/.

    They are checked where tiers are asked for, not when they are read: who tunes a model asks for none.

    Attributes
    ----------
    variables : list of str
        Features, and `clv`: expected spend in the next `horizon_days` by BG/NBD x gamma-gamma.
    reversed : list of str
        Those of them of which less is better.
    rivals : dict of name to weights
        Weights by variable, at least 0, to compare with; scaled to a sum of 1.
    n_levels : int
        Scores run from 1 to this.
    names : list of str
        The tiers, the best first.
    cut_points : list of float
        Rising, one fewer than names: see `groups.cut`.
    by : str
        "quantile": cut points are shares of customers, counted from the best; "score": thresholds of the score.
    horizon_days : int
        In which spend is looked at.
    value : ValueOptions
        Of the tiers by spend alone.
    """

    variables: list[str]
    reversed: list[str]
    rivals: dict[str, dict[str, Any]]
    n_levels: int
    names: list[str]
    cut_points: list[float]
    by: str
    horizon_days: int
    value: ValueOptions

    def check(self) -> None:
        """Refuse options that do not go together; those of the value tiers have a check of their own.

        Raises
        ------
        InputError
        """
        if self.features:
            resolve(self.features, "tiers.variables")
        if not self.variables or len(set(self.variables)) < len(self.variables):
            raise InputError(
                "scores need variables, each once",
                where="tiers.variables",
                expected="names of features, or clv",
                found=str(self.variables),
            )
        for key, named in {"reversed": self.reversed, **{f"rivals.{k}": v for k, v in self.rivals.items()}}.items():
            unknown = [name for name in named if name not in self.variables]
            if unknown:
                raise InputError(
                    f"{unknown[0]!r} is none of the variables",
                    where=f"tiers.{key}",
                    expected=f"some of {listing(self.variables)}",
                    hint=did_you_mean(unknown[0], self.variables),
                )
        for name, weights in self.rivals.items():
            if name in (LEARNT, EQUAL, CLV_ALONE):
                raise InputError(f"the name {name!r} is taken", where="tiers.rivals", expected="another name")
            for variable, weight in weights.items():
                check_type(weight, "float", f"tiers.rivals.{name}.{variable}")
            if min(weights.values(), default=0) < 0 or not 0 < sum(weights.values()) < np.inf:
                raise InputError(
                    "weights are at least 0, and not all of them are",
                    where=f"tiers.rivals.{name}",
                    expected="weights >= 0 with a sum above 0",
                    found=str(weights),
                )
        for key, least in (("n_levels", 2), ("horizon_days", 1)):
            if getattr(self, key) < least:
                raise InputError(
                    f"{key} is out of range",
                    where=f"tiers.{key}",
                    expected=f"at least {least}",
                    found=str(getattr(self, key)),
                )
        if self.by not in BY:
            raise InputError(
                f"tiers cannot be cut by {self.by!r}",
                where="tiers.by",
                expected=" or ".join(BY),
                hint=did_you_mean(self.by, BY),
            )
        lowest, highest = (0, 1) if self.by == "quantile" else (1, self.n_levels)
        check_cuts(self.names, self.cut_points, "tiers", lowest, highest)

    @property
    def features(self) -> list[str]:
        """The variables that are features."""
        return [name for name in self.variables if name != CLV]


@dataclass(frozen=True)
class Tiers:
    """Customers in tiers at one cutoff, by what was known before it.

    Attributes
    ----------
    tier : Series of ordered categories, indexed by customer_id
        The categories are all names, the best first.
    score : Series
        Weighted mean of the scores, 1 to `n_levels`.
    cutoff : datetime.date
    weights : Series indexed by variable
        At least 0, with a sum of 1.
    values : DataFrame
        The variables.
    spend : Series
        Before the cutoff, in currency.
    notes : tuple of str
        What was left out, and why.
    """

    tier: pd.Series
    score: pd.Series
    cutoff: date
    weights: pd.Series
    values: pd.DataFrame
    spend: pd.Series
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Weighing:
    """Weights that were learnt, tested and decided on.

    Attributes
    ----------
    learnt_at, tested_at : datetime.date
        The window of the first ends by the second.
    weights : Mapping of name to Series
        "learnt", "equal" and the rivals.
    comparison : DataFrame
        As `test` returns it.
    used : str
        The name of the weights that the tiers use.
    notes : tuple of str
    """

    learnt_at: date
    tested_at: date
    weights: Mapping[str, pd.Series]
    comparison: pd.DataFrame
    used: str
    notes: tuple[str, ...] = ()


# Scores


def variables(shop: Shop, cutoff: date, options: TierOptions) -> tuple[pd.DataFrame, pd.Series, tuple[str, ...]]:
    """The variables of every customer who bought before the cutoff, and what each had spent.

    `clv` is fitted on the customers of this cutoff alone. Where the fit is refused, it is left out, and a note says so.

    Returns
    -------
    (DataFrame indexed by customer_id, Series of spend, notes)

    Raises
    ------
    InputError
        If the options do not go together, or no variable is left.
    """
    options.check()
    wanted = dict.fromkeys([*options.features, "total_spend", *(CLV_READS if CLV in options.variables else ())])
    X = shop.features(list(wanted), [cutoff]).droplevel("cutoff")
    values, notes = X[options.features].copy(), ()
    if CLV in options.variables:
        try:
            values[CLV] = BGNBD(horizon_days=options.horizon_days).fit(X[list(CLV_READS)]).predict(X[list(CLV_READS)])
        except InputError as error:
            notes = (f"clv is left out at {cutoff}: {error.problem}.",)
            logger.warning(notes[0])
    present = [name for name in options.variables if name in values]
    if not present:
        raise InsufficientDataError(
            "no variable is left to score customers by", where="tiers.variables", found=" ".join(notes)
        )
    return values[present], X["total_spend"], notes


def levels(values: pd.DataFrame, reversed: Sequence[str], n_levels: int) -> pd.DataFrame:
    """Score each variable by quantiles of its own: 1 to `n_levels`, the better the higher.

    A value's place is the middle of the places of all equal values, so that they share a score and half of the
    customers at 0 do not count as better than the lowest quarter. The best value scores `n_levels` and the worst 1,
    however many share it; a constant scores `n_levels` for all. Only the order of values matters.

    Parameters
    ----------
    values : DataFrame, finite
    reversed : sequence of str
        Columns of which less is better.
    n_levels : int

    Returns
    -------
    DataFrame of int, as `values`
    """
    signed = values.assign(**{name: -values[name] for name in reversed if name in values})
    doubled = (2 * signed.rank(method="average") - 1).round().astype("int64")  # of places - 1/2: whole numbers
    scored = -(-n_levels * doubled // (2 * max(len(values), 1)))
    return scored.mask(signed.eq(signed.min()), 1).mask(signed.eq(signed.max()), n_levels).astype("int64")


def score(scored: pd.DataFrame, weights: pd.Series) -> pd.Series:
    """The weighted mean of the scores."""
    return sum((scored[name] * weights[name] for name in scored), pd.Series(0.0, scored.index)).round(DECIMALS)


def restricted(weights: Mapping[str, float] | pd.Series, present: Sequence[str]) -> pd.Series:
    """Weights of the variables that there are, scaled to a sum of 1; equal ones where nothing is left of them."""
    kept = pd.Series(weights, dtype=float).reindex(list(present)).fillna(0.0)
    return (kept / kept.sum() if kept.sum() > 0 else kept + 1 / len(kept)).rename("weight")


def equal(options: TierOptions) -> pd.Series:
    """The same weight for each variable.

    Raises
    ------
    InputError
        If the options do not go together.
    """
    options.check()
    return restricted(dict.fromkeys(options.variables, 1.0), options.variables)


def assign(shop: Shop, cutoff: date, weights: Mapping[str, float] | pd.Series, options: TierOptions) -> Tiers:
    """Put every customer who bought before the cutoff into a tier, by what was known before it.

    Parameters
    ----------
    shop : Shop
    cutoff : datetime.date
    weights : mapping or Series of weight by variable
        At least 0; scaled to a sum of 1 over the variables that there are.
    options : TierOptions
    """
    values, spend, notes = variables(shop, cutoff, options)
    used = restricted(weights, list(values))
    final = score(levels(values, options.reversed, options.n_levels), used).rename("score")
    tier = cut(final, options.names, options.cut_points, options.by)
    customers = tier.value_counts(sort=False)
    wanted = np.diff([0.0, *options.cut_points, 1.0])
    if options.by == "quantile" and np.abs(customers / len(tier) - wanted).max() > max(FAR_OFF, 1 / len(tier)):
        notes += (TIES,)
    empty = [str(name) for name, n in customers.items() if not n]
    if empty:
        notes += (f"Nobody is in {', '.join(empty)} at {cutoff}: no score lies between its cut points.",)
    return Tiers(tier, final, cutoff, used, values, spend, notes)


# Weights


def following_spend(shop: Shop, cutoff: date, horizon_days: int) -> pd.Series:
    """Spend in the `horizon_days` from the cutoff, of those who bought before it: Series indexed by customer_id."""
    return shop.outcome(SPEND, [cutoff], horizon_days)["y"].rename("spend").droplevel("cutoff")


def fit_weights(scored: pd.DataFrame, outcome: pd.Series) -> pd.Series | None:
    """Non-negative least squares of the outcome's ranks on the scores, scaled to a sum of 1.

    Ranks, ties at their mean, because a few big spenders rule a sum of squares of amounts: their scores would set the
    weights of all. What tiers are for is the order of customers, and that is what ranks are. Both sides are centred,
    so that the constant is free.

    Returns
    -------
    Series indexed by variable, or None where no score goes up with the outcome
    """
    ranks = outcome.reindex(scored.index).rank()
    X = (scored - scored.mean()).to_numpy(dtype=float)
    weights, _ = nnls(X, (ranks - ranks.mean()).to_numpy() / len(ranks))
    return pd.Series(weights / weights.sum(), list(scored), name="weight") if weights.sum() > 0 else None


def learn(shop: Shop, cutoff: date, options: TierOptions) -> pd.Series:
    """Weights from what customers spent in the `horizon_days` after the cutoff: see `fit_weights`.

    Raises
    ------
    InsufficientDataError
        If no score goes up with what followed.
    """
    values, _, _ = variables(shop, cutoff, options)
    weights = fit_weights(
        levels(values, options.reversed, options.n_levels), following_spend(shop, cutoff, options.horizon_days)
    )
    if weights is None:
        raise InsufficientDataError(
            f"no weights can be learnt: no score goes up with the spend in the {options.horizon_days} days that follow",
            where=str(cutoff),
            expected="customers of higher scores who spend more",
        )
    return weights


def test(
    shop: Shop,
    cutoff: date,
    weights: Mapping[str, pd.Series],
    options: TierOptions,
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """How well each weighting, and clv alone, ranks customers by what they spend after the cutoff.

    Parameters
    ----------
    weights : mapping of name to weights
        The first is what the others are compared with.
    n_resamples, seed : int
        Of customers: see `bootstrap.paired_bootstrap`.
    confidence : float
        Of the two-sided intervals.

    Returns
    -------
    DataFrame indexed by weighting
        gini, low, high of it; gain, gain_low, gain_high of the first weighting over it, and clv_gain, clv_gain_low,
        clv_gain_high of clv alone over it (NaN for itself, and where there is no clv).
    """
    values, _, _ = variables(shop, cutoff, options)
    spend = following_spend(shop, cutoff, options.horizon_days).reindex(values.index)
    scored = levels(values, options.reversed, options.n_levels)
    rankings = {name: score(scored, restricted(own, list(scored))) for name, own in weights.items()}
    if CLV in values:
        rankings[CLV_ALONE] = values[CLV]
    draws = paired_bootstrap(gini, spend, rankings, values.index, n_resamples=n_resamples, seed=seed)
    rows: dict[str, dict[str, float]] = {}
    for name in rankings:
        low, high = draws[name].interval(confidence)
        rows[name] = {"gini": draws[name].estimate, "low": low, "high": high}
        for column, other in (("gain", next(iter(rankings))), ("clv_gain", CLV_ALONE)):
            gain = draws.gain(other, name) if other in rankings and other != name else None
            low, high = gain.interval(confidence) if gain else (np.nan, np.nan)
            rows[name] |= {column: gain.estimate if gain else np.nan, f"{column}_low": low, f"{column}_high": high}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("weighting")


def choose(comparison: pd.DataFrame) -> str:
    """The rule: learnt weights where they are shown to beat equal ones, which cost nothing; else equal ones."""
    return LEARNT if LEARNT in comparison.index and comparison.loc[EQUAL, "gain_low"] > 0 else EQUAL


def weigh(
    shop: Shop,
    learnt_at: date,
    tested_at: date,
    options: TierOptions,
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> Weighing:
    """Learn weights at one cutoff, test them at a later one, and decide.

    Parameters
    ----------
    learnt_at, tested_at : datetime.date
        The window of `horizon_days` from the first must end by the second.

    Raises
    ------
    InputError
        If the windows overlap.
    """
    if (tested_at - learnt_at).days < options.horizon_days:
        raise InputError(
            "the window that teaches reaches into the one that tests",
            where="learnt_at, tested_at",
            expected=f"{options.horizon_days} days between them",
            found=f"{learnt_at} and {tested_at}",
        )
    weights = {EQUAL: equal(options), **{k: restricted(v, options.variables) for k, v in options.rivals.items()}}
    notes: tuple[str, ...] = ()
    try:
        weights = {LEARNT: learn(shop, learnt_at, options), **weights}
    except InsufficientDataError as error:
        notes = (f"At {error.where} {error.problem}.",)
    comparison = test(shop, tested_at, weights, options, n_resamples=n_resamples, confidence=confidence, seed=seed)
    return Weighing(learnt_at, tested_at, weights, comparison, choose(comparison), notes)


# What the tiers hold


def tier_table(tiers: Tiers, following: pd.Series) -> pd.DataFrame:
    """What each tier holds, and what it went on to spend: see `value_table`; and mean_<variable> for each variable.

    Parameters
    ----------
    tiers : Tiers
    following : Series indexed by customer_id
        Spend in the window from the cutoff on.
    """
    means = tiers.values.groupby(tiers.tier, observed=False).mean().add_prefix("mean_")
    return value_table(tiers.tier, tiers.spend, following).join(means)


def migration(before: Tiers, after: Tiers) -> pd.DataFrame:
    """How many customers went from which tier to which: see `groups.movements`; the last row is the new customers'."""
    return movements(before.tier, after.tier, NEW_CUSTOMERS)
