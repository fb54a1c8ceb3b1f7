"""Orders and their customers: which columns say them, and what tells orders apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import ibis
import ibis.expr.types as ir

from features.sources.files.config import DAY
from features.sources.files.values import normal_id
from features.sources.guess.counts import is_unexplained
from features.sources.guess.facts import Facts
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.times import Time
from features.sources.guess.words import CLEAR, LOOSE, score, tokens
from features.sources.meanings import NO_NUMBER, NOBODY

NAMED = 0.3
AS_GOOD = 0.35  # of a name's score below the best, within which the values decide
ONE_EACH = 0.98  # customers per order: an id that is given anew with each order
FEW = 0.2  # share of orders over several days that are still orders, or of names that are those of several customers
FEW_LACK = 0.05  # share of the rows that may lack the number of their order
TRIED = 4  # columns
FEW_LINES = 0.05  # orders per row: an order has no more than twenty lines
BARE = tuple(
    (word,) for word in ("id", "no", "nr", "number", "key", "code", "kod", "codigo", "codice", "код")
)  # of what?
LONGEST = 60  # days that an order may span
CALLED = r"(name|nombre|nom|nome|naam|namn|navn|nimi|nazwa|имя)$"  # how a word of a name says so


@dataclass(frozen=True)
class Identity:
    """Columns that tell orders and customers apart.

    Attributes
    ----------
    guesses : mapping of str to Guess
        Keys within data.tables.transactions, such as columns.order_id or order_key.
    order_spans_days : Guess or None
    """

    guesses: Mapping[str, Guess]
    order_spans_days: Guess | None = None


@dataclass(frozen=True)
class Numbered:
    """The column that numbers orders.

    Attributes
    ----------
    column : str or None
    doubt : str
        Why it is not settled: nothing where the name says it, or where there is no such column.
    """

    column: str | None
    doubt: str = ""
    is_given: bool = False


@dataclass(frozen=True)
class _Seen:
    """The rows on which values of a column stand.

    Attributes
    ----------
    lacking : float
        Share of the rows without a value.
    is_order : bool
        Nearly all values are of one day.
    comes_back : bool
        Values stand on several rows.
    near : bool
        These are next to each other.
    """

    lacking: float
    is_order: bool
    comes_back: bool
    near: bool


def ranked(facts: Mapping[str, Facts], role: str, taken: Sequence[str] = ()) -> list[str]:
    """Return the columns that may have a role by their names, the best first."""
    named = {
        name: score(name, role)
        for name, each in facts.items()
        if each.filled and each.distinct > 1 and name not in taken
    }
    return sorted(
        (name for name in named if named[name] >= NAMED), key=lambda name: (-named[name], -facts[name].filled)
    )


def pick_order(opened: Opened, facts: Mapping[str, Facts], time: Time) -> Numbered:
    """Find the column that numbers orders: by its name, and by the rows on which its values stand."""
    named = [
        name
        for name in ranked(facts, "order_id", time.columns)
        if facts[name].dated < 0.5 and not (facts[name].is_number and facts[name].whole < 0.5)
    ][:TRIED]
    seen = {name: _seen(opened, facts, time, name) for name in named}
    kept = [name for name in named if seen[name].is_order or score(name, "order_id") > LOOSE]
    whole = [name for name in kept if seen[name].lacking <= FEW_LACK]
    if whole:
        best = score(whole[0], "order_id")
        near = [name for name in whole if score(name, "order_id") >= best - AS_GOOD]
        column = next((name for name in near if seen[name].is_order and seen[name].comes_back), whole[0])
        return Numbered(column)
    bare = [name for name in facts if tokens(name) in BARE and facts[name].dated < 0.5 and name not in time.columns]
    for name in [*bare, *([] if kept else _without_names(facts, opened.rows, time))]:
        if (it := _seen(opened, facts, time, name)).is_order and it.comes_back and it.near and it.lacking <= FEW_LACK:
            evidence = "no column is called an order; values of this one stand on neighbouring lines of one day each"
            return Numbered(name, evidence)
    if not kept and _are_orders(opened, facts, time):
        every = [name for name in bare if facts[name].filled == facts[name].distinct == opened.rows]
        if every:
            return Numbered(every[0])
    if kept:
        said = ", ".join(f"{name} is empty in {seen[name].lacking:.0%} of the rows" for name in kept)
        return Numbered(None, f"no column numbers all orders: {said}")
    return Numbered(None)


def _are_orders(opened: Opened, facts: Mapping[str, Facts], time: Time) -> bool:
    """Check whether each row is an order: hardly two have the same customer at the same time of a day."""
    if not time.columns:
        return False
    table = opened.table
    moment = time.read(table)
    rows = table.select(time=moment, **{name: table[name] for name in ranked(facts, "customer_id", time.columns)[:1]})
    figures = rows.aggregate(hours=(rows.time != rows.time.truncate("D")).any(), rows=rows.count())
    row = figures.to_pyarrow().to_pylist()[0]
    return bool(row["hours"]) and int(rows.distinct().count().execute()) >= ONE_EACH * row["rows"]


def _without_names(facts: Mapping[str, Facts], rows: int, time: Time) -> list[str]:
    """Return the columns without a name that may number orders, those with most values first."""
    may_be = [
        name
        for name, each in facts.items()
        if name not in time.columns
        and FEW_LINES * rows <= each.distinct < ONE_EACH * rows
        and each.dated < 0.5
        and each.mail < 0.5
        and not (each.is_number and each.whole < 0.5)
        and is_unexplained(name)
    ]
    return sorted(may_be, key=lambda name: -facts[name].distinct)[:TRIED]


def _seen(opened: Opened, facts: Mapping[str, Facts], time: Time, name: str) -> _Seen:
    """Count the rows on which values of a column stand, of those that have money."""
    table = opened.table
    money = [
        other
        for other, each in facts.items()
        if each.is_number and other != name and max(score(other, role) for role in ("amount", "unit_price")) >= NAMED
    ]
    rows = table.filter(ibis.or_(*(table[other].notnull() for other in money))) if money else table
    day = time.read(rows).date() if time.columns else ibis.null("date")
    rows = rows.select(row=rows[ROW], value=normal_id(rows[name]), day=day)
    values = rows.filter(rows.value.notnull()).group_by("value")
    counted = values.aggregate(
        rows=lambda each: each.count(),
        days=lambda each: each.day.nunique(),
        span=lambda each: each.row.max() - each.row.min() + 1,
    )
    found = counted.aggregate(
        values=counted.count(),
        rows=counted.rows.sum(),
        one_day=(counted.days <= 1).mean(),
        near=(counted.span <= 2 * counted.rows).mean(),
    )
    row = found.to_pyarrow().to_pylist()[0]
    whole = int(rows.count().execute())
    return _Seen(
        lacking=1 - (row["rows"] or 0) / max(whole, 1),
        is_order=(row["one_day"] or 0) >= 1 - FEW,
        comes_back=row["values"] < ONE_EACH * (row["rows"] or 0),
        near=(row["near"] or 0) >= ONE_EACH,
    )


def pick_customer(lines: ir.Table, names: Mapping[str, str], candidates: Sequence[str]) -> tuple[str | None, str]:
    """Return the column of the customer, and why: one whose values come back in several orders, if there is one.

    Parameters
    ----------
    lines : ibis table
        With `order` where orders have a number.
    names : mapping of str to str
        Column of the file -> column of `lines`.
    candidates : sequence of str
        The best name first.
    """
    if not candidates:
        return None, ""
    if "order" not in lines.columns:
        return candidates[0], ""
    lines = lines.mutate(**{column: _somebody(lines[column]) for column in names.values()})
    counted = {
        name: lines.filter(lines[names[name]].notnull())
        .aggregate(customers=lines[names[name]].nunique(), orders=lines.order.nunique())
        .to_pyarrow()
        .to_pylist()[0]
        for name in candidates
    }
    shares = {name: row["customers"] / max(row["orders"], 1) for name, row in counted.items()}
    coming_back = [name for name in candidates if shares[name] < ONE_EACH]
    best = next(iter(coming_back), candidates[0])
    row = counted[best]
    fuller = [
        name for name in coming_back if counted[name]["orders"] > row["orders"] and _agree(lines, names, best, name)
    ]
    if fuller:
        best, few = max(fuller, key=lambda name: counted[name]["orders"]), best
        evidence = f"{few} is that of nobody in {counted[best]['orders'] - row['orders']:,} orders more"
        return best, f"{counted[best]['customers']:,} customers with {counted[best]['orders']:,} orders; {evidence}"
    evidence = f"{row['customers']:,} customers with {row['orders']:,} orders"
    if best != candidates[0]:
        evidence += f"; {candidates[0]} is another one in each order"
    elif shares[best] >= ONE_EACH and row["orders"] > 1:
        evidence += ": nobody comes back, as if it numbered orders"
    return best, evidence


def further_names(opened: Opened, facts: Mapping[str, Facts], customer: str) -> tuple[str, str] | None:
    """Find a column with names of customers that tells more of them apart than a column such as a phone number.

    Returns
    -------
    tuple of str and str, or None
        The column, and how many customers have several names. None where the column of the customer is clear by its
        name, where there are no such names, or where many names stand beside several customers, too.
    """
    if score(customer, "customer_id") >= CLEAR:
        return None
    for name, each in facts.items():
        if name == customer or not _is_called(name) or each.distinct <= facts[customer].distinct:
            continue
        rows = opened.table.select(one=normal_id(opened.table[customer]), other=opened.table[name]).drop_null()
        by_customer = rows.group_by("one").aggregate(several=lambda part: part.other.nunique() > 1)
        by_name = rows.group_by("other").aggregate(several=lambda part: part.one.nunique() > 1)
        several = int(by_customer.several.cast("int64").sum().execute() or 0)
        if several and float(by_name.several.mean().execute()) <= FEW:
            return name, f"{several:,} with several values of {name}, which has {each.distinct:,}"
    return None


def _is_called(name: str) -> bool:
    """Check whether a column has names of customers by its own name."""
    return any(re.search(CALLED, word) for word in tokens(name)) and score(name, "customer_id") > 0


def _somebody(values: ir.StringColumn) -> ir.StringColumn:
    """Return ids without those that stand for nobody, such as 0 of a guest."""
    return ibis.ifelse(values.lower().re_search(f"{NOBODY}|{NO_NUMBER}|^-[0-9]+$"), ibis.null("string"), values)


def _agree(lines: ir.Table, names: Mapping[str, str], one: str, other: str) -> bool:
    """Check whether two columns tell the same customers apart where both know them."""
    both = lines.select(one=lines[names[one]], other=lines[names[other]]).dropna().distinct()
    row = both.aggregate(pairs=both.count(), ones=both.one.nunique(), others=both.other.nunique()).to_pyarrow()
    found = row.to_pylist()[0]
    return bool(found["pairs"]) and min(found["ones"], found["others"]) >= (1 - FEW) * found["pairs"]


def identity_of(
    lines: ir.Table, order: str | None, customer: str, time: Sequence[str], tills: Sequence[str]
) -> Identity:
    """Find what tells orders apart.

    Parameters
    ----------
    lines : ibis table
        With `customer`, `day`, `time`, and where they are known `order` and a column for each of `tills`.
    order, customer : str
        Columns of the file; order may be None.
    time : sequence of str
        Columns of the file that make the time.
    tills : sequence of str
        Columns of the file that may say the till or the store.
    """
    if order is None:
        return _without_number(lines, customer, time)
    alone = _broken(lines, ("order",))
    if not alone["customers"] and not alone["days"]:
        evidence = f"{alone['orders']:,} orders, each of one customer and one day"
        return Identity({"columns.order_id": Guess(order, evidence)})
    if not alone["customers"] and _is_spread(alone):
        several = f"{alone['days']:,} of {alone['orders']:,} orders have several days, at most {alone['span']:,} apart"
        numbered = Guess(order, f"{alone['orders']:,} orders, each of one customer")
        return Identity({"columns.order_id": numbered}, Guess(True, several))
    for key in _keys(tills):
        broken = _broken(lines, key)
        if not broken["customers"] and not broken["days"]:
            named = [order, *(customer if part == "customer" else part for part in key[1:])]
            evidence = (
                f"{order} does not tell orders apart: {alone['customers']:,} of its {alone['orders']:,} values have "
                f"several customers, {alone['days']:,} several days; together these columns give "
                f"{broken['orders']:,} orders"
            )
            return Identity({"order_key": Guess(named, evidence)})
    evidence = f"{alone['customers']:,} of {alone['orders']:,} numbers belong to several customers, on one day, too"
    return Identity({"order_key": Guess([order], evidence, is_open=True)})


def _is_spread(broken: Mapping[str, int]) -> bool:
    """Check whether orders have some more days each, and do not begin anew."""
    return broken["days"] <= FEW * broken["orders"] and broken["span"] <= LONGEST


def _keys(tills: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield what may tell orders apart where their number alone does not."""
    yield ("order", DAY)
    yield from (("order", till) for till in tills)
    yield from (("order", till, DAY) for till in tills)
    yield ("order", "customer")
    yield ("order", "customer", DAY)


