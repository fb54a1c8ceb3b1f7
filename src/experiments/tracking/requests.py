"""Rows that a scoring server is asked about: one strict reader for all content types."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NoReturn

import pandas as pd

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
SHOWN = 40  # characters of a value in a message


class RequestError(ValueError):
    """A request that is answered with status 400; its text names the feature, the value and the row."""


@dataclass(frozen=True)
class Limits:
    """The values that features can have together.

    Attributes
    ----------
    ranges : mapping of str to pair
        Feature -> its least and its greatest value; None where there is no bound.
    at_most : sequence of pairs of str
        The first feature is at most the second.
    zero_with : sequence of pairs of str
        The second feature is 0 where the first is.
    """

    ranges: Mapping[str, Sequence[float | None]]
    at_most: Sequence[Sequence[str]] = ()
    zero_with: Sequence[Sequence[str]] = ()


def read_rows(
    data: bytes | str, content_type: str, features: Sequence[str], limits: Limits, key: Sequence[str] = ()
) -> pd.DataFrame:
    """Read the rows of a request and check every value.

    Parameters
    ----------
    data : bytes or str
        Body of the request.
    content_type : str
        "application/json" in any of MLflow's four forms, or "text/csv".
    features : sequence of str
        Features of the model. Other columns are left out.
    limits : Limits
    key : sequence of str
        Columns that name a row, such as customer_id. A request may have them.

    Returns
    -------
    DataFrame
        Doubles, in the order of `features`; indexed by the columns of `key` that were sent, as they were written.

    Raises
    ------
    RequestError
        If the body cannot be read, has no rows, rows of unequal length or a column twice, or if a value is missing, is
        not a finite number, or is one that the feature cannot have; if a name of a row is not a text or a whole number.
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError:
        raise RequestError("the request is not encoded in UTF-8") from None
    columns, rows = _of_csv(text, key) if content_type.startswith("text/csv") else _of_json(text)
    _check_columns(columns, features)
    if not rows:
        raise RequestError("the request has no rows: send at least one")
    position = {name: columns.index(name) for name in features}
    values = {name: [_number(name, row[at], n) for n, row in enumerate(rows)] for name, at in position.items()}
    sent = [name for name in key if name in columns]
    names = [[_name(name, row[columns.index(name)], n) for name in sent] for n, row in enumerate(rows)]
    index = pd.MultiIndex.from_frame(pd.DataFrame(names, columns=sent, dtype=object)) if sent else None
    frame = pd.DataFrame(values, columns=list(features), dtype="float64")
    check_limits(frame, limits)
    return frame if index is None else frame.set_axis(index)


def check_limits(rows: pd.DataFrame, limits: Limits) -> None:
    """Refuse values that a feature cannot have, alone or beside another.

    Raises
    ------
    RequestError
    """
    for name, (low, high) in limits.ranges.items():
        if name in rows:
            outside = (rows[name] < (-inf if low is None else low)) | (rows[name] > (inf if high is None else high))
            for row in _first(outside):
                raise RequestError(f"{name} must be {_bounds(low, high)}, but is {rows[name].iloc[row]:g} in row {row}")
    for smaller, larger in limits.at_most:
        if smaller in rows and larger in rows:
            for row in _first(rows[smaller] > rows[larger]):
                value, bound = rows[smaller].iloc[row], rows[larger].iloc[row]
                raise RequestError(
                    f"{smaller} must be at most {larger}, but is {value:g} where {larger} is {bound:g} in row {row}"
                )
    for first, second in limits.zero_with:
        if first in rows and second in rows:
            for row in _first((rows[first] == 0) & (rows[second] != 0)):
                raise RequestError(
                    f"{second} must be 0 where {first} is 0, but is {rows[second].iloc[row]:g} in row {row}"
                )


def _first(is_wrong: pd.Series) -> list[int]:
    """Return the position of the first row that is wrong, if there is one."""
    return is_wrong.to_numpy().nonzero()[0][:1].tolist()


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"at least {low:g}" if high is None else f"at most {high:g}"


