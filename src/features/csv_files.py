"""CSV that people open: no cell is a formula to a spreadsheet, and this project reads each value back as it was.

A text that a spreadsheet would take for a formula gets an apostrophe, which marks it as a text. So does one that begins
with apostrophes and then as a formula: one apostrophe is taken off again in reading. Numbers stay numbers.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import CSVWriter as ArrowWriter

from features.writing import replacing

FORMULA = r"^('*[=+\-@\t\r])"
BEGINNINGS = tuple("'=+-@\t\r")  # of what the pattern finds: most texts begin otherwise, and need no search


def neutral(value: Any) -> Any:
    """Return a cell as a spreadsheet shows it and does not run it.

    >>> [neutral(value) for value in ("=1+1", "-5", "'=1+1", "it's", -5)]
    ["'=1+1", "'-5", "''=1+1", "it's", -5]
    """
    return re.sub(FORMULA, r"'\1", value) if isinstance(value, str) and value.startswith(BEGINNINGS) else value


def original(column: str) -> str:
    """Return the SQL that gives a column's texts as they were before `neutral`."""
    is_neutral = f"starts_with({column}, '''') AND regexp_matches({column}, '^''+[=+\\-@\\t\\r]')"  # the first is quick
    return f"CASE WHEN {is_neutral} THEN substr({column}, 2) ELSE {column} END"


class CsvWriter:
    """A CSV file that is written batch by batch, as `pyarrow.parquet.ParquetWriter` writes Parquet."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        fields = [pa.field(neutral(field.name), _plain(field.type)) for field in schema]
        self._schema = pa.schema(fields)
        self._writer = ArrowWriter(path, self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_neutral_column(column) for column in batch.columns]
        self._writer.write(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def write_csv(frame: pd.DataFrame, path: Path, *, index: bool = True) -> None:
    """Write a frame as CSV, whole or not at all."""
    cells = frame.apply(lambda column: column if pd.api.types.is_numeric_dtype(column) else _neutral_series(column))
    cells = cells.rename(columns=neutral)
    if index:
        cells.index = cells.index.map(neutral)
        cells = cells.rename_axis(index=neutral)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        cells.to_csv(partial, index=index)


def _neutral_series(column: pd.Series) -> pd.Series:
    return column.astype(object).map(neutral, na_action="ignore")


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _neutral_column(column: pa.Array) -> pa.Array:
    plain = column.cast(_plain(column.type))
    if not (pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type)):
        return plain
    return pc.replace_substring_regex(plain, pattern=FORMULA, replacement=r"'\1")
