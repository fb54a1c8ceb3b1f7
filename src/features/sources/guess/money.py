"""The money of a line: which columns say it, and which of them adds up."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.files.config import (
    LINE_DISCOUNT,
    LINE_DISCOUNT_PERCENT,
    LINE_DISCOUNT_RATE,
    UNIT_DISCOUNT,
    NumberStyle,
)
from features.sources.files.trials import distinct_texts, fitting_styles
from features.sources.files.values import FACTOR, factor
from features.sources.guess.counts import CENT, adds_up_to, products_at_one_price, without_names
from features.sources.guess.discounts import Priced, candidates, discount_of, given_discounts, less
from features.sources.guess.facts import MOST, Facts
from features.sources.guess.given import COLUMNS, SAID, Given, column_of
from features.sources.guess.mapping import Guess, flow
from features.sources.guess.opened import Opened
from features.sources.guess.sums import Sum
from features.sources.guess.unspent import after_fees, running
from features.sources.guess.words import score, tokens

ROLES = ("quantity", "unit_price", "amount", "discount", "refund")
MONEY_OF_LINES = ("amount", "quantity", "unit_price")
OF_MONEY = ("amount", "unit_price")
NAMED = 0.3  # least score of a name
ADDS_UP = 0.95  # of the rows
CLEARLY = 0.8  # of a name
FILLED = 0.95  # of the rows that another column of money has, from which one is that of lines
OF_ORDERS = 0.9  # of several lines, from which a value is that of the order
ONCE, REPEATED = "once", "on each line"
EQUAL = 0.05  # of the rows: orders of one line, whose total is that of the line
WITHOUT_DECIMALS = ("원", "円", "¥", "₩")  # signs of currencies without small units
LARGEST_QUANTITY = 1_000  # median; above it a column counts no pieces
OF_LINES = 4.0  # weight, from which a reading is of lines and no total of orders
TOLD = 4  # columns that may be a quantity
PER = {"per", "unit", "unitario", "unitaire", "unitar", "einzelpreis", "stuckpreis", "stukprijs", "styckpris"}
PER |= {"stykpris", "enhedspris", "enhetspris", "yksikkohinta", "kappalehinta", "egysegar", "jednostkowa", "jednotkova"}
PER |= {"birim", "μοναδας", "единицу", "单价", "単価", "단가", "pro", "je"}
PAIRS = 4  # products and quantities from which a price is judged


@dataclass(frozen=True)
class Style:
    """The way in which the numbers of a table are written."""

    numbers: NumberStyle
    guesses: Mapping[str, Guess]


def style_of(opened: Opened, facts: Mapping[str, Facts], engine: DuckDB, given: Given = MappingProxyType({})) -> Style:
    """Find the one way to write numbers that reads all values of all columns that are money or quantities.

    Where no name says money, columns that no name explains are read likewise.
    """
    said = {column_of(given, role) for role in MONEY_OF_LINES}
    numbers = [name for name, each in facts.items() if each.is_number]
    named = {name: 1.0 if name in said else max(score(name, role) for role in ROLES) for name in numbers}
    has_money = any(name in said or max(score(name, role) for role in OF_MONEY) >= NAMED for name in numbers)
    if not has_money:
        named |= {name: NAMED / 2 for name in without_names(facts, [name for name in named if named[name] >= NAMED])}
    for least in ([] if has_money else [NAMED / 2]) + [NAMED, CLEARLY, 1.0]:
        names = [name for name, best in named.items() if best >= least]
        if _are_plain(opened, names):
            return Style(NumberStyle(), {})
        columns = [distinct_texts(opened.table[name], engine) for name in names]
        fitting = list(fitting_styles(columns, NumberStyle(), ibis.dtype(FACTOR)))
        if fitting:
            return _style(fitting)
    return Style(NumberStyle(), {})


def _are_plain(opened: Opened, names: Sequence[str]) -> bool:
    """Check whether all texts of some columns are read as numbers without a declaration, in one pass."""
    texts = [opened.table[name].cast("string") for name in names]
    unread = [(each.notnull() & factor(each, NumberStyle()).isnull()).any() for each in texts]
    if not unread:
        return True
    found = opened.table.aggregate(**{str(n): each for n, each in enumerate(unread)})
    return not any(found.to_pyarrow().to_pylist()[0].values())


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
    is_before_discounts: bool = True
    is_repeated: bool = False
    price: str | None = None  # that is known to give the amount
    sum: Sum | None = None  # of columns that no name explains


def money_of(
    lines: ir.Table,
    names: Mapping[str, str],
    facts: Mapping[str, Facts],
    given: Given,
    counts: Sequence[str] = (),
    sums: Sequence[Sum] = (),
    unnamed: Mapping[str, str] = MappingProxyType({}),
    customer: str | None = None,
) -> Money:
    """Find the columns of money.

    Parameters
    ----------
    lines : ibis table
        Typed lines: order, product, and a column of numbers for each of `names`.
    names : mapping of str to str
        Column of the file -> column of `lines`.
    facts : mapping
    given : mapping
    counts : sequence of str
        Columns of the file that may be the quantity although no name says it.
    sums : sequence of Sum
        Columns that add up although no name explains all of them.
    unnamed : mapping of str to str
        Columns of numbers that no name explains, likewise.
    customer : str, optional
        Column of `lines`.
    """
    ranked = {role: _ranked(names, role, given) for role in ROLES}
    priced = [name for name in {**ranked["amount"], **ranked["unit_price"]} if name not in given.values()]
    balances = running(lines, {**names, **unnamed}, customer, priced)
    ranked = {
        role: {name: each for name, each in said.items() if name not in balances} for role, said in ranked.items()
    }
    quantities = [
        name
        for name, said in ranked["quantity"].items()
        if said >= CLEARLY or _may_count(lines, names[name], facts[name])
    ]
    ranked = {
        role: {name: said for name, said in named.items() if name not in counts} for role, named in ranked.items()
    }
    ranked["quantity"] |= dict.fromkeys(counts, 0.0)
    quantities += counts
    fees = after_fees(lines, {**names, **unnamed}, [*{**ranked["amount"], **ranked["unit_price"]}])
    readings = [*_readings(lines, names, facts, ranked, quantities, fees)]
    readings = sorted([*readings, *_unnamed(readings, ranked, sums)], key=lambda reading: -reading.weight)
    readings = _as_given(readings, given)
    if not readings and isinstance(given.get("unit_price"), str):
        return Money(_priced_alone(str(given["unit_price"]), ranked["quantity"]))
    if not readings:
        sums_of = [f"{name} is the sum of {added} so far, of each customer; " for name, added in balances.items()]
        evidence = f"{''.join(sums_of)}no {'other ' if balances else ''}column is called an amount or a price"
        left = tuple(name for name in names if name not in balances)[:3]
        return Money({"amount": Guess(None, evidence, left, is_open=True)})
    best = readings[0]
    if best.sum and best.sum.doubt:
        return Money({"amount": _which(best.sum, sums)})
    counted = _counted(lines, names, ranked, counts, best) if counts and not best.sum else best
    if isinstance(counted, Guess):
        return Money({"amount": counted})
    best = counted
    if best.columns.keys() == {"amount"} and is_of_unit(best.columns["amount"]) and "amount" not in given:
        return Money({"amount": _multiplied(best.columns["amount"], [*names, *unnamed])})
    others = [
        " x ".join(f"{column}: {name}" for column, name in other.columns.items())
        for other in readings[1:]
        if set(other.columns.values()) != set(best.columns.values()) and (other.price or not best.price)
    ]  # beside quantity x price = amount, other pairs that were not seen to add up are none
    columns = {column: Guess(name, "") for column, name in best.columns.items()}
    said = "amount" if "amount" in columns else "unit_price"
    columns[said] = Guess(best.columns[said], best.evidence, tuple(dict.fromkeys(others))[:2])
    if "quantity" in columns and said == "amount":
        columns["quantity"] = Guess(best.columns["quantity"], "units")
    discounts = given_discounts(given)
    if best.is_before_discounts and not best.is_repeated and discounts is None:
        discounts = discount_of(_priced(lines, names, facts, best))
    columns |= discounts or {}
    return Money(columns, best.columns["amount"] if best.is_repeated else None)


def _unnamed(
    readings: Sequence[_Reading], ranked: Mapping[str, Mapping[str, float]], sums: Sequence[Sum]
) -> Iterator[_Reading]:
    """Yield what adds up although no name says so: the money, unless names say other money of lines."""
    named = {
        name
        for each in readings
        for role, name in each.columns.items()
        if each.weight > OF_LINES and role != "quantity" and max(ranked[of].get(name, 0) for of in OF_MONEY) >= NAMED
    }
    for each in sums:
        is_other = bool(named - {each.amount, each.unit_price})
        known = ranked["quantity"].get(each.quantity, 0) + ranked["amount"].get(each.amount, 0)
        weight = 1.0 if is_other else 10 + known - bool(each.doubt)
        columns = {"amount": each.amount, "quantity": each.quantity}
        yield _Reading(weight, columns, f"total of the line: {each.evidence}", price=each.unit_price, sum=each)


def _which(best: Sum, sums: Sequence[Sum]) -> Guess:
    """Leave the amount open where columns add up, and yet may be no quantity, price and total."""
    first = {each.amount: each for each in reversed([best, *sums])}
    said = "; ".join(each.evidence for each in first.values())
    return Guess(None, f"{said}: {best.doubt}", tuple(each.way for each in first.values()), is_open=True)


def is_of_unit(name: str) -> bool:
    """Check whether a column is called the price of one unit.

    >>> is_of_unit("Price per kg"), is_of_unit("Stückpreis"), is_of_unit("Price"), is_of_unit("Units")
    (True, True, False, False)
    """
    return bool(PER & set(tokens(name))) and score(name, "unit_price") >= NAMED


def _multiplied(price: str, numbers: Sequence[str]) -> Guess:
    """Leave the amount open where there is the price of a unit, and no column is called a quantity."""
    said, counts = shlex.quote(price), [shlex.quote(name) for name in numbers if name != price][:TOLD] or ["..."]
    ways = (*(f"quantity={count} unit_price={said}" for count in counts), f"amount={said} (each line is one piece)")
    return Guess(None, f"{price} is the price of a unit, and no column is called a quantity", ways, is_open=True)


def _priced_alone(price: str, quantities: Mapping[str, float]) -> dict[str, Guess]:
    """Return a price that is given with the quantity of the best name; asked for where no name says one."""
    guesses = {"unit_price": Guess(price, SAID)}
    named = sorted((name for name in quantities if quantities[name]), key=lambda name: -quantities[name])
    if named:
        return guesses | {"quantity": Guess(named[0], "by its name", tuple(named[1:3]))}
    said, counts = shlex.quote(price), [shlex.quote(name) for name in quantities] or ["..."]
    ways = (*(f"quantity={count} unit_price={said}" for count in counts), f"amount={said} (each line is one piece)")
    return guesses | {"quantity": Guess(None, "no column is called a quantity", ways, is_open=True)}


def _priced(lines: ir.Table, names: Mapping[str, str], facts: Mapping[str, Facts], reading: _Reading) -> Priced:
    """Return the lines with their amounts as a reading has them."""
    columns = reading.columns
    count = lines[names[columns["quantity"]]] if "quantity" in columns else ibis.literal(1)
    price = lines[names[columns["unit_price"]]] if "unit_price" in columns else None
    value = lines[names[columns["amount"]]] if price is None else count * price
    used = [*columns.values(), *([reading.price] if reading.price else [])]
    percents = [name for name in names if facts[name].is_share]
    return Priced(lines.mutate(value=value, count=count), names, used, percents, "quantity" in columns)


def _ranked(names: Mapping[str, str], role: str, given: Given) -> dict[str, float]:
    """Return the columns that may have a role of money, and how well their names say so."""
    if role in given:
        column = column_of(given, role)
        return {column: 1.0} if column in names and column is not None else {}
    taken = {given[other] for other in COLUMNS if given.get(other) is not None}
    least = NAMED * (role != "amount") + 0.05
    return {name: score(name, role) for name in names if name not in taken and score(name, role) >= least}


def _as_given(readings: Sequence[_Reading], given: Given) -> list[_Reading]:
    """Return the readings that have each column that is given; they alone, where none of these has."""
    said = {role: given[role] for role in MONEY_OF_LINES if role in given}
    found = [each for each in readings if all(each.columns.get(role) == name for role, name in said.items())]
    columns = {role: name for role, name in said.items() if isinstance(name, str)}
    if not found and (columns.keys() >= {"amount"} or columns.keys() >= {"quantity", "unit_price"}):
        return [_Reading(0, columns, SAID)]
    return found


def _counted(
    lines: ir.Table,
    names: Mapping[str, str],
    ranked: Mapping[str, Mapping[str, float]],
    counts: Sequence[str],
    best: _Reading,
) -> _Reading | Guess:
    """Settle by totals of orders if a price is to be multiplied by a column that no name explains, or ask."""
    if best.is_repeated or ("amount" in best.columns and best.columns.get("quantity") in counts):
        return best
    price = best.columns.get("unit_price") or best.columns["amount"]
    totals = [name for name in ranked["amount"] if name not in (price, *counts) and stands(lines, names[name])]
    is_price = ranked["unit_price"].get(price, 0) > ranked["amount"].get(price, 0)
    for count in counts:
        products = products_at_one_price(lines, names[count], names[price])
        if not products and not is_price:
            continue
        for total in totals:
            way = adds_up_to(lines, names[count], names[price], names[total])
            if way == "times":
                columns = {"quantity": count, "unit_price": price}
                return _Reading(0, columns, f"amount = {count} x {price}: orders add up to {total}")
            if way == "alone":
                return _Reading(0, {"amount": price}, f"total of the line: orders add up to {total}")
        said = (
            f"{price} is the same for each of {products:,} products" if products else f"{price} may be that of a piece"
        )
        return Guess(
            None,
            f"{said}, and {count}, which no name explains, has small whole numbers as quantities have: "
            "no total says whether they are multiplied",
            (
                f"amount={shlex.quote(price)} (total of the line)",
                f"quantity={shlex.quote(count)} unit_price={shlex.quote(price)} (multiplied)",
            ),
            is_open=True,
        )
    return best


def _may_count(lines: ir.Table, column: str, facts: Facts) -> bool:
    median = lines[column].abs().cast("float64").median().execute()
    return facts.whole >= MOST and median is not None and median <= LARGEST_QUANTITY


def _readings(
    lines: ir.Table,
    names: Mapping[str, str],
    facts: Mapping[str, Facts],
    ranked: Mapping[str, Mapping[str, float]],
    quantities: Sequence[str],
    fees: Mapping[str, tuple[str, str]],
) -> Iterator[_Reading]:
    priced = {**ranked["amount"], **ranked["unit_price"]}
    most = max((facts[name].filled for name in priced), default=0)
    gaps = {name for name in priced if facts[name].filled < FILLED * most}
    placed = {name: stands(lines, names[name]) for name in priced}
    of_lines = {name for name in priced if quantities and _is_price(name, ranked)}  # however many cost the same
    of_orders = {name for name in priced if placed[name] or _is_more(lines, names, ranked, quantities, name)} - of_lines
    for quantity, price, amount in product(quantities, priced, ranked["amount"]):
        if len({quantity, price, amount}) == 3 and ranked["amount"][amount] >= NAMED and amount not in of_orders:
            yield from _sums(lines, names, ranked, quantity, price, amount)
    priced = {name: said for name, said in priced.items() if name not in fees}
    less_fees = {before: said for before, said in fees.values()}
    for quantity, price in product(quantities, priced):
        is_known = ranked["quantity"][quantity] > 0 or "product" in lines.columns
        if quantity != price and price not in of_orders and is_known:
            yield from _pair(lines, names, ranked, quantity, price)
    for amount, said in priced.items():
        is_price = any(ranked["quantity"][name] > 0 for name in quantities) and ranked["unit_price"].get(
            amount, 0
        ) > ranked["amount"].get(amount, 0)
        weight = (2.0 if amount in of_orders | gaps or is_price else 4.6) + ranked["amount"].get(amount, 0.6 * said)
        where = (
            "of the order, on its lines once or again and again" if amount in of_orders else "of the line, by its name"
        )
        where += f"; {less_fees[amount]}: fees are no discount of the customer" if amount in less_fees else ""
        counted = [name for name in quantities if name != amount and ranked["quantity"][name] >= CLEARLY]
        columns = {"amount": amount} | ({"quantity": counted[0]} if counted else {})
        yield _Reading(
            weight, columns, f"total {where}", is_repeated=amount in of_orders and placed[amount] == REPEATED
        )


def _is_price(name: str, ranked: Mapping[str, Mapping[str, float]]) -> bool:
    said = ranked["unit_price"].get(name, 0)
    return said >= CLEARLY and said > ranked["amount"].get(name, 0)


def _sums(
    lines: ir.Table, names: Mapping[str, str], ranked: Mapping[str, Mapping[str, float]], q: str, u: str, a: str
) -> Iterator[_Reading]:
    """Yield the amount where it is quantity x price, less a discount where there is one."""
    quantity, price, amount = (lines[names[name]].cast("float64") for name in (q, u, a))
    named = ranked["quantity"][q] + ranked["unit_price"].get(u, 0) + ranked["amount"][a]
    ways: list[tuple[str, ir.Value]] = [(f"{q} x {u}", quantity * price)]
    offs = {d: lines[names[d]].cast("float64").fill_null(0).abs() for d in candidates(names) if d not in (q, u, a)}
    for d, off in offs.items():
        said = {
            LINE_DISCOUNT: f"{q} x {u} - {d}",
            UNIT_DISCOUNT: f"{q} x ({u} - {d})",
            LINE_DISCOUNT_RATE: f"{q} x {u} x (1 - {d})",
            LINE_DISCOUNT_PERCENT: f"{q} x {u} x (1 - {d} / 100)",
        }
        ways += [(said[form], way) for form, way in less(quantity * price, quantity, off).items()]
    if len(offs) > 1:
        together = sum(offs.values(), start=quantity * 0)
        ways.append((f"{q} x {u} - {' - '.join(offs)}", quantity * price - together))
    shares = {
        f"way.{n}": ((way - amount).abs() <= CENT + 1e-4 * amount.abs()).mean() for n, (_, way) in enumerate(ways)
    }
    varied = ibis.or_(quantity != 1, *(off != 0 for off in offs.values()))
    figures = lines.aggregate(**shares, varied=varied.mean()).to_pyarrow().to_pylist()[0]
    best = max(range(len(ways)), key=lambda number: figures[f"way.{number}"] or 0)
    share = figures[f"way.{best}"] or 0
    if share >= ADDS_UP and (figures["varied"] or 0) > 0:
        evidence = f"total of the line: {ways[best][0]} gives it in {share:.1%} of the rows"
        columns = {"amount": a, "quantity": q}
        yield _Reading(10 + named + (best > 0), columns, evidence, is_before_discounts=best == 0, price=u)


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
    elif share <= 0.4 and ranked["quantity"][q] > 0:
        evidence = (
            f"amount = {q} x {u}: the price stays where {q} is larger, in {1 - share:.0%} of {number} comparisons"
        )
        yield _Reading(5 + as_price, pair, evidence)


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


def stands(lines: ir.Table, column: str) -> str | None:
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
