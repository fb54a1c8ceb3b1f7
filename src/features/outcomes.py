"""What is to be predicted: numbers about the days from the cutoff on."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.errors import InputError
from features.families import purchases
from features.tables import Tables

DAYS_PER_YEAR = 365
DISCOUNTED_MONEY = "decimal(38, 8)"


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


def spend(future: Tables, eligible: ir.Table, *, discount_rate: float = 0.0, margin: float = 1.0) -> ir.Table:
    """What each eligible customer brings in over the window.

    y = margin * sum over days of amount / (1 + discount_rate) ^ (days since the window's start / 365)

    Parameters
    ----------
    future : Tables
        The window, `tables.between(cutoff, cutoff + horizon)`.
    eligible : ibis table
        customer_id of those who bought before the cutoff.
    discount_rate : float
        Yearly, at least 0: money of a year later is worth 1 / (1 + discount_rate) as much.
    margin : float
        Share of the amount that counts, in (0, 1]: 1 for revenue.

    Returns
    -------
    ibis table
        customer_id and y in the shop's currency; 0 for customers who buy nothing.

    Raises
    ------
    InputError
        If a rate is out of its range.
    """
    check_money_terms(margin, discount_rate)
    days = purchases.by_day(future)
    later = days.day.delta(ibis.literal(future.start), unit="day")
    worth = days.amount.cast("float64") * ibis.literal(1.0 + discount_rate) ** (-later / DAYS_PER_YEAR)
    # Back to DECIMAL, or the order in which threads sum would show in the last bits.
    days = days.mutate(worth=worth.cast(DISCOUNTED_MONEY))
    bought = days.group_by("customer_id").agg(y=days.worth.sum().cast("float64") * float(margin))
    return _for_all(eligible, bought)


def purchase_days(future: Tables, eligible: ir.Table) -> ir.Table:
    """On how many days of the window each eligible customer buys: customer_id and y, 0 for none."""
    days = purchases.by_day(future)
    return _for_all(eligible, days.group_by("customer_id").agg(y=days.count().cast("float64")))


def purchased(future: Tables, eligible: ir.Table) -> ir.Table:
    """Whether each eligible customer buys on any day of the window: customer_id and y, 1 or 0."""
    days = purchase_days(future, eligible)
    return days.mutate(y=(days.y > 0).cast("float64"))


def inactive(future: Tables, eligible: ir.Table) -> ir.Table:
    """Whether each eligible customer buys on no day of the window: customer_id and y = 1 - that of `purchased`."""
    bought = purchased(future, eligible)
    return bought.mutate(y=1.0 - bought.y)


def _for_all(eligible: ir.Table, bought: ir.Table) -> ir.Table:
    """One row per eligible customer; those first seen in the window have none."""
    joined = eligible.left_join(bought, "customer_id")
    return joined.select("customer_id", y=joined.y.fill_null(0.0))
