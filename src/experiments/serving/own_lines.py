"""Lines of orders in the columns of the shop's own file, read by the mapping that stages it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from experiments.serving.lines import Lines, shown
from experiments.tracking.requests import RequestError
from features.engines import InMemory
from features.errors import listing
from features.sources.files.sent import RULE, SENT, UNREAD, Reading
from features.tables import REQUIRED, SPECS


def is_own(lines: Lines, reading: Reading | None) -> bool:
    """Return True if lines are to be read as those of the shop's file: a column has its name, and no canonical one."""
    return reading is not None and any(
        name in reading.columns and name not in SPECS[REQUIRED].columns for name in lines.columns
    )


def canonical(lines: Lines, reading: Reading, engine: InMemory) -> tuple[Lines, Mapping[str, int]]:
    """Return the canonical lines, and how many lines each rule of the shop leaves out.

    Raises
    ------
    RequestError
        If a column is missing, a text cannot be read, or a rule refuses a line or takes it for a return.
    """
    lacking = [name for name in reading.columns if name not in lines.columns]
    if lacking:
        meant = {source: column for column, source in reading.sources.items()}
        said = f", which is {meant[lacking[0]]}" if lacking[0] in meant else ""
        raise RequestError(
            f"{lines.table} lacks the column {shown(lacking[0])}{said}; expected the columns of the shop's file: "
            f"{listing(reading.columns, limit=30)}"
        )
    texts = {name: _texts(lines, name, reading) for name in reading.columns}
    found = engine.run(reading.query, {SENT: pa.table(texts, schema=pa.schema(dict.fromkeys(texts, pa.string())))})
    rows = found.to_pylist()
    left_out: Counter[str] = Counter()
    kept, numbers = [], []
    for number, given, row in zip(lines.numbered, lines.rows, rows, strict=True):
        if rule := row[RULE]:
            outcome, meaning = reading.rules[rule]
            if outcome == "drop":
                left_out[rule] += 1
                continue
            expected = "it in the table returns" if outcome == "return" else f"no such line (data.rules.{rule})"
            raise RequestError(f"{lines.table}, line {number}: {meaning}; expected {expected}")
        _check_read(lines, number, given, row, reading)
        kept.append(row)
        numbers.append(number)
    columns = [name for name in found.column_names if name in SPECS[REQUIRED].columns]
    return Lines(lines.table, columns, [[row[name] for name in columns] for row in kept], numbers), left_out


def _texts(lines: Lines, name: str, reading: Reading) -> list[str | None]:
    at = list(lines.columns).index(name)
    return [
        _text(lines.table, number, name, row[at], reading)
        for number, row in zip(lines.numbered, lines.rows, strict=True)
    ]


def _text(table: str, number: int, name: str, value: Any, reading: Reading) -> str | None:
    """Return a value as the file writes it; a number with a point is none where the file has another mark."""
    is_plain = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    if value is None or is_plain or (isinstance(value, float) and reading.decimal == "."):
        return None if value is None else str(value)
    raise RequestError(f"{table}, line {number}: {name} is {shown(value)}; expected a text, as in the shop's file")


def _check_read(lines: Lines, number: int, given: Sequence[Any], row: Mapping[str, Any], reading: Reading) -> None:
    for column, source in reading.sources.items():
        if row.get(f"{UNREAD}{column}"):
            value = given[list(lines.columns).index(source)] if source in lines.columns else None
            raise RequestError(
                f"{lines.table}, line {number}: {source} is {shown(value)}; expected {reading.expected[column]}"
            )
