"""Transactions gathered to purchase days and to orders: the start of most families and outcomes."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir

from features.tables import MONEY, Tables


def square(money: ir.DecimalValue) -> ir.DecimalValue:
    """Square money in DECIMAL: exact up to 10^14.

    Of two factors of 18 digits DuckDB keeps 18 digits, which a day of 304,000 overflows; of two of 19 Spark cuts one.
    """
    return money.cast("decimal(19, 4)") * money.cast(MONEY)


def coupon_used(lines: ir.Table) -> ir.BooleanValue:
    """Tell whether a line used a coupon: a discount by one, or the status Used; null where neither is known."""
    return (lines.coupon_discount > 0) | (lines.coupon_status.lower() == "used")


def by_day(tables: Tables, key: Sequence[str] = ("customer_id",)) -> ir.Table:
    """Return one row per customer (or another key) and purchase day: customer_id, day, amount (DECIMAL).

    All orders of a day are one purchase (Fader & Hardie's convention, and lifetimes').
    """
    lines = tables.transactions
    return lines.group_by(*key, day=lines.timestamp.date()).agg(amount=lines.amount.sum().cast(MONEY))


def by_order(tables: Tables) -> ir.Table:
    """Return one row per order: customer_id, order_id, moment (its first line's), amount (DECIMAL)."""
    lines = tables.transactions
    return lines.group_by("customer_id", "order_id").agg(
        moment=lines.timestamp.min(), amount=lines.amount.sum().cast(MONEY)
    )


def by_product(tables: Tables) -> ir.Table:
    """Return one row per customer, purchase day and known product: customer_id, day, product_id."""
    lines = tables.transactions
    lines = lines.filter(lines.product_id.notnull())
    return lines.select("customer_id", "product_id", day=lines.timestamp.date()).distinct()
