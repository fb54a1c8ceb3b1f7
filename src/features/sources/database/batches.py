"""Rows in batches of Arrow, each written before the next is read: memory holds one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from features.progress import Progress

BATCH_ROWS = 50_000
DECIMAL = pa.decimal128(38, 9)  # one type for all batches: what is inferred depends on the values of each
SHOWN_AFTER_SECONDS = 3
STORED = (
    kinds.is_boolean,
    kinds.is_integer,
    kinds.is_floating,
    kinds.is_decimal,
    kinds.is_string,
    kinds.is_large_string,
    kinds.is_binary,
    kinds.is_large_binary,
    kinds.is_date,
    kinds.is_timestamp,
    kinds.is_null,
)


def batch(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Return rows as Python holds them as a batch; a column of several kinds is one of texts."""
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.RecordBatch.from_arrays([_array(values) for values in columns], names=list(names))


def _array(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return _texts(values)


def _texts(values: Iterable[Any]) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _storable(array: pa.Array) -> pa.Array:
    """Return a column in a type that Parquet and every engine have; texts, where there is none."""
    is_number = kinds.is_decimal(array.type)
    if isinstance(array, pa.ExtensionArray):
        is_number = getattr(array.type, "type_name", None) == "numeric"  # ADBC has it as texts
        array = array.storage
    if kinds.is_dictionary(array.type):
        array = array.dictionary_decode()
    if is_number:
        try:
            return array.cast(DECIMAL)
        except pa.ArrowInvalid:  # more digits than it has, or not a number
            return _texts(array.to_pylist())
    return array if any(is_kind(array.type) for is_kind in STORED) else _texts(array.to_pylist())


class Parts:
    """Parquet files that batches are written to; a new one begins where the types change.

    A column whose values were all null so far is left out of a file, so that a later type is not in conflict with it.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Attributes
    ----------
    names : list of str
        Columns of the batches.
    rows, batches : int
        Numbers of what was written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []
        self.rows = 0
        self.batches = 0
        self._types: dict[str, pa.DataType] = {}
        self._writer: pq.ParquetWriter | None = None

    def write(self, given: Iterable[pa.RecordBatch], what: str) -> None:
        """Write all batches, with a bar that counts rows where it takes long."""
        try:
            with Progress(what, None, "rows", leave=False, delay=SHOWN_AFTER_SECONDS) as progress:
                for each in given:
                    self._write(each)
                    progress.to(self.rows)
        finally:
            self._close()

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    @property
    def present(self) -> list[str]:
        """Return the columns that have a value in any batch."""
        return list(self._types)

    def _write(self, each: pa.RecordBatch) -> None:
        self.names = each.schema.names
        if not each.num_rows:
            return
        columns = dict(self._columns(each))
        table = pa.table(columns or {each.schema.names[0]: pa.nulls(each.num_rows, pa.string())})
        if self._writer is None or self._writer.schema != table.schema:
            self._close()
            self._writer = pq.ParquetWriter(self.folder / f"{self.batches:08}.parquet", table.schema)
        self._writer.write_table(table)
        self.rows += table.num_rows
        self.batches += 1

    def _columns(self, each: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
        for name, column in zip(each.schema.names, each.columns, strict=True):
            array = _storable(column)
            if kinds.is_null(array.type) and name in self._types:
                array = array.cast(self._types[name])
            if not kinds.is_null(array.type):
                self._types[name] = array.type
                yield name, array

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
