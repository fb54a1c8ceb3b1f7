"""Outcomes: numbers about the days from the cutoff on, which models learn to predict.

The functions are of customers. Rows of a finer grain get the customer's; rows with a product get what the customer
bought of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.errors import InputError, UnsuitableDataError, listing
from features.families import purchases
from features.tables import Tables

DAYS_PER_YEAR = 365
DISCOUNTED_MONEY = "decimal(38, 8)"
DAILY, WEEKLY, STEP = 7, (10, 14, 21, 28), 14
QUANTILES = (0.5, 0.1, 0.9)  # levels at which a wait is stated: the median, and the ends of the 80% interval
SINCE = "days_since_last_purchase"  # a wait of d days after it ends a gap of SINCE + d days
OF_PURCHASES = ("customer_id", "product_id")


@dataclass(frozen=True)
class Outcome:
    """The definition of what happens to each row of a grain after its cutoff.

    Attributes
    ----------
    name : str
        Models of outcomes with different names are never compared.
    columns : tuple of str
        Numbers of the outcome: ("y",), ("days", "observed") where it may be censored, ("treated", "y") of a trial.
    build : callable
        `(future: Tables, rows: ibis table of the key) -> ibis table` of the key and the columns, with exactly the given
        rows and no null. `future` is the window `tables.between(cutoff, cutoff + horizon)`. With columns `of_past` it
        takes a third argument: the past, `tables.as_of(cutoff)`.
    of_past : tuple of str
        Columns that count what happens among what was there as of the cutoff, such as the products that were sold. They
        change with the past as the rows do, so the audit does not change it under them.
    """

    name: str
    columns: tuple[str, ...]
    build: Callable[..., ir.Table]
    of_past: tuple[str, ...] = ()

    def rows(self, future: Tables, rows: ir.Table, past: Tables) -> ir.Table:
        """Return the key and the columns of the rows that the grain has of this past."""
        return self.build(future, rows, past) if self.of_past else self.build(future, rows)


def check_money_terms(margin: float, discount_rate: float) -> None:
    """Refuse a margin outside (0, 1] and a discount rate below 0.

    Raises
    ------
    InputError
    """
    if not 0 < margin <= 1:
        raise InputError("margin is out of range", where="margin", expected="in (0, 1]", found=str(margin))
    if not discount_rate >= 0:
        raise InputError(
            "discount_rate is out of range", where="discount_rate", expected=">= 0, a year", found=str(discount_rate)
        )


def spend(future: Tables, rows: ir.Table, *, discount_rate: float = 0.0, margin: float = 1.0) -> ir.Table:
    """Compute what each row's customer brings in over the window.

    y = margin * sum over days of amount / (1 + discount_rate) ^ (days since the window's start / 365)

    Where spend is net, the amount of a day is what was sold less what was given back on it, and y is at least 0: what a
    customer gives back of earlier purchases is no value below none (docs/adr/0026).

    Parameters
    ----------
    future : Tables
        The window, `tables.between(cutoff, cutoff + horizon)`.
    rows : ibis table
        Keys of the rows as of the cutoff, with a customer_id.
    discount_rate : float
        Yearly, at least 0: money of a year later is worth 1 / (1 + discount_rate) as much.
    margin : float
        Share of the amount that counts, in (0, 1]: 1 for revenue.

    Returns
    -------
    ibis table
        The key and y in the shop's currency; 0 for rows without a purchase.

    Raises
    ------
    InputError
        If a rate is out of its range, or the rows have no customer.
    """
    check_money_terms(margin, discount_rate)
    days = purchases.money_by_day(future, _shared(rows))
    later = days.day.delta(ibis.literal(future.start), unit="day")
    worth = days.amount.cast("float64") * ibis.literal(1.0 + discount_rate) ** (-later / DAYS_PER_YEAR)
    # Back to DECIMAL, or the order in which threads sum would show in the last bits.
    days = days.mutate(worth=worth.cast(DISCOUNTED_MONEY))
    total = days.worth.sum().cast("float64")
    return _for_all(rows, days, (ibis.greatest(total, 0.0) if future.nets_returns else total) * float(margin))


def overreturned(future: Tables, rows: ir.Table) -> ir.Table:
    """Return the rows that get back more in the window than they pay, whose net `spend` is 0: key and amount, < 0."""
    shared = _shared(rows)
    money = purchases.money_by_day(future, shared)
    total = money.group_by(shared).agg(amount=money.amount.sum())
    joined = rows.inner_join(total.filter(total.amount < 0), shared)
    return joined.select(*rows.columns, "amount")


def purchase_days(future: Tables, rows: ir.Table) -> ir.Table:
    """Count the days of the window on which each row's customer buys: the key and y, 0 for none."""
    days = _purchase_days(future, rows)
    return _for_all(rows, days, days.count().cast("float64"))


def purchased(future: Tables, rows: ir.Table) -> ir.Table:
    """Compute y: 1 where the row's customer buys on any day of the window, else 0, beside the key."""
    days = purchase_days(future, rows)
    return days.mutate(y=(days.y > 0).cast("float64"))


def inactive(future: Tables, rows: ir.Table) -> ir.Table:
    """Compute y: 1 where the row's customer buys on no day of the window, else 0, beside the key."""
    bought = purchased(future, rows)
    return bought.mutate(y=1.0 - bought.y)


def next_purchase(future: Tables, rows: ir.Table) -> ir.Table:
    """Count the days to each row's customer's next purchase day, beside the key: days and observed.

    The cutoff's own date is day 1, the first that can hold a purchase: day d is d days after the last included day, so
    the gap from the last purchase is days_since_last_purchase + days. A customer who does not buy in the window is
    censored at its end: days is the window's length, and observed is 0.

    Parameters
    ----------
    future : Tables
        The window, `tables.between(cutoff, cutoff + horizon)`.
    rows : ibis table
        Keys of the rows as of the cutoff, with a customer_id.

    Returns
    -------
    ibis table
        The key, days (1 to the window's length) and observed (1 or 0).
    """
    shared = _shared(rows)
    days = _purchase_days(future, rows)
    first = days.group_by(shared).agg(first=days.day.min())
    wait = first["first"].delta(ibis.literal(future.start), unit="day") + 1
    joined = rows.left_join(first.select(*shared, wait=wait), shared)
    return joined.select(
        *rows.columns,
        days=joined.wait.fill_null((future.end - future.start).days).cast("float64"),
        observed=joined.wait.notnull().cast("float64"),
    )


def thresholds_of(horizon_days: int) -> list[int]:
    """Return the days at which a wait is stated: those of a week, then 10, 14, 21, 28, every 14th, the horizon.

    Examples
    --------
    >>> thresholds_of(56)
    [1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 28, 42, 56]
    """
    later = range(WEEKLY[-1] + STEP, horizon_days, STEP)
    return [day for day in (*range(1, DAILY + 1), *WEEKLY, *later) if day < horizon_days] + [horizon_days]


def check_waits(y: pd.DataFrame, horizon_days: int) -> None:
    """Check that waits are those of `next_purchase`: whole days from 1 to the horizon, and observed or not.

    Parameters
    ----------
    y : DataFrame
        Columns days and observed.
    horizon_days : int

    Raises
    ------
    UnsuitableDataError
        If days holds anything else, or observed anything but 0 and 1.
    """
    days, observed = y["days"].to_numpy(dtype=float), y["observed"].to_numpy(dtype=float)
    is_wait = (days >= 1) & (days <= horizon_days) & (days == np.floor(days))
    for name, values, right, expected in (
        ("days", days, is_wait, f"whole numbers from 1 to {horizon_days}"),
        ("observed", observed, np.isin(observed, (0.0, 1.0)), "0 or 1"),
    ):
        if not right.all():
            raise UnsuitableDataError(
                f"y has {name} that are not waits",
                where=f"y, {name}",
                expected=expected,
                found=listing(values[~right]),
            )


def _shared(rows: ir.Table) -> list[str]:
    """Return the columns by which rows and purchases belong together."""
    if "customer_id" not in rows.columns:
        raise InputError(
            "the outcome is of customers, and the rows have none",
            where="outcome",
            expected="a grain with customer_id in its key",
            found=f"the key {', '.join(rows.columns)}",
            hint="choose another grain, or write an outcome of these rows",
        )
    return [column for column in OF_PURCHASES if column in rows.columns]


def _purchase_days(future: Tables, rows: ir.Table) -> ir.Table:
    return purchases.sales_by_day(future, _shared(rows))


def _for_all(rows: ir.Table, days: ir.Table, y: ir.NumericScalar) -> ir.Table:
    """Return a row for each of `rows`; those first seen in the window have none."""
    shared = _shared(rows)
    joined = rows.left_join(days.group_by(shared).agg(y=y), shared)
    return joined.select(*rows.columns, y=joined.y.fill_null(0.0))


SPEND = Outcome("spend", ("y",), spend)
