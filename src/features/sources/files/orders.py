"""Orders of several lines: their key, values that stand on one line only, discounts, and what a status says."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import ibis
import ibis.expr.types as ir

from features.sources.files.config import (
    LINE_DISCOUNT,
    LINE_DISCOUNT_PERCENT,
    RETURNED_AT,
    STATUS,
    UNIT_DISCOUNT,
    Statuses,
)
from features.sources.files.values import product
from features.tables import MONEY
from features.tables.returns import CANCELLATION, RETURN, SALE

# said of an order, and often on its first line only
CARRIED = ("customer_id", "timestamp", "store_id", "channel")


def joined(parts: Sequence[ir.Column]) -> ir.StringColumn:
    """Join the parts of an order's key; null where one of them is."""
    key = parts[0].cast("string")
    for part in parts[1:]:
        key = key + "/" + part.cast("string")
    return key


def without(lines: ir.Table, columns: Collection[str]) -> ir.Table:
    """Leave out columns, by a query of the same text in every process.

    `Table.drop` lists them in an order that the process draws: a served model holds the text, and looked new each time.
    """
    return lines.select(*(name for name in lines.columns if name not in columns))


def carried(lines: ir.Table, columns: Sequence[str], among: ir.BooleanColumn | bool = True) -> ir.Table:
    """Give lines without a value that of their order, where its other lines agree; `<column>_carried` marks them.

    Only lines `among` those that are meant take one.
    """
    order = ibis.window(group_by="order_id")
    for column in columns:
        low, high = lines[column].min().over(order), lines[column].max().over(order)
        found = lines[column].isnull() & lines.order_id.notnull() & (low == high) & among
        lines = lines.mutate(**{f"{column}_carried": found.fill_null(False)})
        lines = lines.mutate(**{column: ibis.ifelse(lines[f"{column}_carried"], low, lines[column])})
    return lines


def less(amount: ir.DecimalColumn, discount: ir.DecimalColumn) -> ir.DecimalColumn:
    """Take a discount from the size of an amount, which is below 0 where something comes back."""
    return (amount - amount.sign() * discount.abs().fill_null(0)).cast(MONEY)


def reduced(lines: ir.Table, discount: str) -> ir.DecimalColumn:
    """Return the amounts of lines less a discount of `OF_LINES`; shares above 1, refused in staging, take nothing."""
    off = lines[discount]
    if discount == UNIT_DISCOUNT:
        off = product(lines.quantity.abs(), off.abs())
    if discount in (LINE_DISCOUNT, UNIT_DISCOUNT):
        return less(lines.amount, off)
    share = off / 100 if discount == LINE_DISCOUNT_PERCENT else off
    share = ibis.ifelse(share.abs() > 1, 0, share)
    return less(lines.amount, (lines.amount.cast("float64") * share.cast("float64")).round(4).cast(MONEY))


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


def of_order(columns: Collection[str], statuses: Statuses | None, *, is_by_line: bool) -> list[str]:
    """Return the columns whose value stands for the whole order, also where its other lines have none.

    A status does, unless "" is one as well, or lines go by their own (`is_by_line`).
    """
    has_status = statuses is not None and not is_by_line and "" not in statuses.known
    return [column for column in (*CARRIED, *([STATUS] if has_status else [])) if column in columns]


def kinds(lines: ir.Table, statuses: Statuses | None) -> ir.Table:
    """Add what the status of a line says, `status_kind` (null where it is not listed), and `is_mixed` orders.

    Without statuses, lines with a day of return came back. With them, lines that came back take the day from others of
    their order.
    """
    if statuses is None:
        return lines.mutate(status_kind=ibis.ifelse(lines[RETURNED_AT].notnull(), RETURN, SALE))
    status = lines[STATUS].lower().fill_null("")
    cases = [(status.isin(words), kind) for kind, words in statuses.words.items() if words]
    lines = lines.mutate(status_kind=ibis.cases(*cases, else_=ibis.null("string")))
    said = lines.status_kind.fill_null("")
    order = ibis.window(group_by="order_id")
    lines = lines.mutate(is_mixed=lines.order_id.notnull() & (said.min().over(order) != said.max().over(order)))
    if RETURNED_AT not in lines.columns:
        return lines
    return carried(lines, [RETURNED_AT], among=lines.status_kind.isin([RETURN, CANCELLATION]))
