"""Columns that no name explains and that may be the quantity of a line: small whole numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import ibis.expr.types as ir

from features.sources.guess.facts import MOST, Facts
from features.sources.guess.given import Given
from features.sources.guess.words import ROLES, phrases, score, tokens

NAMED = 0.3  # least score of a name
NEARLY_ALL = 0.95  # of the rows have at least one piece
SMALL = 20  # median of a quantity that no name says
ALIKE = 0.9  # of the orders, products or customers, from which a value is theirs and not the line's
SEVERAL = 3  # products
CENT = 0.011
ELSE = (
    "id, no, nr, line, row, pos, position, index, seq, month, year, week, weekday, day, hour, age, rating, score, "
    "stars, review, category, group, class, cluster, segment, installments, size, level, rank, points, version, page"
)


def without_names(facts: Mapping[str, Facts], taken: Sequence[str]) -> list[str]:
    """Return the columns of numbers whose names say neither a role nor anything else."""
    return [
        name
        for name, each in facts.items()
        if each.is_number and each.dated < MOST and each.distinct > 1 and name not in taken and is_unexplained(name)
    ]


def is_unexplained(name: str) -> bool:
    """Check that a name says neither a role nor anything else.

    >>> is_unexplained("col7"), is_unexplained("Preis"), is_unexplained("age")
    (True, False, False)
    """
    is_else = any((word,) in phrases(ELSE) for word in tokens(name))
    return not is_else and max(score(name, role) for role in ROLES) < NAMED


def may_count(names: Sequence[str], facts: Mapping[str, Facts], given: Given, numbers: Mapping[str, str]) -> list[str]:
    """Return those of the columns without names that are whole numbers, where no column says the quantity."""
    if {"amount", "quantity"} & given.keys() or any(_is_called_quantity(name) for name in numbers):
        return []
    return [name for name in names if facts[name].whole >= MOST]


def _is_called_quantity(name: str) -> bool:
    """Check that a name says a quantity, and money no more than that: `zzAmount` is money."""
    said = score(name, "quantity")
    return said >= NAMED and said >= max(score(name, "amount"), score(name, "unit_price"))


def counts_among(lines: ir.Table, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the columns with small whole numbers of at least one that are neither an order's nor a product's own.

    Parameters
    ----------
    lines : ibis table
        Typed lines: order, product and customers as far as they are known, and a column of numbers for each of `names`.
    names : mapping of str to str
        Column of the file -> column of `lines`.
    """
    keys = [name for name in lines.columns if name in ("order", "product") or name.startswith("customer.")]
    for name, column in names.items():
        value = lines[column].cast("float64")
        figures = lines.aggregate(
            least_one=(value >= 1).fill_null(False).mean(),
            one=(value == 1).sum(),
            more=(value > 1).sum(),
            median=value.median(),
        )
        row = figures.to_pyarrow().to_pylist()[0]
        is_small = (row["least_one"] or 0) >= NEARLY_ALL and row["one"] and row["more"] and row["median"] <= SMALL
        if is_small and not any(_is_of(lines, key, column) for key in keys):
            yield name, column


def _is_of(lines: ir.Table, key: str, column: str) -> bool:
    """Check whether a value is the same on all lines of an order, product or customer, or numbers the lines."""
    groups = lines.filter(lines[key].notnull() & lines[column].notnull()).group_by(key)
    counted = groups.aggregate(
        lines=lambda rows: rows.count(),
        different=lambda rows: rows[column].nunique(),
        least=lambda rows: rows[column].min(),
        most=lambda rows: rows[column].max(),
    )
    several = counted.filter((counted.lines > 1) & (counted.most > 1))
    is_number = (several.least == 1) & (several.most == several.lines) & (several.different == several.lines)
    figures = several.aggregate(same=(several.different == 1).mean(), numbers=is_number.mean())
    row = figures.to_pyarrow().to_pylist()[0]
    return max(row["same"] or 0, row["numbers"] or 0) >= ALIKE


def products_at_one_price(lines: ir.Table, count: str, price: str) -> int:
    """Return the number of products that cost the same wherever a count varies: 0 where others do not."""
    if "product" not in lines.columns:
        return 0
    rows = lines.filter(lines["product"].notnull() & (lines[price] > 0))
    products = rows.group_by("product").aggregate(
        counts=lambda each: each[count].nunique(), prices=lambda each: each[price].nunique()
    )
    varied = products.filter(products.counts > 1)
    row = varied.aggregate(products=varied.count(), same=(varied.prices == 1).mean()).to_pyarrow().to_pylist()[0]
    return int(row["products"]) if row["products"] >= SEVERAL and row["same"] >= ALIKE else 0


def adds_up_to(lines: ir.Table, count: str, price: str, total: str) -> str | None:
    """Return `times` where a total of orders is the sum of count x price, `alone` where it is that of prices.

    Only orders with a count above one can tell.
    """
    known = lines.filter(lines.order.notnull())
    orders = known.group_by("order").aggregate(
        total=known[total].max(),
        alone=known[price].sum(),
        times=(known[price] * known[count]).sum(),
        most=known[count].max(),
    )
    told = orders.filter(orders.most > 1)
    shares = {way: ((told[way] - told.total).cast("float64").abs() <= CENT).mean() for way in ("alone", "times")}
    row = told.aggregate(**shares).to_pyarrow().to_pylist()[0]
    found = [way for way in shares if (row[way] or 0) >= NEARLY_ALL]
    return found[0] if len(found) == 1 else None
