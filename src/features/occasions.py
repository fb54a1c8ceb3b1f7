"""What customers' lines and orders are made of, counted: categories, price bands, months, days of the week, coupons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features.errors import InputError, did_you_mean
from features.groups import purchases
from features.tables import Tables

BANDS = ("cheap", "middle", "dear")


def category(window: Tables) -> ir.Table:
    """Lines with their product's category, those of unknown category left out."""
    lines = window.transactions.inner_join(window.present()["products"], "product_id")
    return lines.filter(lines.category.notnull()).mutate(value=lines.category)


def price(window: Tables) -> ir.Table:
    """Lines with the third of all lines, by amount per unit, that they lie in; those of unknown quantity left out."""
    lines = window.transactions
    lines = lines.filter(lines.quantity > 0)
    lines = lines.mutate(unit=lines.amount.cast("float64") / lines.quantity.cast("float64"))
    low, high = (lines.unit.quantile(share).as_scalar() for share in (1 / 3, 2 / 3))
    band = ibis.cases((lines.unit <= low, BANDS[0]), (lines.unit <= high, BANDS[1]), else_=BANDS[2])
    return lines.mutate(value=band)


def month(window: Tables) -> ir.Table:
    """Lines with their month, from 1."""
    lines = window.transactions
    return lines.mutate(value=lines.timestamp.month().cast("string"))


def weekday(window: Tables) -> ir.Table:
    """Lines with their day of the week, Monday is 0."""
    lines = window.transactions
    return lines.mutate(value=lines.timestamp.date().day_of_week.index().cast("string"))


def coupon(window: Tables) -> ir.Table:
    """Lines with whether a coupon was used: a discount by one, or the status Used."""
    lines = window.transactions
    return lines.mutate(value=purchases.coupon_used(lines).fill_null(False).ifelse("used", "not used"))


@dataclass(frozen=True)
class Aspect:
    """Something that lines, or whole orders, differ in.

    Attributes
    ----------
    lines : callable
        The window's lines with their value.
    of : str
        What is counted: "lines" or "orders".
    needs : tuple of str
        Tables beside transactions.
    """

    lines: Callable[[Tables], ir.Table]
    of: str
    needs: tuple[str, ...] = ()


ASPECTS: Mapping[str, Aspect] = {
    "category": Aspect(category, of="lines", needs=("products",)),
    "price": Aspect(price, of="lines"),
    "month": Aspect(month, of="orders"),
    "weekday": Aspect(weekday, of="orders"),
    "coupon": Aspect(coupon, of="lines"),  # a large order has a coupon on some line more often than a small one
}


def occasions(window: Tables, aspect: str) -> ir.Table:
    """How many of a customer's lines, or orders, have which value of an aspect: customer_id, value, n.

    Raises
    ------
    InputError
        If there is no such aspect, or not the table that it needs.
    """
    if aspect not in ASPECTS:
        raise InputError(f"there is no aspect {aspect!r} of purchases", hint=did_you_mean(aspect, ASPECTS))
    absent = [table for table in ASPECTS[aspect].needs if table not in window.present()]
    if absent:
        raise InputError(f"{aspect} needs the table {', '.join(absent)}, which this shop does not have")
    lines = ASPECTS[aspect].lines(window)
    n = lines.count() if ASPECTS[aspect].of == "lines" else lines.order_id.nunique()
    return lines.group_by("customer_id", "value").agg(n=n)


def orders(window: Tables) -> ir.Table:
    """One row per customer: customer_id, n (orders), amount."""
    lines = window.transactions
    return lines.group_by("customer_id").agg(n=lines.order_id.nunique(), amount=lines.amount.sum().cast("float64"))
