"""Transactions gathered to purchase days and to orders: the start of most families and outcomes.

Spend is defined here, and nowhere else. Gross is what was sold. Net takes off what was given back, in two ways that
agree in total as long as each return has its sale:

- money over time (`money_by_day`): a return counts on its own day. So net(c) = sales until c - returns until c;
- the value of a purchase (`by_day`, `by_order`): a return counts on the day, or in the order, of its sale. It is known
  from its own day on, as the tables of a cutoff hold no later row.

`Tables.spend` says which of both is in use. A purchase stays a purchase in any case: counts and days are of sales.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from features.tables import MONEY, Tables


def square(money: ir.DecimalValue) -> ir.DecimalValue:
    """Square money in DECIMAL: exact up to 10^14.

    Of two factors of 18 digits DuckDB keeps 18 digits, which a day of 304,000 overflows; of two of 19 Spark cuts one.
    """
    return money.cast("decimal(19, 4)") * money.cast(MONEY)


def coupon_used(lines: ir.Table) -> ir.BooleanValue:
    """Return True if a line used a coupon: a discount by one, or the status Used; null where neither is known."""
    return (lines.coupon_discount > 0) | (lines.coupon_status.lower() == "used")


def sales_by_day(tables: Tables, key: Sequence[str] = ("customer_id",)) -> ir.Table:
    """Return one row per customer (or another key) and purchase day: customer_id, day, amount (DECIMAL), gross.

    All orders of a day are one purchase (Fader & Hardie's convention, and lifetimes').
    """
    lines = tables.transactions
    return lines.group_by(*key, day=lines.timestamp.date()).agg(amount=lines.amount.sum().cast(MONEY))


def by_day(tables: Tables, key: Sequence[str] = ("customer_id",)) -> ir.Table:
    """Return the rows of `sales_by_day` with the value of each purchase: what was sold, less what came back of it."""
    days = sales_by_day(tables, key)
    if not tables.nets_returns:
        return days
    returns = tables["returns"]
    return _less_returned(days, returns.mutate(day=returns.sold_at.date()), (*key, "day"))


def money_by_day(tables: Tables, key: Sequence[str] = ("customer_id",)) -> ir.Table:
    """Return one row per customer (or another key) and day on which money moved: customer_id, day, amount (DECIMAL).

    Sales of the day, less what was given back on it: below 0 where more came back than was sold.
    """
    if not tables.nets_returns:
        return sales_by_day(tables, key)
    lines, returns = tables.transactions, tables["returns"]
    sold = lines.select(*key, day=lines.timestamp.date(), amount=lines.amount)
    moved = sold.union(returns.select(*key, day=returns.returned_at.date(), amount=(-returns.amount).cast(MONEY)))
    return moved.group_by(*key, "day").agg(amount=moved.amount.sum().cast(MONEY))


def by_order(tables: Tables) -> ir.Table:
    """Return one row per order: customer_id, order_id, moment (its first line's), amount (DECIMAL).

    The amount is the order's value: what was sold, less what came back of it where spend is net.
    """
    lines = tables.transactions
    orders = lines.group_by("customer_id", "order_id").agg(
        moment=lines.timestamp.min(), amount=lines.amount.sum().cast(MONEY)
    )
    if not tables.nets_returns:
        return orders
    return _less_returned(orders, tables["returns"], ("customer_id", "order_id"))


def _less_returned(sold: ir.Table, returns: ir.Table, by: Sequence[str]) -> ir.Table:
    """Take what came back off what was sold; a refund above the price leaves 0."""
    matched = returns.filter(returns.sold_at.notnull())
    returned = matched.group_by(*by).agg(returned=matched.amount.sum().cast(MONEY))
    joined = sold.left_join(returned, list(by))
    left = ibis.greatest(joined.amount - joined.returned.fill_null(0), 0)
    return joined.select(*(name for name in sold.columns if name != "amount"), amount=left.cast(MONEY))


def by_product(tables: Tables) -> ir.Table:
    """Return one row per customer, purchase day and known product: customer_id, day, product_id."""
    lines = tables.transactions
    lines = lines.filter(lines.product_id.notnull())
    return lines.select("customer_id", "product_id", day=lines.timestamp.date()).distinct()
