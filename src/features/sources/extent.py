"""The days and customers of staged transactions, and a refusal of transactions that no model can be trained on."""

from __future__ import annotations

from datetime import date, timedelta

import ibis.expr.types as ir

from features.errors import SHOWN_VALUES, InputError

LAST_YEAR = 2200


def extent(transactions: ir.Table, where: str) -> tuple[date, date, int]:
    """Return first day, day after the last, and customers; refuse transactions that no model can be trained on."""
    shared = (
        transactions.group_by("order_id")
        .aggregate(customers=transactions.customer_id.nunique())
        .filter(lambda orders: orders.customers > 1)
    )
    several = int(shared.count().execute())
    if several:
        examples = shared.order_by("order_id").limit(SHOWN_VALUES).to_pyarrow()["order_id"].to_pylist()
        raise InputError(
            f"{several:,} orders belong to several customers",
            where=where,
            expected="an order_id of one customer only",
            found=", ".join(examples) + (", ..." if several > len(examples) else ""),
            hint="where ids repeat across customers, join them in data.tables.transactions.sql: "
            "SELECT customer || '-' || id AS order_id, ...",
        )
    figures = transactions.aggregate(
        first=transactions.timestamp.min(),
        last=transactions.timestamp.max(),
        customers=transactions.customer_id.nunique(),
    )
    row = figures.to_pyarrow().to_pylist()[0]
    if row["last"].year >= LAST_YEAR:
        raise InputError(
            "transactions.timestamp lies in the far future",
            where=where,
            expected=f"years below {LAST_YEAR}",
            found=str(row["last"]),
            hint="see whether it stands for an unknown day, and correct it at the source",
        )
    start, end = row["first"].date(), row["last"].date() + timedelta(days=1)
    if row["customers"] == 1:
        raise InputError(
            "all transactions are of a single customer",
            where=where,
            expected="many customers: a model learns from the differences between them",
            found="1 customer",
            hint="check which column is mapped to customer_id",
        )
    if end - start == timedelta(days=1):
        raise InputError(
            "all transactions are of a single day",
            where=where,
            expected="a past to learn from and a later window to validate on",
            found=str(start),
            hint="check which column is mapped to timestamp, and its date_format",
        )
    return start, end, int(row["customers"])
