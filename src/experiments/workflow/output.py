"""Files that are written: refused early, written whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from features.csv_files import CsvWriter
from features.engines import Engine, RowFunction, batches, count_rows
from features.errors import InputError, listing
from features.progress import SELDOM, Progress
from features.writing import replacing

WRITERS = {".parquet": pq.ParquetWriter, ".csv": CsvWriter}


class Written(NamedTuple):
    """A written file, with its number of rows and their cutoff."""

    path: Path
    rows: int
    cutoff: date


def check_output(path: Path) -> None:
    """Refuse a path that cannot be written, before any work is done.

    Raises
    ------
    InputError
    """
    if path.suffix not in WRITERS:
        raise InputError(
            f"{path} has an unknown suffix",
            where="output",
            expected=f"a file that ends in {listing(WRITERS)}",
            found=path.suffix or "none",
        )
    check_writable(path, "output")


def check_writable(path: Path, where: str) -> None:
    """Refuse a path in a folder that cannot be written, before any work is done.

    Raises
    ------
    InputError
    """
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(
            f"{path} cannot be written",
            where=where,
            expected="a file in a folder that can be written",
            found=str(folder),
        )


def write(
    function: RowFunction,
    rows: Path,
    engine: Engine,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    kept: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch,
) -> int:
    """Write the result of a function of rows, batch by batch, in the format of the path's suffix.

    Parameters
    ----------
    function : callable
        As for `Engine.map`.
    rows : Path
        Parquet that the engine wrote.
    engine : Engine
    path : Path
    metadata : mapping, optional
        Kept in a Parquet file; CSV has no place for it.
    kept : callable, optional
        Gives the rows of a batch that are written.

    Returns
    -------
    int
        The number of rows.
    """
    schema = schema_of(function, rows)
    made = map(kept, engine.map(function, rows, schema))
    return write_batches(made, schema.with_metadata(metadata), count_rows(rows), path)


def schema_of(function: RowFunction, rows: Path) -> pa.Schema:
    """Return the schema of what a function of rows gives, without metadata."""
    return function(next(batches(rows)).slice(0, 1)).schema.remove_metadata()


def write_batches(made: Iterable[pa.RecordBatch], schema: pa.Schema, count: int, path: Path, what: str = "") -> int:
    """Write so many rows in batches, in the format of the path's suffix, and show how many are done.

    Parameters
    ----------
    made : iterable of RecordBatch
        An engine may name a type differently and add metadata: they are cast.
    schema : pyarrow schema
        Of the file, with the metadata to keep.
    count : int
        At most, for the progress.
    path : Path
    what : str, optional
        What is written, in words; the path when left out.

    Returns
    -------
    int
        The number of rows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(path) as partial,
        WRITERS[path.suffix](partial, schema) as writer,
        Progress(what or str(path), count, "rows", every=SELDOM) as progress,
    ):
        done = 0
        for batch in made:
            writer.write(batch.cast(schema))
            done += batch.num_rows
            progress.to(done)
    return done
