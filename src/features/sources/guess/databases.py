"""Tables of a database, as texts: those whose columns may have to do with orders."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import ibis

from features.engines import DuckDB
from features.errors import InputError, listing
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened, texts_of
from features.sources.guess.words import score
from features.sources.reading import literal_path, query, sql_literal, sql_name

URL = r"[a-z][a-z0-9+]*://.*"
PASSWORD = "SHOP_DB_PASSWORD"  # variable of the environment
LOOKED_AT = 12  # tables whose rows are read
ROLES = ("order_id", "customer_id", "timestamp", "amount", "unit_price", "quantity")


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
    from features.sources.database.connections import connected, explained

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
    with connected(full, scratch / "spilled") as connection:
        names = connection.tables()
        columns = {}
        for name in names:
            with explained(connection, full, f"table {name}", name):
                (empty,) = connection.batches(f"SELECT * FROM {connection.quoted(name)} WHERE 1 = 0")
                columns[name] = empty.schema.names
        for name in _promising(columns):
            folder = scratch / f"database_{len(opened)}"
            folder.mkdir()
            parts = Parts(folder)
            with explained(connection, full, f"table {name}", name):
                parts.write(connection.batches(f"SELECT * FROM {connection.quoted(name)}"), f"reading {name}")
            if parts.rows:
                opened.append(_opened(len(opened), name, parts.files, engine, missing))
    if not opened:
        raise InputError(
            "no table of the database has to do with orders",
            where=f"path={given.shown}",
            expected="a table with columns such as order_id, customer_id, date, amount",
            found=listing(names) or "no table",
        )
    keys = {"url": Guess(url, f"{len(names):,} tables")}
    if with_password:
        keys["password"] = Guess(password, "from the environment", written=f"${{oc.env:{PASSWORD}}}")
    return opened, keys


def _promising(columns: dict[str, list[str]]) -> list[str]:
    """Return the tables with columns whose names have to do with orders, the best first."""
    found = {
        table: sum(max((score(name, role) for name in names), default=0.0) for role in ROLES)
        for table, names in columns.items()
    }
    return [name for name in sorted(found, key=lambda name: -found[name]) if found[name] > 0][:LOOKED_AT]


def _opened(number: int, name: str, files: Sequence[Path], engine: DuckDB, missing: Sequence[str]) -> Opened:
    literals = ", ".join(sql_literal(literal_path(file)) for file in files)
    raw = query(engine, f"database_{number}", f"SELECT * FROM read_parquet([{literals}], union_by_name = true)")
    texts = {column: texts_of(raw[column], missing) for column in raw.columns}
    kept = engine.connection.create_table(
        f"guess_{number}", raw.select(**texts, **{ROW: ibis.row_number() + 1}), temp=True
    )
    reading = {"table": Guess(name)}
    return Opened(name, kept, tuple(raw.columns), int(kept.count().execute()), reading, sql_name(name))