def _broken(lines: ir.Table, key: Sequence[str]) -> dict[str, int]:
    """Count the orders of several customers and of several days, and the days between their first and last line."""
    known = lines.filter(lines.order.notnull())
    orders = known.group_by(list(key)).aggregate(
        of_customers=known.customer.nunique(),
        of_days=known.day.nunique(),
        span=(known.day.max().cast("timestamp").epoch_seconds() - known.day.min().cast("timestamp").epoch_seconds())
        / 86_400,
    )
    row = orders.aggregate(
        orders=orders.count(),
        customers=(orders.of_customers > 1).cast("int64").sum(),
        days=(orders.of_days > 1).cast("int64").sum(),
        span=orders.span.max().cast("int64"),
    )
    return {name: value or 0 for name, value in row.to_pyarrow().to_pylist()[0].items()}


def _without_number(lines: ir.Table, customer: str, time: Sequence[str]) -> Identity:
    """Take what a customer buys at one time for an order; on one day, where times have no hours."""
    has_hours = bool(lines.filter(lines.time != lines.day.cast("timestamp")).limit(1).count().execute())
    if has_hours and len(time) == 1:
        return Identity(
            {
                "order_key": Guess(
                    [customer, time[0]],
                    "no column numbers orders: a customer and a time are one",
                    (f"[{customer}, {DAY}]",),
                )
            }
        )
    return Identity({"order_key": Guess([customer, DAY], "no column numbers orders: a customer and a day are one")})


def with_status(placed: Mapping[str, Guess], status: Mapping[str, Guess]) -> dict[str, Guess]:
    """Return the guesses about the status; the one of `order_key` adds the column to what tells orders apart."""
    key, column = placed.get("order_key"), status.get("order_key")
    if key is None or column is None or not isinstance(key.value, list):
        return {name: each for name, each in status.items() if name != "order_key"}
    evidence = f"{key.evidence}, and a cancelled one is another" if key.evidence else ""
    return {**status, "order_key": replace(key, value=[*key.value, column.value], evidence=evidence)}
