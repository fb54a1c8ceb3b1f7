"""Refunds that are a table of their own: which table, and which of its columns say when, how much and of whom."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.guess.facts import facts_of, share_met
from features.sources.guess.given import REFUND, SAID, Given, column_of
from features.sources.guess.lines import Lines
from features.sources.guess.mapping import Guess
from features.sources.guess.money import REPEATED, stands, style_of
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.statuses import undated
from features.sources.guess.times import Days, time_of
from features.sources.guess.words import REFUNDS, score, tokens
from features.tables.returns import CANCELLATION, RETURN, SALE

NAMED = 0.5
TOLD = 0.5  # share of the refunds that a status tells of, too, from which the status is enough
MET = 0.5  # share of the refunds whose order or customer the lines have


def refunds_of(
    lines: Lines, others: Sequence[Opened], engine: DuckDB, days: Days
) -> tuple[Opened | None, dict[str, Guess]]:
    """Return the table of refunds among the tables beside the lines, and the keys of data.tables.returns."""
    for table in others:
        if not REFUNDS & {*tokens(table.name), *(word for name in table.columns for word in tokens(name))}:
            continue
        found = _mapped(lines, table, engine, days)
        if found:
            return table, found
    return None, {}


def refunds_beside(lines: Lines, given: Given) -> tuple[Lines, dict[str, Guess]]:
    """Return the keys of data.tables for money given back that stands in a column beside that of the orders.

    A day on which orders came back dates it, where it has one in each row; the lines are then without that day.
    """
    name = column_of(given, REFUND) or lines.refund
    if name is None or (REFUND in given and given[REFUND] is None):
        return lines, {}
    typed, day = lines.numbers.get(name), lines.column("returned_at")
    table = lines.opened.table
    paid = (lines.typed.filter(lines.typed[typed] != 0) if typed else lines.typed.limit(0)).select(ROW)
    held = table.semi_join(paid, ROW)
    rows = int(held.count().execute())
    is_repeated = bool(typed) and stands(lines.typed, str(typed)) == REPEATED
    if day:
        if not int(held.filter(~_is_back(lines, held)).limit(1).count().execute()):
            return lines, {}  # whole orders: their status or day says it
        if not is_repeated and not int(held.filter(held[day].isnull()).limit(1).count().execute()):
            lines = without_day(lines, f"what came back is in {name}")
            found = "money given back" if REFUND not in given else SAID
            return lines, _beside(lines, Guess(name, found), Guess(day, "filled wherever money was given back"))
    if REFUND not in given:
        evidence = f"{name} is not 0 in {rows:,} rows: money that was given back, on a day that no column has"
        ways = [f"refund={shlex.quote(name)} (taken off on the day of the order)", "refund=none (not taken off)"]
        if is_repeated:
            evidence += "; it stands on each line of an order, so that a query has to count it once"
            ways = ways[1:]
        return lines, {"returns": Guess(None, evidence, tuple(ways), is_open=True)}
    lines = without_day(lines, f"what came back is in {name}") if day else lines
    of_order = replace(lines.guesses["columns.timestamp"], evidence="the day of the order", others=())
    return lines, _beside(lines, Guess(name, SAID), of_order)


def _is_back(lines: Lines, rows: ir.Table) -> ir.BooleanColumn:
    """Mark rows of which the status says that they came back."""
    status = lines.guesses.get("status")
    if status is None or not isinstance(status.value, dict):
        return ibis.literal(False)
    words = [*status.value.get(RETURN, ()), *status.value.get(CANCELLATION, ())]
    return rows[status.value["column"]].isin(words).fill_null(False)


def _beside(lines: Lines, amount: Guess, day: Guess) -> dict[str, Guess]:
    """Return the keys of a table of refunds that is the lines' own."""
    order = "order_id" if lines.column("order_id") else "customer_id"
    copied = ("only", "totals", "date_format", "cents")
    found = {key: lines.guesses[key] for key in copied if key in lines.guesses}
    keys = {
        **lines.opened.reading,
        **lines.style.guesses,
        **found,
        f"columns.{order}": lines.guesses[f"columns.{order}"],
        "columns.returned_at": day,
        "columns.amount": amount,
    }
    return {f"returns.{key}": each for key, each in keys.items()}


