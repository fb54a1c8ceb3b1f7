"""The days and customers of staged transactions, and a refusal of transactions that no model can be trained on."""

from __future__ import annotations

from datetime import date, timedelta

import ibis.expr.types as ir

from features.errors import SHOWN_VALUES, InputError
from features.sources.raw import OrderKey
from features.sources.shop_config import shell_value

LAST_YEAR = 2200
LONELY_DAYS = 365
DAY = "day"
# what may distinguish orders whose number occurs again, in the order in which it is tried
FURTHER_KEYS = ((DAY,), ("store_id",), ("store_id", DAY), ("customer_id",), ("customer_id", DAY))


def check_orders(transactions: ir.Table, where: str, order: OrderKey | None) -> None:
    """Refuse orders of several customers and, where the source says that none spans days, of several days.

    Raises
    ------
    InputError
        It names what tells these orders apart, after trying it.
    """
    may_span_days = order is None or order.may_span_days
    lines = transactions.mutate(day=transactions.timestamp.date())
    kinds = (("customer_id", "customers"), (DAY, "days"))[: 1 if may_span_days else 2]
    # of one value are the orders whose least one is the greatest: cheaper than to count distinct ones
    differ = {column: lines[column].min() < lines[column].max() for column, _ in kinds}
    orders = lines.group_by("order_id").aggregate(**differ)
    found = orders.aggregate(**{column: orders[column].sum() for column in differ}).to_pyarrow().to_pylist()[0]
    for column, of_several in kinds:
        several = int(found[column] or 0)
        if several:
            broken = _of_several(lines, ("order_id",), column)
            examples = broken.order_by("order_id").limit(SHOWN_VALUES).to_pyarrow()["order_id"].to_pylist()
            raise InputError(
                f"{several:,} orders belong to several {of_several}",
                where=where,
                expected=f"an order_id of one customer{'' if may_span_days else ' and one day'} only",
                found=", ".join(examples) + (", ..." if several > len(examples) else ""),
                hint=_order_advice(lines, order, column),
            )


def _of_several(lines: ir.Table, key: tuple[str, ...], column: str) -> ir.Table:
    counted = lines.group_by(list(key)).aggregate(of=lines[column].nunique())
    return counted.filter(counted.of > 1)


def _order_advice(lines: ir.Table, order: OrderKey | None, column: str) -> str:
    """Name columns that tell the orders apart, after trying them."""
    if order is None:
        return "correct the source: it gives one id to several orders"
    columns = {**order.columns, DAY: DAY}
    of_one = ("customer_id",) if order.may_span_days else ("customer_id", DAY)
    otherwise = "; where an order may span days, data.order_spans_days=true" if column == DAY else ""
    for further in FURTHER_KEYS:
        key = ("order_id", *further)
        if all(name in columns for name in key) and not any(
            int(_of_several(lines, key, each).count().execute()) for each in of_one if each not in key
        ):
            named = shell_value([columns[name] for name in key])
            return f"where the number begins anew, {order.setting}={named} tells all orders apart{otherwise}"
    return f"name the columns that together tell orders apart: {order.setting}=[...]{otherwise}"


def lonely_days(transactions: ir.Table) -> list[str]:
    """Name a first or last day that stands a year away from all others: a mistyped year makes such a day."""
    by_day = transactions.group_by(day=transactions.timestamp.date()).aggregate(lines=transactions.count())
    days = by_day.order_by(by_day.day).to_pyarrow().to_pylist()
    found = []
    for end, next_to_it in zip(days[:1] + days[-1:], days[1:2] + days[-2:-1], strict=True) if len(days) > 1 else ():
        gap = abs((end["day"] - next_to_it["day"]).days)
        if gap >= LONELY_DAYS:
            found.append(
                f"transactions: {end['day']} stands {gap:,} days away from all others ({end['lines']:,} rows):"
                " see whether its year is right"
            )
    return found


def extent(transactions: ir.Table, where: str) -> tuple[date, date, int]:
    """Return first day, day after the last, and customers; refuse transactions that no model can be trained on."""
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
