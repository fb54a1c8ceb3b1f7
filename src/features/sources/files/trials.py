"""Ways to read all values of a column: date formats and ways to write numbers, tried on every value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from uuid import uuid4

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.files.config import NumberStyle
from features.sources.files.times import formats, may_fit, moments, outside
from features.sources.files.values import number, styles, western

MARKS = 10_000  # texts in which marks beside digits are looked for


def distinct_texts(values: ir.Column, engine: DuckDB) -> ir.Table:
    """Keep the texts of a column in Western digits, to try on them what reads all."""
    texts = western(values.cast("string")).name("text").as_table().filter(lambda rows: rows.text.notnull()).distinct()
    return engine.connection.create_table(f"texts_{uuid4().hex}", texts, temp=True)


def reads_all(texts: ir.Table, read: Callable[[ir.Column], ir.Column]) -> bool:
    """Check whether a function of texts gives no null."""
    unread = texts.filter(read(texts.text).isnull()).limit(1)
    return not int(unread.count().execute())


def fitting_formats(texts: ir.Table, first_day: date, last_day: date, timezone: str) -> Iterator[str]:
    """Yield the formats that give every text a day from `first_day` to `last_day`."""
    first = texts.limit(1).to_pyarrow()["text"].to_pylist()
    found: set[str] = set()
    for form in formats():
        if form.replace("%B", "%b") in found:  # which reads long names of months, too
            continue
        if all(may_fit(text, form) for text in first) and gives_days(texts, form, first_day, last_day, timezone):
            found.add(form)
            yield form


def gives_days(texts: ir.Table, form: str | None, first_day: date, last_day: date, timezone: str) -> bool:
    """Check whether a format (ISO 8601 where it is None) gives every text a day from `first_day` to `last_day`."""

    def plausible(values: ir.Column) -> ir.Column:
        read = moments(values, form, timezone, timezone)
        return ibis.ifelse(outside(read, first_day, last_day), ibis.null(read.type()), read)

    return reads_all(texts, plausible)


def fitting_styles(
    columns: Sequence[ir.Table], declared: NumberStyle, wanted: dt.DataType
) -> Iterator[dict[str, object]]:
    """Yield what to declare so that all texts of some columns are read as numbers, the simpler ways first.

    A way that only adds to one before it is left out.
    """
    rests: set[str] = set()
    for texts in columns:
        marks = texts.select(rest=texts.text.re_replace("[0-9]", "")).distinct().limit(MARKS)
        rests |= set(marks.to_pyarrow()["rest"].to_pylist())
    found: list[dict[str, object]] = []
    for change, style in styles(declared, "".join(rests)):

        def read(values: ir.Column, style: NumberStyle = style) -> ir.Column:
            return number(values, wanted, style)

        is_new = not any(each.items() <= change.items() for each in found)
        if is_new and all(reads_all(texts, read) for texts in columns):
            found.append(change)
            yield change
