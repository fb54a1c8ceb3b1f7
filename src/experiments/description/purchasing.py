"""What tiers did in a window: what they bought and with what, when, and with which coupons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import pandas as pd

from experiments.description.associations import pairs
from experiments.evaluation.bootstrap import Distribution, resample_weights
from experiments.evaluation.weighted import ratio
from features import group_totals
from features.errors import InputError
from features.shop import Shop

T = TypeVar("T")

COUNTED = ("orders", "units", "spend", "customers")
LEAST_DAYS_OF_A_MONTH = 14  # of a month that the window cuts: fewer say nothing of its rate


@dataclass(frozen=True)
class Window:
    """What tiers are looked at, and hypotheses tested on: a shop's days after the tiers were known.

    Attributes
    ----------
    shop : Shop
    tiers : Series
        Tier of each customer, an ordered categorical, best first, indexed by customer_id; those of none are left out.
    start, end : datetime.date
    n_resamples, seed : int
        Of the weeks, or customers.
    min_customers : int
        Fewest customers of what is told or tested.

    Raises
    ------
    InputError
        If tiers are in no order.
    """

    shop: Shop
    tiers: pd.Series
    start: date
    end: date
    n_resamples: int
    seed: int
    min_customers: int

    def __post_init__(self) -> None:
        if not (isinstance(self.tiers.dtype, pd.CategoricalDtype) and len(self.tiers.cat.categories) > 1):
            found = str(self.tiers.dtype)
            raise InputError("tiers are in no order", expected="a categorical of at least 2 tiers", found=found)
        object.__setattr__(self, "tiers", self.tiers.dropna())

    @cached_property
    def counts(self) -> Mapping[str, pd.DataFrame]:
        """Orders, units, spend and customers, each a frame of days by tiers, 0 where nothing was bought."""
        rows = self.shop.behaviour(group_totals.by_day, self.tiers, self.start, self.end)
        rows["day"] = pd.to_datetime(rows["day"])
        days = pd.date_range(self.start, self.end, inclusive="left", name="day")
        wide = {of: rows.pivot(index="day", columns="group", values=of) for of in COUNTED}
        return {
            of: frame.reindex(index=days, columns=self.tiers.cat.categories).astype(float).fillna(0.0)
            for of, frame in wide.items()
        }

    @cached_property
    def week_weights(self) -> np.ndarray:
        """How often each day is in each resample: calendar weeks, Monday to Sunday, are drawn with replacement."""
        days = pd.date_range(self.start, self.end, inclusive="left")
        weeks = (days - pd.to_timedelta(days.day_of_week, unit="D")).strftime("%Y-%m-%d")
        return np.concatenate(list(resample_weights(weeks.to_numpy(str), self.n_resamples, self.seed))).astype(float)

    @cached_property
    def orders(self) -> pd.Series:
        """Orders of each customer who bought in the window, those of no tier too, indexed by customer_id."""
        return self.shop.during(["orders"], self.start, self.end)["orders"]

    @cached_property
    def buyers(self) -> pd.Series:
        """Those of `tiers` who bought in the window.

        Raises
        ------
        InputError
            If nobody did.
        """
        bought = self.tiers[self.tiers.index.isin(self.orders.index)]
        if bought.empty:
            raise InputError(
                f"nobody with a tier on {self.start} bought from then until before {self.end}",
                expected="a window in which customers of the tiers buy",
                found=f"{len(self.tiers):,} customers with a tier",
            )
        return bought


def daily_rates(window: Window, measure: str, by: str, confidence: float) -> pd.DataFrame:
    """Rates a day by month or day of the week, per tier, with intervals over resampled weeks.

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
    """What is told of tiers' behaviour.

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
        Column of the products.
    """

    min_support: float
    min_baskets: int
    n_pairs: int
    confidence: float
    level: str = "category"


@dataclass(frozen=True)
class Assortment:
    """What was bought, and what with what.

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
    """What tiers did in a window.

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
    """See what the tiers did. What another table than the transactions would tell is not known where it is missing.

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
            raise InputError(f"no quantity of any {options.level} is known")
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
            raise InputError("nothing is known of coupons")
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
