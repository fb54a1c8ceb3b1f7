"""The lines of orders: the roles of a table's columns, decided together."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import mul
from typing import Any, cast

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.errors import InputError, listing
from features.sources.files.config import OF_LINES, ORDER_DISCOUNT, ORIGINAL
from features.sources.files.layout import MONTH
from features.sources.files.orders import carried
from features.sources.files.values import factor, normal_id
from features.sources.guess.cents import cents_of
from features.sources.guess.counts import counts_among, may_count, without_names
from features.sources.guess.discounts import is_on_top
from features.sources.guess.documents import Sold, documents_of, is_flag
from features.sources.guess.facts import MOST, Facts, facts_of, frequencies
from features.sources.guess.given import SAID, STATUS, Given, as_given, column_of, left_for, written
from features.sources.guess.mapping import Guess
from features.sources.guess.money import NAMED, ROLES, Style, money_of, style_of
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.orders import (
    Numbered,
    further_names,
    identity_of,
    pick_customer,
    pick_order,
    ranked,
    with_status,
)
from features.sources.guess.originals import original_of
from features.sources.guess.others import kept_rows, of_goods, without_sums
from features.sources.guess.places import codes_of
from features.sources.guess.sides import signed, two_sided
from features.sources.guess.statuses import Status, asked_by_words, back_by, key_with, status_of
from features.sources.guess.sums import sums_among
from features.sources.guess.times import Days, Time, time_of
from features.sources.guess.totals import without_totals
from features.sources.guess.unspent import is_fee
from features.sources.guess.words import score, tokens
from features.sources.reading import sql_name

MONTHS = 3  # columns called after months, from which a table counts as wide
BY_NAME = "by its name"
FEW_CUSTOMERS = 5  # values of a column that is an attribute of customers, and no id of theirs
CANDIDATES = 4
PERCENT = r"\s*%$"
MASKED = r"^[0-9]{0,6}[\s-]*[*xX•·#]{2,}[\s*xX•·#-]*[0-9]{2,4}$"
OTHERS = ("product_id", "amount", "unit_price", "discount", "quantity", "status", "store_id", "till", "country")
FEW = 0.02  # of the rows
MOST_DISTINCT = 0.9  # values per row of a column of customers, or of products: both come back
KEPT_AS_MONEY = ("amount", *OF_LINES, ORDER_DISCOUNT)
DECIMALS = 4  # that are kept of money
ROUNDED_OFF = 1e-4  # of the money, at most, where it is rounded unasked
CLEARLY = 0.9  # of a name that is a product's and nothing else
ORDERED = (
    "order_id",
    "customer_id",
    "timestamp",
    "amount",
    "quantity",
    "unit_price",
    *OF_LINES,
    ORDER_DISCOUNT,
    "product_id",
    "returned_at",
    ORIGINAL,
)


@dataclass(frozen=True)
class Lines:
    """A table of lines and the guesses about it.

    Attributes
    ----------
    opened : Opened
        Without rows of totals.
    typed : ibis table
        order, customer, product, time, day and numbers, as far as they are known.
    guesses : mapping of str to Guess
        Keys within data.tables.transactions.
    order_spans_days : Guess or None
    """

    opened: Opened
    facts: Mapping[str, Facts]
    typed: ir.Table
    style: Style
    guesses: Mapping[str, Guess]
    numbers: Mapping[str, str]  # column of the file -> column of `typed`
    customers: Mapping[str, str]  # likewise
    rules: Mapping[str, Guess]  # what happens to rows of a rule
    order_spans_days: Guess | None = None
    notes: list[str] = field(default_factory=list)
    refund: str | None = None

    def column(self, name: str) -> str | None:
        """Return the column of the file that a canonical column is mapped to, where it is one."""
        found = self.guesses.get(f"columns.{name}")
        return found.value if found and isinstance(found.value, str) else None


def lines_of(opened: Opened, engine: DuckDB, days: Days, given: Given) -> Lines:
    """Decide the roles of a table's columns, but for those that are given."""
    facts = facts_of(opened)
    check_long(opened)
    opened, marks = without_totals(opened, facts, engine)
    facts = facts_of(opened) if marks else facts
    style = style_of(opened, facts, engine, given)
    opened, sums = without_sums(opened, facts, style, engine)
    goods = None if "only" in given else of_goods(opened, facts, given)
    only = given.get("only") or (goods.value if goods else None)
    if isinstance(only, Mapping):
        opened = kept_rows(opened, only, engine)
    if sums or only:
        facts = facts_of(opened)
    time = time_of(opened, facts, engine, days, given)
    taken = list(time.columns)
    numbered = _numbered(opened, facts, time, given)
    order = numbered.column
    taken += [order] if order else []
    left = left_for(facts, given, "customer_id")
    of_ids = {name: each for name, each in left.items() if not (each.is_number and each.whole < MOST)}
    named = list(left) if "customer_id" in given else ranked(of_ids, "customer_id", taken)[:CANDIDATES]
    if "customer_id" not in given:  # Loyalty member: yes, no
        named = [name for name in named if facts[name].distinct > FEW_CUSTOMERS or name == named[0]]
    customers = named or _coming_back(opened, left, order, taken)[:CANDIDATES]
    tills = [*ranked(facts, "till", taken)[:1], *ranked(facts, "store_id", taken)[:1]]
    left = left_for(facts, given, "product_id")
    products = [
        name
        for name in ranked(left, "product_id", [*taken, *customers])
        if name not in tills and not (facts[name].is_number and facts[name].whole < MOST)
    ]
    product = next(iter(left), None) if "product_id" in given else _product(facts, products)
    used = [*taken, *customers[:1], *([product] if product else [])]
    numbers = _numbers(facts, given, used)
    unnamed = {name: f"unnamed.{n}" for n, name in enumerate(without_names(facts, [*used, *numbers]))}
    counts = {name: unnamed[name] for name in may_count(list(unnamed), facts, given, numbers)}
    names = {name: f"customer.{n}" for n, name in enumerate(customers)}
    typed = _typed(opened, engine, time, style, order, names, product, tills, numbers | unnamed)
    customer, why = pick_customer(typed, names, customers)
    adding_up = [] if "amount" in given else sums_among(typed, numbers | unnamed, list(unnamed), facts)
    counts = dict(counts_among(typed, counts))
    numbers |= counts | {name: column for name, column in unnamed.items() if any(name in each for each in adding_up)}
    money = money_of(typed, numbers, facts, given, list(counts), adding_up, unnamed, names.get(customer or ""))
    guesses = dict(money.columns)
    if money.repeated and order and "amount" not in given:
        guesses["amount"] = _once(opened, order, money.repeated)
    if not {"amount", "unit_price"} & given.keys() and (pair := two_sided(opened, facts)):
        guesses = {"amount": signed(opened, *pair)}
    of_money = [each.value for each in guesses.values() if not each.is_open]
    mapped = [name for name in of_money if isinstance(name, str) and score(name, "quantity") < CLEARLY]
    cents = cents_of(opened, facts, mapped, codes_of(opened, facts), given)
    guesses["timestamp"] = time.column
    if product and product not in [each.value for each in money.columns.values()]:
        others = tuple(name for name in products if name != product)[:2]
        guesses["product_id"] = Guess(product, f"{facts[product].distinct:,} products", others)
    placed, spans = _identity(typed, numbered, customer, names, time, tills)
    guesses["customer_id"] = _customer_guess(
        customer, why, customers, is_named=bool(named), is_masked=bool(customer) and _is_masked(opened, str(customer))
    )
    if customer and "customer_id" not in given and (further := further_names(opened, facts, customer)):
        is_mail = facts[customer].mail >= MOST  # one person writes a name in several ways, and has one address
        guesses["customer_id"] = _with_names(guesses["customer_id"], *further, is_open=not is_mail)
    rounded = _rounded(typed, numbers, guesses)
    placed |= {"rounded": rounded} if rounded else {}
    placed |= {f"columns.{name}": each for name, each in guesses.items()}
    placed |= {key: each for key, each in (("totals", _together(marks, sums)), ("only", goods)) if each}
    roles = [str(each) for each in (*taken, *customers[:1], *([product] if product else []), *of_money)]
    if "order" in typed.columns and "time" in typed.columns and not numbered.is_given:
        placed |= _original(
            opened, facts, typed, {role: numbers.get(str(each.value)) for role, each in money.columns.items()}, roles
        )
    status, notes = Status({}, {}), list[str]()
    named_status, of_rows = column_of(given, STATUS), order is None and "order_key" not in given
    if STATUS not in given or named_status:
        status, notes = status_of(opened, facts, typed, engine, days, time.form, named_status, order, of_rows)
        placed |= with_status(placed, status.guesses)
    else:
        placed |= with_status(placed, key_with(given[STATUS], opened, facts)) if of_rows else {}
        status = back_by(given[STATUS], opened, facts, engine, days, time.form)
        placed |= status.guesses
    priced = next((guesses[each].value for each in ("amount", "unit_price") if each in guesses), None)
    amount = numbers.get(str(priced))
    refund = _refund(opened, facts, typed, numbers, [each.value for each in guesses.values()])
    if amount is not None and not {STATUS, "credits"} & given.keys() and not _asks(placed.get("status")):
        same = (*([names[customer]] if customer else []), *(["product"] if product else []))
        settled = placed["status"].value if "status" in placed else None
        asked = dict(
            documents_of(opened, facts, Sold(typed, amount, same, roles, numbers.get(refund or "")), cast(Any, settled))
        )
        placed |= asked
        notes = [] if asked else notes
    if not {STATUS, "credits", "columns.returned_at"} & {*placed, *given}:
        left = {name: each for name, each in facts.items() if name not in taken}
        by_words = asked_by_words(opened, left, typed, amount)
        placed |= {STATUS: by_words} if by_words else {}
    placed |= {"cents": cents} if cents else {}
    if time.date_format.value is not None:
        placed["date_format"] = time.date_format
    placed |= written(given)
    placed = as_given(placed, given)
    return Lines(opened, facts, typed, style, _in_order(placed), numbers, names, status.rules, spans, notes, refund)


