"""Simulated seasonal shops: customers of unlike rates who arrive and drop out, and a yearly curve with an autumn peak.

A customer of rate r buys on day t with the intensity r x level(t) x curve(t), from the first order until dropping out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from online_retail import data_config

COLUMNS = ("order_id", "customer_id", "timestamp", "quantity", "unit_price")
DAYS_PER_YEAR = 365
WEEKDAYS = np.array([0.9, 0.9, 1.0, 1.1, 1.3, 1.3, 0.5])  # Monday to Sunday


@dataclass(frozen=True)
class Customers:
    """True parameters of each customer of a shop.

    Attributes
    ----------
    arrived, left : array
        Days since the beginning of the data.
    hazard : array
        Of dropping out, per day.
    rate : array
        Orders a day where level x curve is 1.
    order_scale : array
        Gamma-gamma: scale of the values of the customer's orders.
    """

    arrived: np.ndarray
    left: np.ndarray
    hazard: np.ndarray
    rate: np.ndarray
    order_scale: np.ndarray


@dataclass(frozen=True)
class SeasonalShop:
    """True parameters of a simulated shop; `orders` draws its orders.

    Attributes
    ----------
    seed : int
    years : int
        Length of the data.
    end : date
        First day after the data.
    customers : int
        Number of customers who ever buy.
    peak : float
        Highest point of the yearly curve, relative to the weeks without a season.
    peak_day : float
        Its day of the year.
    peak_width : float
        Standard deviation of the bell, in days.
    growth : float
        Factor in a year on the number of customers who arrive in a day: above 1 the shop grows.
    trend : float
        Factor in a year on the rate of every customer.
    first : float
        Share of the customers who arrived before the data began.
    days_between_orders : float
        1 / mean purchase rate, outside of the season.
    rate_shape : float
        Shape of the gamma distribution of purchase rates; small is heterogeneous.
    lifetime : float
        Mean days until a customer of the median hazard drops out.
    order_value : float
        Mean value of an order, in currency.
    value_shape : float
        Gamma-gamma: shape of the orders of one customer.
    noise : float
        Standard deviation of the log level of a week, which is autocorrelated by `persistence`.
    persistence : float
    unlike_years : float
        Standard deviation of the log of a year's peak.
    """

    seed: int
    years: int
    end: date
    customers: int
    peak: float
    peak_day: float
    peak_width: float
    growth: float
    trend: float
    first: float
    days_between_orders: float
    rate_shape: float
    lifetime: float
    order_value: float
    value_shape: float
    noise: float
    persistence: float
    unlike_years: float

    @property
    def n_days(self) -> int:
        return self.years * DAYS_PER_YEAR + 1  # the same weeks of the year before lie within `years` years

    def days(self) -> pd.DatetimeIndex:
        """Return the days of the data."""
        return pd.date_range(end=pd.Timestamp(self.end) - pd.Timedelta(days=1), periods=self.n_days)

    def curve(self) -> np.ndarray:
        """Return the season of each day: 1 outside of the autumn, `peak` on its highest day."""
        days = self.days()
        rng = np.random.default_rng([self.seed, 1])
        year = (days.year - days.year.min()).to_numpy()
        height = (self.peak - 1) * np.exp(self.unlike_years * rng.standard_normal(year.max() + 1))[year]
        away = np.abs(days.dayofyear.to_numpy() - self.peak_day)
        away = np.minimum(away, DAYS_PER_YEAR - away)
        return 1 + height * np.exp(-0.5 * (away / self.peak_width) ** 2)

    def level(self) -> np.ndarray:
        """Return the level of each day: trend, noise of the weeks and the day of the week."""
        rng = np.random.default_rng([self.seed, 2])
        shocks = rng.standard_normal(self.n_days // 7 + 1) * self.noise * np.sqrt(1 - self.persistence**2)
        weeks, log_level = [], self.noise * rng.standard_normal()
        for shock in shocks:
            log_level = self.persistence * log_level + shock
            weeks.append(log_level)
        day = np.arange(self.n_days)
        of_week = WEEKDAYS[self.days().dayofweek]
        return self.trend ** (day / DAYS_PER_YEAR) * np.exp(np.array(weeks)[day // 7]) * of_week

    def orders(self) -> pd.DataFrame:
        """Draw the orders: order_id, customer_id, timestamp, quantity, unit_price."""
        rng = np.random.default_rng([self.seed, 3])
        customers, buyer, at = self._drawn(rng)
        return self._priced(rng, buyer, at, customers.order_scale)

    def futures(self, now: pd.Timestamp, n: int) -> pd.DataFrame:
        """Draw again what each customer spends from a day to the end of the data.

        Who is active on that day is as in `orders`; dropping out, orders and values after it are drawn anew.

        Parameters
        ----------
        now : Timestamp
            A day of the data.
        n : int
            Number of futures.

        Returns
        -------
        DataFrame
            A row for each customer who ever buys, by customer_id, and a column for each future.
        """
        customers, _, _ = self._drawn(np.random.default_rng([self.seed, 3]))
        day, until = (now - self.days()[0]).days, self._intensity_until()
        is_active = (customers.arrived < day) & (customers.left > day)
        rng = np.random.default_rng([self.seed, 4])
        left = np.minimum(day + rng.exponential(1 / customers.hazard, (n, self.customers)), self.n_days)
        orders = rng.poisson(customers.rate * (np.interp(left, np.arange(self.n_days + 1), until) - until[day]))
        spent = rng.gamma(np.maximum(orders, 1) * self.value_shape, customers.order_scale)  # a sum of gamma variables
        index = pd.Index(10_000 + np.arange(self.customers), name="customer_id")
        return pd.DataFrame((spent * (orders > 0) * is_active).T, index=index)

    def _intensity_until(self) -> np.ndarray:
        """Return the sum of level x curve up to the beginning of each day, and to the end."""
        return np.concatenate([[0.0], np.cumsum(self.level() * self.curve())])

    def _drawn(self, rng: np.random.Generator) -> tuple[Customers, np.ndarray, np.ndarray]:
        """Draw the customers, and buyer and day of each order in the order of time."""
        n, until, grid = self.customers, self._intensity_until(), np.arange(self.n_days + 1)
        arrived = self._arrivals(rng, self.level() * self.curve())
        hazard = rng.gamma(2.0, 1 / (2.0 * self.lifetime), n)
        left = np.minimum(arrived + rng.exponential(1 / hazard), self.n_days)
        begin, end = np.interp(arrived, grid, until), np.interp(left, grid, until)
        rate = rng.gamma(self.rate_shape, 1 / (self.rate_shape * self.days_between_orders), n)
        repeats = rng.poisson(rate * (end - begin))
        buyer = np.repeat(np.arange(n), repeats)
        at = np.interp(begin[buyer] + (end - begin)[buyer] * rng.random(len(buyer)), until, grid)
        newcomers = np.flatnonzero(arrived > 0)  # the first order is what makes a customer known
        buyer, at = np.concatenate([buyer, newcomers]), np.concatenate([at, arrived[newcomers]])
        order = np.argsort(at, kind="stable")
        scale = self.order_value * 2.5 / self.value_shape  # the mean of 1 / gamma(3.5) is 1 / 2.5
        customers = Customers(arrived, left, hazard, rate, order_scale=scale / rng.gamma(3.5, 1.0, n))
        return customers, buyer[order], at[order]

    def _arrivals(self, rng: np.random.Generator, intensity: np.ndarray) -> np.ndarray:
        """Draw the days of arrival: 0 for those who were there, else by growth and the square root of the season."""
        n_before = round(self.first * self.customers)
        day = np.arange(self.n_days)
        density = self.growth ** (day / DAYS_PER_YEAR) * np.sqrt(intensity)
        until = np.concatenate([[0.0], np.cumsum(density)])
        drawn = np.interp(rng.random(self.customers - n_before) * until[-1], until, np.arange(self.n_days + 1))
        return np.concatenate([np.zeros(n_before), drawn])

    def _priced(
        self, rng: np.random.Generator, buyer: np.ndarray, at: np.ndarray, order_scale: np.ndarray
    ) -> pd.DataFrame:
        """Give each order its value: gamma-gamma, so that customers differ in their mean order."""
        value = np.maximum(rng.gamma(self.value_shape, order_scale[buyer]), 0.05)
        quantity = 1 + rng.poisson(3.0, len(buyer))
        moment = self.days()[0] + pd.to_timedelta((at * 86_400).astype("int64"), unit="s")
        return pd.DataFrame(
            {
                "order_id": np.arange(100_000, 100_000 + len(buyer)),
                "customer_id": 10_000 + buyer,
                "timestamp": moment,
                "quantity": quantity,
                "unit_price": np.maximum((value / quantity).round(2), 0.01),
            }
        )

    def write(self, folder: Path) -> Path:
        """Write the orders as a CSV file of one line an order; return its path."""
        path = folder / f"seasonal_{self.seed}.csv"
        orders = self.orders()
        table = pa.table(
            {
                **{name: orders[name].to_numpy() for name in COLUMNS},
                "timestamp": orders["timestamp"].to_numpy().astype("datetime64[s]"),
            }
        )
        csv.write_csv(table, path)
        return path

    def overrides(self, folder: Path) -> list[str]:
        """Return what to type after a command once `write` has written to the folder."""
        columns = ", ".join(f"{name}: {name}" for name in COLUMNS)
        lines = "data.tables.transactions"
        return [
            "data=files",
            f"data.shop=seasonal_{self.seed}",
            "data.currency=GBP",
            "data.timezone=UTC",
            f"data.path={folder}",
            "data.cancelled_order_prefix=null",
            f"{lines}.path=seasonal_{self.seed}.csv",
            f"{lines}.date_format=null",
            f"~{lines}.columns",
            f"+{lines}.columns={{{columns}}}",
        ]

    def config(self, folder: Path) -> dict[str, object]:
        """Return the mapping of conf/data/ that stages the file in the folder."""
        config = data_config("files", shop=f"seasonal_{self.seed}", currency="GBP", timezone="UTC", path=str(folder))
        config["cancelled_order_prefix"] = None
        config["tables"]["transactions"] |= {
            "path": f"seasonal_{self.seed}.csv",
            "date_format": None,
            "columns": {name: name for name in COLUMNS},
        }
        return config


def shop(seed: int, **given: object) -> SeasonalShop:
    """Draw a shop at random.

    Parameters
    ----------
    seed : int
    **given
        Parameters that are set instead of drawn, such as `years=1` or `end=date(2011, 12, 10)`. The others stay those
        of the seed.
    """
    rng = np.random.default_rng([seed, 0])

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    drawn = {
        "years": int(rng.choice([1, 2, 2, 3])),
        "end": (pd.Timestamp(2012, 1, 1) + pd.Timedelta(days=int(rng.integers(0, DAYS_PER_YEAR)))).date(),
        "customers": round(between(300, 3_000)),
        "peak": float(rng.uniform(1.5, 2.5)),
        "peak_day": float(rng.uniform(300, 345)),
        "peak_width": float(rng.uniform(20, 40)),
        "growth": between(0.5, 2.0),
        "trend": between(0.8, 1.25),
        "first": float(rng.uniform(0.1, 0.5)),
        "days_between_orders": between(30, 90),
        "rate_shape": float(rng.uniform(0.6, 1.5)),
        "lifetime": between(200, 800),
        "order_value": between(20, 200),
        "value_shape": float(rng.uniform(2.0, 5.0)),
        "noise": between(0.03, 0.12),
        "persistence": float(rng.uniform(0.3, 0.9)),
        "unlike_years": float(rng.uniform(0.0, 0.15)),
    }
    unknown = given.keys() - drawn.keys()
    if unknown:
        raise TypeError(f"a shop has no {', '.join(sorted(unknown))}")
    return SeasonalShop(seed=seed, **{**drawn, **given})
