"""Rows that are no lines of orders: sums of the rows above them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.files.values import western
from features.sources.guess.facts import Facts
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened
from features.sources.languages import words_of_totals

MOST_ROWS = 0.2  # of a table
MOST_WORDS = 5
MOST_SUMS = 24  # words of rows that have the sums of others
FULL = 0.98  # of the rows have a value in a column that totals lack
FEW_CELLS = 3  # that a total without a word has
FEW_ROWS = 5  # below these, one number may be the sum of the others by chance
CENT, NOISE = 0.011, 1e-9  # of doubles that are summed
OF_ONE_FILE = ("skip", "header", "sheet", "footer", "path", "encoding")  # keys of the reading of a text or a sheet


def without_totals(opened: Opened, facts: Mapping[str, Facts], engine: DuckDB) -> tuple[Opened, Guess | None]:
    """Return a table without rows of totals, and what marks them.

    Those that a word marks lack another column, or have the sums of the other rows.
    """
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
        added_up = None if lacking else _added_up(opened, facts, is_total)
        if not lacking and added_up is None:
            continue
        most = MOST_SUMS if added_up else MOST_WORDS
        words = [
            str(row["word"])
            for row in found.select(word=found[name]).distinct().limit(most + 1).to_pyarrow().to_pylist()
        ]
        empty = next((each for each in lacking if facts[each].filled == opened.rows - rows), None)
        marks = {name: sorted(words)} if len(words) <= most else {empty: [""]} if empty else None
        if marks:
            why = f"have the sums of {added_up} of the others" if added_up else f"have no {lacking[0]}: sums of others"
            evidence = f"{rows:,} rows such as {words[0]!r} {why}"
            return _without(opened, is_total, engine), Guess(marks, evidence)
    without, bare = _without_bare_sums(opened, facts, full, engine)
    return (without, bare) if bare else _without_last_sum(opened, facts, engine)


def _added_up(opened: Opened, facts: Mapping[str, Facts], is_total: ir.BooleanColumn) -> str | None:
    """Return a column in which each total is the sum of the rows above it, up to the total before, or of all others."""
    names = [name for name, each in facts.items() if each.is_number and each.distinct > 1]
    for name in names:
        for number in _read(opened.table[name]):
            rows = opened.table.select(row=opened.table[ROW], total=is_total, number=number)
            before = ibis.window(order_by="row", preceding=None, following=0)
            part = rows.total.cast("int64").sum().over(before) - rows.total.cast("int64")
            parts = rows.mutate(part=part, all=rows.number.sum(where=~rows.total).over(ibis.window()))
            parts = parts.mutate(above=parts.number.sum(where=~parts.total).over(ibis.window(group_by="part")))
            totals = parts.filter(parts.total)
            is_sum = ibis.or_(
                *((totals.number - totals[each]).abs() <= _noise(totals.number) for each in ("above", "all"))
            )
            share = totals.aggregate(share=(is_sum & (totals.number != 0)).fill_null(False).mean())
            if (share.to_pyarrow()["share"][0].as_py() or 0) == 1:
                return name
    return None


def _sum_of_all_others(opened: Opened, names: list[str], is_total: ir.BooleanColumn) -> str | None:
    """Return the first of some columns in which the one total is the sum of all other rows."""
    columns: list[str] = []
    is_sum = {}
    for name in names:
        for number in _read(opened.table[name]):
            total, others = number.sum(where=is_total), number.sum(where=~is_total)
            is_sum[str(len(columns))] = ((total - others).abs() <= _noise(total)) & (total != 0)
            columns.append(name)
    (row,) = opened.table.aggregate(**is_sum).to_pyarrow().to_pylist()
    return next((name for name, found in zip(columns, row.values(), strict=True) if found), None)


def _without_last_sum(opened: Opened, facts: Mapping[str, Facts], engine: DuckDB) -> tuple[Opened, Guess | None]:
    """Return a table without its last row, where that has the sums of all others and no word says so."""
    names = [name for name, each in facts.items() if each.is_number and each.distinct > 1]
    if opened.rows < FEW_ROWS or not names:
        return opened, None
    is_last = opened.table[ROW] == opened.table[ROW].max().as_scalar()
    found = _sum_of_all_others(opened, names, is_last)
    if found is None:
        return opened, None
    without = _without(opened, is_last, engine)
    evidence = f"the last row has the sum of {found} of all others"
    path = opened.reading.get("path")
    if path and isinstance(path.value, str) and set(opened.reading) <= set(OF_ONE_FILE) and not opened.is_of_parquet:
        before = opened.reading.get("footer")
        footer = Guess((int(str(before.value)) if before else 0) + 1, evidence)
        return replace(without, reading={**opened.reading, "footer": footer}, source=""), None
    last = opened.table.filter(is_last).to_pyarrow().to_pylist()[0]
    unique = (
        name
        for name in opened.columns
        if last[name] is not None and int(opened.table.filter(opened.table[name] == last[name]).count().execute()) == 1
    )
    mark = next(unique, None)
    return (without, Guess({mark: [last[mark]]}, evidence)) if mark else (opened, None)


def _read(texts: ir.StringColumn) -> Iterator[ir.FloatingColumn]:
    """Yield the numbers of texts with a decimal point, and with a decimal comma: the style is not known yet."""
    for decimal in (".", ","):
        yield western(texts).re_replace(rf"[^-0-9{decimal}]", "").replace(",", ".").try_cast("float64")


def _noise(number: ir.FloatingValue) -> ir.FloatingValue:
    return ibis.greatest(ibis.literal(CENT), number.abs() * NOISE)


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
