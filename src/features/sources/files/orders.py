"""Orders of several lines: their key, values that stand on one line only, and sales that were taken back."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from features.tables import MONEY

CARRIED = ("customer_id", "timestamp", "store_id", "channel")  # said of an order, and often on its first line only


def joined(parts: Sequence[ir.Column]) -> ir.StringColumn:
    """Join the parts of an order's key; null where one of them is."""
    key = parts[0].cast("string")
    for part in parts[1:]:
        key = key + "/" + part.cast("string")
    return key


def carried(lines: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Give lines without a value that of their order, where its other lines agree; `<column>_carried` marks them."""
    order = ibis.window(group_by="order_id")
    for column in columns:
        low, high = lines[column].min().over(order), lines[column].max().over(order)
        found = lines[column].isnull() & lines.order_id.notnull() & (low == high)
        lines = lines.mutate(**{f"{column}_carried": found.fill_null(False)})
        lines = lines.mutate(**{column: ibis.ifelse(lines[f"{column}_carried"], low, lines[column])})
    return lines


def discounted(lines: ir.Table) -> ir.Table:
    """Take an order's discount from its lines, in proportion to their amounts and to the last hundredth of a cent.

    It may stand on one line of the order or on each.
    """
    order = ibis.window(group_by="order_id")
    so_far = ibis.window(group_by="order_id", order_by="line_number", rows=(None, 0))
    amount = ibis.greatest(lines.amount, 0)
    lines = lines.mutate(
        order_discount=lines.order_discount.abs().max().over(order).fill_null(0),
        staging_share=amount.sum().over(so_far).cast("float64") / amount.sum().over(order).nullif(0).cast("float64"),
    )
    up_to = (lines.order_discount.cast("float64") * lines.staging_share).round(4).cast(MONEY)
    lines = lines.mutate(staging_up_to=up_to.fill_null(0))
    before = lines.staging_up_to.lag().over(ibis.window(group_by="order_id", order_by="line_number")).fill_null(0)
    return lines.mutate(amount=(lines.amount - (lines.staging_up_to - before)).cast(MONEY))


def matched(lines: ir.Table, is_return: ir.BooleanColumn, is_sale: ir.BooleanColumn) -> ir.Table:
    """Pair each return with the latest sale before it of the same customer, product, quantity and amount.

    Sales and returns open and close like brackets; lines that are neither, such as repeated ones, do not count.
    `is_returned` marks the sales that are paired, `is_matched` the returns.
    """
    known = lines.customer_id.notnull()
    lines = lines.mutate(
        staging_return=(known & is_return).fill_null(False),
        staging_sale=(known & is_sale).fill_null(False),
        staging_amount=lines.amount.abs(),
    )
    same = ["customer_id", "staging_amount"]
    if "product_id" in lines.columns:
        same.append("product_id")
    if "quantity" in lines.columns:
        lines = lines.mutate(staging_quantity=lines.quantity.abs())
        same.append("staging_quantity")
    in_time = {"group_by": same, "order_by": ["timestamp", "line_number"]}
    so_far = ibis.window(**in_time, rows=(None, 0))
    later = ibis.window(**in_time, rows=(1, None))
    lines = lines.mutate(staging_step=lines.staging_sale.cast("int64") - lines.staging_return.cast("int64"))
    lines = lines.mutate(staging_open=lines.staging_step.sum().over(so_far))
    lines = lines.mutate(staging_low=ibis.least(lines.staging_open.min().over(so_far), 0))  # returns without a sale
    lines = lines.mutate(staging_depth=lines.staging_open - lines.staging_low)
    lines = lines.mutate(staging_next=lines.staging_depth.min().over(later))
    before = lines.staging_low.lag().over(ibis.window(**in_time)).fill_null(0)
    return lines.mutate(
        is_returned=(lines.staging_sale & (lines.staging_next < lines.staging_depth)).fill_null(False),
        is_matched=(lines.staging_return & (lines.staging_low == before)).fill_null(False),
    )
