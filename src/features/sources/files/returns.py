"""The sale that each return takes back.

A return names its order (`original_order_id`, or `order_id` of a table of refunds), or its product, or neither. It
takes back the latest sale of the same customer that was not later, is of the same order or product where the return
names one, and still has what comes back: the quantity where both are known, else the amount. A sale of exactly that
quantity and amount goes first. What was taken back is not there for the next return. Sales and returns are read in the
order in which they became known, so that none that comes later changes a pair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.engines import BATCH_ROWS, DuckDB
from features.sources.files.config import ORIGINAL, RETURNED_AT
from features.tables import MOMENT, RECORDED_AT, SPECS
from features.tables.returns import CANCELLATION, RETURN

RETURNED = "returns"  # the canonical table
LOOKED_BACK = 1_000  # latest sales of a customer (of a product) that are tried: a guest's account may have a million
SCALE = 1_000_000  # quantities and amounts are counted in whole millionths
PAIRS = pa.schema(
    [
        ("return_number", pa.int64()),
        ("order_id", pa.string()),
        ("line_number", pa.int64()),
        ("sold_at", pa.timestamp("us")),
    ]
)
OF_THE_SALE = ("order_id", "line_number", "sold_at")
Row = dict[str, Any]


@dataclass(slots=True)
class Sale:
    """The part of a line, or of an order, that has not been taken back yet."""

    order_id: str
    line_number: int | None
    sold_at: datetime
    quantity: int | None
    amount: int
    is_whole: bool = True

    def is_exactly(self, back: Row) -> bool:
        known = None not in (self.quantity, back["quantity"])
        return self.is_whole and self.amount == back["amount"] and (not known or self.quantity == back["quantity"])

    def covers(self, back: Row) -> bool:
        if self.quantity is not None and back["quantity"] is not None:
            return self.quantity >= back["quantity"]
        return self.amount >= back["amount"]

    def give_back(self, back: Row) -> None:
        self.is_whole = False
        self.amount = max(self.amount - back["amount"], 0)
        if self.quantity is not None:
            self.quantity = max(self.quantity - (back["quantity"] or 0), 0)


@dataclass
class Order:
    """An order: its lines, and all of them as one sale."""

    whole: Sale
    lines: list[tuple[str | None, Sale]] = field(default_factory=list)

    def add(self, row: Row) -> Sale:
        line = Sale(row["order_id"], row["number"], row["sold_at"], row["quantity"], row["amount"])
        self.whole.amount += line.amount
        self.whole.line_number = None if self.lines else line.line_number
        self.lines.append((row["product_id"], line))
        return line

    def take_back(self, back: Row) -> Sale:
        """Take back a line of the product that is named, else of the whole order."""
        of_product = [line for product, line in self.lines if product == back["product_id"]]
        line = _latest(reversed(of_product), back) or (of_product[-1] if of_product else self.lines[0][1])
        self.whole.give_back(back)
        if of_product or len(self.lines) == 1:
            line.give_back(back)
            return line
        return self.whole


class Customer:
    """The sales of one customer so far."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.by_product: dict[str, list[Sale]] = defaultdict(list)

    def buy(self, row: Row) -> None:
        whole = Sale(row["order_id"], None, row["sold_at"], None, 0)
        line = self.orders.setdefault(row["order_id"], Order(whole)).add(row)
        if row["product_id"] is not None:
            self.by_product[row["product_id"]].append(line)

    def take_back(self, back: Row) -> Sale | None:
        """Find the sale that is taken back, and take it back; None where there is none."""
        if back["order_id"] is not None:
            order = self.orders.get(back["order_id"])
            return order.take_back(back) if order else None
        if back["product_id"] is not None:
            line = _latest(reversed(self.by_product.get(back["product_id"], [])), back)
            if line is not None:
                line.give_back(back)
                self.orders[line.order_id].whole.give_back(back)
            return line
        found = _latest((order.whole for order in reversed(self.orders.values())), back)
        return self.orders[found.order_id].take_back(back) if found else None


def _latest(sales: Iterator[Sale], back: Row) -> Sale | None:
    """Return the first sale that is exactly what comes back, else the first that covers it; the latest come first."""
    tried = list(islice(sales, LOOKED_BACK))
    exact = (sale for sale in tried if sale.is_exactly(back))
    return next(chain(exact, (sale for sale in tried if sale.covers(back))), None)


def of_lines(lines: ir.Table) -> ir.Table:
    """Return lines that rules take for returns: of a cancelled order's number, or below zero."""
    is_cancelled = lines.staging_rule == "cancelled_order"
    optional = {"product_id": lines.product_id} if "product_id" in lines.columns else {}
    optional |= {"quantity": lines.quantity.abs()} if "quantity" in lines.columns else {}
    optional |= {RECORDED_AT: lines[RECORDED_AT]} if RECORDED_AT in lines.columns else {}
    optional |= {"order_id": lines[ORIGINAL]} if ORIGINAL in lines.columns else {}
    return lines.select(
        "customer_id",
        return_number=lines.line_number,
        return_id=lines.order_id,
        returned_at=lines.timestamp,
        amount=lines.amount.abs(),
        kind=ibis.ifelse(is_cancelled, CANCELLATION, RETURN),
        is_paired=ibis.literal(False),
        **optional,
    )


def of_status(sales: ir.Table) -> ir.Table:
    """Return sales of orders that came back by their status, each beside itself, from `returned_at` on."""
    optional = [name for name in ("product_id", "quantity") if name in sales.columns]
    return sales.select(
        "customer_id",
        "order_id",
        "line_number",
        "amount",
        *optional,
        return_number=sales.line_number,
        returned_at=ibis.greatest(sales[RETURNED_AT], sales.timestamp),
        kind=sales.status_kind,
        sold_at=sales.timestamp,
        is_paired=ibis.literal(True),
    )


