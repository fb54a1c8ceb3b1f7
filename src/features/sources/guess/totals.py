"""Rows that are no lines of orders: sums of the rows above them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.guess.facts import Facts
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import Opened
from features.sources.languages import words_of_totals

MOST_ROWS = 0.2  # of a table
MOST_WORDS = 5
FULL = 0.98  # of the rows have a value in a column that totals lack
FEW_CELLS = 3  # that a total without a word has


def without_totals(opened: Opened, facts: Mapping[str, Facts], engine: DuckDB) -> tuple[Opened, Guess | None]:
    """Return a table without rows of totals, and what marks them; those that a word marks lack another column."""
    if not facts:  # no column
        return opened, None
    full = [name for name, each in facts.items() if each.filled >= FULL * (1 - MOST_ROWS) * opened.rows]
    words_of = words_of_totals()
    totals = {name: opened.table[name].re_search(words_of).fill_null(False) for name in opened.columns}
    counted = opened.table.aggregate(**{str(n): each.cast("int64").sum() for n, each in enumerate(totals.values())})
    counts = counted.to_pyarrow().to_pylist()[0].values()
    for (name, is_total), rows in zip(totals.items(), counts, strict=True):
        if not 0 < (rows or 0) <= MOST_ROWS * opened.rows:
            continue
        found = opened.table.filter(is_total)
        lacking = [each for each in full if each != name and not int(found[each].count().execute())]
        if not lacking:
            continue
        words = [
            str(row["word"])
            for row in found.select(word=found[name]).distinct().limit(MOST_WORDS + 1).to_pyarrow().to_pylist()
        ]
        empty = next((each for each in lacking if facts[each].filled == opened.rows - rows), None)
        marks = {name: sorted(words)} if len(words) <= MOST_WORDS else {empty: [""]} if empty else None
        if marks:
            evidence = f"{rows:,} rows such as {words[0]!r} have no {lacking[0]}: sums of others"
            return _without(opened, is_total, engine), Guess(marks, evidence)
    return _without_bare_sums(opened, facts, full, engine)


def _without_bare_sums(
    opened: Opened, facts: Mapping[str, Facts], full: list[str], engine: DuckDB
) -> tuple[Opened, Guess | None]:
    """Return a table without rows that have a few numbers only."""
    texts = [name for name in full if not facts[name].is_number]
    if len(opened.columns) < FEW_CELLS + 2 or not texts:
        return opened, None
    cells = sum((opened.table[name].notnull().cast("int64") for name in opened.columns), ibis.literal(0))
    is_sum = (cells > 0) & (cells <= FEW_CELLS) & ~ibis.or_(*(opened.table[name].notnull() for name in texts))
    rows = int(opened.table.filter(is_sum).count().execute())
    marks = [name for name in texts if facts[name].filled == opened.rows - rows]
    if not rows or rows > MOST_ROWS * opened.rows or not marks:
        return opened, None
    evidence = f"{rows:,} rows have numbers and no {marks[0]}: sums of others"
    return _without(opened, is_sum, engine), Guess({marks[0]: [""]}, evidence)


def _without(opened: Opened, is_total: ir.BooleanColumn, engine: DuckDB) -> Opened:
    name = f"{opened.table.get_name()}_lines"
    table = engine.connection.create_table(name, opened.table.filter(~is_total), temp=True)
    return replace(opened, table=table, rows=int(table.count().execute()))
