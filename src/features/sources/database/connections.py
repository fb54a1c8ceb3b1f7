"""Connections to databases: one transaction, which only reads and sees one state of all tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from features.addresses import DRIVERS
from features.engines import duckdb_file
from features.errors import InputError, did_you_mean, first_line, listing
from features.sources.database.address import EXPECTED, Address
from features.sources.database.batches import BATCH_ROWS, batch
from features.sources.database.statements import NEWEST, Newer, counted, selected
from features.sources.reading import files_beside, sql_literal, sql_name

ADBC = "adbc"
REFUSALS = ("password", "authentication", "access denied", "login")  # words of a server that does answer
CONNECT_SECONDS = 10
PACKAGES = {  # module of a driver -> what pip installs, where it has another name
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
}
DIALECTS = {"snowflake": "snowflake-sqlalchemy"}  # backend -> what pip installs, where it is not sqlalchemy-<backend>
# What a transaction begins with. Others are opened as they are: their user should not be allowed to write.
BEGIN = {
    "postgresql": (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET LOCAL TIME ZONE 'UTC'",
    ),
    "sqlite": ("BEGIN",),
}

SYSTEM = ("information_schema", "pg_catalog", "pg_toast", "performance_schema", "mysql", "sys", "INFORMATION_SCHEMA")
ONE_SCHEMA = ("mysql", "mariadb")  # others are other databases
TABLES = (
    "SELECT table_name, nullif(table_schema, current_schema()) FROM information_schema.tables "
    f"WHERE table_schema NOT IN ({', '.join(map(sql_literal, SYSTEM))}) ORDER BY table_schema, table_name"
)
TABLES_OF_SQLITE = (
    "SELECT name, NULL FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"
)


class Table(NamedTuple):
    """A table or view, and its schema where that is not the one of the connection."""

    name: str
    schema: str | None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


class Connection(Protocol):
    """An open database."""

    def batches(self, sql: str, newer: Newer | None = None) -> Iterator[pa.RecordBatch]:
        """Read a query's rows, or only those from a value on; the first batch names the columns, rows or not."""

    def count(self, sql: str) -> int:
        """Return the number of a query's rows."""

    def quoted(self, name: str) -> str:
        """Return a name as the database quotes it."""

    def tables(self) -> list[Table]:
        """Return its tables and views, those of the database's own left out."""


