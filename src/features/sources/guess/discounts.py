"""Discounts beside amounts: are amounts before them, and what do they count?

Money is lost or doubled where this is guessed wrongly. So it is settled by what adds up, or by prices of the same
product with and without a discount; otherwise it is asked for.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from features.sources.files.config import (
    LINE_DISCOUNT,
    LINE_DISCOUNT_PERCENT,
    LINE_DISCOUNT_RATE,
    ORDER_DISCOUNT,
    UNIT_DISCOUNT,
)
from features.sources.guess.given import SAID, Given, column_of
from features.sources.guess.mapping import Guess
from features.sources.guess.words import score, tokens

CENT = 0.011
ADDS_UP = 0.95  # of the rows with a discount
ALIKE, UNLIKE = 0.9, 0.5  # of the comparisons, from which prices are taken for one of two, and no more for the other
COMPARED = 8  # least number of comparisons
NEAR = 0.01  # of a price
NAMED = 0.35  # least score of a name
BESIDE = {"shipping", "freight", "delivery", "postage", "versand", "versandkosten", "porto", "envio", "frete", "tax"}
BESIDE |= {"taxes", "vat", "mwst", "ust", "iva", "tva", "fee", "fees", "tip", "handling"}  # what totals have on top
MOST_BESIDE, MOST_OTHERS = 2, 4  # columns
OF_PERCENT, OF_RATE = {"pct", "percent", "percentage", "prozent", "porcentaje", "percentual"}, {"rate", "share", "率"}
OF_MONEY = {"amount", "value", "amt", "betrag", "importe", "valor", "montant", "importo", "kwota", "сумма"}
MEANINGS = {
    LINE_DISCOUNT: "money off the line",
    UNIT_DISCOUNT: "money off each unit",
    LINE_DISCOUNT_RATE: "a share: 0.1 is 10%",
    LINE_DISCOUNT_PERCENT: "percent: 10 is 10%",
    ORDER_DISCOUNT: "money off the whole order",
}


@dataclass(frozen=True)
class Priced:
    """Typed lines of which amounts are known.

    Attributes
    ----------
    lines : ibis table
        With `value`, the amount of the line, and `count`, its quantity: 1 where it has none.
    names : mapping of str to str
        Column of the file -> column of `lines`.
    used : collection of str
        Columns of the file that amounts are made of.
    percents : collection of str
        Columns of the file whose values have a sign of percent.
    """

    lines: ir.Table
    names: Mapping[str, str]
    used: Collection[str]
    percents: Collection[str] = ()
    has_count: bool = True


@dataclass(frozen=True)
class _Off:
    """A column of discounts: its largest value, and the rows that have one."""

    name: str
    largest: float
    rows: int
    is_percent: bool
    is_counted: bool  # lines have a quantity


def candidates(names: Mapping[str, str]) -> list[str]:
    """Return the columns that are called discounts more than anything else, the best first."""
    named = {name: score(name, "discount") for name in names}
    kept = [name for name, said in named.items() if said >= NAMED and said > max(_other(name), 0.0)]
    return sorted(kept, key=lambda name: -named[name])


def is_on_top(name: str) -> bool:
    """Check whether a column is called after what totals have on top of goods, such as shipping."""
    return bool(BESIDE & set(tokens(name)))


def _other(name: str) -> float:
    return max(score(name, "amount"), score(name, "unit_price"))


def less(value: ir.Value, quantity: ir.Value, off: ir.Value) -> dict[str, ir.Value]:
    """Return what an amount is after a discount, by what the discount counts."""
    return {
        LINE_DISCOUNT: value - off,
        UNIT_DISCOUNT: value - quantity * off,
        LINE_DISCOUNT_RATE: value * (1 - off),
        LINE_DISCOUNT_PERCENT: value * (1 - off / 100),
    }


def given_discounts(given: Given) -> dict[str, Guess] | None:
    """Return the discounts as they are given; None where they are not."""
    said = [key for key in MEANINGS if key in given]
    return {key: Guess(column_of(given, key), SAID) for key in said} if said else None


def discount_of(priced: Priced) -> dict[str, Guess]:
    """Return the discount that amounts do not have yet, with `???` where that cannot be told; none where they have."""
    found = [off for name in candidates(priced.names) if name not in priced.used if (off := _counted(priced, name))]
    undecided: list[tuple[_Off, str, str]] = []
    for off in found:
        settled = _of_order(priced, off) or _by_sums(priced, off)
        if settled:
            return settled
    for off in found:
        settled, seen = _by_prices(priced, off)
        if settled:
            return settled
        undecided.append((off, seen, _stands_key(priced, off)))
    return _asked(undecided) if undecided else {}


def _counted(priced: Priced, name: str) -> _Off | None:
    values = priced.lines[priced.names[name]].abs().cast("float64")
    figures = priced.lines.aggregate(largest=values.max(), rows=(values != 0).cast("int64").sum())
    row = figures.to_pyarrow().to_pylist()[0]
    return _Off(name, row["largest"], row["rows"], name in priced.percents, priced.has_count) if row["rows"] else None


def _forms(off: _Off) -> list[str]:
    """Return what a discount may count, by its name and its values."""
    if off.is_percent:
        return [LINE_DISCOUNT_PERCENT]
    words = set(tokens(off.name))
    if words & OF_PERCENT or "%" in off.name:
        return [LINE_DISCOUNT_RATE] if off.largest < 1 else [LINE_DISCOUNT_PERCENT] if off.largest > 1 else []
    if words & OF_RATE:
        return [LINE_DISCOUNT_RATE] if off.largest <= 1 else [LINE_DISCOUNT_PERCENT]
    of_money = [LINE_DISCOUNT, *([UNIT_DISCOUNT] if off.is_counted else [])]
    if words & OF_MONEY or off.name.endswith(("額", "额", "액")):
        return of_money
    of_share = [LINE_DISCOUNT_RATE] if off.largest <= 1 else [LINE_DISCOUNT_PERCENT] if off.largest <= 100 else []
    return of_money + of_share


def _by_sums(priced: Priced, off: _Off) -> dict[str, Guess] | None:
    """Compare the amount with other columns of money: which is the other less the discount?"""
    lines, names = priced.lines, priced.names
    d = lines[names[off.name]].abs().cast("float64")
    value, count = lines.value.cast("float64"), lines["count"].cast("float64")
    others = [
        name
        for name in names
        if name not in priced.used and name != off.name and _other(name) >= NAMED and score(name, "discount") < NAMED
    ]
    others = sorted(others, key=_other, reverse=True)[:MOST_OTHERS]
    on_top = [name for name in names if is_on_top(name)][:MOST_BESIDE]
    tried: dict[str, tuple[str | None, str, ir.Value]] = {}
    for name in others:
        other = lines[names[name]].cast("float64")
        for added in _some(on_top):
            top = sum((lines[names[each]].cast("float64").fill_null(0) for each in added), start=d * 0)
            with_top = "".join(f" + {each}" for each in added)
            for form in [LINE_DISCOUNT] if added else _forms(off):
                before = less(other, count, d)[form] + top - value
                tried[f"after.{len(tried)}"] = (None, f"{name} less {off.name}{with_top} is the amount", before)
                after = less(value, count, d)[form] + top - other
                tried[f"before.{len(tried)}"] = (form, f"the amount less {off.name}{with_top} is {name}", after)
    if not tried:
        return None
    rows = lines.filter(d != 0)
    fits = {key: (gap.abs() <= CENT).mean() for key, (_, _, gap) in tried.items()}
    found = rows.aggregate(**fits).to_pyarrow().to_pylist()[0]
    for key, (left, evidence, _) in tried.items():
        if (found[key] or 0) >= ADDS_UP:
            said = f"{evidence} in {found[key]:.0%} of the {off.rows:,} rows with a discount"
            return {left: Guess(off.name, said)} if left else {LINE_DISCOUNT: Guess(None, f"none is left: {said}")}
    return None


def _some(columns: Sequence[str]) -> Iterator[list[str]]:
    for number in range(2 ** len(columns)):
        yield [name for place, name in enumerate(columns) if number >> place & 1]


def _by_prices(priced: Priced, off: _Off) -> tuple[dict[str, Guess] | None, str]:
    """Compare prices of a product with a discount and without; return also what was seen where that settles nothing."""
    lines = priced.lines
    if "product" not in lines.columns:
        return None, ""
    lines = lines.filter(lines["product"].notnull() & (lines["count"] > 0) & (lines.value > 0))
    d = lines[priced.names[off.name]].abs().cast("float64").fill_null(0)
    rows = lines.select(
        product=lines["product"], off=d, count=lines["count"].cast("float64"), value=lines.value.cast("float64")
    )
    whole = rows.filter(rows.off == 0).group_by("product").aggregate(base=(rows.value / rows["count"]).median())
    both = rows.filter(rows.off != 0).join(whole, "product")
    at_base = both.base * both["count"]
    near = {"gross": (both.value / at_base - 1).abs() <= NEAR}
    forms = _forms(off)
    near |= {
        form: (both.value - less(at_base, both["count"], both.off)[form]).abs() <= NEAR * at_base for form in forms
    }
    found = both.aggregate(number=both.count(), **{key: each.mean() for key, each in near.items()})
    row = found.to_pyarrow().to_pylist()[0]
    if row["number"] < COMPARED:
        return None, ""
    gross, net = row["gross"] or 0, max((row[form] or 0 for form in forms), default=0)
    if net >= ALIKE and gross <= UNLIKE:
        said = (
            f"none is left: prices of a product are lower by {off.name} already, in {net:.0%} of {row['number']} rows"
        )
        return {LINE_DISCOUNT: Guess(None, said)}, ""
    if gross < ALIKE or net > UNLIKE:
        return None, ""
    said = f"prices of a product are the same with {off.name} and without, in {gross:.0%} of {row['number']} rows"
    return ({forms[0]: Guess(off.name, said)} if len(forms) == 1 else None), said


def _stands_key(priced: Priced, off: _Off) -> str:
    """Return the key that is left open: of the order where its lines have one discount, or one of them has it."""
    lines = priced.lines
    if "order" not in lines.columns:
        return LINE_DISCOUNT
    rows = lines.filter(lines.order.notnull()).select("order", off=lines[priced.names[off.name]])
    orders = rows.group_by("order").aggregate(
        lines=rows.count(),
        filled=rows.off.count(),
        different=rows.off.nunique(),
        off=(rows.off != 0).cast("int64").sum(),
    )
    several = orders.filter((orders.lines > 1) & (orders.off > 0))
    row = several.aggregate(
        number=several.count(), once=(several.filled <= 1).mean(), same=(several.different <= 1).mean()
    )
    figures = row.to_pyarrow().to_pylist()[0]
    stands = figures["number"] and max(figures["once"] or 0, figures["same"] or 0) >= ALIKE
    return ORDER_DISCOUNT if stands else LINE_DISCOUNT


def _of_order(priced: Priced, off: _Off) -> dict[str, Guess] | None:
    """Find a discount of the whole order: one column has the lines' total less it."""
    lines, names = priced.lines, priced.names
    if "order" not in lines.columns or _stands_key(priced, off) != ORDER_DISCOUNT:
        return None
    amounts = [name for name in names if name not in priced.used and score(name, "amount") >= NAMED]
    totals = {f"said.{n}": lines[names[name]].max().cast("float64") for n, name in enumerate(amounts)}
    orders = lines.group_by("order").aggregate(
        total=lines.value.sum().cast("float64"),
        off=lines[names[off.name]].abs().max().cast("float64").fill_null(0),
        **totals,
    )
    reduced = orders.filter(orders.off > 0)
    fits = {key: ((reduced.total - reduced.off - reduced[key]).abs() < CENT).mean() for key in totals}
    row = reduced.aggregate(**fits).to_pyarrow().to_pylist()[0] if fits else {}
    for key, name in zip(totals, amounts, strict=True):
        if (row[key] or 0) >= ALIKE:
            evidence = f"of the whole order: {name} is the lines' total less it, in {row[key]:.0%} of such orders"
            return {ORDER_DISCOUNT: Guess(off.name, evidence)}
    return None


def _asked(undecided: Sequence[tuple[_Off, str, str]]) -> dict[str, Guess]:
    """Leave the discount open, with the argument of `init` for each reading."""
    off, seen, key = undecided[0]
    forms = ([ORDER_DISCOUNT] if key == ORDER_DISCOUNT else []) + _forms(off)
    ways = tuple(f"{form}={shlex.quote(off.name)} ({MEANINGS[form]})" for form in forms)
    further = [other.name for other, _, _ in undecided[1:]]
    said = f"{off.name} is not 0 in {off.rows:,} rows, and nothing adds up that tells if amounts are before it"
    said += f"; {seen}" if seen else ""
    said += f"; likewise {', '.join(further)}" if further else ""
    return {key: Guess(None, said, (*ways, f"{key}=none (amounts are after it)"), is_open=True)}
