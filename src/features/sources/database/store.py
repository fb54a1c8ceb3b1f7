"""Rows that were read of a database, kept as Parquet beside the staged shop: read whole once, then newer rows alone.

A reading is a folder with a file for each table. The manifest names the reading in use, and is replaced in one step
when all of its files are there: who is interrupted leaves the reading before it in use. Where the shop has pseudonyms,
the manifest alone is kept: rows hold ids of customers, and go when they are staged.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from features.checksums import checksum, seal, unseal
from features.engines import DuckDB, count_rows
from features.errors import InputError, did_you_mean, listing
from features.sources.database.address import Address
from features.sources.database.batches import Parts
from features.sources.database.config import Request
from features.sources.database.connections import Connection, connected, explained
from features.sources.database.statements import Newer, Newest
from features.sources.reading import literal_path, rows_digest, sql_literal, sql_name
from features.sources.staged import DAMAGED, MANIFEST, has_tables
from features.writing import partial_of, remove, replacing

logger = logging.getLogger(__name__)

MEMORY = "1GiB"  # of the engine that joins what was read before with newer rows
NOT_KEPT = "not_kept"  # folder of a reading whose rows are gone
KEPT = 2  # readings: another process may still stage from the one before


@dataclass(frozen=True)
class TableRead:
    """One table as it was read.

    Attributes
    ----------
    request : str
        Digest of the table or query.
    rows : int
    content : str
        Digest of the rows.
    checksum : str
        Of the file.
    """

    request: str
    rows: int
    content: str
    checksum: str


@dataclass(frozen=True)
class Reading:
    """All tables as they were at one moment.

    Attributes
    ----------
    folder : Path
        Holds <table>.parquet.
    read_at : datetime
        Moment at which reading began, in UTC.
    tables : mapping of str to TableRead
        By canonical name.
    """

    folder: Path
    read_at: datetime
    tables: Mapping[str, TableRead]

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"


class Store:
    """The readings of one database.

    Parameters
    ----------
    folder : Path
        Of all databases of the shop.
    address : Address
    keeps_rows : bool
        If False, a reading that was made by another call has no rows, and whoever makes one removes its folder.
    """

    def __init__(self, folder: Path, address: Address, *, keeps_rows: bool = True) -> None:
        self.folder = folder / _short(address.identity)
        self.address = address
        self.keeps_rows = keeps_rows

    def reading(self, requests: Sequence[Request], since: datetime | None) -> Reading:
        """Return the reading in use, after reading the database where it lacks a table or is older than `since`.

        Raises
        ------
        InputError
            If the database cannot be read. The reading before stays in use.
        """
        with self._locked():
            before = self._current()
            if before is not None and _serves(before, requests, since):
                logger.info(
                    "%s: as read at %s; data.read_since=%s reads newer rows",
                    *(self.address.shown, before.read_at.isoformat(timespec="seconds"), "'${now:%Y-%m-%dT%H:%M:%S}'"),
                )
                return before
            return self._read(requests, before)

    def _read(self, requests: Sequence[Request], before: Reading | None) -> Reading:
        begun = datetime.now(UTC)
        folder = self.folder / f"{begun:%Y%m%dT%H%M%S.%f}"
        partial = partial_of(folder)
        partial.mkdir(parents=True)
        before = before if self.keeps_rows else None
        try:
            with connected(self.address, partial / "spilled") as connection:
                tables = {each.name: _Reader(each, connection, self.address, partial).read(before) for each in requests}
            shutil.rmtree(partial / "spilled", ignore_errors=True)
            if self.keeps_rows:
                partial.rename(folder)
            self._use(Reading(folder if self.keeps_rows else self.folder / NOT_KEPT, begun, tables))
        except BaseException:
            remove(partial)
            raise
        return Reading(folder if self.keeps_rows else partial, begun, tables)

    def _use(self, reading: Reading) -> None:
        manifest = {
            "folder": reading.folder.name,
            "read_at": reading.read_at.isoformat(),
            "tables": {name: asdict(table) for name, table in reading.tables.items()},
        }
        with replacing(self.folder / MANIFEST) as partial:
            partial.write_text(seal(manifest), encoding="utf-8")
        readings = sorted(path for path in self.folder.iterdir() if path.is_dir() and path.name[0] != ".")
        for old in readings[:-KEPT] if self.keeps_rows else readings:
            shutil.rmtree(old, ignore_errors=True)

    def _current(self) -> Reading | None:
        """Return the reading that the manifest names, or None where it is not as it was written."""
        if not (self.folder / MANIFEST).exists():
            return None
        try:
            manifest = unseal((self.folder / MANIFEST).read_text(encoding="utf-8"))
            tables = {name: TableRead(**table) for name, table in manifest["tables"].items()}
            reading = Reading(self.folder / manifest["folder"], datetime.fromisoformat(manifest["read_at"]), tables)
            if not self.keeps_rows:
                return replace(reading, folder=self.folder / NOT_KEPT)
            if reading.folder.name == NOT_KEPT:
                return None
            whole = has_tables(reading.folder, {name: table.checksum for name, table in tables.items()})
        except DAMAGED:
            whole = False
        if whole:
            return reading
        shown = self.address.shown
        logger.warning("%s: the files in %s are not as they were written; all is read again", shown, self.folder)
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process read the database; others wait, and use what it read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class _Reader:
    """The reading of one table.

    Parameters
    ----------
    request : Request
    connection : Connection
    address : Address
    folder : Path
        The table's file goes there.
    """

    def __init__(self, request: Request, connection: Connection, address: Address, folder: Path) -> None:
        self.request = request
        self.connection = connection
        self.address = address
        self.path = folder / f"{request.name}.parquet"
        self.scratch = folder / "spilled" / request.name
        self.sql = request.sql or f"SELECT * FROM {_quoted(str(request.table), connection)}"

    def read(self, before: Reading | None) -> TableRead:
        """Read all rows, or those that are newer than the ones before where that gives the same."""
        engine = DuckDB(threads=os.cpu_count() or 1, memory_limit=MEMORY, temp_directory=str(self.scratch))
        try:
            if not (before and self._adds_newer(before, engine)):
                self._read_all(engine)
            with engine.progress(f"digest of {self.request.name}"):
                content = rows_digest(engine, f"FROM {_parquet(self.path)}")
        finally:
            engine.connection.disconnect()
            shutil.rmtree(self.scratch, ignore_errors=True)
        rows = count_rows(self.path)
        return TableRead(_digest(self.request), rows, content, checksum(self.path))

    def _read_all(self, engine: DuckDB) -> None:
        self.path.unlink(missing_ok=True)  # it may be the file of the reading before
        parts = self._parts(None)
        if not parts.rows:
            raise InputError(
                f"{self.request.name} is empty", where=self.request.where, expected="at least one row", found="0 rows"
            )
        self._write(engine, f"SELECT * FROM ({_union(parts)})")
        flaw = self._flaw(engine)
        if flaw is not None:
            raise flaw
        logger.info("%s: %s rows of %s", self.request.name, f"{parts.rows:,}", self.request.where)

    def _adds_newer(self, before: Reading, engine: DuckDB) -> bool:
        """Add newer rows to those before; tell whether that gives the rows that the database has."""
        column, known = self.request.incremental, before.tables.get(self.request.name)
        old = before.path(self.request.name)
        if column is None or known is None or known.request != _digest(self.request):
            return False
        if not {column, *self.request.key} <= set(pq.read_schema(old).names):
            return False
        newest = _newest(engine, old, column)
        if newest is None:
            return False
        parts = self._parts(Newer(self.connection.quoted(column), newest))
        changed = ", ".join(map(sql_name, self.request.key))
        kept = f"SELECT * FROM {_parquet(old)}"
        if parts.rows:
            newer = f"SELECT * FROM ({_union(parts)})"
            self._write(engine, f"{kept} ANTI JOIN ({newer}) USING ({changed}) UNION ALL BY NAME {newer}")
        else:
            os.link(old, self.path)
        with explained(self.connection, self.address, self.request.where, self.request.table):
            expected = self.connection.count(self.sql)
        found = count_rows(self.path)
        if found != expected:
            logger.warning(
                "%s: newer rows give %s rows, and %s has %s: rows were deleted, or came late with an earlier %s; "
                "all are read again",
                *(self.request.name, f"{found:,}", self.request.where, f"{expected:,}", column),
            )
            return False
        flaw = self._flaw(engine)  # of these rows; the database may have others by now
        if flaw is not None:
            logger.warning("%s: %s; all are read again", self.request.where, flaw.problem)
            return False
        logger.info(
            "%s: %s rows of %s from %s = %s on, %s in all",
            *(self.request.name, f"{parts.rows:,}", self.request.where, column, newest, f"{found:,}"),
        )
        return True

    def _parts(self, newer: Newer | None) -> Parts:
        folder = self.scratch / ("all" if newer is None else "newer")
        folder.mkdir(parents=True)
        parts = Parts(folder)
        with explained(self.connection, self.address, self.request.where, self.request.table):
            parts.write(self.connection.batches(self.sql, newer), f"reading {self.request.name}")
        self._check_columns(parts.names)
        return parts

    def _write(self, engine: DuckDB, sql: str) -> None:
        """Write rows in the order of their key, or as they came where there is none."""
        order = f" ORDER BY {', '.join(map(sql_name, self.request.key))}" if self.request.key else ""
        target = f"COPY (SELECT * FROM ({sql}){order}) TO {sql_literal(self.path)} (FORMAT parquet)"
        with engine.progress(f"writing {self.request.name}"), engine.enough_memory():
            engine.connection.raw_sql(target)

    def _check_columns(self, names: Sequence[str]) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"two columns are called {listing(map(repr, twice))}",
                where=self.request.where,
                hint="name the columns in the query, and give one another name: sql: SELECT a.id, b.id AS other_id ...",
            )
        for setting, columns in (("incremental", [self.request.incremental]), ("key", self.request.key)):
            for column in columns:
                if column is not None and column not in names:
                    raise InputError(
                        f"there is no column {column!r} for {self.request.setting}.{setting}",
                        where=self.request.where,
                        found=listing(names, limit=30),
                        hint=did_you_mean(column, names),
                    )

    def _flaw(self, engine: DuckDB) -> InputError | None:
        """Return what is wrong with a key that does not tell rows apart, or rows that have no place in time."""
        if self.request.incremental is None:
            return None
        needed, rows = [self.request.incremental, *self.request.key], _parquet(self.path)
        nulls = " OR ".join(f"{sql_name(column)} IS NULL" for column in needed)
        without = f"SELECT count(*) FROM {rows} WHERE {nulls}"
        flaw = self._counted(engine, without, f"have no {listing(needed)}", "a value in each row")
        if flaw is not None:
            return flaw
        key = ", ".join(map(sql_name, self.request.key))
        groups = f"SELECT count(*) AS n FROM {rows} GROUP BY {key} HAVING n > 1"
        shared = f"SELECT coalesce(sum(n), 0) FROM ({groups})"
        what = f"share their key {listing(self.request.key)}"
        return self._counted(engine, shared, what, "columns that tell all rows apart")

    def _counted(self, engine: DuckDB, counting: str, what: str, expected: str) -> InputError | None:
        with engine.enough_memory():
            rows = int(engine.connection.raw_sql(counting).fetchone()[0])
        if not rows:
            return None
        return InputError(
            f"{rows:,} rows of {self.request.name} {what}",
            where=self.request.where,
            expected=f"{expected}: without, newer rows cannot be told from known ones",
            hint=f"name others in {self.request.setting}.key and .incremental, "
            f"or read all rows each time: {self.request.setting}.incremental=null",
        )


def _serves(reading: Reading, requests: Sequence[Request], since: datetime | None) -> bool:
    known = {name: table.request for name, table in reading.tables.items()}
    wanted = {each.name: _digest(each) for each in requests}
    return wanted.items() <= known.items() and (since is None or reading.read_at >= since)


def _newest(engine: DuckDB, path: Path, column: str) -> Newest | None:
    found = engine.connection.raw_sql(f"SELECT max({sql_name(column)}) AS newest FROM {_parquet(path)}")
    newest: Newest | None = found.to_arrow_table()["newest"][0].as_py()
    return newest


def _union(parts: Parts) -> str:
    """Return the query of all parts, with the columns in the database's order; of texts where all values are null."""
    columns = [
        sql_name(name) if name in parts.present else f"NULL::VARCHAR AS {sql_name(name)}" for name in parts.names
    ]
    files = ", ".join(sql_literal(literal_path(path)) for path in parts.files)
    return f"SELECT {', '.join(columns)} FROM read_parquet([{files}], union_by_name = true)"


def _parquet(path: Path) -> str:
    return f"read_parquet({sql_literal(literal_path(path))})"


def _quoted(table: str, connection: Connection) -> str:
    return ".".join(connection.quoted(part) for part in table.split("."))


def _digest(request: Request) -> str:
    """Return the digest of what decides the rows; reading them incrementally or not does not."""
    return _short(json.dumps([request.table, request.sql]))


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
