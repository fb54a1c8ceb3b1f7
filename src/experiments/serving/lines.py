"""Canonical rows that a request brings, read value by value: what is wrong is named with its line and column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from experiments.tracking.requests import RequestError
from features.errors import did_you_mean
from features.tables import SPECS, Column, TableSpec

SHOWN = 40  # characters of a value in a message
LONGEST_TEXT = 1000  # characters of an id or another text
LARGEST_WHOLE = 2**63 - 1
FIRST_YEAR, LAST_YEAR = 1900, 2999


@dataclass(frozen=True)
class Lines:
    """Rows of one table, as a request wrote them.

    Attributes
    ----------
    table : str
    columns : sequence of str
    rows : sequence of lists
        As long as the columns.
    numbers : sequence of int, optional
        Of the lines, as messages name them; from 1 when left out.
    """

    table: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    numbers: Sequence[int] | None = None

    @property
    def numbered(self) -> Sequence[int]:
        """Numbers of the lines."""
        return range(1, len(self.rows) + 1) if self.numbers is None else self.numbers

    def read(self, schema: pa.Schema, timezone: str, note: str = "") -> pa.Table:
        """Return the rows as canonical ones.

        Parameters
        ----------
        schema : pyarrow schema
            Columns of the table in this shop.
        timezone : str
            Of the shop: moments that name their distance from UTC become its own.
        note : str
            Said of a column that is unknown.

        Raises
        ------
        RequestError
            If a column is unknown, named twice or missing, a value is missing, of another kind or out of range, or a
            key is on several lines.
        """
        spec = SPECS[self.table]
        self._check_columns(spec, schema, note)
        read = {}
        for name in schema.names:
            if name in self.columns:
                read[name] = self._values(spec.columns[name], schema.field(name), timezone)
            elif spec.columns[name].counted:
                read[name] = list(self.numbered)
            else:
                read[name] = [None] * len(self.rows)
        self._check_key(spec, read)
        return pa.table(read, schema=schema)

    def _check_columns(self, spec: TableSpec, schema: pa.Schema, note: str) -> None:
        if twice := [name for name in self.columns if list(self.columns).count(name) > 1]:
            raise RequestError(f"{self.table} has two columns {twice[0]}: send each once")
        for name in self.columns:
            if name not in schema.names:
                hint = did_you_mean(name, schema.names)
                raise RequestError(f"{self.table} has no column {shown(name)}{note}. {hint}")
        for name, column in spec.columns.items():
            if column.required and not column.counted and name not in self.columns:
                raise RequestError(f"{self.table} lacks the column {name}: expected {column.meaning}")

    def _values(self, column: Column, field: pa.Field, timezone: str) -> list[Any]:
        name = field.name
        at, read = list(self.columns).index(name), _reader(field.type, timezone)
        values = []
        for number, row in zip(self.numbered, self.rows, strict=True):
            given = row[at]
            value = None if given is None or given == "" else given
            try:
                if value is None and column.required:
                    raise _UnreadableError(f"a value: {column.meaning}")
                if value is not None:
                    value = read(value)
                    _check_range(value, column)
            except _UnreadableError as error:
                found = "null or missing" if value is None else shown(given)
                raise RequestError(f"{self.table}, line {number}: {name} is {found}; expected {error}") from None
            values.append(value)
        return values

    def _check_key(self, spec: TableSpec, read: Mapping[str, Sequence[Any]]) -> None:
        """Refuse a key on two lines, and an order of two customers."""
        first: dict[tuple[Any, ...], int] = {}
        keys = zip(*(read[name] for name in spec.key), strict=True)
        for number, key in zip(self.numbered, keys, strict=True):
            if (earlier := first.setdefault(key, number)) != number:
                said = ", ".join(f"{name} {shown(value)}" for name, value in zip(spec.key, key, strict=True))
                raise RequestError(
                    f"{self.table}, line {number}: {said} is on line {earlier} too; expected each "
                    f"{' and '.join(spec.key)} once"
                )
        if "order_id" not in read or "customer_id" not in read or self.table != "transactions":
            return
        owners: dict[Any, tuple[Any, int]] = {}
        for number, order, customer in zip(self.numbered, read["order_id"], read["customer_id"], strict=True):
            owner, line = owners.setdefault(order, (customer, number))
            if owner != customer:
                raise RequestError(
                    f"{self.table}, line {number}: customer_id is {shown(customer)}; expected {shown(owner)}, whose "
                    f"order {shown(order)} is on line {line}"
                )


class _UnreadableError(ValueError):
    """A value that a column cannot have; the text says what was expected."""


def _reader(kind: pa.DataType, timezone: str) -> Callable[[Any], Any]:
    """Return the function that reads a value of a column of this type."""
    if pa.types.is_timestamp(kind):
        return partial(_moment, timezone=timezone)
    if pa.types.is_decimal(kind):
        return partial(_decimal, precision=kind.precision, scale=kind.scale)
    if pa.types.is_integer(kind):
        return _whole
    if pa.types.is_floating(kind):
        return _number
    if pa.types.is_boolean(kind):
        return _flag
    return _date if pa.types.is_date(kind) else _text


def _check_range(value: Any, column: Column) -> None:
    low, high = column.minimum, column.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
        raise _UnreadableError(f"{bounds}: {column.meaning}")


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _UnreadableError("a text, or a whole number")
    text = str(value).strip()
    if not text or len(text) > LONGEST_TEXT or not text.isprintable():
        raise _UnreadableError(f"a text of 1 to {LONGEST_TEXT:,} printable characters")
    return text


def _whole(value: Any) -> int:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            raise _UnreadableError("a whole number") from None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_WHOLE:
        raise _UnreadableError("a whole number")
    return value


def _number(value: Any) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number):
        raise _UnreadableError("a finite number")
    return number


def _decimal(value: Any, precision: int, scale: int) -> Decimal:
    expected = f"a number of at most {precision - scale} digits before the point and {scale} after it"
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise _UnreadableError(expected)
    try:
        number = Decimal(str(value).strip())
        is_within = number.is_finite() and (not number or number.adjusted() < precision - scale)
        rounded = round(number, scale) if is_within and number else Decimal(0)
    except (ArithmeticError, ValueError):
        raise _UnreadableError(expected) from None
    if not is_within or rounded != number:
        raise _UnreadableError(expected)
    return rounded


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _UnreadableError("true or false")
    return value


def _date(value: Any) -> date:
    return _moment(value, "UTC").date()


def _moment(value: Any, timezone: str) -> datetime:
    """Read a moment in the shop's time zone."""
    expected = "a moment in the shop's time zone, such as 2017-10-03 14:05:00, or a day, such as 2017-10-03"
    if not isinstance(value, str | datetime):
        raise _UnreadableError(expected)
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise _UnreadableError(expected) from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise _UnreadableError(f"{expected}, of the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment


def shown(value: object) -> str:
    """Return a value as a message shows it: short, and of one line."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
