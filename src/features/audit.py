"""Does a number come from the past alone? What it is read from, and whether another future moves it.

Features are built from `tables.as_of(cutoff)`, so that an honest one passes by construction. The audit is for the one
that is not: it reads the tables by another way, asks the clock, or takes a fact that was measured after the cutoff. So
other rows are put in place of those that an expression names in the end, by whatever way it came to them.

Where the line is. A fact of unknown date (a region, an age band) may have been recorded after the cutoff, but need not
have been: its family declares it `undated`, its meaning says so, and it may be used. *Descriptive*, and never promoted,
is what certainly holds more than the past: what reads anything but `as_of`, a column measured at the end of the data
(`Column.after_the_fact`), the clock, chance or a function that cannot be looked into, and facts about customers of
unknown date that no declaration admits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from features.engines import Engine, RowFunction
from features.errors import listing
from features.groups import PARAMETRISED, Family, feature_families, resolve
from features.shop import Shop
from features.snapshot import Target, expand, row_per_customer
from features.tables import SPECS, Tables, TableSpec, midnight

TAMPERINGS = ("delete", "poison", "shuffle")
FACTOR = 1000
DURATIONS_DAYS = {"_days": 1.0, "_months": 365.25 / 12}
_LEAVES = (ops.PhysicalTable, ops.SQLQueryResult, ops.SQLStringView)

Period = tuple[date | None, date | None]  # [start, end) of the days on which rows became known; None is open


# What an expression reads


def descriptive(names: Iterable[str]) -> dict[str, str]:
    """Those of the named features that can never be promoted, each with the reason.

    Looks at expressions over empty tables, so that it needs no data and takes no time worth mentioning. What is
    wrong with one feature is said of all that its family computes with it.

    Parameters
    ----------
    names : iterable of str
        Features; wildcards too.

    Returns
    -------
    dict of feature to reason
        Empty where all are made of `Tables.as_of` alone.

    Raises
    ------
    InputError
        As `groups.resolve`.
    """
    reasons = {}
    for family, features in resolve(names).items():
        reason = _reason(family)
        reasons.update(dict.fromkeys(features, reason) if reason else {})
    return reasons


@cache
def _reason(family: Family) -> str | None:
    cutoff = date(2001, 1, 1)
    tables = {name: ibis.table(spec.schema, name=name) for name, spec in SPECS.items()}
    past = Tables(start=date(2000, 1, 1), end=cutoff, burn_in_days=30, **tables).as_of(cutoff)
    seen = {table.op(): ibis.table(table.schema(), name=f"past.{name}").op() for name, table in past.present().items()}
    read = family.build(past).op().replace(seen)
    given = dict(zip(seen.values(), past.present(), strict=True))
    leaves = [leaf for leaf in read.find(_LEAVES) if leaf not in given]
    calls = sorted({type(call).__name__ for call in read.find(ops.Impure)})
    if leaves:
        whole = sorted({str(getattr(leaf, "name", "a query")) for leaf in leaves})
        return f"{family.name} reads {listing(whole)} by another way than as_of"
    if calls:
        return f"{family.name} calls {listing(calls)}, which depends on more than the tables"
    facts = sorted({given[leaf] for leaf in read.find(_LEAVES) if SPECS[given[leaf]].key == ("customer_id",)})
    if facts and not family.undated:
        return f"{family.name} reads {listing(facts)}, facts of unknown date, and does not declare it (undated=True)"
    return None


def all_features(tables: Tables, cutoff: date, engine: Engine) -> list[str]:
    """Every feature that these tables allow, those named by a value for the values with most spend at the cutoff."""
    past, present = tables.as_of(cutoff), set(tables.present())
    names = [name for name, family in feature_families().items() if present.issuperset(family.needs)]
    for base in PARAMETRISED.values():
        if present.issuperset(base.needs) and not engine.frame(base.largest(past, 1)).empty:
            names.append(f"{base.name}.*")
    return expand(names, past, engine)


# Other rows in place of those there are


class Tampered:
    """An engine on which some tables hold other rows, whoever reads them.

    Parameters
    ----------
    engine : Engine
    instead : mapping of table to table
        What is read in place of each; with the same columns.
    """

    def __init__(self, engine: Engine, instead: Mapping[ir.Table, ir.Table]) -> None:
        self.name = engine.name
        self._engine = engine
        self._instead = {table.op(): other.op() for table, other in instead.items()}

    def read(self, path: Path, table: str) -> ir.Table:
        return self._engine.read(path, table)

    def frame(self, expression: ir.Table) -> pd.DataFrame:
        return self._engine.frame(self._over_others(expression))

    def write(self, expression: ir.Table, path: Path) -> None:
        self._engine.write(self._over_others(expression), path)

    def map(self, function: RowFunction, path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        return self._engine.map(function, path, schema)

    def _over_others(self, expression: ir.Table) -> ir.Table:
        return expression.op().replace(self._instead).to_expr()


class Tamperer:
    """Makes engines on which rows of some periods are deleted, poisoned or shuffled; writes each changed table once.

    Parameters
    ----------
    tables : Tables
        The shop's tables, whole.
    engine : Engine
    folder : Path
        For the changed tables; to be removed afterwards.
    """

    def __init__(self, tables: Tables, engine: Engine, folder: Path) -> None:
        self.tables = tables
        self.folder = folder
        self.engine = engine
        self._changed: dict[tuple[str, str, tuple[Period, ...]], tuple[ir.Table, int]] = {}

    @property
    def names(self) -> list[str]:
        """The tables that can be changed: dated ones, and those with columns measured after the fact."""
        return [
            name
            for name in self.tables.present()
            if SPECS[name].known_at or any(column.after_the_fact for column in SPECS[name].columns.values())
        ]

    def change(self, names: Sequence[str], how: str, *periods: Period) -> tuple[Tampered, int]:
        """An engine on which the named tables are changed, and how many rows that are.

        Parameters
        ----------
        names : sequence of str
            Tables.
        how : {"delete", "poison", "shuffle"}
            delete: the rows are gone; of the past the first row of each customer stays, as whoever bought is
            eligible. poison: numbers are (x + 1) x 1000, texts reversed, moments other than the row's own 1,000 days
            later, and ids swapped between rows. shuffle: the values of each column are dealt anew among the rows.
        *periods : pair of date
            Rows that became known in [start, end), each period by itself; of undated tables all rows, and only the
            columns measured after the fact.
        """
        rows, instead = 0, {}
        for name in names:
            key = (name, how, periods)
            if key not in self._changed:
                self._changed[key] = self._write(*key)
            other, count = self._changed[key]
            instead[self.tables.present()[name]] = other
            rows += count
        return Tampered(self.engine, instead), rows

    def _write(self, name: str, how: str, periods: tuple[Period, ...]) -> tuple[ir.Table, int]:
        table, spec = self.tables.present()[name], SPECS[name]
        if spec.known_at:
            moment = table[spec.known_at]
            within = [_within(moment, period) for period in periods]
            parts = [table.filter(~ibis.or_(*within))]
            changeable = [*table.columns]
        else:
            within, parts = [ibis.literal(True)], []
            changeable = [column for column, about in spec.columns.items() if about.after_the_fact]
        count = 0
        for where, (start, _) in zip(within, periods if spec.known_at else [(date.min, None)], strict=True):
            rows = table.filter(where)
            number = int(self.engine.frame(rows.aggregate(rows=rows.count())).rows.iloc[0])
            count += number
            if number:
                parts.append(_changed(spec, rows, how, changeable, number, keep_customers=start is None))
        parts = parts or [table]  # of undated facts there may be none
        other = ibis.union(*parts) if len(parts) > 1 else parts[0]
        schema = table.schema()
        other = other.select(**{column: other[column].cast(schema[column]) for column in table.columns})
        number = len(self._changed)
        path = self.folder / f"{name}-{how}-{number}.parquet"
        self.engine.write(other, path)
        return self.engine.read(path, f"tampered_{self.folder.name.strip('.')}_{number}"), count


def _within(moment: ir.Value, period: Period) -> ir.Value:
    start, end = period
    bounds = [moment >= midnight(start)] if start else []
    bounds += [moment < midnight(end)] if end else []
    return ibis.and_(*bounds)


def _changed(
    spec: TableSpec, rows: ir.Table, how: str, columns: Sequence[str], number: int, *, keep_customers: bool
) -> ir.Table:
    """The rows with these columns changed; of what is known from the start, customers stay known."""
    if how == "delete":
        if not spec.known_at:
            return rows.mutate(**{column: ibis.null(rows[column].type()) for column in columns})
        if not (keep_customers and "customer_id" in rows.columns):
            return rows.limit(0)
        first = ibis.row_number().over(group_by="customer_id", order_by=list(spec.key))
        return rows.mutate(nth=first).filter(lambda t: t.nth == 0).drop("nth")
    ordered = ibis.window(order_by=list(spec.key))
    position = ibis.row_number().over(ordered)

    def turned(values: ir.Value, by: int) -> ir.Value:
        """The value of the row that stands so many places further on, around the end."""
        by %= number
        if by == 0:
            return values
        return ibis.ifelse(position < number - by, values.lead(by).over(ordered), values.lag(number - by).over(ordered))

    if how == "shuffle":
        step = max(1, number // (len(columns) + 1))
        return rows.mutate(**{column: turned(rows[column], step * (n + 1)) for n, column in enumerate(columns)})
    poisoned = {}
    for n, column in enumerate(columns):
        values, kind = rows[column], rows[column].type()
        if column == spec.known_at:
            continue
        if column.endswith("_id"):
            poisoned[column] = turned(values, number // 2 + n)
        elif kind.is_numeric():
            poisoned[column] = (values.fill_null(0) + 1) * FACTOR
        elif kind.is_timestamp():
            poisoned[column] = values + ibis.interval(days=FACTOR)
        else:
            poisoned[column] = values.fill_null("unknown").reverse()
    return rows.mutate(**poisoned)


# What moves


@dataclass(frozen=True)
class Movement:
    """Something that moved when it should not have.

    Attributes
    ----------
    what : str
        A feature, or the target.
    cutoff : datetime.date
    table, how : str
        What was changed after the cutoff (of a target: outside its window), and how.
    rows : int
        Rows of the table that were changed.
    moved, customers : int
        Customers for whom the value is another one, of how many.
    example : str
        The first of them, with both values.
    """

    what: str
    cutoff: date
    table: str
    how: str
    rows: int
    moved: int
    customers: int
    example: str

    def __str__(self) -> str:
        return (
            f"{self.how} {self.table} ({self.rows:,} rows) at {self.cutoff}: "
            f"{self.moved:,} of {self.customers:,} values move, {self.example}"
        )


def differences(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[tuple[str, int, str]]:
    """The columns that are not the same to the bit: name, number of rows, an example.

    Rows that only one of the frames has differ in every column.
    """
    if not before.index.equals(after.index):
        before, after = (frame[~frame.index.duplicated()] for frame in (before, after))
        before, after = before.align(after, join="outer", axis=0)
    for column in before.columns:
        old, new = (frame[column].to_numpy(dtype=np.float64) for frame in (before, after))
        differs = old.view(np.int64) != new.view(np.int64)
        if differs.any():
            first = int(np.argmax(differs))
            label = before.index[first]
            who = label[0] if isinstance(label, tuple) else label
            yield str(column), int(differs.sum()), f"customer {who}: {old[first]:g} became {new[first]:g}"


def moving_features(
    tamperer: Tamperer, names: Sequence[str], cutoffs: Sequence[date]
) -> Iterator[tuple[int, list[Movement]]]:
    """Change each table in each way after each cutoff, and recompute the features that read it.

    One query computes all features of a tampering. A feature whose expression does not name a table cannot move with
    it, and is not recomputed.

    Yields
    ------
    (int, list of Movement)
        For each table, tampering and cutoff: how many features were compared or do not read the table, and those that
        moved.
    """
    for cutoff in cutoffs:
        past = tamperer.tables.as_of(cutoff)
        families = resolve(names)
        read = {family: set(family.build(past).op().find(_LEAVES)) for family in families}
        before = _rows(row_per_customer(past, names), tamperer.engine)
        for table in tamperer.names:
            leaf = tamperer.tables.present()[table].op()
            readers = [name for family, chosen in families.items() if leaf in read[family] for name in chosen]
            readers = [name for name in names if name in readers]
            for how in TAMPERINGS:
                found = []
                if readers:
                    engine, rows = tamperer.change([table], how, (cutoff, None))
                    after = _rows(row_per_customer(past, readers), engine)
                    found = [
                        Movement(what, cutoff, table, how, rows, moved, len(before), example)
                        for what, moved, example in differences(before[readers], after)
                    ]
                yield len(names), found


def _rows(expression: ir.Table, engine: Engine | Tampered) -> pd.DataFrame:
    return engine.frame(expression).set_index("customer_id").sort_index()


@dataclass(frozen=True)
class SplicedShop(Shop):
    """A shop whose features come from one shop and whose targets from another: one is tampered with, one is not."""

    past: Shop
    future: Shop

    def features(self, names: Sequence[str], cutoffs: Sequence[date]) -> pd.DataFrame:
        return self.past.features(names, cutoffs)

    def target(self, expression: Target, cutoffs: Sequence[date], horizon_days: int, name: str) -> pd.Series:
        return self.future.target(expression, cutoffs, horizon_days, name)


def splice(past: Shop, future: Shop) -> SplicedShop:
    """A shop with the features of one and the targets of another."""
    return SplicedShop(past.staged, past.tables, past.engine, past.cache, past, future)


def tampered_shop(shop: Shop, engine: Tampered, cache: Path) -> Shop:
    """The shop on a tampered engine, with a cache of its own."""
    return dataclasses.replace(shop, engine=engine, cache=cache)


# What the data say against themselves


@dataclass(frozen=True)
class Contradiction:
    """A static fact that says that a customer is younger than the customer's own purchases.

    Attributes
    ----------
    table, column : str
    contradicted, customers : int
        Customers whose first purchase lies before the start that the fact tells, of those of whom it is known.
    example : str
    """

    table: str
    column: str
    contradicted: int
    customers: int
    example: str


def contradictions(tables: Tables, engine: Engine) -> list[Contradiction]:
    """Durations measured at the end of the data (`tenure_months`) against the time since the first purchase.

    A duration of m months lasts less than m + 1; it is contradicted by a first purchase m + 1 months or more before
    the end of the data. Every such column that has a value is listed, with 0 where nothing contradicts it.
    """
    lines, last_day = tables.transactions, ibis.literal(tables.end - timedelta(days=1))
    firsts = lines.group_by("customer_id").agg(first=lines.timestamp.min().date())
    found = []
    for name, table in tables.present().items():
        spec = SPECS[name]
        for column, about in spec.columns.items():
            unit = next((days for suffix, days in DURATIONS_DAYS.items() if column.endswith(suffix)), None)
            if spec.key != ("customer_id",) or not about.after_the_fact or unit is None:
                continue
            known = table.filter(table[column].notnull()).select("customer_id", stated=column)
            both = firsts.inner_join(known, "customer_id")
            both = both.select("customer_id", "stated", bought=last_day.delta(both["first"], unit="day"))
            rows = engine.frame(both.order_by("customer_id"))
            wrong = rows[rows.bought >= (rows.stated + 1) * unit]
            example = ""
            if len(wrong):
                worst = int((wrong.bought - wrong.stated * unit).argmax())
                who, stated, bought = wrong.iloc[worst].to_list()
                example = f"customer {who}: {column} {stated}, first purchase {bought} days before the end"
            if len(rows):
                found.append(Contradiction(name, column, len(wrong), len(rows), example))
    return found