class SQLAlchemyConnection:
    """Any database that SQLAlchemy has a dialect for, read by a cursor of the server where it has such."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def batches(self, sql: str, newer: Newer | None = None) -> Iterator[pa.RecordBatch]:
        statement = sa.text(selected(_without_parameters(sql), newer, f":{NEWEST}"))
        if newer is not None:
            statement = statement.bindparams(**{NEWEST: newer.value})
        streamed = {"stream_results": True, "max_row_buffer": BATCH_ROWS}
        with self._connection.execute(statement, execution_options=streamed) as result:
            names = list(result.keys())
            yield batch(names, [])
            for rows in result.partitions(BATCH_ROWS):
                yield batch(names, rows)

    def count(self, sql: str) -> int:
        return int(self._connection.execute(sa.text(counted(_without_parameters(sql)))).scalar_one())

    def quoted(self, name: str) -> str:
        return str(self._connection.dialect.identifier_preparer.quote(name))

    def tables(self) -> list[Table]:
        with self._connection.engine.connect() as another:  # this one's transaction may have failed
            found = sa.inspect(another)
            own = found.default_schema_name
            one_alone = own is not None and another.dialect.name in ONE_SCHEMA
            others = [] if one_alone else [each for each in found.get_schema_names() if each not in (own, *SYSTEM)]
            return [
                Table(name, schema)
                for schema in (None, *others)
                for name in (*found.get_table_names(schema), *found.get_view_names(schema))
            ]


class ArrowConnection:
    """A database whose driver gives Arrow: DuckDB, and those of ADBC.

    Parameters
    ----------
    cursor : cursor of the driver
    reader : callable
        Function of the cursor that returns a reader of batches.
    tables : str
        Query of name and schema of its tables.
    """

    def __init__(self, cursor: Any, reader: Callable[[Any], pa.RecordBatchReader], tables: str) -> None:
        self._cursor = cursor
        self._reader = reader
        self._tables = tables

    def batches(self, sql: str, newer: Newer | None = None) -> Iterator[pa.RecordBatch]:
        self._cursor.execute(selected(sql, newer, newer.literal() if newer else ""))
        with self._reader(self._cursor) as reader:
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)
            yield from reader

    def count(self, sql: str) -> int:
        self._cursor.execute(counted(sql))
        return int(self._cursor.fetchone()[0])

    def quoted(self, name: str) -> str:
        return sql_name(name)

    def tables(self) -> list[Table]:
        self._cursor.execute(self._tables)
        return [Table(*row) for row in self._cursor.fetchall()]


@contextmanager
def connected(address: Address, scratch: Path) -> Iterator[Connection]:
    """Open a database for reading, within one transaction that is given up at the end.

    Parameters
    ----------
    address : Address
    scratch : Path
        Folder for what a database within this process spills.

    Raises
    ------
    InputError
        If its driver is missing, it does not answer, or it refuses the user.
    """
    if address.backend == "duckdb":
        opened = _duckdb(address, scratch)
    elif address.driver == ADBC:
        opened = _adbc(address)
    else:
        opened = _sqlalchemy(address)
    with opened as connection:
        yield connection


@contextmanager
def explained(connection: Connection, address: Address, where: str, table: str | None) -> Iterator[None]:
    """Raise a message in the user's words where a database refuses a query.

    Raises
    ------
    InputError
    """
    try:
        yield
    except (SQLAlchemyError, duckdb.Error, pa.ArrowException) as error:
        raise _refused(error, connection, address, where, table) from None
    except Exception as error:
        if not _is_of_adbc(error):
            raise
        raise _refused(error, connection, address, where, table) from None


def _refused(error: Exception, connection: Connection, address: Address, where: str, table: str | None) -> InputError:
    hint = f"try the query in a client of {address.backend}"
    if table is not None:
        try:
            tables = connection.tables()
        except Exception:  # the connection is gone
            tables = []
        if table.rpartition(".")[2] not in [each.name for each in tables]:
            hint = did_you_mean(table, map(str, tables)) if tables else "see whether the user may read it"
    return InputError(
        "the database refuses the query" if table is None else f"the database does not give the table {table}",
        where=where,
        expected="a query that it can run" if table is None else "a table or view that the user may read",
        found=address.hidden(_said(error)),
        hint=hint,
    )


def _said(error: BaseException) -> str:
    """Return the driver's own words, without the statement that SQLAlchemy adds."""
    return first_line(getattr(error, "orig", None) or error)


@contextmanager
def _duckdb(address: Address, scratch: Path) -> Iterator[Connection]:
    path = _file(address)
    try:
        connection = duckdb_file(path, scratch)
    except duckdb.Error as error:
        raise InputError(
            "the file cannot be opened as a DuckDB database",
            where=f"data.url={address.shown}",
            expected="a database of DuckDB that no other process writes",
            found=first_line(error),
            hint="end the process that has it open, or give the path of another file",
        ) from None
    try:
        connection.begin()
        yield ArrowConnection(connection, lambda cursor: cursor.to_arrow_reader(BATCH_ROWS), TABLES)
    finally:
        connection.close()


@contextmanager
def _adbc(address: Address) -> Iterator[Connection]:
    module = f"adbc_driver_{address.backend}"
    try:
        driver = import_module(f"{module}.dbapi")
    except ImportError:
        raise _no_driver(address, module, f"pip install '{module.replace('_', '-')}'") from None
    if address.backend == "sqlite":
        uri = _read_only(_file(address))
    else:
        rendered = address.url.set(drivername=address.backend).render_as_string(hide_password=False)
        uri = rendered.replace(" ", "%20")  # which SQLAlchemy leaves, and libpq refuses
    with _reached(address):
        connection = driver.connect(uri)
    with connection, connection.cursor() as cursor:
        for statement in BEGIN.get(address.backend, ()) if address.backend != "sqlite" else ():
            cursor.execute(statement)
        tables = TABLES_OF_SQLITE if address.backend == "sqlite" else TABLES
        yield ArrowConnection(cursor, lambda cursor: cursor.fetch_record_batch(), tables)


