"""Tables that belong together: the one with the lines of orders, and those that say more about each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from features.engines import DuckDB
from features.sources.guess.facts import Facts, facts_of, share_met
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.orders import ONE_EACH
from features.sources.guess.words import ROLES, score, tokens
from features.sources.reading import sql_name

WANTED = ("timestamp", "customer_id", "order_id")  # that lines need, from whichever table has them
NAMED = 0.5
MET = 0.5  # share of the lines' keys that another table has, from which the two belong together
FEW = 0.05  # rows of a table per row of the lines
MATCHED = "matched key"


@dataclass(frozen=True)
class _Key:
    """The columns by which rows of the lines and of another table belong together."""

    own: str
    theirs: str


@dataclass
class _Joined:
    """The lines so far, and the tables that were joined to them."""

    opened: Opened
    facts: dict[str, Facts]
    parts: list[tuple[Opened, _Key, list[str]]]  # table, key, columns that it adds


def joined_tables(tables: Sequence[Opened], engine: DuckDB) -> tuple[Opened, list[Opened]]:
    """Return the lines of orders with what other tables say about them, and the tables that are not used."""
    if len(tables) == 1:
        return tables[0], []
    facts = {table.name: facts_of(table) for table in tables}
    lines = max(tables, key=lambda table: (_is_lines(facts[table.name]), table.rows))
    joined = _Joined(lines, dict(facts[lines.name]), [])
    others = [
        table
        for table in tables
        if table is not lines and table.source and lines.source and table.encoding == lines.encoding
    ]
    for role in WANTED:
        if _best(joined.facts, role) < NAMED:
            _join(joined, others, facts, role, engine)
    if _is_new_each_time(joined):
        _join(joined, others, facts, "customer_id", engine)
    used = [lines.name, *(part.name for part, _, _ in joined.parts)]
    unused = [table for table in tables if table.name not in used]
    return (_with_query(joined) if joined.parts else lines), unused


def other_orders(lines: Opened, others: Sequence[Opened]) -> list[Opened]:
    """Return the tables beside the lines that have orders of their own: money, a day, and customers or numbers."""
    own = facts_of(lines)
    number = max(own, key=lambda name: score(name, "order_id"), default="")
    found = []
    for table in others:
        facts = facts_of(table)
        has_money = max(_best(facts, role) for role in ("amount", "unit_price")) >= NAMED
        has_orders = max(_best(facts, role) for role in ("order_id", "customer_id")) >= NAMED
        if table.rows < FEW * lines.rows or not (has_money and has_orders and _best(facts, "timestamp") >= NAMED):
            continue
        theirs = max(facts, key=lambda name: score(name, "order_id"))
        has_number = min(score(number, "order_id"), score(theirs, "order_id")) >= NAMED
        if not (has_number and share_met(table.table[theirs], lines.table[number]) >= MET):  # the same orders
            found.append(table)
    return found


def beside(read: Guess, others: Sequence[Opened]) -> Guess:
    """Leave open what is read, where other tables have orders, too."""
    named = ", ".join(f"{table.name} ({table.rows:,} rows)" for table in others)
    said = f"orders stand in {named}, too, which are not read: give all tables the same columns, or leave them out"
    return replace(read, evidence=f"{read.evidence}; {said}" if read.evidence else said, is_open=True)


def _is_lines(facts: Mapping[str, Facts]) -> float:
    money = max(_best(facts, "amount"), _best(facts, "unit_price"))
    return 2 * money + _best(facts, "product_id") + _best(facts, "quantity") + 0.5 * _best(facts, "order_id")


def _best(facts: Mapping[str, Facts], role: str) -> float:
    of_numbers = role in ("amount", "unit_price", "quantity")
    named = [score(name, role) for name, each in facts.items() if each.filled and (each.is_number or not of_numbers)]
    return max(named, default=0.0)


def _join(
    joined: _Joined, others: Sequence[Opened], facts: Mapping[str, Mapping[str, Facts]], role: str, engine: DuckDB
) -> None:
    """Join the table that has a role and one row for each key of the lines."""
    for table in sorted(others, key=lambda table: -_best(facts[table.name], role)):
        own = facts[table.name]
        new = [name for name in table.columns if name not in joined.opened.columns]
        added = [name for name in new if max(score(name, each) for each in ROLES) >= NAMED]
        if max((score(name, role) for name in added), default=0) < NAMED:
            continue
        for key in _keys(joined.opened, table):
            is_unique = own[key.theirs].distinct == own[key.theirs].filled == table.rows
            if is_unique and share_met(joined.opened.table[key.own], table.table[key.theirs]) >= MET:
                joined.parts.append((table, key, added))
                joined.opened = _merged(joined.opened, table, key, added, engine)
                joined.facts |= {name: own[name] for name in added}
                return


def _keys(lines: Opened, table: Opened) -> Iterator[_Key]:
    """Yield the keys that may join: the id of a table that is called after it, such as order_id, and same names."""
    ids = [name for name in table.columns if tokens(name) == ("id",)]
    called = tokens(re.sub(r"\.\w+$", "", table.name))
    for name in lines.columns:
        *what, last = tokens(name) or ("",)
        if what and last == "id" and _is_called(called, what):
            yield from (_Key(name, theirs) for theirs in ids)
    yield from (_Key(name, name) for name in table.columns if name in lines.columns and name not in ids)


def _is_called(table: Sequence[str], what: Sequence[str]) -> bool:
    """Check whether a table is called after one thing or several of it.

    >>> _is_called(("orders",), ["order"]), _is_called(("shop", "categories"), ["category"]), _is_called((), ["order"])
    (True, True, False)
    """
    *before, last = what
    plurals = {last, f"{last}s", f"{last}es", f"{last.removesuffix('y')}ies"}
    return bool(table) and table[-1] in plurals and list(table[-len(what) : -1]) == before


def _merged(lines: Opened, table: Opened, key: _Key, added: Sequence[str], engine: DuckDB) -> Opened:
    right = table.table.select(*added, **{MATCHED: table.table[key.theirs]})
    both = lines.table.left_join(right, lines.table[key.own] == right[MATCHED]).select(*lines.table.columns, *added)
    name = f"{lines.table.get_name()}_joined"
    kept = engine.connection.create_table(name, both, temp=True)
    return replace(lines, table=kept, columns=tuple(each for each in kept.columns if each != ROW))


def _is_new_each_time(joined: _Joined) -> bool:
    """Check whether customers have another id in each order."""
    order = max(joined.facts, key=lambda name: score(name, "order_id"))
    customer = max(joined.facts, key=lambda name: score(name, "customer_id"))
    if score(order, "order_id") < NAMED or score(customer, "customer_id") < NAMED:
        return False
    return joined.facts[customer].distinct >= ONE_EACH * joined.facts[order].distinct


def _with_query(joined: _Joined) -> Opened:
    """Return the lines as read by a query that joins the files."""
    lines = joined.opened
    selected = ["lines.*"]
    joins = []
    home: dict[str, str] = {}  # column -> the table that it was added from
    for number, (table, key, added) in enumerate(joined.parts):
        selected += [f"t{number}.{sql_name(name)}" for name in added]
        joins.append(
            f"LEFT JOIN {table.source} AS t{number} {_on(lines, home.get(key.own, 'lines'), f't{number}', key)}"
        )
        home |= dict.fromkeys(added, f"t{number}")
    sql = "\n".join([f"SELECT {', '.join(selected)}", f"FROM {lines.source} AS lines", *joins])
    evidence = f"lines of {lines.name}; " + "; ".join(
        f"{table.name} has one row for each {key.own}" for table, key, _ in joined.parts
    )
    encoding = {"encoding": Guess(lines.encoding, "of all files of the query")} if lines.encoding else {}
    return replace(lines, reading={"sql": Guess(sql, evidence), **encoding})


def _on(lines: Opened, one: str, other: str, key: _Key) -> str:
    """Return the condition under which rows belong together: that of `share_met`, whose texts are trimmed."""
    columns = (f"{one}.{sql_name(key.own)}", f"{other}.{sql_name(key.theirs)}")
    own, others = columns if lines.is_of_database else (f"trim(CAST({column} AS VARCHAR))" for column in columns)
    return f"ON {own} = {others}"