def _of_csv(text: str, key: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        raise RequestError(f"the request is not valid CSV: {error}") from None
    if not lines:
        raise RequestError("the request is empty: the first line names the columns")
    columns, *rows = [[lines[0][0].removeprefix("\ufeff"), *lines[0][1:]], *lines[1:]]
    columns = [name.strip() for name in columns]

    def read(name: str, cell: str) -> Any:
        return float(cell) if name not in key and NUMBER.fullmatch(cell.strip()) else cell

    return columns, [[read(*each) for each in zip(columns, row, strict=True)] for row in _as_long(columns, rows)]


def _of_json(text: str) -> tuple[list[str], list[list[Any]]]:
    content = decoded(text)
    if not isinstance(content, dict) or len(content) != 1 or next(iter(content)) not in FORMS:
        raise RequestError(f"the request must be an object with one of the keys {', '.join(FORMS)}")
    ((form, rows),) = content.items()
    if form == "dataframe_split":
        return of_split(rows)
    if isinstance(rows, dict) and form != "dataframe_records":
        return _of_columns(rows)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RequestError(f"{form} must be a list of objects, each of which names its features")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return columns, [[row.get(name) for name in columns] for row in rows]


def of_split(content: Any) -> tuple[list[str], list[list[Any]]]:
    """Return columns and rows of MLflow's form `dataframe_split`.

    Raises
    ------
    RequestError
    """
    wrong = "dataframe_split must be an object with columns and data, and perhaps an index, which are lists"
    if not isinstance(content, dict) or not {"columns", "data"} <= content.keys() <= {"columns", "data", "index"}:
        raise RequestError(wrong)
    columns, rows = content["columns"], content["data"]
    index = content.get("index", rows)
    if not all(isinstance(part, list) for part in (columns, rows, index)):
        raise RequestError(wrong)
    if not all(isinstance(name, str) for name in columns) or not all(isinstance(row, list) for row in rows):
        raise RequestError("dataframe_split must have names as columns, and a list for each row of data")
    if len(index) != len(rows):
        raise RequestError(f"the index has {len(index):,} entries, and there are {len(rows):,} rows")
    return columns, _as_long(columns, rows)


def _of_columns(content: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Read rows that are given as columns: lists of one length, or one value each."""
    values = {name: value if isinstance(value, list) else [value] for name, value in content.items()}
    lengths = {len(each) for each in values.values()}
    if len(lengths) > 1:
        raise RequestError(f"the columns have different lengths: {', '.join(map(str, sorted(lengths)))}")
    return list(values), [list(row) for row in zip(*values.values(), strict=True)]


def decoded(text: str) -> Any:
    """Read JSON in which no object names a key twice, and no number is NaN or infinite.

    Raises
    ------
    RequestError
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = _twice(name for name, _ in pairs)
        if twice:
            raise RequestError(f"{_shown(twice[0])} is named twice in one object")
        return dict(pairs)

    def constant(name: str) -> NoReturn:
        raise RequestError(f"{name} is not a number that a feature can have")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except RequestError:
        raise
    except RecursionError:
        raise RequestError("the request is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise RequestError(f"the request is not valid JSON: {error}") from None
    except ValueError:
        raise RequestError("the request has a number with too many digits") from None


def _as_long(columns: Sequence[str], rows: Sequence[list[Any]]) -> list[list[Any]]:
    """Refuse rows that are longer or shorter than the columns, whose values would be of other columns."""
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise RequestError(f"row {number} has {len(row):,} values, and there are {len(columns):,} columns")
    return list(rows)


def _check_columns(columns: Sequence[str], features: Iterable[str]) -> None:
    twice = _twice(columns)
    if twice:
        raise RequestError(f"the column {_shown(twice[0])} is named twice")
    missing = [name for name in features if name not in columns]
    if missing and columns:
        raise RequestError(f"missing: {', '.join(missing)}")


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _number(name: str, value: Any, row: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        shown = "null or missing" if value is None or value == "" else _shown(value)
        raise RequestError(f"{name} must be a finite number, but is {shown} in row {row}")
    return float(value)


def _name(name: str, value: Any, row: int) -> str | int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise RequestError(f"{name} must be a text or a whole number, but is {_shown(value)} in row {row}")
    return value


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "too large"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
