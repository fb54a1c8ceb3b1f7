"""Weights of the scores, learnt at one cutoff and tested at a later one.

Weights of a model of labels that the same variables made show how the labels were made, not the value of a customer.
These weights come from what customers spent next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from experiments.description.tiers.options import CLV, CLV_ALONE, EQUAL, LEARNT, TierOptions
from experiments.description.tiers.scores import equal, levels, restricted, score, variables
from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.spend_metrics import gini
from features.errors import InputError, InsufficientDataError
from features.outcomes import SPEND
from features.shop import Shop


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
        As `compare_weightings` returns it.
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


def following_spend(shop: Shop, cutoff: date, horizon_days: int) -> pd.Series:
    """Return spend in the `horizon_days` from the cutoff of those who bought before it, indexed by customer_id."""
    return shop.outcome(SPEND, [cutoff], horizon_days)["y"].rename("spend").droplevel("cutoff")


def fit_weights(scored: pd.DataFrame, outcome: pd.Series) -> pd.Series | None:
    """Fit the outcome's ranks on the scores by non-negative least squares, scaled to a sum of 1.

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


def learn_weights(shop: Shop, cutoff: date, options: TierOptions) -> pd.Series:
    """Learn weights from what customers spent in the `horizon_days` after the cutoff: see `fit_weights`.

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
            f"no weights can be learnt: no score rises with spend in the following {options.horizon_days} days",
            where=str(cutoff),
            expected="customers of higher scores who spend more",
        )
    return weights


def compare_weightings(
    shop: Shop,
    cutoff: date,
    weights: Mapping[str, pd.Series],
    options: TierOptions,
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Compare how well each weighting, and clv alone, ranks customers by their spend after the cutoff.

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
    """Choose learnt weights where they are shown to rank better than equal weights, else equal weights."""
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
            "the windows of learning and testing overlap",
            where="learnt_at, tested_at",
            expected=f"{options.horizon_days} days between them",
            found=f"{learnt_at} and {tested_at}",
        )
    weights = {EQUAL: equal(options), **{k: restricted(v, options.variables) for k, v in options.rivals.items()}}
    notes: tuple[str, ...] = ()
    try:
        weights = {LEARNT: learn_weights(shop, learnt_at, options), **weights}
    except InsufficientDataError as error:
        notes = (f"{error.where}: {error.problem}.",)
    comparison = compare_weightings(
        shop, tested_at, weights, options, n_resamples=n_resamples, confidence=confidence, seed=seed
    )
    return Weighing(learnt_at, tested_at, weights, comparison, choose(comparison), notes)