def of_refunds(refunds: ir.Table) -> ir.Table:
    """Return the rows of a table of refunds, whose amounts some shops write below zero."""
    return refunds.mutate(
        amount=refunds.amount.abs(),
        quantity=refunds.quantity.abs(),
        kind=ibis.literal(RETURN),
        is_paired=ibis.literal(False),
    )


def with_orders(refunds: ir.Table, lines: ir.Table, named: str = "order_id") -> ir.Table:
    """Give refunds the customer of the order that they name, and mark those `of_no_sale`.

    Parameters
    ----------
    refunds : ibis table
    lines : ibis table
        All lines of orders. `is_sold` marks those that are sales and stay so; `came_back` those that are taken back.
    named : str
        Column of the refunds with the order; null where they name none.
    """
    if named not in refunds.columns:
        return refunds.mutate(of_no_sale=ibis.literal(False))
    orders = lines.filter(lines.order_id.notnull()).group_by(named_order=lines.order_id)
    orders = orders.agg(
        buyer=lines.customer_id.min(where=lines.is_sold), of_no_sale=~lines.is_sold.any() | lines.came_back.any()
    )
    joined = refunds.left_join(orders, refunds[named] == orders.named_order)
    own = joined.customer_id if "customer_id" in refunds.columns else ibis.null("string")
    joined = joined.mutate(customer_id=ibis.coalesce(joined.buyer, own), of_no_sale=joined.of_no_sale.fill_null(False))
    return joined.drop("buyer", "named_order")


def matched(returns: ir.Table, sales: ir.Table, engine: DuckDB, path: Path) -> ir.Table:
    """Give each return the order, line and time of the sale that it takes back.

    Parameters
    ----------
    returns : ibis table
        Of canonical columns; `order_id` is the order that a return names itself. Where `is_paired`, its sale is known.
        A return at midnight sharp has a day and no time: it may take back a sale of any time of that day.
    sales : ibis table
        Canonical lines.
    engine : DuckDB
        Sorts them; they are read in batches.
    path : Path
        File for the pairs.

    Returns
    -------
    ibis table
        The returns with order_id, line_number and sold_at, null where there is no such sale.
    """
    alone = returns.filter(~returns.is_paired)
    rows = in_time(alone, sales)
    with engine.progress("matching returns"), engine.enough_memory(), pq.ParquetWriter(path, PAIRS) as file:
        found = pairs(_read(rows, engine))
        while batch := list(islice(found, BATCH_ROWS)):
            file.write_table(pa.Table.from_pylist(batch, schema=PAIRS))
    known = engine.read(path, "pairs_of_returns")
    known = known.select("return_number", **{f"found_{name}": known[name] for name in OF_THE_SALE})
    joined = returns.left_join(known, "return_number").drop("return_number_right")
    joined = joined.mutate(
        **{name: ibis.ifelse(joined.is_paired, joined[name], joined[f"found_{name}"]) for name in OF_THE_SALE}
    )
    later = ibis.greatest(joined.returned_at, joined.sold_at.fill_null(joined.returned_at))
    return joined.mutate(returned_at=later)


def in_time(returns: ir.Table, sales: ir.Table) -> ir.Table:
    """Return sales of customers who returned something and returns, customer by customer as they became known."""
    is_day = returns.returned_at == returns.returned_at.truncate("D")
    end_of_day = returns.returned_at + ibis.interval(days=1) - ibis.interval(microseconds=1)
    moment = ibis.ifelse(is_day, end_of_day, returns.returned_at)
    if RECORDED_AT in returns.columns:
        moment = ibis.greatest(moment, returns[RECORDED_AT].fill_null(moment))
    back = returns.mutate(number=returns.return_number, moment=moment, sold_at=ibis.null(MOMENT))
    sold = sales.mutate(number=sales.line_number, moment=SPECS["transactions"].known(sales), sold_at=sales.timestamp)
    back, sold = _alike(back, is_return=True), _alike(sold, is_return=False)
    rows = sold.semi_join(back, "customer_id").union(back)
    return rows.order_by("customer_id", "moment", "is_return", "number")


def _alike(table: ir.Table, *, is_return: bool) -> ir.Table:
    """Return the columns by which sales and returns are compared; rows that staging refuses later are left out."""
    texts = ("customer_id", "order_id", "product_id")
    needed = ["customer_id", "moment", "amount", *([] if is_return else ["order_id"])]
    table = table.filter([table[name].notnull() for name in needed])
    return table.select(
        **{name: table[name] if name in table.columns else ibis.null("string") for name in texts},
        number=table.number.cast("int64"),
        moment=table.moment.cast(MOMENT),
        sold_at=table.sold_at.cast(MOMENT),
        is_return=ibis.literal(is_return),
        **{
            name: _in_millionths(table[name]) if name in table.columns else ibis.null("int64")
            for name in ("quantity", "amount")
        },
    )


def _in_millionths(number: ir.DecimalValue) -> ir.IntegerValue:
    return (number.cast("decimal(38, 6)") * SCALE).cast("int64")


def _read(rows: ir.Table, engine: DuckDB) -> Iterator[Row]:
    for batch in engine.connection.to_pyarrow_batches(rows, chunk_size=BATCH_ROWS):
        yield from batch.to_pylist()


def pairs(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the returns that take back a sale, with the sale."""
    for _, own in groupby(rows, key=itemgetter("customer_id")):
        customer = Customer()
        for row in own:
            if not row["is_return"]:
                customer.buy(row)
            elif (sale := customer.take_back(row)) is not None:
                yield {
                    "return_number": row["number"],
                    "order_id": sale.order_id,
                    "line_number": sale.line_number,
                    "sold_at": sale.sold_at,
                }
