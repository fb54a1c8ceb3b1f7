"""Tampering: a shop with other rows, whose tables are deleted, poisoned or shuffled over some period."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis.expr.operations import Node

from features.engines import Engine, Remembering, RowFunction
from features.grains import CUSTOMER, Grain
from features.outcomes import Outcome
from features.shop import Shop
from features.snapshot import computed
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
    pasts : mapping of table to callable, optional
        Tables made of those, such as the ones of a past, and functions that say whether they have the same rows on this
        engine. Such a table stays in expressions as it is, so that what reads nothing else need not run again.
    """

    def __init__(
        self,
        engine: Engine,
        instead: Mapping[ir.Table, ir.Table],
        pasts: Mapping[ir.Table, Callable[[], bool]] | None = None,
    ) -> None:
        self.name = engine.name
        self.learnt = engine.learnt
        self._engine = engine
        self._instead = {table.op(): other.op() for table, other in instead.items()}
        self._pasts = {table.op(): is_same for table, is_same in (pasts or {}).items()}

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
        op = expression.op()
        same = [past for past in op.find(self._pasts.__contains__) if self._pasts[past]()] if self._pasts else []
        held = {past: ibis.table(past.schema, name=f"past_{number}").op() for number, past in enumerate(same)}
        # Placeholders, as a replacement goes down into a past and would change the table that it is made of.
        op = op.replace(held).replace(self._instead) if held else op.replace(self._instead)
        return (op.replace({place: past for past, place in held.items()}) if held else op).to_expr()


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
        self.memory = Remembering(engine)  # each changed table has a name of its own, so its rows stay
        self._changed: dict[tuple[str, str, tuple[Period, ...]], tuple[ir.Table, int]] = {}
        self._same: dict[tuple[Node, str, tuple[Period, ...]], bool] = {}
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

    def change(self, names: Sequence[str], how: str, *periods: Period, everything: bool = True) -> tuple[Tampered, int]:
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
        everything : bool
            Run every expression that reads a changed table. Otherwise tables as of the first changed day are compared
            with those of before, row by row. What reads only such as are the same is not run again.
        """
        rows, instead = 0, {}
        for name in names:
            key = (name, how, periods)
            if key not in self._changed:
                self._changed[key] = self._write(*key)
            other, count = self._changed[key]
            instead[self.tables[name]] = other
            rows += count
        starts = [start for start, _ in periods if start]
        if everything or len(starts) < len(periods):
            return Tampered(self.memory, instead), rows
        past = self.tables.as_of(min(starts))
        return Tampered(
            self.memory, instead, {past[name]: partial(self._is_same, past[name], name, how, periods) for name in names}
        ), rows

    def _is_same(self, past: ir.Table, name: str, how: str, periods: tuple[Period, ...]) -> bool:
        """Return True if a past has the same rows where its table is changed. Rows have a key, so none comes twice."""
        key = (past.op(), how, periods)
        if key not in self._same:
            other, _ = self._changed[(name, how, periods)]
            changed = past.op().replace({self.tables[name].op(): other.op()}).to_expr()
            counts = past.count().as_scalar(), changed.count().as_scalar(), past.difference(changed).count().as_scalar()
            names = ("before", "after", "gone")
            one = ibis.memtable({"one": [1]}).select(**dict(zip(names, counts, strict=True)))
            found = self.engine.frame(one).iloc[0]
            self._same[key] = bool(found.before == found.after and found.gone == 0)
        return self._same[key]

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


@dataclass(frozen=True)
class DealtShop(Shop):
    """A shop whose rows have some features of other rows of their cutoff; outcomes are their own."""

    dealt: Shop
    names: tuple[str, ...]

    def features(self, names: Sequence[str], cutoffs: Sequence[date], grain: Grain = CUSTOMER) -> pd.DataFrame:
        frame = self.dealt.features(names, cutoffs, grain)
        days, giver = frame.index.get_level_values("cutoff"), np.arange(len(frame))
        for day in days.unique():
            rows = np.flatnonzero(days == day)
            giver[rows] = np.roll(rows, len(rows) // 2)
        return frame.assign(**{name: frame[name].to_numpy()[giver] for name in names if name in self.names})

    def outcome(
        self, outcome: Outcome, cutoffs: Sequence[date], horizon_days: int, grain: Grain = CUSTOMER
    ) -> pd.DataFrame:
        return self.dealt.outcome(outcome, cutoffs, horizon_days, grain)


def deal(shop: Shop, names: Sequence[str]) -> DealtShop:
    """Return a shop whose rows exchange the named features: each gets those of the row half of the rows further on."""
    return DealtShop(shop.staged, shop.tables, shop.engine, shop.cache, shop, tuple(names))


@dataclass(frozen=True)
class ComputedShop(Shop):
    """A shop whose features are computed in memory, family by family: see `snapshot.computed`."""

    def features(self, names: Sequence[str], cutoffs: Sequence[date], grain: Grain = CUSTOMER) -> pd.DataFrame:
        return computed(self.tables, names, cutoffs, self.engine, grain=grain)


def on_engine(shop: Shop, engine: Engine, cache: Path) -> ComputedShop:
    """Return the shop on another engine, such as a tampered one, with a cache of its own for outcomes."""
    return ComputedShop(shop.staged, shop.tables, engine, cache, no_goods=shop.no_goods)
