"""Scores of customers: each variable by its quantile, then their weighted mean."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from experiments.description.groups import places
from experiments.description.tiers.options import CLV, TierOptions
from experiments.models.buy_till_you_die import BGNBD
from features.errors import InputError, InsufficientDataError
from features.shop import Shop

logger = logging.getLogger(__name__)
CLV_READS = ("frequency", "recency", "T", "monetary_value")
DECIMALS = 9  # of a score: equal scores must be equal in any order of addition


def variables(shop: Shop, cutoff: date, options: TierOptions) -> tuple[pd.DataFrame, pd.Series, tuple[str, ...]]:
    """Compute the variables of every customer who bought before the cutoff, and what each had spent.

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
            values[CLV] = expected_spend(X, options).predict(X[list(CLV_READS)])
        except InputError as error:
            notes = (f"Expected spend is left out of the scores at {cutoff}: {error.problem}.",)
            logger.warning(notes[0])
    present = [name for name in options.variables if name in values]
    if not present:
        raise InsufficientDataError(
            "no variable is left to score customers by", where="tiers.variables", found=" ".join(notes)
        )
    return values[present], X["total_spend"], notes


def expected_spend(X: pd.DataFrame, options: TierOptions) -> BGNBD:
    """Fit the model of the variable `clv` on the customers of one cutoff.

    Parameters
    ----------
    X : DataFrame with the columns of `CLV_READS`
    options : TierOptions

    Raises
    ------
    InputError
        If the model refuses them.
    """
    return BGNBD(horizon_days=options.horizon_days).fit(X[list(CLV_READS)])


def levels(
    values: pd.DataFrame, reversed: Sequence[str], n_levels: int, among: pd.DataFrame | None = None
) -> pd.DataFrame:
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
    among : DataFrame, optional
        The customers whose places count, in columns of their own order; those of `values` when left out.

    Returns
    -------
    DataFrame of int, as `values`
    """
    known = values if among is None else among
    scored = {}
    for name in values:
        sign = -1 if name in reversed else 1
        own, ordered = sign * values[name].to_numpy(), np.sort(sign * known[name].to_numpy())
        below, equal = places(own, ordered)
        scored[name] = -(-n_levels * (2 * below + equal) // (2 * max(len(ordered), 1)))
        if len(ordered):
            scored[name] = np.select([own >= ordered[-1], own <= ordered[0]], [n_levels, 1], scored[name])
    return pd.DataFrame(scored, index=values.index, columns=values.columns, dtype="int64")


def score(scored: pd.DataFrame, weights: pd.Series) -> pd.Series:
    """Return the weighted mean of the scores."""
    return sum((scored[name] * weights[name] for name in scored), pd.Series(0.0, scored.index)).round(DECIMALS)


def restricted(weights: Mapping[str, float] | pd.Series, present: Sequence[str]) -> pd.Series:
    """Return the weights of the variables present, scaled to a sum of 1; equal weights where none is left."""
    kept = pd.Series(weights, dtype=float).reindex(list(present)).fillna(0.0)
    return (kept / kept.sum() if kept.sum() > 0 else kept + 1 / len(kept)).rename("weight")


def equal(options: TierOptions) -> pd.Series:
    """Return the same weight for each variable.

    Raises
    ------
    InputError
        If the options do not go together.
    """
    options.check()
    return restricted(dict.fromkeys(options.variables, 1.0), options.variables)
