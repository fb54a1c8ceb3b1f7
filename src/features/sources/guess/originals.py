"""Refunds that are rows of their own: the column by which they name the sale that they take back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import ibis.expr.types as ir

from features.sources.files.values import normal_id
from features.sources.guess.facts import Facts
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened

MET = 0.5  # of the rows that name something else than themselves: a sale may be older than the file
ALIKE = 0.9  # of the sales that are named, from which they are earlier and of no less money
OWN = 0.5  # different sales per row that names one


@dataclass(frozen=True)
class Original:
    """A column with the number of another row's order.

    Attributes
    ----------
    column : str
    rows, known : int
        Rows that name something, and those of which it is the number of a sale in this table.
    """

    column: str
    rows: int
    known: int

    @property
    def guess(self) -> Guess:
        said = f"{self.known:,} of the {self.rows:,} rows that take money back name another row's order in it"
        return Guess(self.column, f"{said}: they have its customer")


def original_of(opened: Opened, facts: Mapping[str, Facts], rows: ir.Table, used: Collection[str]) -> Original | None:
    """Find the column in which rows that take money back name the order of another row.

    Parameters
    ----------
    opened, facts
        The lines.
    rows : ibis table
        `ROW`, `order`, `time`, `money` and `is_back`, true of rows that take money back.
    used : collection of str
        Columns that have another role.
    """
    back = rows.filter(rows.is_back & rows.order.notnull()).join(opened.table, ROW)
    sales = (
        rows.filter(~rows.is_back)
        .group_by(sale="order")
        .aggregate(sold=lambda each: each.money.sum(), sold_at=lambda each: each.time.min())
    )
    found: list[Original] = []
    for name, each in facts.items():
        if name in used or not each.filled or each.dated > MET or each.mail > MET:
            continue
        named = back.select("order", "time", "money", value=normal_id(back[name]))
        named = named.filter(named.value.notnull() & (named.value != named.order))
        pairs = named.left_join(sales, named.value == sales.sale)
        is_met = pairs.sale.notnull()
        figures = pairs.aggregate(
            rows=pairs.count(),
            known=is_met.sum(),
            different=pairs.sale.nunique(),
            fitting=((pairs.sold_at <= pairs.time) & (pairs.money.abs() <= pairs.sold))
            .fill_null(False)
            .mean(where=is_met),
        )
        row = figures.to_pyarrow().to_pylist()[0]
        if row["known"] and row["known"] >= MET * row["rows"] and row["different"] >= OWN * row["known"]:
            found += [Original(name, row["rows"], row["known"])] if row["fitting"] >= ALIKE else []
    return max(found, key=lambda each: each.known, default=None)
