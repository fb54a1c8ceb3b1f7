"""The only place that opens a connection."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb
import ibis
import ibis.expr.types as ir

from features.errors import InputError, check_type, did_you_mean
from features.writing import replacing

if TYPE_CHECKING:
    import pandas as pd
    from ibis.backends.duckdb import Backend


class Engine(Protocol):
    """Where expressions run: reads canonical Parquet, returns frames, writes files."""

    name: str

    def read(self, path: Path, table: str) -> ir.Table:
        """A Parquet file (or folder) as a table expression of that name."""

    def frame(self, expression: ir.Table) -> pd.DataFrame:
        """Run an expression and gather its rows."""

    def write(self, expression: ir.Table, path: Path) -> None:
        """Run an expression and write its rows to one Parquet file, whole or not at all.

        Raises
        ------
        InputError
            If the file cannot be written.
        """


class DuckDB:
    """DuckDB inside this process: streams, and spills to `temp_directory` beyond `memory_limit`.

    Parameters
    ----------
    threads : int
        Threads for queries.
    memory_limit : str
        Such as "4GiB".
    temp_directory : str
        Where to spill.
    """

    name = "duckdb"

    def __init__(self, threads: int, memory_limit: str, temp_directory: str) -> None:
        self.connection: Backend = ibis.duckdb.connect(
            threads=threads, memory_limit=memory_limit, temp_directory=temp_directory
        )

    def read(self, path: Path, table: str) -> ir.Table:
        return self.connection.read_parquet(path, table_name=table)

    def frame(self, expression: ir.Table) -> pd.DataFrame:
        return self.connection.to_pandas(expression)

    def write(self, expression: ir.Table, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            try:
                self.connection.to_parquet(expression, partial)
            except duckdb.IOException as error:
                raise InputError(
                    f"{path} cannot be written",
                    where=str(path.parent),
                    found=str(error).strip().splitlines()[0],
                    hint="make room there or let it be written to, and give the same command again",
                ) from error


def staging_engine(scratch: Path) -> DuckDB:
    """The engine that stages raw files: DuckDB whatever the features run on, and in UTC wherever it stands."""
    engine = DuckDB(threads=os.cpu_count() or 1, memory_limit="4GiB", temp_directory=str(scratch))
    engine.connection.raw_sql("SET TimeZone = 'UTC'")
    return engine


ENGINES = {"duckdb": DuckDB}


def open_engine(name: str, **options: object) -> Engine:
    """Open the engine of that name with the options of its config (conf/engine/).

    Raises
    ------
    InputError
        If there is no such engine.
    """
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}", where="engine", hint=did_you_mean(name, ENGINES))
    known = inspect.signature(ENGINES[name]).parameters
    for option, value in options.items():
        if option not in known:
            raise InputError(
                f"the engine {name} has no option {option!r}",
                where=f"engine.{option}",
                hint=did_you_mean(option, known),
            )
        check_type(value, known[option].annotation, f"engine.{option}")
    try:
        return ENGINES[name](**options)  # type: ignore[arg-type]
    except (duckdb.Error, TypeError) as error:
        raise InputError(
            f"the engine {name} does not start with these options",
            where="engine",
            found=f"{options}: {str(error).strip().splitlines()[0]}",
        ) from error
