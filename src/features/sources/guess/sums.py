"""Quantity x price = total among columns that no name explains: which three add up over the rows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import ibis.expr.types as ir
import numpy as np

from features.sources.guess.counts import ALIKE, CENT, SEVERAL
from features.sources.guess.facts import MOST, Facts
from features.sources.guess.opened import ROW
from features.sources.guess.words import score

NAMED = 0.3  # least score of a name
ADDS_UP = 0.98  # of the rows: nothing else speaks for the columns
TOLD = 20  # rows whose quantity is not 1
SAMPLE = 2_000  # rows on which all threes are tried, before all rows confirm the few that fit
MOST_COLUMNS = 12  # that are tried


@dataclass(frozen=True)
class Sum:
    """Three columns of the file of which one is the product of the others, and why that does not settle the money."""

    quantity: str
    unit_price: str
    amount: str
    share: float
    doubt: str = ""

    def __contains__(self, name: str) -> bool:
        return name in (self.quantity, self.unit_price, self.amount)

    @property
    def evidence(self) -> str:
        return f"{self.quantity} x {self.unit_price} gives {self.amount} in {self.share:.1%} of the rows"

    @property
    def way(self) -> str:
        """Return the arguments of `init` that choose it."""
        return f"amount={shlex.quote(self.amount)} quantity={shlex.quote(self.quantity)}"


def sums_among(
    lines: ir.Table, names: Mapping[str, str], unnamed: Sequence[str], facts: Mapping[str, Facts]
) -> list[Sum]:
    """Find the threes of columns, one of them without a name at least, of which one is the product of the others.

    Parameters
    ----------
    lines : ibis table
        Typed lines: product, and a column of numbers for each of `names`.
    names : mapping of str to str
        Column of the file -> column of `lines`.
    unnamed : sequence of str
        The columns of the file that no name explains.
    facts : mapping
    """
    names = dict(sorted(names.items(), key=lambda item: item[0] not in unnamed)[:MOST_COLUMNS])
    tried = [
        (left, right, total)
        for left, right in combinations(names, 2)
        for total in names
        if total not in (left, right) and {left, right, total} & {*unnamed}
    ]
    fitting = list(_fitting(lines, names, tried))
    found = [_ordered(lines, names, facts, *each) for each in _confirmed(lines, names, fitting)]
    alike = {(each.quantity, each.unit_price) for each in found}
    return [_doubted(each, facts, several=len(alike) > 1) for each in found]


def _fitting(
    lines: ir.Table, names: Mapping[str, str], tried: Sequence[tuple[str, str, str]]
) -> Iterator[tuple[str, str, str]]:
    """Yield the threes that fit a sample of rows from the whole table."""
    if not tried:
        return
    step = max(int(lines.count().execute()) // SAMPLE, 1)
    sample = lines.filter(lines[ROW] % step == 0)
    read = sample.select(
        **{f"n.{n}": sample[name].cast("float64") for n, name in enumerate(names.values())}
    ).to_pyarrow()
    values = {name: np.asarray(read[f"n.{n}"].to_numpy(), dtype=float) for n, name in enumerate(names)}
    for left, right, total in tried:
        gap = np.abs(values[left] * values[right] - values[total])
        known = np.isfinite(gap) & (values[total] != 0)
        fits = gap[known] <= CENT + 1e-4 * np.abs(values[total][known])
        if known.any() and fits.mean() >= ADDS_UP:
            yield left, right, total


def _confirmed(
    lines: ir.Table, names: Mapping[str, str], fitting: Sequence[tuple[str, str, str]]
) -> Iterator[tuple[str, str, str, float]]:
    """Yield the threes that fit all rows, in enough of which neither factor is 1."""
    figures: dict[str, ir.Value] = {}
    for n, (left, right, total) in enumerate(fitting):
        x, y, z = (lines[names[name]].cast("float64") for name in (left, right, total))
        known = (x.notnull() & y.notnull() & (z != 0)).fill_null(False)
        figures[f"share.{n}"] = ((x * y - z).abs() <= CENT + 1e-4 * z.abs()).mean(where=known)
        figures[f"told.{n}"] = (known & (x != 1) & (y != 1)).fill_null(False).cast("int64").sum()
        figures[f"known.{n}"] = known.cast("int64").sum()
        figures[f"filled.{n}"] = (z != 0).fill_null(False).cast("int64").sum()
    if not figures:
        return
    row = lines.aggregate(**figures).to_pyarrow().to_pylist()[0]
    for n, three in enumerate(fitting):
        is_whole = row[f"known.{n}"] >= ADDS_UP * row[f"filled.{n}"]
        if is_whole and row[f"told.{n}"] >= TOLD and (row[f"share.{n}"] or 0) >= ADDS_UP:
            yield (*three, row[f"share.{n}"])


def _ordered(
    lines: ir.Table,
    names: Mapping[str, str],
    facts: Mapping[str, Facts],
    left: str,
    right: str,
    total: str,
    share: float,
) -> Sum:
    """Tell the quantity from the price: by names, whole numbers, one price a product, and by what is less."""

    def rank(name: str, other: str) -> tuple[float, bool, int, float]:
        return (
            score(name, "quantity") - max(score(name, "unit_price"), score(name, "amount")),
            facts[name].whole >= MOST,
            -_products_with_one(lines, names[name], names[other]),
            -float(lines[names[name]].abs().cast("float64").median().execute() or 0),
        )

    quantity, price = (left, right) if rank(left, right) >= rank(right, left) else (right, left)
    return Sum(quantity, price, total, share)


def _products_with_one(lines: ir.Table, value: str, other: str) -> int:
    """Return the number of products that have one value wherever another varies; 0 where others do not."""
    if "product" not in lines.columns:
        return 0
    products = (
        lines.filter(lines["product"].notnull())
        .group_by("product")
        .aggregate(values=lambda rows: rows[value].nunique(), others=lambda rows: rows[other].nunique())
    )
    varied = products.filter(products.others > 1)
    row = varied.aggregate(number=varied.count(), one=(varied["values"] == 1).mean()).to_pyarrow().to_pylist()[0]
    return int(row["number"]) if row["number"] >= SEVERAL and row["one"] >= ALIKE else 0


def _doubted(found: Sum, facts: Mapping[str, Facts], *, several: bool) -> Sum:
    """Say why three columns may be no quantity, price and total: packs, rates of exchange, net and gross."""
    is_money = any(score(found.unit_price, role) >= NAMED for role in ("unit_price", "amount")) or (
        score(found.amount, "amount") >= NAMED
    )
    is_named = score(found.unit_price, "unit_price") >= NAMED and score(found.amount, "amount") >= NAMED
    if several:
        doubt = "so do other columns"
    elif facts[found.quantity].whole < MOST and score(found.quantity, "quantity") < NAMED and not is_named:
        doubt = f"{found.quantity} has no whole numbers, as weights and rates of exchange have none"
    elif facts[found.unit_price].whole >= MOST and facts[found.amount].whole >= MOST and not is_money:
        doubt = "all are whole numbers, as pieces in packs are"
    else:
        return found
    return Sum(found.quantity, found.unit_price, found.amount, found.share, doubt)
