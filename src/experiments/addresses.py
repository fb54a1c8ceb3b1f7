"""Addresses of stores and databases: shown without passwords, and locked for one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from features.addresses import DRIVERS, SECRET, is_secret, masked_address
from features.errors import InputError, first_line

# a value named so; not ${oc.env:PASSWORD}, which tells none, and not null
NAMED = rf"(?im)((?:{SECRET})[\w.-]*['\"]?[ \t]*[=:][ \t]*)(?!\$\{{|null[ \t]*$)"
# between quotes, or up to a blank or to a comma before one: a comma within may be of the secret
VALUE = r"""(?:(?:'[^'\n]*')+|"[^"\n]*"|(?:[^&\s,}]|,(?=\S))+)"""


HEADER = r"(?i)(\bauthorization['\"]?[ \t]*[:=][ \t]*['\"]?)(?:\w+[ \t]+)?[^\s'\",;]+"
BEARER = r"(?i)(\bbearer[ \t]+)['\"]?[^\s'\",;]{8,}"  # shorter ones are words of a sentence


def masked(text: str) -> str:
    """Return a text with `***` for values named as secrets, and for passwords and parameters of addresses."""
    for secret in (NAMED + VALUE, HEADER, BEARER):
        text = re.sub(secret, r"\1***", masked_address(text))
    return text


def masked_lines(text: str) -> str:
    """Return lines of `key: value` or `key=value` masked; a secret reaches to the end of its line."""
    return masked(re.sub(NAMED + r"\S.*", r"\1***", masked_address(text, ends=r"\n")))


def without_secrets(value: object, name: str = "") -> object:
    """Return a configuration with `***` for all that is named as a secret, and its texts masked."""
    if isinstance(value, Mapping):
        return {key: without_secrets(each, str(key)) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(each, name) for each in value]
    if value is None or (isinstance(value, str) and re.fullmatch(r"\$\{.*\}", value)):
        return value
    if is_secret(name):
        return "***"
    if not isinstance(value, str):
        return value
    return masked_address(value, ends=r"\n") if re.match(r"[a-z][\w+.-]*://", value) else masked(value)


def has_secret(key: str, value: str) -> bool:
    """Check whether an override holds a secret itself: under a secret's name, or as the password of an address.

    >>> has_secret("data.password", "a"), has_secret("data.password", "${oc.env:P}"), has_secret("p.n_tokens", "5")
    (True, False, False)
    >>> has_secret("data.url", "postgresql://u:a@h/d"), has_secret("data.url", "postgresql://u:${oc.env:P}@h/d")
    (True, False)
    """
    plain = re.sub(r"\$\{[^}]*\}", "", value.strip("'\""))
    if is_secret(key.rpartition(".")[2]):
        return plain not in ("", "null") and not re.fullmatch(r"[\d.]+|true|false", plain)
    return bool(re.search(r"://[^:/@\s]*:[^@\s]+@|https?://[^:/@\s]+@|[?&](sig|token|password)=[^&\s]", plain))


def with_driver(address: str) -> str:
    """Return a database's URL for SQLAlchemy; PostgreSQL uses psycopg unless a driver is named."""
    return re.sub(r"^postgres(ql)?://", f"postgresql+{DRIVERS['postgresql']}://", address)


@contextmanager
def exclusive(address: str, name: str) -> Iterator[None]:
    """Hold the named lock of a store; other processes wait for it.

    A PostgreSQL database keeps the lock itself, for all machines, until its holder releases it or ends. In other cases
    it is a file, for this machine: in `.locks` beside a local store, or in a folder of this user alone for a server.
    The working folder of a process does not matter.

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
        held = open_lock(_lock_file(address, name))
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)


@contextmanager
def _advisory_lock(address: str, name: str) -> Iterator[None]:
    from sqlalchemy import NullPool, create_engine

    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    engine = create_engine(with_driver(address), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:  # closing it releases the lock
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({key})")
        yield


def sqlite_path(address: str) -> Path:
    """Return the file of an SQLite database from its URL, in which a blank is %20."""
    return Path(unquote(address.removeprefix("sqlite:///").partition("?")[0]))


def lock_file(store: Path, name: str = "") -> Path:
    """Return the lock of a local store: in one hidden folder beside it, which is made where it is missing."""
    folder = store.with_name(".locks")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{store.name}{name and '.'}{name}.lock"


def open_lock(path: Path) -> int:
    """Open a lock's file, made where it is missing, and nothing in its place: a link of somebody else is refused."""
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o666)


def _lock_file(address: str, name: str) -> Path:
    is_sqlite = address.startswith("sqlite:///")
    is_server = "://" in address and not is_sqlite
    digest = hashlib.sha256((f"{address} {name}" if is_server else name).encode()).hexdigest()[:12]
    if is_sqlite:
        return lock_file(sqlite_path(address), digest)
    if is_server:
        return _own_folder() / f"{digest}.lock"
    return lock_file(Path(address), digest)


def _own_folder() -> Path:
    """Return the folder for locks of servers, which only this user may write: nobody else can put a file or link there.

    Raises
    ------
    InputError
        If it cannot be made, or belongs to another user.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "experiments" / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except (OSError, RuntimeError) as error:
        raise InputError(
            "the folder for locks cannot be made for this user alone",
            where=str(folder),
            expected="a folder that this user owns",
            found=first_line(error),
            hint="name a folder of your own: export XDG_CACHE_HOME=...",
        ) from error
    return folder