def _original(
    opened: Opened,
    facts: Mapping[str, Facts],
    typed: ir.Table,
    money: Mapping[str, str | None],
    used: Collection[object],
) -> dict[str, Guess]:
    """Return the column in which rows below 0 name the sale that they take back."""
    values = [typed[money[role]] for role in ("quantity", "unit_price", "amount") if money.get(role)]
    if not values:
        return {}
    total = values[-1] if money.get("amount") else reduce(mul, values)
    rows = typed.select(ROW, "order", "time", money=total, is_back=(total < 0).fill_null(False))
    if not int(rows.is_back.sum().execute() or 0):
        return {}
    found = original_of(opened, facts, rows, {str(each) for each in used})
    return {f"columns.{ORIGINAL}": found.guess} if found else {}


def _refund(
    opened: Opened,
    facts: Mapping[str, Facts],
    typed: ir.Table,
    numbers: Mapping[str, str],
    used: Sequence[object],
) -> str | None:
    """Return the column of money that was given back, beside that of the orders."""
    for name, column in numbers.items():
        is_named = name not in used and score(name, "refund") >= CLEARLY and not is_flag(opened, facts[name])
        if is_named and int(typed.filter(typed[column] != 0).limit(1).count().execute()):
            return name
    return None


def _together(*marks: Guess | None) -> Guess | None:
    """Return the marks of several kinds of totals as one."""
    found = [each for each in marks if each]
    both = {name: words for each in found if isinstance(each.value, Mapping) for name, words in each.value.items()}
    return Guess(both, "; ".join(each.evidence for each in found)) if found else None


