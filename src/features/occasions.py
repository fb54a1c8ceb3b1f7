"""Counts of what customers' lines and orders are made of.

Categories, pairs of categories in one order, products, price bands, months, days of the week, coupons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features import assortment
from features.errors import InputError, did_you_mean
from features.families import purchases
from features.tables import Tables

OF_LEVEL = {assortment.CATEGORY: ("category", "pair"), assortment.PRODUCT: ("product",)}  # aspects of goods
OTHER = ""  # stands for all values of an aspect that are too rare to be shown
BANDS = ("cheap", "middle", "dear")


def category(window: Tables) -> ir.Table:
    """Return lines with their product's category, those of unknown category left out."""
    return window.transactions.inner_join(assortment.values(window, assortment.CATEGORY), "product_id")


def product(window: Tables) -> ir.Table:
    """Return lines with the name of their product, or its id where it has no name."""
    return window.transactions.inner_join(assortment.values(window, assortment.PRODUCT), "product_id")


def pair(window: Tables) -> ir.Table:
    """Return pairs of categories in one order, each once an order: "bread + tea"."""
    held = category(window).select("customer_id", "order_id", "value").distinct()
    other = held.view()
    both = held.join(other, [held.order_id == other.order_id, held["value"] < other["value"]])
    return both.select("customer_id", value=held["value"] + " + " + other["value"])


def price(window: Tables) -> ir.Table:
    """Return lines with their third by amount per unit, those of unknown quantity left out."""
    lines = window.transactions
    lines = lines.filter(lines.quantity > 0)
    lines = lines.mutate(unit=lines.amount.cast("float64") / lines.quantity.cast("float64"))
    low, high = (lines.unit.quantile(share).as_scalar() for share in (1 / 3, 2 / 3))
    band = ibis.cases((lines.unit <= low, BANDS[0]), (lines.unit <= high, BANDS[1]), else_=BANDS[2])
    return lines.mutate(value=band)


def month(window: Tables) -> ir.Table:
    """Return lines with their month, from 1."""
    lines = window.transactions
    return lines.mutate(value=lines.timestamp.month().cast("string"))


def weekday(window: Tables) -> ir.Table:
    """Return lines with their day of the week, Monday is 0."""
    lines = window.transactions
    return lines.mutate(value=lines.timestamp.date().day_of_week.index().cast("string"))


def coupon(window: Tables) -> ir.Table:
    """Return lines with "used" where a coupon was used (a discount by one, or the status Used), else "not used"."""
    lines = window.transactions
    return lines.mutate(value=purchases.coupon_used(lines).fill_null(False).ifelse("used", "not used"))


@dataclass(frozen=True)
class Aspect:
    """A property in which lines, or whole orders, differ.

    Attributes
    ----------
    lines : callable
        The window's lines with their value.
    of : str
        Counted: "lines" or "orders".
    needs : tuple of str
        Tables beside transactions.
    """

    lines: Callable[[Tables], ir.Table]
    of: str
    needs: tuple[str, ...] = ()


ASPECTS: Mapping[str, Aspect] = {
    "category": Aspect(category, of="lines", needs=("products",)),
    "pair": Aspect(pair, of="lines", needs=("products",)),
    "product": Aspect(product, of="lines"),
    "price": Aspect(price, of="lines"),
    "month": Aspect(month, of="orders"),
    "weekday": Aspect(weekday, of="orders"),
    "coupon": Aspect(coupon, of="lines"),  # a large order has a coupon on some line more often than a small one
}


def occasions(window: Tables, aspect: str, largest: int) -> ir.Table:
    """Count a customer's lines, or orders, by the values of an aspect: customer_id, value, n.

    Of an aspect with more values than `largest` the most common stay apart, of equally common ones the first by
    name; the rest becomes one value, OTHER.

    Raises
    ------
    InputError
        If there is no such aspect, or not the table that it needs.
    """
    if aspect not in ASPECTS:
        raise InputError(f"there is no aspect {aspect!r} of purchases", hint=did_you_mean(aspect, ASPECTS))
    absent = [table for table in ASPECTS[aspect].needs if table not in window]
    if absent:
        raise InputError(f"{aspect} needs the table {', '.join(absent)}, which this shop does not have")
    lines = ASPECTS[aspect].lines(window)
    if ASPECTS[aspect].of == "orders":
        lines = lines.select("customer_id", "order_id", "value").distinct()
    return _counted(lines, largest)


def facts(people: ir.Table, name: str, largest: int) -> ir.Table:
    """Return the customers of whom a fact is known, in the form of `occasions`: customer_id, value, n = 1."""
    known = people.filter(people[name].notnull())
    return _counted(known.select("customer_id", value=known[name]), largest)


def _counted(rows: ir.Table, largest: int) -> ir.Table:
    """Count a customer's rows by value. Rare values become one first: millions of rare pairs are never counted."""
    totals = rows.group_by("value").agg(total=rows.count())
    common = totals.order_by([ibis.desc("total"), "value"]).limit(largest)
    rows = rows.mutate(value=rows.value.isin(common.value).ifelse(rows.value, OTHER))
    return rows.group_by("customer_id", "value").agg(n=rows.count())


def orders(window: Tables) -> ir.Table:
    """Return one row per customer: customer_id, n (orders), amount."""
    lines = window.transactions
    return lines.group_by("customer_id").agg(n=lines.order_id.nunique(), amount=lines.amount.sum().cast("float64"))
