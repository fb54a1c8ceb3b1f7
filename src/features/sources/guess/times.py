"""The time of an order: which column says it, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from types import MappingProxyType

import ibis
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
SORTED, UNSORTED = 0.99, 0.005  # of neighbouring rows in the order of time, and what is clearly less
MOST_FILES = 40  # of which each is tried alone, although one format reads all
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
    of_files : tuple of (int, int, str)
        Where each file has its own format: the numbers of its first and last row, and the format.
    """

    columns: tuple[str, ...]
    column: Guess
    date_format: Guess
    form: str | None = None
    of_files: tuple[tuple[int, int, str], ...] = ()

    def texts(self, table: ir.Table) -> ir.StringColumn:
        """Return the texts of the times."""
        if len(self.columns) == 1:
            return table[self.columns[0]]
        return joined_text([table[name] for name in self.columns]).nullif("")

    def read(self, table: ir.Table) -> ir.TimestampColumn:
        texts = self.texts(table)
        if not self.of_files:
            return moments(texts, self.form, ZONE, ZONE)
        ways = [(table[ROW].between(a, b), moments(texts, form, ZONE, ZONE)) for a, b, form in self.of_files]
        return ibis.cases(*ways)


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
        others = tuple(other for other in ranked if other not in columns)[:2]
        own = _of_files(opened, columns, forms, engine, days, given.get("date_format"))
        if own:
            return replace(own, column=replace(own.column, others=others))
        if forms and (is_given or _is_believed(name, facts[name], forms[0])):
            return _time(opened, columns, forms, others, facts)
    return _unknown(opened, ranked)


def _of_files(
    opened: Opened,
    columns: tuple[str, ...],
    forms: Sequence[str | None],
    engine: DuckDB,
    days: Days,
    given: object,
) -> Time | None:
    """Return times of which each file has its own format; None where one format reads all files.

    It is asked for where one format reads all files, and yet the rows of some stand in the order of time by another one
    only, which swaps days and months.
    """
    if len(opened.files) < 2 or len(columns) > 1 or (given is not None and not isinstance(given, Mapping)):
        return None
    if len({name for name, _, _ in opened.files}) < len(opened.files):
        return None
    if forms and (len(opened.files) > MOST_FILES or not any(map(_swapped, forms))):
        return None
    chosen: dict[str, str] = {}
    unsure: list[str] = []
    for name, first, last in opened.files:
        part = opened.table.filter(opened.table[ROW].between(first, last))
        texts = distinct_texts(part[columns[0]], engine)
        own = _forms(texts, days, given.get(name) if isinstance(given, Mapping) else None)
        in_order = {form: _in_order(opened, part, columns, form) for form in own if form is not ISO}
        if not in_order:
            return None
        common = next((form for form in forms if form in in_order), None)
        best = max(in_order, key=lambda form: in_order[form])
        is_clear = common is None or (in_order[best] - in_order[common] > UNSORTED and in_order[best] >= SORTED)
        chosen[name] = best if is_clear else str(common)
        unsure += [name] if len(in_order) > 1 and not isinstance(given, Mapping) else []
    if len(set(chosen.values())) < 2:
        return None
    said = "; ".join(f"{name}: {form}" for name, form in chosen.items())
    evidence = f"each file has its own format: {said}"
    if unsure:
        evidence += f"; {listing(unsure)} can be read in several ways, and stands in the order of time in this one"
    of_files = tuple((first, last, chosen[name]) for name, first, last in opened.files)
    others = tuple(f"{form} (of all files)" for form in forms[:1] if form)
    written = Guess(chosen, evidence, others if unsure else (), is_open=bool(unsure))
    return Time(columns, Guess(columns[0], f"read by the format of each file, such as {said}"), written, None, of_files)


def _swapped(form: str | None) -> bool:
    """Check whether a format has days and months as numbers, so that another one swaps them."""
    return form is not None and {"%d", "%m"} <= {*re.findall("%.", form)} and not form.startswith("%Y%m")


def _in_order(opened: Opened, part: ir.Table, columns: tuple[str, ...], form: str) -> float:
    """Return the share of neighbouring rows that stand in the order of time, up or down."""
    return max(_sortedness(replace(opened, table=part), columns, form, up=up) for up in (True, False))


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


def _sortedness(opened: Opened, columns: tuple[str, ...], form: str | None, *, up: bool = True) -> float:
    """Return the share of rows that are not earlier than the row before them; not later, where not `up`."""
    read = Time(columns, Guess(None), Guess(None), form).read(opened.table)
    rows = opened.table.select(row=opened.table[ROW], time=read)
    rows = rows.mutate(before=rows.time.lag().over(order_by=rows.row))
    is_in_order = rows.time >= rows.before if up else rows.time <= rows.before
    return float(rows.filter(rows.before.notnull()).aggregate(share=is_in_order.mean()).execute().iloc[0, 0] or 0)


def _unknown(opened: Opened, ranked: list[str]) -> Time:
    tried = [f"{name} ({listing(map(repr, examples(opened, name)))})" for name in ranked[:TRIED]]
    evidence = f"no column of {opened.name} has the day of an order"
    evidence += f"; not a date in all rows: {', '.join(tried)}" if tried else ""
    evidence += (
        "; a query can make one from a number of days: sql: SELECT *, DATE '2024-01-01' + DAY::INT AS day FROM ..."
    )
    return Time((), Guess(None, evidence, is_open=True), Guess(None))
