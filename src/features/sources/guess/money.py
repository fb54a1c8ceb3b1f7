"""The money of a line: which columns say it, and which of them adds up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.files.config import NumberStyle
from features.sources.files.trials import distinct_texts, fitting_styles, reads_all
from features.sources.files.values import FACTOR, factor
from features.sources.guess.facts import Facts
from features.sources.guess.mapping import Guess, flow
from features.sources.guess.opened import Opened
from features.sources.guess.words import score

ROLES = ("quantity", "unit_price", "amount", "discount", "refund")
NAMED = 0.3  # least score of a name
ADDS_UP = 0.95  # of the rows
REDUCED = 0.9  # of the orders with a discount
CLEARLY = 0.8  # of a name
CENT = 0.011
OF_ORDERS = 0.9  # of several lines, from which a value is that of the order
ONCE, REPEATED = "once", "on each line"
EQUAL = 0.05  # of the rows: orders of one line, whose total is that of the line
WITHOUT_DECIMALS = ("원", "円", "¥", "₩")  # signs of currencies without small units
LARGEST_QUANTITY = 1_000  # median; above it a column counts no pieces
PAIRS = 4  # products and quantities from which a price is judged


@dataclass(frozen=True)
class Style:
    """The way in which the numbers of a table are written."""

    numbers: NumberStyle
    guesses: Mapping[str, Guess]


def style_of(opened: Opened, facts: Mapping[str, Facts], engine: DuckDB) -> Style:
    """Find the one way to write numbers that reads all values of all columns that are money or quantities."""
    named = {name: max(score(name, role) for role in ROLES) for name, each in facts.items() if each.is_number}
    for least in (NAMED, CLEARLY, 1.0):
        columns = [distinct_texts(opened.table[name], engine) for name, best in named.items() if best >= least]
        if all(reads_all(texts, _plain) for texts in columns):
            return Style(NumberStyle(), {})
        fitting = list(fitting_styles(columns, NumberStyle(), ibis.dtype(FACTOR)))
        if fitting:
            return _style(fitting)
    return Style(NumberStyle(), {})


def _plain(values: ir.Column) -> ir.Column:
    return factor(values, NumberStyle())


def _style(fitting: Sequence[Mapping[str, object]]) -> Style:
    first = fitting[0]
    evidence = "reads all amounts and quantities"
    if first.get("currency_sign") in WITHOUT_DECIMALS and "thousands" in first:
        fitting = [first]
    others = [", ".join(f"{key}: {flow(value)}" for key, value in other.items()) for other in fitting[1:3]]
    guesses = {
        key: Guess(value, evidence, tuple(others), is_open=bool(others) and key in ("decimal", "thousands"))
        for key, value in first.items()
        if (key, value) != ("decimal", ".")
    }
    return Style(NumberStyle(**first), guesses)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Money:
    """The columns of a line's money.

    Attributes
    ----------
    columns : mapping of str to Guess
        amount, or quantity and unit_price; quantity beside amount; order_discount.
    repeated : str, optional
        Column with the total of the order on each of its lines, where that is the amount.
    """

    columns: Mapping[str, Guess]
    repeated: str | None = None


@dataclass(frozen=True)
class _Reading:
    """One way to read the money, and what speaks for it."""

    weight: float
    columns: Mapping[str, str]
    evidence: str
    is_before_discounts: bool = False
    is_repeated: bool = False


def money_of(lines: ir.Table, names: Mapping[str, str], facts: Mapping[str, Facts], engine: DuckDB) -> Money:
    """Find the columns of money.

    Parameters
    ----------
    lines : ibis table
        Typed lines: order, product, and a column of numbers for each of `names`.
    names : mapping of str to str
        Column of the file -> column of `lines`.
    facts : mapping
    engine : DuckDB
    """
    ranked = {
        role: {name: score(name, role) for name in names if score(name, role) >= NAMED * (role != "amount") + 0.05}
        for role in ROLES
    }
    quantities = [
        name
        for name, said in ranked["quantity"].items()
        if said >= CLEARLY or _may_count(lines, names[name], facts[name])
    ]
    readings = sorted(_readings(lines, names, ranked, quantities), key=lambda reading: -reading.weight)
    if not readings:
        return Money(
            {"amount": Guess(None, "no column is called an amount or a price", tuple(names)[:3], is_open=True)}
        )
    best = readings[0]
    others = [
        " x ".join(f"{column}: {name}" for column, name in other.columns.items())
        for other in readings[1:]
        if set(other.columns.values()) != set(best.columns.values())
    ]
    columns = {column: Guess(name, "") for column, name in best.columns.items()}
    said = "amount" if "amount" in columns else "unit_price"
    columns[said] = Guess(best.columns[said], best.evidence, tuple(dict.fromkeys(others))[:2])
    if "quantity" in columns and said == "amount":
        columns["quantity"] = Guess(best.columns["quantity"], "units")
    if best.is_before_discounts:
        columns |= _discount(lines, names, ranked, best.columns)
    return Money(columns, best.columns["amount"] if best.is_repeated else None)


def _may_count(lines: ir.Table, column: str, facts: Facts) -> bool:
    median = lines[column].abs().cast("float64").median().execute()
    return facts.filled > 0 and median is not None and median <= LARGEST_QUANTITY


def _readings(
    lines: ir.Table, names: Mapping[str, str], ranked: Mapping[str, Mapping[str, float]], quantities: Sequence[str]
) -> Iterator[_Reading]:
    priced = {**ranked["amount"], **ranked["unit_price"]}
    stands = {name: _stands(lines, names[name]) for name in priced}
    of_orders = {name for name in priced if stands[name] or _is_more(lines, names, ranked, quantities, name)}
    for quantity, price, amount in product(quantities, priced, ranked["amount"]):
        if len({quantity, price, amount}) == 3 and ranked["amount"][amount] >= NAMED and amount not in of_orders:
            yield from _sums(lines, names, ranked, quantity, price, amount)
    for quantity, price in product(quantities, priced):
        if quantity != price and price not in of_orders:
            yield from _pair(lines, names, ranked, quantity, price)
    for amount, said in priced.items():
        is_price = bool(quantities) and ranked["unit_price"].get(amount, 0) > ranked["amount"].get(amount, 0)
        weight = (2.0 if amount in of_orders or is_price else 4.6) + ranked["amount"].get(amount, 0.6 * said)
        where = (
            "of the order, on its lines once or again and again" if amount in of_orders else "of the line, by its name"
        )
        counted = [name for name in quantities if name != amount and ranked["quantity"][name] >= CLEARLY]
        columns = {"amount": amount} | ({"quantity": counted[0]} if counted else {})
        yield _Reading(weight, columns, f"total {where}", is_repeated=stands[amount] == REPEATED)


def _sums(
    lines: ir.Table, names: Mapping[str, str], ranked: Mapping[str, Mapping[str, float]], q: str, u: str, a: str
) -> Iterator[_Reading]:
    """Yield the amount where it is quantity x price, less a discount where there is one."""
    quantity, price, amount = (lines[names[name]].cast("float64") for name in (q, u, a))
    named = ranked["quantity"][q] + ranked["unit_price"].get(u, 0) + ranked["amount"][a]
    ways = {f"{q} x {u}": quantity * price}
    for d, said in ranked["discount"].items():
        if d not in (q, u, a) and said > ranked["amount"].get(d, 0):
            off = lines[names[d]].cast("float64").fill_null(0).abs()
            ways[f"{q} x {u} - {d}"] = quantity * price - off
            ways[f"{q} x {u} x (1 - {d})"] = quantity * price * (1 - off)
            ways[f"{q} x {u} x (1 - {d}%)"] = quantity * price * (1 - off / 100)
    shares = {
        f"way.{n}": ((way - amount).abs() <= CENT + 1e-4 * amount.abs()).mean() for n, way in enumerate(ways.values())
    }
    figures = lines.aggregate(**shares, varied=(quantity != 1).mean()).to_pyarrow().to_pylist()[0]
    for number, way in enumerate(ways):
        share = figures[f"way.{number}"]
        if share is not None and share >= ADDS_UP and (figures["varied"] or 0) > 0:
            evidence = f"total of the line: {way} gives it in {share:.1%} of the rows"
            columns = {"amount": a, "quantity": q}
            yield _Reading(10 + named + (number > 0), columns, evidence, is_before_discounts=number == 0)
            return


def _pair(
    lines: ir.Table, names: Mapping[str, str], ranked: Mapping[str, Mapping[str, float]], q: str, u: str
) -> Iterator[_Reading]:
    """Yield price or total, by what happens to it where more pieces of the same product are bought."""
    votes = _votes(lines, names[q], names[u])
    as_price = ranked["quantity"][q] + ranked["unit_price"].get(u, 0)
    as_total = ranked["quantity"][q] + ranked["amount"].get(u, 0)
    pair = {"quantity": q, "unit_price": u}
    if votes is None:
        if ranked["unit_price"].get(u, 0) > ranked["amount"].get(u, 0) and ranked["quantity"][q] >= 0.5:
            yield _Reading(
                3.2 + as_price, pair, f"amount = {q} x {u}, by their names; no column has the total to compare"
            )
        return
    share, number = votes
    if share >= 0.6:
        evidence = (
            f"total of the line: it grows with {q} in {share:.0%} of {number} comparisons of a product with itself"
        )
        yield _Reading(5 + as_total, {"amount": u, "quantity": q}, evidence)
    elif share <= 0.4:
        evidence = (
            f"amount = {q} x {u}: the price stays where {q} is larger, in {1 - share:.0%} of {number} comparisons"
        )
        yield _Reading(5 + as_price, pair, evidence, is_before_discounts=True)


def _votes(lines: ir.Table, q: str, u: str) -> tuple[float, int] | None:
    """Return the share of (product, quantity) whose value is nearer to a multiple of the one at the least quantity."""
    if "product" in lines.columns:
        lines = lines.filter(lines["product"].notnull())
    rows = lines.filter((lines[q] > 0) & (lines[u] > 0))
    same = rows["product"] if "product" in lines.columns else ibis.literal("any")
    rows = rows.select(product=same, q=rows[q].cast("float64"), u=rows[u].cast("float64"))
    medians = rows.group_by(["product", "q"]).aggregate(u=rows.u.median())
    medians = medians.mutate(
        least=medians.q.min().over(group_by="product"),
        base=medians.u.first().over(group_by="product", order_by="q"),
    )
    more = medians.filter(medians.q > medians.least)
    grown = more.u / more.base
    votes = more.aggregate(
        share=((grown / (more.q / more.least)).ln().abs() < grown.ln().abs()).mean(), number=more.count()
    )
    row = votes.to_pyarrow().to_pylist()[0]
    return (row["share"], row["number"]) if row["number"] >= PAIRS else None


def _stands(lines: ir.Table, column: str) -> str | None:
    """Return how a value of the order stands there: on one line of it only, or the same on all; None for others."""
    if "order" not in lines.columns:
        return None
    orders = lines.filter(lines.order.notnull()).group_by("order")
    counted = orders.aggregate(
        lines=lambda rows: rows.count(),
        filled=lambda rows: rows[column].count(),
        different=lambda rows: rows[column].nunique(),
    )
    several = counted.filter(counted.lines > 1)
    figures = several.aggregate(once=(several.filled <= 1).mean(), same=(several.different <= 1).mean())
    row = figures.to_pyarrow().to_pylist()[0]
    if (row["once"] or 0) >= OF_ORDERS:
        return ONCE
    return REPEATED if (row["same"] or 0) >= OF_ORDERS else None


def _is_more(
    lines: ir.Table,
    names: Mapping[str, str],
    ranked: Mapping[str, Mapping[str, float]],
    quantities: Sequence[str],
    amount: str,
) -> bool:
    """Check whether an amount is never less than quantity x price, and often more: that of an order with more lines."""
    for quantity, price in product(quantities, ranked["unit_price"]):
        if amount in (quantity, price) or min(ranked["quantity"][quantity], ranked["unit_price"][price]) < CLEARLY:
            continue
        of_line = lines[names[quantity]].cast("float64") * lines[names[price]].cast("float64")
        total = lines[names[amount]].cast("float64")
        figures = lines.aggregate(less=(total < of_line - CENT).mean(), equal=((total - of_line).abs() <= CENT).mean())
        row = figures.to_pyarrow().to_pylist()[0]
        if (row["less"] or 0) <= 1 - ADDS_UP and EQUAL <= (row["equal"] or 0) < ADDS_UP:
            return True
    return False


def _discount(
    lines: ir.Table, names: Mapping[str, str], ranked: Mapping[str, Mapping[str, float]], used: Mapping[str, str]
) -> dict[str, Guess]:
    """Return the discount of a line, or of a whole order, that amounts do not have yet."""
    factors = [lines[names[used[each]]] for each in ("quantity", "unit_price") if "unit_price" in used]
    of_line = factors[0] * factors[1] if factors else lines[names[used["amount"]]]
    priced = lines.mutate(total=of_line)
    amounts = [name for name in ranked["amount"] if name not in used.values() and _stands(lines, names[name])]
    for name, said in sorted(ranked["discount"].items(), key=lambda item: -item[1]):
        reduced = _reduced_orders(priced, names[name])
        if name in used.values() or not int(reduced.count().execute()):
            continue
        stands = _stands(reduced, names[name])
        shares = {amount: _reduced(priced, names[name], names[amount]) for amount in amounts if stands}
        best = max(shares, key=lambda amount: shares[amount], default=None)
        if best is not None and shares[best] >= REDUCED:
            evidence = f"of the whole order: {best} is the lines' total less it, in {shares[best]:.0%} of such orders"
            return {"order_discount": Guess(name, evidence)}
        if said >= CLEARLY and (stands or _fits(priced, names[name])):
            what = "order_discount" if stands else "line_discount"
            of_what = "of the whole order: those that have it have one" if stands else "of the line"
            evidence = (
                f"{of_what}, by its name; null if amounts are after it already: no column has the total to compare"
            )
            return {what: Guess(name, evidence, is_open=True)}
    return {}


def _fits(lines: ir.Table, discount: str) -> bool:
    """Check whether a discount is money, and not more than the lines cost."""
    off = lines[discount].abs()
    fits = (off.fill_null(0) <= lines.total.abs()).mean()
    row = lines.aggregate(fits=fits, largest=off.max().cast("float64")).to_pyarrow().to_pylist()[0]
    return bool(row["largest"] > 1 and row["fits"] >= ADDS_UP)


def _reduced_orders(lines: ir.Table, discount: str) -> ir.Table:
    """Return the lines of orders with a discount; those with one, where nothing tells orders apart."""
    reduced = lines.filter(lines[discount] != 0)
    return lines.semi_join(reduced, "order") if "order" in lines.columns else reduced


def _reduced(lines: ir.Table, discount: str, amount: str) -> float:
    """Return the share of the orders with a discount whose amount is the lines' total less it."""
    orders = lines.group_by("order").aggregate(
        total=lines.total.sum().cast("float64"),
        off=lines[discount].abs().max().cast("float64").fill_null(0),
        said=lines[amount].max().cast("float64"),
    )
    reduced = orders.filter(orders.off > 0)
    share = reduced.aggregate(share=((reduced.total - reduced.off - reduced.said).abs() < CENT).mean())
    return float(share.to_pyarrow().to_pylist()[0]["share"] or 0)
