"""Purchasing behaviour of tiers in a window: products, pairs, times and coupons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pandas as pd

from experiments.description.purchasing.associations import pairs
from experiments.description.purchasing.window import LEAST_DAYS_OF_A_MONTH, Window
from experiments.evaluation.bootstrap import Distribution
from experiments.evaluation.weighted import ratio
from features import group_totals
from features.errors import InputError

T = TypeVar("T")


def daily_rates(window: Window, measure: str, by: str, confidence: float) -> pd.DataFrame:
    """Compute rates per day by month or day of the week and tier, with intervals over resampled weeks.

    Parameters
    ----------
    window : Window
    measure : str
        "orders", "units", "spend" or "customers".
    by : str
        "month" (1 to 12) or "day_of_week" (0 is Monday). Of months cut by the window, those of at least 14 days count.
        Months of a window of at most a year are in the order of time, of a longer one in that of the calendar.
    confidence : float

    Returns
    -------
    DataFrame
        group, key, days, rate, low and high, by group and, in that order, key.
    """
    counts = window.counts[measure]
    keys = np.asarray(getattr(counts.index, by))
    in_time = by == "month" and pd.Timestamp(window.end) <= pd.Timestamp(window.start) + pd.DateOffset(years=1)
    rows = []
    for key in pd.unique(keys) if in_time else np.unique(keys):
        own = keys == key
        if own.sum() < LEAST_DAYS_OF_A_MONTH and by == "month":
            continue
        weights = window.week_weights[:, own]
        days = weights.sum(axis=1)
        for tier in counts.columns:
            y = counts.loc[own, tier].to_numpy()
            low, high = Distribution(y.mean(), ratio(weights @ y, days)).interval(confidence)
            rows.append({"group": tier, "key": int(key), "days": own.sum(), "rate": y.mean(), "low": low, "high": high})
    table = pd.DataFrame(rows, columns=["group", "key", "days", "rate", "low", "high"])
    table["group"] = pd.Categorical(table["group"], dtype=window.tiers.dtype)
    return table.sort_values("group", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class BehaviourOptions:
    """Options of the section on purchasing behaviour.

    Attributes
    ----------
    min_support : float
        Smallest share of a tier's baskets that hold both of a pair.
    min_baskets : int
        Fewest such baskets.
    n_pairs : int
        Most pairs of a tier.
    confidence : float
        Of the bands.
    level : str
        Of the goods: see `features.assortment.values`.
    """

    min_support: float
    min_baskets: int
    n_pairs: int
    confidence: float
    level: str = "category"


@dataclass(frozen=True)
class Assortment:
    """Goods that were bought, and pairs that were bought together.

    Attributes
    ----------
    values : DataFrame
        As `features.group_totals.by_value` gives it.
    pairs : DataFrame
        Of one day, as `associations.pairs` gives it.
    """

    values: pd.DataFrame
    pairs: pd.DataFrame


@dataclass(frozen=True)
class Behaviour:
    """Purchasing behaviour of tiers in a window.

    Attributes
    ----------
    window : Window
    options : BehaviourOptions
    assortment : Assortment or InputError
        Or why it is not known.
    coupons : DataFrame or InputError
        What became of coupons, as `features.group_totals.by_coupon` gives it for lines; or why that is not known.
    rates : mapping of "month" and "day_of_week" to DataFrame
        Orders a day, as `daily_rates` gives them.
    """

    window: Window
    options: BehaviourOptions
    assortment: Assortment | InputError
    coupons: pd.DataFrame | InputError
    rates: Mapping[str, pd.DataFrame]


def observe(window: Window, options: BehaviourOptions) -> Behaviour:
    """Observe what the tiers did; a part whose table is missing holds the reason.

    Raises
    ------
    InputError
        If nobody in the tiers bought in the window.
    """
    _ = window.buyers

    def of_tiers(expression: Callable[..., object], **terms: object) -> pd.DataFrame:
        return window.shop.behaviour(partial(expression, **terms), window.tiers, window.start, window.end)

    def assortment() -> Assortment:
        values = of_tiers(group_totals.by_value, level=options.level)
        if not values["units"].sum() > 0:
            raise InputError(f"the quantities of every {options.level} are unknown")
        together = pairs(
            of_tiers(group_totals.baskets, level=options.level),
            min_support=options.min_support,
            min_baskets=options.min_baskets,
            min_customers=window.min_customers,
            most=options.n_pairs,
        )
        return Assortment(values, together)

    def coupons() -> pd.DataFrame:
        statuses = of_tiers(group_totals.by_coupon, of="lines")
        if statuses.empty:
            raise InputError("no coupons are recorded")
        return statuses

    return Behaviour(
        window=window,
        options=options,
        assortment=_if_known(assortment),
        coupons=_if_known(coupons),
        rates={by: daily_rates(window, "orders", by, options.confidence) for by in ("month", "day_of_week")},
    )


def _if_known(ask: Callable[[], T]) -> T | InputError:
    try:
        return ask()
    except InputError as error:
        return error