def in_one_way(lines: Lines, table: Opened, keys: Mapping[str, Guess]) -> tuple[Lines, dict[str, Guess], list[str]]:
    """Keep one of two ways that tell of returns, as both would take money off twice: a dated status, or a table.

    Returns
    -------
    Lines, dict, list of str
        The lines, without the day of a status where the table stays; the keys of the table, none where it goes; notes.
    """
    day = lines.column("returned_at")
    status = lines.guesses.get("status")
    if day is None or status is None or not isinstance(status.value, dict):
        return lines, dict(keys), []
    words = status.value
    share = _told(lines, words, table, keys)
    if share >= TOLD:
        note = f"not read: {table.name}: {share:.0%} of its rows are of orders that {words['column']} says came back"
        return lines, {}, [f"{note} on {day}. Map tables.returns in place of {day} where the others matter more"]
    return without_day(lines, f"what came back later is in {table.name}"), dict(keys), []


def without_day(lines: Lines, why: str) -> Lines:
    """Return the lines without the day on which orders came back: those of a status of returns stay sold."""
    kept = {name: each for name, each in lines.guesses.items() if name != "columns.returned_at"}
    status = lines.guesses.get("status")
    if status is None or not isinstance(status.value, dict):
        return replace(lines, guesses=kept)
    words = status.value
    sales = {SALE: [*words[SALE], *words.get(RETURN, ())]} if RETURN in words else {}
    said = {name: each for name, each in words.items() if name != RETURN} | sales
    rules = dict(lines.rules) | ({"undated_return": undated(said)} if CANCELLATION in said else {})
    return replace(lines, guesses=kept | {"status": Guess(said, f"{status.evidence}; {why}")}, rules=rules)


def _told(lines: Lines, words: Mapping[str, Any], table: Opened, keys: Mapping[str, Guess]) -> float:
    """Return the share of refunds whose order came back by its status."""
    order, named = lines.column("order_id"), keys.get("columns.order_id")
    if order is None or named is None:
        return 0.0
    rows = lines.opened.table
    back = rows.filter(rows[words["column"]].isin([*words.get(RETURN, ()), *words.get(CANCELLATION, ())]))
    refunds = table.table.select(value=table.table[str(named.value)])
    told = refunds.semi_join(back.select(value=back[order]), "value")
    return int(told.count().execute()) / max(table.rows, 1)


def _mapped(lines: Lines, table: Opened, engine: DuckDB, days: Days) -> dict[str, Guess]:
    facts = facts_of(table)
    time = time_of(table, facts, engine, days)
    numbers = [name for name, each in facts.items() if each.is_number and name not in time.columns]
    amount = max(numbers, key=lambda name: max(score(name, "refund"), score(name, "amount")), default=None)
    if not time.columns or amount is None or max(score(amount, "refund"), score(amount, "amount")) < NAMED:
        return {}
    guesses: dict[str, Guess] = {}
    for role, what in (("order_id", "an order"), ("customer_id", "a customer")):
        own = lines.column(role)
        name = max(table.columns, key=lambda name: score(name, role))
        if own is None or score(name, role) < NAMED:
            continue
        met = share_met(table.table[name], lines.opened.table[own])
        if met >= MET:
            guesses[f"columns.{role}"] = Guess(name, f"{met:.0%} of its values are those of {what} with lines")
            break
    if not guesses:
        return {}
    style = style_of(table, facts, engine)
    written = {"date_format": time.date_format} if time.date_format.value is not None else {}
    return {
        **table.reading,
        **style.guesses,
        **written,
        **guesses,
        "columns.returned_at": time.column,
        "columns.amount": Guess(amount, "money given back"),
    }
