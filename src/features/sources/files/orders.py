"""Orders of several lines: their key, values that stand on one line only, and what their status says."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from features.sources.files.config import RETURNED_AT, STATUS, Statuses

CARRIED = (
    "customer_id",
    "timestamp",
    "store_id",
    "channel",
    STATUS,
    RETURNED_AT,
)  # said of an order, and often on its first line only


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


def kinds(lines: ir.Table, statuses: Statuses) -> ir.Table:
    """Add what the status of a line says, `status_kind` (null where it is not listed), and `is_mixed` orders."""
    status = lines[STATUS].lower().fill_null("")
    cases = [(status.isin(words), kind) for kind, words in statuses.words.items() if words]
    lines = lines.mutate(status_kind=ibis.cases(*cases, else_=ibis.null("string")))
    of_order = lines.status_kind.fill_null("")
    order = ibis.window(group_by="order_id")
    return lines.mutate(is_mixed=lines.order_id.notnull() & (of_order.min().over(order) != of_order.max().over(order)))