def _asks(guess: Guess | None) -> bool:
    return guess is not None and guess.is_open


def _numbered(opened: Opened, facts: Mapping[str, Facts], time: Time, given: Given) -> Numbered:
    if "order_id" in given:
        return Numbered(column_of(given, "order_id"), is_given=True)
    return pick_order(opened, left_for(facts, given, "order_id"), time)


def _identity(
    typed: ir.Table,
    numbered: Numbered,
    customer: str | None,
    names: Mapping[str, str],
    time: Time,
    tills: Sequence[str],
) -> tuple[dict[str, Guess], Guess | None]:
    """Return what tells orders apart, and if they may span days; by its name alone where customers or times lack."""
    order, doubt = numbered.column, numbered.doubt
    if customer is not None and time.columns:
        lines = typed.mutate(customer=typed[names[customer]])
        identity = identity_of(lines, order, customer, time.columns, tills)
        if not doubt:
            return dict(identity.guesses), identity.order_spans_days
        doubted = {
            key: replace(guess, evidence=doubt, is_open=True)
            for key, guess in identity.guesses.items()
            if key in ("columns.order_id", "order_key")
        }
        return {**identity.guesses, **doubted}, identity.order_spans_days
    evidence = doubt or ("by its name" if order else "no column is called an order, an invoice or a receipt")
    evidence = SAID if numbered.is_given else evidence
    return {"columns.order_id": Guess(order, evidence, is_open=order is None or bool(doubt))}, None


