"""Customers in tiers at one cutoff, what the tiers hold, and who moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from experiments.description.groups import cut, movements
from experiments.description.tiers.options import TierOptions
from experiments.description.tiers.scores import levels, restricted, score, variables
from experiments.description.value.value_tiers import value_table
from features.shop import Shop

NEW_CUSTOMERS = "new since"
FAR_OFF = 0.01  # share of customers: a larger difference from the cut points is noted
TIES = "Customers of equal scores are in the same tier, so shares of customers differ from the cut points."


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


def assign(shop: Shop, cutoff: date, weights: Mapping[str, float] | pd.Series, options: TierOptions) -> Tiers:
    """Put every customer who bought before the cutoff into a tier, by what was known before it.

    Parameters
    ----------
    shop : Shop
    cutoff : datetime.date
    weights : mapping or Series of weight by variable
        At least 0; scaled to a sum of 1 over the variables present.
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
        notes += (f"{', '.join(empty)}: no customers at {cutoff}, because no score lies between the cut points.",)
    return Tiers(tier, final, cutoff, used, values, spend, notes)


def tier_table(tiers: Tiers, following: pd.Series) -> pd.DataFrame:
    """Describe each tier by `value_table`, with mean_<variable> for each variable.

    Parameters
    ----------
    tiers : Tiers
    following : Series indexed by customer_id
        Spend in the window from the cutoff on.
    """
    means = tiers.values.groupby(tiers.tier, observed=False).mean().add_prefix("mean_")
    return value_table(tiers.tier, tiers.spend, following).join(means)


def migration(before: Tiers, after: Tiers) -> pd.DataFrame:
    """Count moves between tiers: see `groups.movements`; the last row holds the new customers."""
    return movements(before.tier, after.tier, NEW_CUSTOMERS)
