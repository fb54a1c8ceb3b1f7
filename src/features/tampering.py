"""Tampering: a shop with other rows, whose tables are deleted, poisoned or shuffled over some period."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from features.engines import Engine, RowFunction
from features.grains import CUSTOMER, Grain
from features.outcomes import Outcome
from features.shop import Shop
from features.tables import RECORDED_AT, SPECS, Tables, TableSpec, midnight

TAMPERINGS = ("delete", "poison", "shuffle")
FACTOR = 1000

Period = tuple[date | None, date | None]  # [start, end) of the days on which rows became known; None is open


class Tampered:
    """An engine on which some tables hold other rows for every reader.

    Parameters
    ----------
    engine : Engine
    instead : mapping of table to table
        Read in place of each; with the same columns.
    """

    def __init__(self, engine: Engine, instead: Mapping[ir.Table, ir.Table]) -> None:
        self.name = engine.name
        self._engine = engine
        self._instead = {table.op(): other.op() for table, other in instead.items()}

    def read(self, path: Path, table: str) -> ir.Table:
        return self._engine.read(path, table)

    def frame(self, expression: ir.Table) -> pd.DataFrame:
        return self._engine.frame(self._over_others(expression))

    def keep(self, expression: ir.Table) -> ir.Table:
        return self._engine.keep(self._over_others(expression))

    def write(self, expression: ir.Table, path: Path) -> None:
        self._engine.write(self._over_others(expression), path)

    def map(self, function: RowFunction, path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        return self._engine.map(function, path, schema)

    def _over_others(self, expression: ir.Table) -> ir.Table:
        return expression.op().replace(self._instead).to_expr()


class Tamperer:
    """Maker of engines on which rows of some periods are deleted, poisoned or shuffled; writes a changed table once.

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
        self._caches: dict[tuple[str, ...], Path] = {}

    @property
    def names(self) -> list[str]:
        """Return the tables that can be changed: dated ones, and those with columns measured after the fact."""
        return [
            name
            for name in self.tables
            if SPECS[name].moment(self.tables[name].columns)
            or any(column.after_the_fact for column in SPECS[name].columns.values())
        ]

    def change(self, names: Sequence[str], how: str, *periods: Period) -> tuple[Tampered, int]:
        """Return an engine on which the named tables are changed, and the number of changed rows.

        Parameters
        ----------
        names : sequence of str
            Tables.
        how : {"delete", "poison", "shuffle"}
            delete: the rows are gone; of the past the first row of each customer stays, as every buyer is
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
            instead[self.tables[name]] = other
            rows += count
        return Tampered(self.engine, instead), rows

    def cache(self, names: Sequence[str], how: str, *periods: Period) -> Path:
        """Return the folder of what is computed from the tables that `change` gives: one for each change."""
        key = (*names, how, *map(str, periods))
        return self._caches.setdefault(key, self.folder / f"cache-{len(self._caches)}")

    def _write(self, name: str, how: str, periods: tuple[Period, ...]) -> tuple[ir.Table, int]:
        table, spec = self.tables[name], SPECS[name]
        parts, count = [], 0
        for rows, columns, of_past in _split(table, spec, periods):
            number = int(self.engine.frame(rows.aggregate(rows=rows.count())).rows.iloc[0]) if columns else 0
            count += number
            if number:
                parts.append(_changed(spec, rows, how, columns, number, keep_customers=of_past))
            elif not columns:
                parts.append(rows)
        parts = parts or [table]  # of undated facts there may be none
        other = ibis.union(*parts) if len(parts) > 1 else parts[0]
        schema = table.schema()
        other = other.select(**{column: other[column].cast(schema[column]) for column in table.columns})
        number = len(self._changed)
        path = self.folder / f"{name}-{how}-{number}.parquet"
        self.engine.write(other, path)
        return self.engine.read(path, f"tampered_{self.folder.name.strip('.')}_{number}"), count


def _split(table: ir.Table, spec: TableSpec, periods: Sequence[Period]) -> Iterator[tuple[ir.Table, list[str], bool]]:
    """Divide the rows by what of them became known in the periods.

    Yields
    ------
    (ibis table, list of str, bool)
        Rows, their columns that became known in a period (all, some or none), and whether the period has no start.
    """
    known = spec.known(table)
    if known is None:
        yield table, [column for column, about in spec.columns.items() if about.after_the_fact], False
        return
    moments = dict.fromkeys(spec.known_later.values())

    def known_in(moment: str) -> ir.BooleanValue:
        return ibis.or_(*(_within(table[moment], period) for period in periods))

    # A row of which something became known at another time stays, but for its values that became known in a period.
    whole = [known_in(moment).fill_null(True) for moment in moments]
    for period in periods:
        yield table.filter(_within(known, period), *whole), [*table.columns], period[0] is None
    rest = table.filter(~ibis.and_(ibis.or_(*(_within(known, period) for period in periods)), *whole))
    for chosen in product((True, False), repeat=len(moments)):
        late = [moment for moment, is_late in zip(moments, chosen, strict=True) if is_late]
        inside = {moment: known_in(moment).fill_null(False) for moment in moments}
        those = [is_in if moment in late else ~is_in for moment, is_in in inside.items()]
        changeable = [name for name, moment in spec.known_later.items() if moment in late]
        yield rest.filter(*those) if those else rest, changeable, False


def _within(moment: ir.Value, period: Period) -> ir.Value:
    start, end = period
    bounds = [moment >= midnight(start)] if start else []
    bounds += [moment < midnight(end)] if end else []
    return ibis.and_(*bounds)


def _changed(
    spec: TableSpec, rows: ir.Table, how: str, columns: Sequence[str], number: int, *, keep_customers: bool
) -> ir.Table:
    """Change these columns of the rows; of what is known from the start, customers stay known."""
    if how == "delete":
        if len(columns) < len(rows.columns):
            return rows.mutate(**{column: ibis.null(rows[column].type()) for column in columns})
        if not (keep_customers and "customer_id" in rows.columns):
            return rows.limit(0)
        first = ibis.row_number().over(group_by="customer_id", order_by=list(spec.key))
        return rows.mutate(nth=first).filter(lambda t: t.nth == 0).drop("nth")
    ordered = ibis.window(order_by=list(spec.key))
    position = ibis.row_number().over(ordered)

    def turned(values: ir.Value, by: int) -> ir.Value:
        """Return the value of the row that is this many places further on, around the end."""
        by %= number
        if by == 0:
            return values
        return ibis.ifelse(position < number - by, values.lead(by).over(ordered), values.lag(number - by).over(ordered))

    if how == "shuffle":
        step = max(1, number // (len(columns) + 1))
        own = spec.moment(rows.columns)
        places = {column: n for n, column in enumerate(columns, start=1)}
        places |= {RECORDED_AT: places[own]} if RECORDED_AT in places and own in places else {}  # they go together
        return rows.mutate(**{column: turned(rows[column], step * n) for column, n in places.items()})
    poisoned = {}
    for n, column in enumerate(columns):
        values, kind = rows[column], rows[column].type()
        if column in (spec.moment(rows.columns), RECORDED_AT):
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


@dataclass(frozen=True)
class SplicedShop(Shop):
    """A shop whose features come from one shop and whose outcomes from another: one is tampered with, one is not."""

    past: Shop
    future: Shop

    def features(self, names: Sequence[str], cutoffs: Sequence[date], grain: Grain = CUSTOMER) -> pd.DataFrame:
        return self.past.features(names, cutoffs, grain)

    def outcome(
        self, outcome: Outcome, cutoffs: Sequence[date], horizon_days: int, grain: Grain = CUSTOMER
    ) -> pd.DataFrame:
        return self.future.outcome(outcome, cutoffs, horizon_days, grain)


def splice(past: Shop, future: Shop) -> SplicedShop:
    """Return a shop with the features of one and the outcomes of another."""
    return SplicedShop(past.staged, past.tables, past.engine, past.cache, past, future)


def tampered_shop(shop: Shop, engine: Tampered, cache: Path) -> Shop:
    """Return the shop on a tampered engine, with a cache of its own."""
    return dataclasses.replace(shop, engine=engine, cache=cache)