def _once(opened: Opened, order: str, amount: str) -> Guess:
    """Leave the amount open where it is that of the order on each of its lines, with a query that counts it once."""
    total, source = sql_name(amount), opened.source or "'your file'"
    first = f"row_number() OVER (PARTITION BY {sql_name(order)}) = 1"
    return Guess(
        None,
        f"{amount} is the same on all lines of an order: the total of the order, and no line's. A query counts it "
        f"once, in place of path, with amount: {amount} and rules: {{zero_price: keep}}: "
        f"sql: SELECT * REPLACE (if({first}, {total}, '0') AS {total}) FROM {source}",
        is_open=True,
    )


def _coming_back(opened: Opened, facts: Mapping[str, Facts], order: str | None, taken: Sequence[str]) -> list[str]:
    """Return columns that no name explains and whose values come back, as customers do: e-mail addresses, ids, others.

    Others have one value on all lines of an order, and mean nothing else by their names.
    """
    left = [
        name for name, each in facts.items() if name not in taken and 1 < each.distinct < MOST_DISTINCT * each.filled
    ]
    mails = [name for name in left if facts[name].mail >= MOST]
    ids = [name for name in left if "id" in tokens(name)]
    others = [name for name in left if _may_be_anyone(facts[name], opened.rows) and _is_of_orders(opened, order, name)]
    return list(dict.fromkeys([*mails, *ids, *sorted(others, key=lambda name: -facts[name].distinct)]))


def _may_be_anyone(facts: Facts, rows: int) -> bool:
    """Check that values are neither times nor money, nor few, and that the name says nothing else."""
    is_other = any(score(facts.name, role) >= NAMED for role in OTHERS)
    is_money = facts.is_number and facts.whole < MOST
    return not (is_other or is_money or facts.dated > FEW or facts.clock > FEW) and facts.distinct >= FEW * rows


def _is_of_orders(opened: Opened, order: str | None, name: str) -> bool:
    """Check whether the lines of an order have one value."""
    if order is None:
        return True
    rows = opened.table.select(order=opened.table[order], value=opened.table[name])
    different = rows.filter(rows.order.notnull()).group_by("order").aggregate(values=rows.value.nunique())
    return float(different.aggregate(one=(different["values"] <= 1).mean()).to_pyarrow()["one"][0].as_py() or 0) >= MOST


def _product(facts: Mapping[str, Facts], named: Sequence[str]) -> str | None:
    """Return the column of products whose values come back; where no name is clear, the one with most values."""
    coming_back = [name for name in named if facts[name].distinct < MOST_DISTINCT * facts[name].filled]
    if coming_back and score(coming_back[0], "product_id") < CLEARLY:
        return max(coming_back, key=lambda name: facts[name].distinct)
    return next(iter(coming_back), None)


def _is_masked(opened: Opened, name: str) -> bool:
    """Check whether values are numbers of cards of which the last digits are left."""
    return all(re.match(MASKED, text) for text in frequencies(opened, name, CANDIDATES))


def _customer_guess(
    customer: str | None, why: str, candidates: Sequence[str], is_named: bool, is_masked: bool
) -> Guess:
    others = tuple(name for name in candidates if name != customer)[:2]
    if is_named and is_masked:
        said = f"its values are masked: customers whose last digits are alike are one; {why or BY_NAME}"
        return Guess(customer, said, others, is_open=True)
    if is_named:
        return Guess(customer, why or BY_NAME, others)
    seen = f"; values of this one come back{f': {why}' if why else ''}" if customer else ""
    none = "" if customer else ", and no other looks like one; orders without customers cannot be used"
    said = f"no column is called a customer{seen}{none}"
    return Guess(customer, said, others, is_open=True)


def _with_names(guess: Guess, name: str, said: str, is_open: bool) -> Guess:
    """Return the guess of the customer with a column of names that tells more customers apart."""
    others = tuple(dict.fromkeys((name, *guess.others)))
    return replace(guess, evidence=f"{guess.evidence}; {said}", others=others, is_open=guess.is_open or is_open)


