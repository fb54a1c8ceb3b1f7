"""Addresses of stores and databases: shown without passwords, and locked for one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def masked(text: str) -> str:
    """Return a text without passwords of addresses, and without values named secret, password or token."""
    text = re.sub(r"(://[^:/@\s]*):[^\s/]*@", r"\1:***@", text)
    return re.sub(r"(?i)((?:secret|password|token)[\w.-]*['\"]?\s*[=:]\s*)[^&\s,}]+", r"\1***", text)


def with_driver(address: str) -> str:
    """Return a database's URL as SQLAlchemy reads it: PostgreSQL uses psycopg where no driver is named."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", address)


@contextmanager
def exclusive(address: str, name: str) -> Iterator[None]:
    """Hold the lock of that name in a store; others that want it wait.

    A PostgreSQL database keeps the lock itself, for all machines, until its holder lets go or is gone.
    Elsewhere it is a file, for this machine: beside a local store, whatever folder a process works in,
    and in the folder for temporary files for a server.

    Parameters
    ----------
    address : str
        A path, or a URL of a database or server.
    name : str
    """
    if re.match(r"postgres(ql)?(\+\w+)?://", address):
        with _advisory_lock(address, name):
            yield
    else:
        path = _lock_file(address, name)
        path.parent.mkdir(parents=True, exist_ok=True)  # of a store that is not there yet
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextmanager
def _advisory_lock(address: str, name: str) -> Iterator[None]:
    from sqlalchemy import NullPool, create_engine

    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    engine = create_engine(with_driver(address), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:  # which takes the lock along when it closes
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({key})")
        yield


def _lock_file(address: str, name: str) -> Path:
    path = address.removeprefix("sqlite:///")
    if "://" in path:
        path, name = f"{tempfile.gettempdir()}/mlflow", f"{address} {name}"
    store = Path(path)
    return store.with_name(f".{store.name}.{hashlib.sha256(name.encode()).hexdigest()[:12]}.lock")