@contextmanager
def _sqlalchemy(address: Address) -> Iterator[Connection]:
    engine = _engine(address)
    with _reached(address):
        connection = engine.connect()
    try:
        for statement in BEGIN.get(address.backend, ()):
            connection.exec_driver_sql(statement)
        yield SQLAlchemyConnection(connection)
    finally:
        connection.close()
        engine.dispose()


def _engine(address: Address) -> sa.Engine:
    url, options = address.url, dict[str, Any]()
    driver = address.driver or DRIVERS.get(address.backend)
    if driver is not None:
        url = url.set(drivername=f"{address.backend}+{driver}")
    if address.backend == "postgresql" and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
    if address.backend == "sqlite":
        options["creator"] = partial(sqlite3.connect, _read_only(_file(address)), uri=True)
    try:
        return sa.create_engine(url, poolclass=sa.NullPool, **options)
    except ImportError as error:
        module = error.name or str(driver)
        without = f", or write data.url without a driver: {address.shown}" if address.backend in DRIVERS else ""
        install = f"pip install '{PACKAGES.get(module, module)}'"
        raise _no_driver(address, module, install + (without if address.driver else "")) from None
    except NoSuchModuleError:
        if driver is not None and _has_dialect(address.backend):
            raise _no_such_driver(address) from None
        package = DIALECTS.get(address.backend, f"sqlalchemy-{address.backend}")
        raise _no_driver(address, address.url.drivername, f"pip install '{package}'") from None
    except SQLAlchemyError as error:
        raise InputError(
            "data.url is not a valid address of a database",
            where=f"data.url={address.shown}",
            expected=EXPECTED,
            found=address.hidden(first_line(error)),
        ) from None


def _has_dialect(backend: str) -> bool:
    try:
        registry.load(backend)
    except NoSuchModuleError:
        return False
    return True


def _no_such_driver(address: Address) -> InputError:
    return InputError(
        f"SQLAlchemy knows no driver {address.driver} of {address.backend}",
        where=f"data.url={address.shown}",
        expected=f"{address.backend}+ and a driver that SQLAlchemy names, or none",
        found=address.url.drivername,
        hint=f"write data.url without it: {address.shown}",
    )


def _no_driver(address: Address, missing: str, hint: str) -> InputError:
    return InputError(
        f"{address.backend} needs a package that is not installed",
        where=f"data.url={address.shown}",
        expected=f"the driver {missing}",
        found="no module of that name",
        hint=hint,
    )


@contextmanager
def _reached(address: Address) -> Iterator[None]:
    """Raise a message in the user's words where a database cannot be opened."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, (SQLAlchemyError, sqlite3.Error)) or _is_of_adbc(error)):
            raise
        raise _unreached(address, address.hidden(_said(error))) from None


def _unreached(address: Address, said: str) -> InputError:
    if any(word in said.lower() for word in REFUSALS):
        return InputError(
            "the database refuses the user",
            where=f"data.url={address.shown}",
            expected="a user who may read, with the right password",
            found=said,
            hint="export SHOP_DB_PASSWORD='...', write password: ${oc.env:SHOP_DB_PASSWORD}, and see user and database",
        )
    return InputError(
        "the database does not answer",
        where=f"data.url={address.shown}",
        expected="a server that accepts connections at this host and port",
        found=said,
        hint="see whether it runs, and whether host, port and name in data.url are right",
    )


def _is_of_adbc(error: Exception) -> bool:
    return type(error).__module__.startswith("adbc_driver_manager")


def _file(address: Address) -> Path:
    """Return the file of a database within this process: to open one that is absent would make it."""
    path = Path(str(address.url.database or "")).expanduser()
    if not address.url.database or not path.is_file():
        beside = files_beside(path)
        raise InputError(
            f"there is no database file {path}",
            where=f"data.url={address.shown}",
            expected=f"{address.backend}:///path from the working folder, or {address.backend}:////path from the root",
            found=listing(beside) if beside else f"no file in {path.parent}",
            hint=did_you_mean(path.name, beside) if beside else "give the path of the file",
        )
    return path


def _read_only(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}?mode=ro"


def _without_parameters(sql: str) -> str:
    """Escape what SQLAlchemy would take for a parameter."""
    return sql.replace(":", r"\:")
