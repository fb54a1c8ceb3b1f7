"""Reading raw files, and errors of DuckDB in the user's words."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import duckdb
import ibis.expr.types as ir
import sqlglot
from sqlglot import TokenType
from sqlglot.errors import SqlglotError

from features import tables as canonical
from features.engines import DuckDB
from features.errors import InputError, first_line, listing

# functions that write files, or run a text as a statement
EFFECTS = re.compile(r"(?i)enable_logging|enable_profiling|query|json_execute_serialized_sql|.*_execute")

# A damaged workbook fails wherever openpyxl first stumbles over it: in the archive, the XML or what that says.
DAMAGED_WORKBOOK = (
    BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    SyntaxError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    NotImplementedError,
)


def package_folder(name: str) -> Path:
    """Return the folder of an installed package, without importing it, as only its data are wanted."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {name} is not installed", hint="install the project with its dependencies")
    return Path(spec.submodule_search_locations[0])


def sql_literal(text: object) -> str:
    """Quote a path or name as a string of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def sql_name(name: str) -> str:
    """Quote the name of a column for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal_path(path: Path) -> str:
    """Escape the marks of a pattern in a path: DuckDB takes every path for a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def files_beside(path: Path) -> list[str]:
    """Return the names of the files in a path's folder, hidden ones left out; none where there is no folder."""
    there = path.parent.iterdir() if path.parent.is_dir() else ()
    return [file.name for file in there if file.is_file() and not file.name.startswith(".")]


def check_query(sql: str, where: str) -> None:
    """Refuse what is more than one query, or does more than to read, before DuckDB runs any of it.

    Raises
    ------
    InputError
    """
    try:
        kinds = [statement.type.name for statement in duckdb.extract_statements(sql)]
    except duckdb.Error as error:
        raise InputError("DuckDB cannot read this query", where=where, found=first_line(error)) from None
    found = listing(f"a statement {kind}" for kind in kinds if kind != "SELECT") if len(kinds) == 1 else None
    if kinds != ["SELECT"]:
        raise InputError(
            f"{where} is not a single query",
            where=where,
            expected="one SELECT: data are only read",
            found=found or f"{len(kinds)} statements",
            hint="write one SELECT; what else is to be done, do before, in a client of DuckDB",
        )
    effects = list(_effects(sql, where))
    if effects:
        raise InputError(
            f"{where} calls a function that can do more than read",
            where=where,
            expected="functions that only read",
            found=listing(effects),
            hint=f"leave out {listing(effects)}",
        )


def _effects(sql: str, where: str) -> Iterator[str]:
    """Yield the functions of a query that can write files, or run a text as a statement."""
    try:
        tokens = sqlglot.tokenize(sql, read="duckdb")
    except SqlglotError as error:
        raise InputError("the query cannot be read", where=where, found=first_line(error)) from None
    for token, following in pairwise(tokens):
        is_function = token.token_type in (TokenType.VAR, TokenType.IDENTIFIER)
        if is_function and following.token_type == TokenType.L_PAREN and EFFECTS.fullmatch(token.text):
            yield token.text


def query(engine: DuckDB, name: str, sql: str) -> ir.Table:
    """Open a query in DuckDB's own words as a table; as a view, so that nothing translates it on the way."""
    view = f"raw_{name}"
    engine.connection.raw_sql(f"CREATE TEMP VIEW {view} AS ({sql}\n)")
    return engine.connection.table(view)


def rows_digest(engine: DuckDB, sql: str) -> str:
    """Return a digest of a query's rows, in whatever order they come."""
    with engine.enough_memory():
        return str(
            engine.connection.raw_sql(f"SELECT count(*), sum(hash(r)), bit_xor(hash(r)) FROM ({sql}\n) AS r").fetchall()
        )


def hash_files(files: Iterable[Path]) -> str:
    """Hash the files' names and content, in the order given.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    for path in files:
        digest.update(path.name.encode() + b"\0")
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            raise InputError(f"cannot read {path}", where=str(path), found=error.strerror) from None
    return digest.hexdigest()


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Raise a message in the user's words where DuckDB refuses to read.

    Raises
    ------
    InputError
        In place of DuckDB's own error, where the user can correct the cause.
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise  # `DuckDB.enough_memory` says so
    except duckdb.Error as error:
        raise _explain(str(error), where) from None


def _explain(message: str, where: str) -> InputError:
    if "not utf-8" in message or "Invalid unicode" in message:
        return InputError(
            "the file is not encoded in UTF-8",
            where=where,
            expected="UTF-8, or the encoding declared in the data config",
            found=next((line for line in message.splitlines() if "Line" in line), None),
            hint="declare it, such as encoding: cp1252 (Western Europe) or cp949 (Korea)",
        )
    if "No magic bytes" in message or "too small to be a Parquet" in message:
        return InputError(
            "the file is not a complete Parquet file",
            where=where,
            expected="Parquet that ends with its footer",
            found=message.splitlines()[0],
            hint="it may be truncated: copy or write it again; a text file needs format: csv",
        )
    if "Overflow in multiplication" in message:  # the only one in staging: quantity x unit price
        return InputError(
            "transactions.amount is more than it can hold",
            where=where,
            expected=f"quantity x unit price within {canonical.MONEY}",
            found=message.splitlines()[0],
        )
    lines = [line for line in message.splitlines() if line.strip()]
    return InputError("DuckDB stops at this file or query", where=where, found=" ".join(lines[:3]))
