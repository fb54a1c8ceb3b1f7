"""Refunds that are a table of their own: which table, and which of its columns say when, how much and of whom."""

from __future__ import annotations

from collections.abc import Sequence

from features.engines import DuckDB
from features.sources.guess.facts import facts_of
from features.sources.guess.lines import Lines
from features.sources.guess.mapping import Guess
from features.sources.guess.money import style_of
from features.sources.guess.opened import Opened
from features.sources.guess.times import Days, time_of
from features.sources.guess.words import score, tokens

CALLED = {"refund", "refunds", "refunded", "returns", "return", "returned", "erstattung", "erstattungen", "retouren"}
CALLED |= {"retoure", "devolucoes", "devoluciones", "remboursements", "rimborsi", "credits", "chargebacks"}
NAMED = 0.5
MET = 0.5  # share of the refunds whose order or customer the lines have


def refunds_of(
    lines: Lines, others: Sequence[Opened], engine: DuckDB, days: Days
) -> tuple[Opened | None, dict[str, Guess]]:
    """Return the table of refunds among the tables beside the lines, and the keys of data.tables.returns."""
    for table in others:
        if not CALLED & {*tokens(table.name), *(word for name in table.columns for word in tokens(name))}:
            continue
        found = _mapped(lines, table, engine, days)
        if found:
            return table, found
    return None, {}


def _mapped(lines: Lines, table: Opened, engine: DuckDB, days: Days) -> dict[str, Guess]:
    facts = facts_of(table)
    time = time_of(table, facts, engine, days)
    numbers = [name for name, each in facts.items() if each.is_number and name not in time.columns]
    amount = max(numbers, key=lambda name: max(score(name, "refund"), score(name, "amount")), default=None)
    if not time.columns or amount is None or max(score(amount, "refund"), score(amount, "amount")) < NAMED:
        return {}
    guesses: dict[str, Guess] = {}
    for role, what in (("order_id", "order"), ("customer_id", "customer")):
        own = lines.column(role)
        name = max(table.columns, key=lambda name: score(name, role))
        if own is None or score(name, role) < NAMED:
            continue
        met = _met(lines.opened, own, table, name)
        if met >= MET:
            guesses[f"columns.{role}"] = Guess(name, f"{met:.0%} of its values are those of a {what} with lines")
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


def _met(lines: Opened, own: str, table: Opened, name: str) -> float:
    """Return the share of a column's values that the lines have."""
    values = table.table.select(value=table.table[name]).filter(lambda rows: rows.value.notnull()).distinct()
    known = values.semi_join(lines.table.select(value=lines.table[own]), "value")
    return int(known.count().execute()) / max(int(values.count().execute()), 1)