def _rounded(typed: ir.Table, numbers: Mapping[str, str], money: Mapping[str, Guess]) -> Guess | None:
    """Return that money is rounded, where it has more decimals than are kept and hardly changes, as floats have."""
    for name in [str(money[role].value) for role in KEPT_AS_MONEY if role in money and not money[role].is_open]:
        values = typed[numbers[name]] if name in numbers else None
        if values is None:
            continue
        near = values.round(DECIMALS)
        found = typed.aggregate(
            rows=(near != values).cast("int64").sum(),
            lost=(near - values).abs().sum().cast("float64"),
            money=values.abs().sum().cast("float64"),
            example=ibis.ifelse(near != values, values, ibis.null(values.type())).max(),
        )
        row = found.to_pyarrow().to_pylist()[0]
        if row["rows"] and row["lost"] <= ROUNDED_OFF * row["money"]:
            evidence = f"{row['rows']:,} values of {name} have more than {DECIMALS} decimals, such as {row['example']}"
            return Guess(True, evidence)
    return None


def check_long(opened: Opened) -> None:
    """Refuse a table with a column for each month, and say which query gives it a row for each.

    Raises
    ------
    InputError
    """
    months = [name for name in opened.columns if re.fullmatch(MONTH, name)]
    if len(months) < MONTHS:
        return
    source = opened.source or "'your file'"
    rest = [name for name in opened.columns if name not in months]
    raise InputError(
        f"the table has a column for each month, and no row for each order: {listing(months)}",
        where=opened.name,
        expected="a row for each order, or for each line of one, with its day",
        found=f"{len(months)} columns of months beside {listing(rest)}",
        hint="export the orders themselves; sums of months show no days between purchases. Where there is nothing "
        f"else, a query turns it round: sql: UNPIVOT (FROM {source}) ON COLUMNS(* EXCLUDE "
        f"({', '.join(map(sql_name, rest))})) INTO NAME month VALUE amount",
    )


def _numbers(facts: Mapping[str, Facts], given: Given, taken: Sequence[str]) -> dict[str, str]:
    """Return the columns of numbers that may be money or quantities, and their names among typed lines."""
    named = [
        name
        for name, each in facts.items()
        if (each.is_number or (each.is_share and score(name, "discount") >= NAMED))
        and name not in taken
        and (
            name in given.values()
            or is_on_top(name)
            or is_fee(name)
            or max(score(name, role) for role in ROLES) >= NAMED / 2
        )
    ]
    return {name: f"number.{n}" for n, name in enumerate(named)}


def _typed(
    opened: Opened,
    engine: DuckDB,
    time: Time,
    style: Style,
    order: str | None,
    customers: Mapping[str, str],
    product: str | None,
    tills: Sequence[str],
    numbers: Mapping[str, str],
) -> ir.Table:
    """Return the lines with ids, times and numbers; customer and time of an order on all of its lines."""
    table = opened.table
    columns: dict[str, ir.Value] = {ROW: table[ROW]}
    columns |= {"order": normal_id(table[order])} if order else {}
    columns |= {"product": normal_id(table[product])} if product else {}
    columns |= {typed: normal_id(table[name]) for name, typed in customers.items()}
    columns |= {name: normal_id(table[name]) for name in tills}
    columns |= {"time": time.read(table)} if time.columns else {}
    columns |= {typed: factor(table[name].re_replace(PERCENT, ""), style.numbers) for name, typed in numbers.items()}
    lines = table.select(**columns)
    if order:
        of_order = [*customers.values(), *(["time"] if time.columns else [])]
        lines = carried(lines.rename(order_id="order"), of_order).rename(order="order_id").select(*columns)
    if time.columns:
        lines = lines.mutate(day=lines.time.date())
    return engine.connection.create_table(f"typed_{table.get_name()}", lines, temp=True)


def _in_order(guesses: Mapping[str, Guess]) -> dict[str, Guess]:
    """Return the keys as the file has them: how values are written, what an order is, and the columns."""
    first = [key for key in guesses if not key.startswith("columns.")]
    columns = [f"columns.{name}" for name in ORDERED if f"columns.{name}" in guesses]
    return {key: guesses[key] for key in dict.fromkeys((*first, *columns, *guesses))}
