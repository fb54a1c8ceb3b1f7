"""Raw rows before a day: what a source would have read if it had been asked then.

Rows of a file are dated by the column that the config maps to the moment at which they became known. In a query, that
column is followed back to the files that it reads, and these are cut before it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

from features.engines import DuckDB
from features.errors import listing
from features.sources.files.config import TableConfig
from features.sources.files.records import Read, matched
from features.sources.files.times import moments
from features.sources.files.values import is_missing, trimmed
from features.sources.reading import sql_name
from features.tables import SPECS, midnight
from features.tables.base import RECORDED_AT

KNOWN_AT = "known.at"  # beside a file's own columns
OF_ONE_ROW = (exp.Min, exp.Max, exp.AnyValue, exp.First, exp.Last)  # aggregates that return a value of some row


def rows_before(
    cutoff: date, read: Read, config: TableConfig, zone: str, missing: Sequence[str], recorded_by_hour: int
) -> Read:
    """Leave out the rows of a file that became known at the cutoff's midnight or later; those without a time stay.

    A line of an order without a time has the latest one of its order. A row that was recorded later became known then.
    """
    columns, table = read.columns, read.table
    hours = {RECORDED_AT: recorded_by_hour}
    for column in (SPECS[config.name].moment(config.columns), RECORDED_AT):
        source = config.columns.get(column or "")
        if column is None or source is None or source not in columns:
            continue
        values = columns[source]
        if values.type().is_string():
            values = trimmed(values)
            values = ibis.ifelse(is_missing(values, missing), ibis.null("string"), values)
        known = moments(values, config.date_format, config.timezone or zone, zone)
        known -= ibis.interval(hours=hours.get(column, 0))
        table = table.mutate(**{f"{KNOWN_AT}.{len(table.columns)}": known})
    added = [name for name in table.columns if name.startswith(KNOWN_AT)]
    order = config.columns.get("order_id", "")
    if config.name == "transactions" and order in columns and added:
        name = read.table.columns[[each.strip() for each in read.names].index(order)]
        filled = table[added[0]].fill_null(table[added[0]].max().over(group_by=name))
        table = table.mutate(**{added[0]: filled})
    for name in added:
        table = _before(table, name, cutoff)
    return Read(table.drop(*added), read.names, None, read.notes, read.dialect) if added else read


def _before(table: ir.Table, moment: str, cutoff: date) -> ir.Table:
    return table.filter((table[moment] < midnight(cutoff)).fill_null(True))


@dataclass(frozen=True)
class _Dated:
    """The moment at which a row of a file became known: SQL over its columns, and how its values are read."""

    sql: str
    config: TableConfig


class Cut:
    """Files that queries read, cut at a day.

    Parameters
    ----------
    cutoff : datetime.date
    configs : sequence of TableConfig
        Of all tables: what dates a file for one of them dates it for the others.
    root : pathlib.Path
        Folder that relative paths start from.
    zone : str
        Of the shop.
    engine : DuckDB
    """

    def __init__(self, cutoff: date, configs: Sequence[TableConfig], root: Path, zone: str, engine: DuckDB) -> None:
        self.cutoff = cutoff
        self.root = root
        self.zone = zone
        self.engine = engine
        self.dated: dict[Path, _Dated] = {}
        for config in configs:
            self.dated |= dict(self._dated(config))

    def query(self, config: TableConfig, sql: str) -> tuple[str, tuple[str, ...]]:
        """Return the query over files that were cut, and what it reads whole."""
        try:
            parsed, files = self._opened(config, sql)
        except (SqlglotError, duckdb.Error):
            return sql, (f"the query of {config.name}",)
        if not files:
            return sql, (f"the query of {config.name}",)
        whole = []
        for view, paths in files.items():
            known = next((self.dated[path] for path in paths if path in self.dated), None)
            if known is None or not self._cut(view, known):
                whole.append(listing(sorted(path.name for path in paths)))
        if len(whole) == len(files) and SPECS[config.name].moment(config.columns):
            whole = [f"the query of {config.name}, whose time is no column of {listing(whole)}"]
        return parsed.sql("duckdb"), tuple(whole)

    def _opened(self, config: TableConfig, sql: str) -> tuple[exp.Expression, dict[str, list[Path]]]:
        """Return the query with a view in place of each file, and the files of each view."""
        parsed = sqlglot.parse_one(sql, read="duckdb")
        files: dict[str, list[Path]] = {}
        for number, node in enumerate(list(parsed.find_all(exp.Table))):
            paths = list(self._paths(node))
            if not paths:
                continue
            view = f"cut_{config.name}_{number}"
            bare = exp.Table(this=node.this.copy()).sql("duckdb")
            self.engine.connection.raw_sql(f"CREATE OR REPLACE TEMP VIEW {view}_whole AS SELECT * FROM {bare}")
            self.engine.connection.raw_sql(f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT * FROM {view}_whole")
            if not node.alias:
                node.set("alias", exp.TableAlias(this=exp.to_identifier(_called(node))))
            node.set("this", exp.to_identifier(view))
            files[view] = paths
        return parsed, files

    def _paths(self, node: exp.Table) -> Iterator[Path]:
        """Yield the files that a table of a query reads."""
        named = [node.name] if isinstance(node.this, exp.Identifier) else []
        named += [each.this for each in node.this.find_all(exp.Literal) if each.is_string]
        for name in named:
            yield from matched(self.root / name)

    def _dated(self, config: TableConfig) -> Iterator[tuple[Path, _Dated]]:
        """Yield the files whose rows a table dates."""
        source = config.columns.get(SPECS[config.name].moment(config.columns) or "")
        if source is None or source in config.joined:
            return
        if config.sql is None:
            yield from ((path, _Dated(sql_name(source), config)) for path in config.paths)
            return
        try:
            parsed, files = self._opened(config, config.sql)
            schema = {view: self._columns(view) for view in files}
            column = exp.column(exp.to_identifier(source, quoted=True))
            found = dict(_traced(lineage(column, parsed, schema=schema, dialect="duckdb")))
        except (SqlglotError, duckdb.Error):
            return
        for view, expression in found.items():
            dated = _Dated(expression.sql("duckdb"), config)
            yield from ((path, dated) for path in files.get(view, ()))

    def _columns(self, view: str) -> dict[str, str]:
        rows = self.engine.connection.raw_sql(f"DESCRIBE {view}").fetchall()
        return {name: kind for name, kind, *_ in rows}

    def _cut(self, view: str, known: _Dated) -> bool:
        """Cut the rows of a view; return False where its columns do not tell the moment."""
        connection, config = self.engine.connection, known.config
        zone = config.timezone or self.zone
        try:
            connection.raw_sql(
                f'CREATE TEMP VIEW {view}_dated AS SELECT *, {known.sql} AS "{KNOWN_AT}" FROM {view}_whole'
            )
            table = connection.table(f"{view}_dated")
            table = table.mutate(**{KNOWN_AT: moments(table[KNOWN_AT], config.date_format, zone, self.zone)})
            if not int(table[KNOWN_AT].count().execute()):
                return False
            kept = connection.compile(_before(table, KNOWN_AT, self.cutoff).drop(KNOWN_AT))
            connection.raw_sql(f"CREATE OR REPLACE TEMP VIEW {view} AS {kept}")
        except duckdb.Error:
            return False
        return True


def _called(node: exp.Table) -> str:
    """Return the name by which DuckDB knows a file that a query gives none: orders of orders.csv."""
    if isinstance(node.this, exp.Identifier):
        return Path(node.name).stem
    return str(node.this.this if isinstance(node.this, exp.Anonymous) else node.this.sql_name().lower())


def _traced(node: Node) -> Iterator[tuple[str, exp.Expression]]:
    """Yield the views behind a column, each with the column as an expression over the view's own.

    Nothing is said of a column that a window or a sum makes, or that comes of several views at once.
    """
    if isinstance(node.source, exp.Table) and not node.downstream:
        yield node.source.name, exp.column(exp.to_identifier(node.name.rpartition(".")[2], quoted=True))
        return
    found = node.expression
    expression = (found.this if isinstance(found, exp.Alias) else found).copy()
    for total in list(expression.find_all(exp.AggFunc)):
        if not isinstance(total, OF_ONE_ROW):
            return
        expression = _with(expression, total, total.this)
    if expression.find(exp.Window, exp.Query):
        return
    columns = list(expression.find_all(exp.Column))
    if len(columns) == 1:  # the parts of a union each say it
        for below in node.downstream:
            yield from ((view, _with(expression.copy(), None, part)) for view, part in _traced(below))
        return
    behind = {below.name: list(_traced(below)) for below in node.downstream}
    views = set()
    for column in columns:
        parts = behind.get(f"{column.table}.{column.name}", [])
        if len(parts) != 1:
            return
        views.add(parts[0][0])
        expression = _with(expression, column, parts[0][1])
    if len(views) == 1:
        yield views.pop(), expression


def _with(expression: exp.Expression, old: exp.Expression | None, new: exp.Expression) -> exp.Expression:
    """Put an expression in place of a part of another; of its only column where no part is named."""
    part = expression.find(exp.Column) if old is None else old
    if part is None or part is expression:
        return new.copy()
    part.replace(new.copy())
    return expression
