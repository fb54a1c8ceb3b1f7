"""The days after the tiers were known: what their customers bought then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd

from experiments.evaluation.bootstrap import resample_weights
from features import group_totals
from features.errors import InputError
from features.shop import Shop

COUNTED = ("orders", "units", "spend", "customers")
NO_CHANCE = 0.001  # probability of a day without an order, below which the shop was closed
LEAST_DAYS_OF_A_MONTH = 14  # of a month that the window cuts: fewer say nothing of its rate


@dataclass(frozen=True)
class Window:
    """Days of a shop after the tiers were known, on which tiers are described and hypotheses tested.

    Attributes
    ----------
    shop : Shop
    tiers : Series
        Tier of each customer, an ordered categorical, best first, indexed by customer_id; those of none are left out.
    start, end : datetime.date
    n_resamples, seed : int
        Of the weeks, or customers.
    min_customers : int
        Fewest customers of a group that is described or tested.

    Raises
    ------
    InputError
        If tiers must be ordered.
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
            raise InputError("tiers must be ordered", expected="a categorical of at least 2 tiers", found=found)
        object.__setattr__(self, "tiers", self.tiers.dropna())

    @cached_property
    def counts(self) -> Mapping[str, pd.DataFrame]:
        """Orders, units, spend and customers, each a frame of open days by tiers, 0 where nothing was bought."""
        rows = self._sold
        wide = {of: rows.pivot(index="day", columns="group", values=of) for of in COUNTED}
        return {
            of: frame.reindex(index=self.days, columns=self.tiers.cat.categories).astype(float).fillna(0.0)
            for of, frame in wide.items()
        }

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        """The days of the window, without those on which the shop was closed: see `open_days`."""
        days = pd.date_range(self.start, self.end, inclusive="left", name="day")
        orders = self._sold.groupby("day")["orders"].sum().reindex(days, fill_value=0)
        return open_days(orders)

    @cached_property
    def _sold(self) -> pd.DataFrame:
        rows = self.shop.behaviour(group_totals.by_day, self.tiers, self.start, self.end)
        return rows.assign(day=pd.to_datetime(rows["day"]))

    @cached_property
    def week_weights(self) -> np.ndarray:
        """Times that each open day is in each resample: calendar weeks, Monday to Sunday, drawn with replacement."""
        days = self.days
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
                f"no customer with a tier on {self.start} bought from then until before {self.end}",
                expected="a window in which customers of the tiers buy",
                found=f"{len(self.tiers):,} customers with a tier",
            )
        return bought


def open_days(orders: pd.Series) -> pd.DatetimeIndex:
    """Leave out the days on which a shop was closed: those without an order that chance does not explain.

    A holiday would count as a day on which customers stayed away. Of orders that are Poisson with the mean of their day
    of the week, a day has none with the probability exp(-mean); below 0.001 the shop was closed. A small shop, and one
    that closes on every Sunday, keeps its zeros.

    Parameters
    ----------
    orders : Series
        Number of orders of each day, indexed by day.
    """
    mean = orders.groupby(orders.index.day_of_week).transform("mean")
    return pd.DatetimeIndex(orders.index[(orders > 0) | (np.exp(-mean) >= NO_CHANCE)])
