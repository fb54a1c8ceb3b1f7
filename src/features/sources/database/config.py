"""The config of a database's tables, checked: conf/data/database.yaml explains the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.errors import InputError, listing
from features.sources.database.statements import one_query
from features.sources.files.config import OF_FILES, TABLE_KEYS
from features.sources.shop_config import check_keys

if TYPE_CHECKING:
    from features.sources.database.address import Address

OF_FILES_ALONE = ("path", "encoding", *OF_FILES)
OF_DATABASES = ("table", "sql", "incremental", "key")
KEYS = (*(key for key in TABLE_KEYS if key not in OF_FILES_ALONE), *OF_DATABASES)


@dataclass(frozen=True)
class Request:
    """Reading of one canonical table.

    Attributes
    ----------
    name : str
        Of the canonical table.
    table : str, optional
        Of the database, with its schema where it has one.
    sql : str, optional
        A query in its place.
    incremental : str, optional
        Column that grows with each row that is new or changed.
    key : tuple of str
        Columns that tell rows apart.
    where : str
        For messages.
    """

    name: str
    table: str | None
    sql: str | None
    incremental: str | None
    key: tuple[str, ...]
    where: str

    @property
    def setting(self) -> str:
        return f"data.tables.{self.name}"


def request(name: str, entry: Any, address: Address) -> tuple[Request, dict[str, Any]]:
    """Return what is read for a canonical table, and the mapping of its columns as that of a file.

    Raises
    ------
    InputError
    """
    where = f"data.tables.{name}"
    check_keys(entry, (*KEYS, *OF_FILES_ALONE), required=["columns"], where=where)
    given = {key: value for key, value in entry.items() if value is not None}
    _check_kind(given, where)
    table = str(given["table"]) if "table" in given else None
    sql = one_query(str(given["sql"]), address.backend, f"{where}.sql") if "sql" in given else None
    key = _key(given.get("key"), f"{where}.key")
    incremental = given.get("incremental")
    if incremental is not None and not key:
        raise InputError(
            f"{where}.incremental needs a key: a row that changed takes the place of what it was",
            where=where,
            expected="the columns that tell rows apart, such as key: [order_id, line_number]",
            found="incremental without key",
            hint=f"add {where}.key=[...]",
        )
    wanted = Request(
        name=name,
        table=table,
        sql=sql,
        incremental=None if incremental is None else str(incremental),
        key=key,
        where=f"{f'table {table}' if table else f'{where}.sql'} of {address.shown}",
    )
    mapping = {key: value for key, value in given.items() if key not in OF_DATABASES}
    return wanted, {**mapping, "sql": sql or f"FROM {table}"}  # in place of files, which are not there yet


def read_since(entry: Any) -> datetime | None:
    """Return the moment before which what was read is too old; by this machine's clock where it has no zone.

    Raises
    ------
    InputError
        If it is not a moment, or lies in the future: each command would read anew.
    """
    if entry is None:
        return None
    try:
        moment = datetime.fromisoformat(str(entry))
    except ValueError:
        raise InputError(
            f"data.read_since={entry} is not a valid moment",
            where="data.read_since",
            expected="a day or a moment of ISO 8601, such as 2026-11-28 or 2026-11-28T06:00",
            found=str(entry),
        ) from None
    aware, now = moment.astimezone(), datetime.now().astimezone()
    if aware > now:
        raise InputError(
            f"data.read_since={entry} lies in the future",
            where="data.read_since",
            expected=f"a moment until now, {now:%Y-%m-%dT%H:%M:%S%z}",
            found=str(entry),
        )
    return aware


def _check_kind(given: Mapping[str, Any], where: str) -> None:
    for key in OF_FILES_ALONE:
        if key in given:
            raise InputError(
                f"{where}.{key} is about files, and has no effect on a database",
                where=where,
                found=f"{key} with source: database",
                hint=f"remove {key}, or begin from data=files",
            )
    if ("table" in given) == ("sql" in given):
        raise InputError(
            f"{where} needs either table or sql",
            where=where,
            expected="one of them",
            found=listing(given),
            hint=f"add {where}.table=..." if "table" not in given else "remove table or sql",
        )


def _key(entry: Any, where: str) -> tuple[str, ...]:
    if entry is None:
        return ()
    columns = [entry] if isinstance(entry, str) else entry
    if not isinstance(columns, Sequence) or not all(isinstance(column, str) for column in columns):
        raise InputError(
            f"{where} is not a valid list of columns",
            where=where,
            expected="such as [order_id, line_number]",
            found=repr(entry),
        )
    return tuple(columns)
