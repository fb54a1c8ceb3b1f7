"""Tables of a database, as texts: those whose columns may have to do with orders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import ibis

from features.engines import DuckDB
from features.errors import InputError, listing
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened, texts_of
from features.sources.guess.words import score
from features.sources.reading import literal_path, query, sql_literal

if TYPE_CHECKING:
    from features.sources.database.address import Address
    from features.sources.database.connections import Connection, Table

URL = r"[a-z][a-z0-9+]*://.*"
PASSWORD = "SHOP_DB_PASSWORD"  # variable of the environment
LOOKED_AT = 12  # tables whose rows are read
ROLES = ("order_id", "customer_id", "timestamp", "amount", "unit_price", "quantity", "product_id")


def is_url(path: str) -> bool:
    """Check whether a path is the address of a database.

    >>> is_url("postgresql://shop@host/shop"), is_url("sales/*.csv")
    (True, False)
    """
    return re.fullmatch(URL, path) is not None


def open_database(
    url: str, engine: DuckDB, scratch: Path, missing: Sequence[str]
) -> tuple[list[Opened], dict[str, Guess]]:
    """Read the tables of a database that may have to do with orders, and say how the database is named.

    Raises
    ------
    InputError
        If it cannot be read, has no such table, or the address has a password.
    """
    from features.sources.database.address import FILES, address  # SQLAlchemy takes half a second to import
    from features.sources.database.batches import Parts
    from features.sources.database.connections import connected

    password = os.environ.get(PASSWORD)
    given = address(url, None)
    if given.secrets:
        raise InputError(
            "the address has a password or another secret, which other users of this machine see and your shell keeps",
            where="path",
            expected=f"the password in {PASSWORD}, of the environment",
            hint=f"export {PASSWORD}='...', and type path={given.shown}; an address with a secret of another kind "
            "goes into a variable as a whole, and is mapped by hand: docs/database.md",
        )
    opened: list[Opened] = []
    with_password = password is not None and given.backend not in FILES
    full = address(url, password) if with_password else given
    columns: dict[Table, list[str]] = {}

    def look(connection: Connection, table: Table) -> None:
        (empty,) = connection.batches(f"SELECT * FROM {_quoted(table, connection)} WHERE 1 = 0")
        columns[table] = empty.schema.names

    def read(connection: Connection, table: Table) -> None:
        folder = scratch / f"database_{uuid4().hex}"
        folder.mkdir()
        parts, quoted = Parts(folder), _quoted(table, connection)
        parts.write(connection.batches(f"SELECT * FROM {quoted}"), f"reading {table}")
        if parts.rows:
            opened.append(_opened(len(opened), table, quoted, parts.files, engine, missing))

    with connected(full, scratch / "spilled") as connection:
        names = connection.tables()
    refused = _each(names, full, scratch, look)
    promising = _promising(columns)
    refused += _each(promising, full, scratch, read)
    if not opened:
        raise InputError(
            "no table of the database has to do with orders",
            where=f"path={given.shown}",
            expected="a table with columns such as order_id, customer_id, date, amount",
            found="; ".join([listing(map(str, names)) or "no table", *refused[:3]]),
        )
    passed = listing(str(name) for name in names if name in columns and name not in promising)
    notes = [f"not looked at, by the names of their columns: {passed}"] if passed else []
    opened[0] = replace(opened[0], notes=(*refused, *notes))
    keys = {"url": Guess(url, f"{len(names):,} tables")}
    since = "the first command of a day reads the database again; null never does"
    keys["read_since"] = Guess(f"{date.today()}", since, written="${now:%Y-%m-%d}")
    if with_password:
        keys["password"] = Guess(password, "from the environment", written=f"${{oc.env:{PASSWORD}}}")
    return opened, keys


def _each(
    tables: Sequence[Table], full: Address, scratch: Path, read: Callable[[Connection, Table], None]
) -> list[str]:
    """Read tables one by one, and return a note on each that is refused: its transaction, which failed, is left."""
    from features.sources.database.connections import connected, explained

    notes: list[str] = []
    left = list(tables)
    while left:
        with connected(full, scratch / "spilled") as connection:
            while left:
                table = left.pop(0)
                try:
                    with explained(connection, full, f"table {table}", None):
                        read(connection, table)
                except InputError as error:
                    notes.append(f"not read: {table}, as the database refuses it: {error.found}")
                    break
    return notes


def _quoted(table: Table, connection: Connection) -> str:
    return ".".join(connection.quoted(part) for part in (table.schema, table.name) if part)


def _promising(columns: dict[Table, list[str]]) -> list[Table]:
    """Return the tables with columns whose names have to do with orders, the best first."""
    found = {
        table: sum(max((score(name, role) for name in names), default=0.0) for role in ROLES)
        for table, names in columns.items()
    }
    return [name for name in sorted(found, key=lambda name: -found[name]) if found[name] > 0][:LOOKED_AT]


def _opened(
    number: int, table: Table, quoted: str, files: Sequence[Path], engine: DuckDB, missing: Sequence[str]
) -> Opened:
    literals = ", ".join(sql_literal(literal_path(file)) for file in files)
    raw = query(engine, f"database_{number}", f"SELECT * FROM read_parquet([{literals}], union_by_name = true)")
    texts = {column: texts_of(raw[column], missing) for column in raw.columns}
    kept = engine.connection.create_table(
        f"guess_{number}", raw.select(**texts, **{ROW: ibis.row_number() + 1}), temp=True
    )
    has_point = "." in table.name or "." in (table.schema or "")  # which would be read as that of a schema
    reading = {"sql": Guess(f"SELECT * FROM {quoted}")} if has_point else {"table": Guess(str(table))}
    rows = int(kept.count().execute())
    return Opened(str(table), kept, tuple(raw.columns), rows, reading, quoted, is_of_database=True)
