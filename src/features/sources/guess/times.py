"""The time of an order: which column says it, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from types import MappingProxyType

import ibis.expr.types as ir

from features.engines import DuckDB
from features.errors import listing
from features.sources.files.records import joined_text
from features.sources.files.times import NUMBERED, moments
from features.sources.files.trials import distinct_texts, fitting_formats, gives_days
from features.sources.guess.facts import MOST, Facts, examples
from features.sources.guess.given import Given, left_for
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.words import score

ZONE = "UTC"  # in which times are tried; the shop's own is not known yet
ISO = None
TRIED = 4  # columns
CLEARLY = 0.55
Days = tuple[date, date]
FORMATS = 3  # that are named where several read all rows


@dataclass(frozen=True)
class Time:
    """The time of an order.

    Attributes
    ----------
    columns : tuple of str
        Of the file: one, or day and time of day; none where no column has times.
    column, date_format : Guess
        Of `columns.timestamp` and `date_format`.
    form : str or None
        The format to read it with meanwhile, where several fit.
    """

    columns: tuple[str, ...]
    column: Guess
    date_format: Guess
    form: str | None = None

    def texts(self, table: ir.Table) -> ir.StringColumn:
        """Return the texts of the times."""
        if len(self.columns) == 1:
            return table[self.columns[0]]
        return joined_text([table[name] for name in self.columns]).nullif("")

    def read(self, table: ir.Table) -> ir.TimestampColumn:
        return moments(self.texts(table), self.form, ZONE, ZONE)


def time_of(
    opened: Opened, facts: Mapping[str, Facts], engine: DuckDB, days: Days, given: Given = MappingProxyType({})
) -> Time:
    """Find the column of times, by its name and by what reads all of its values; unless it is given."""
    is_given = "timestamp" in given
    facts = left_for(facts, given, "timestamp")
    ranked = sorted(
        (name for name, each in facts.items() if each.filled and (is_given or _rank(name, each) > 0.3)),
        key=lambda name: -_rank(name, facts[name]),
    )
    for name in ranked[:TRIED]:
        clock = _clock_beside(name, facts)
        columns = (name, clock) if clock else (name,)
        texts = Time(columns, Guess(None), Guess(None)).texts(opened.table)
        distinct = distinct_texts(texts, engine)
        forms = _forms(distinct, days, given.get("date_format"))
        if forms and (is_given or _is_believed(name, facts[name], forms[0])):
            others = tuple(other for other in ranked if other not in columns)[:2]
            return _time(opened, columns, forms, others, facts)
    return _unknown(opened, ranked)


def _forms(distinct: ir.Table, days: Days, given: object) -> list[str | None]:
    """Return the ways to write times that read all of them."""
    if isinstance(given, str):
        return [given] if gives_days(distinct, given, *days, ZONE) else []
    if gives_days(distinct, ISO, *days, ZONE):
        return [ISO]
    return list(islice(fitting_formats(distinct, *days, ZONE), FORMATS))


def _rank(name: str, facts: Facts) -> float:
    looks = facts.dated >= MOST
    return score(name, "timestamp") * (1 if looks or facts.number >= MOST or facts.dated > 0.5 else 0.5) + 0.5 * looks


def _is_believed(name: str, facts: Facts, form: str | None) -> bool:
    """Check that numbers that could be times are called so: amounts could be serial dates."""
    return form not in NUMBERED or score(name, "timestamp") >= CLEARLY or facts.dated >= MOST


def _clock_beside(name: str, facts: Mapping[str, Facts]) -> str | None:
    """Return the column with the time of day, where the day stands alone."""
    if facts[name].clock >= MOST:
        return None
    clocks = [other for other, each in facts.items() if other != name and each.clock >= MOST and each.filled]
    return max(clocks, key=lambda other: score(other, "time"), default=None)


def _time(
    opened: Opened,
    columns: tuple[str, ...],
    forms: list[str | None],
    others: tuple[str, ...],
    facts: Mapping[str, Facts],
) -> Time:
    said = f"{listing(columns)} such as {examples(opened, columns[0], 1)[0]}"
    evidence = f"{said}: {'ISO 8601' if forms[0] is ISO else forms[0]} reads all {facts[columns[0]].filled:,} values"
    column = Guess(columns[0] if len(columns) == 1 else list(columns), evidence, others)
    if len(forms) > 1:
        form = max(forms, key=lambda each: _sortedness(opened, columns, each))
        said = "each reads all rows: say which stands first, the day or the month; the guess keeps the rows in order"
        written = Guess(form, said, tuple(str(each) for each in forms if each != form), is_open=True)
    else:
        form = forms[0]
        written = Guess(form, "the only one that reads all rows")
    return Time(columns, column, written, form)


def _sortedness(opened: Opened, columns: tuple[str, ...], form: str | None) -> float:
    """Return the share of rows that are not earlier than the row before them."""
    read = Time(columns, Guess(None), Guess(None), form).read(opened.table)
    rows = opened.table.select(row=opened.table[ROW], time=read)
    rows = rows.mutate(before=rows.time.lag().over(order_by=rows.row))
    return float(
        rows.filter(rows.before.notnull()).aggregate(share=(rows.time >= rows.before).mean()).execute().iloc[0, 0] or 0
    )


def _unknown(opened: Opened, ranked: list[str]) -> Time:
    tried = [f"{name} ({listing(map(repr, examples(opened, name)))})" for name in ranked[:TRIED]]
    evidence = f"no column of {opened.name} has the day of an order"
    evidence += f"; not a date in all rows: {', '.join(tried)}" if tried else ""
    evidence += (
        "; a query can make one from a number of days: sql: SELECT *, DATE '2024-01-01' + DAY::INT AS day FROM ..."
    )
    return Time((), Guess(None, evidence, is_open=True), Guess(None))
