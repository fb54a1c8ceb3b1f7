"""A request: the rows of customers by table, ids of customers without rows, and a day."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from experiments.serving.lines import Lines, shown
from experiments.tracking.requests import RequestError, decoded, of_split
from features.errors import did_you_mean
from features.tables import REQUIRED

IDS, AS_OF = "customer_ids", "as_of"
INPUTS, PARAMS = "inputs", "params"
RECORDS, SPLIT = "dataframe_records", "dataframe_split"
FORMS = (INPUTS, RECORDS, SPLIT)


@dataclass(frozen=True)
class Request:
    """Content of a request.

    Attributes
    ----------
    tables : mapping of table to Lines
    customer_ids : sequence of str
        Customers whose rows are not sent.
    as_of : datetime.date or None
        First day that is not included.
    """

    tables: Mapping[str, Lines] = field(default_factory=dict)
    customer_ids: Sequence[str] = ()
    as_of: date | None = None

    @classmethod
    def of_json(cls, text: str, tables: Sequence[str]) -> Request:
        """Read a body of JSON.

        Parameters
        ----------
        text : str
            `{"inputs": {"transactions": [{…}, …], …}, "params": {"as_of": "2017-10-03"}}`; lines of orders alone also
            in MLflow's forms dataframe_records and dataframe_split.
        tables : sequence of str
            Those that can be sent.

        Raises
        ------
        RequestError
        """
        content = decoded(text)
        forms = [name for name in FORMS if isinstance(content, dict) and name in content]
        if len(forms) != 1 or content.keys() - {*FORMS, PARAMS}:
            raise RequestError(
                f"the request must be an object with one of the keys {', '.join(FORMS)}, and perhaps {PARAMS}"
            )
        (form,) = forms
        given = content[form] if form == INPUTS else {REQUIRED: content[form]}
        return cls.of_inputs(given, content.get(PARAMS), tables)

    @classmethod
    def of_csv(cls, text: str) -> Request:
        """Read lines of orders as CSV, the first line of which names the columns.

        Raises
        ------
        RequestError
        """
        try:
            rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        except csv.Error as error:
            raise RequestError(f"the request is not valid CSV: {error}") from None
        if not rows:
            raise RequestError("the request is empty: the first line names the columns")
        columns = [name.strip() for name in [rows[0][0].removeprefix("\ufeff"), *rows[0][1:]]]
        return cls({REQUIRED: _lines(REQUIRED, columns, rows[1:])})

    @classmethod
    def of_inputs(cls, inputs: Any, params: Any, tables: Sequence[str]) -> Request:
        """Read tables that are objects of Python already.

        Parameters
        ----------
        inputs : mapping
            Rows by table, and customer_ids. Rows are a list of objects, or an object with columns and data.
        params : mapping or None
            With as_of, or without.
        tables : sequence of str

        Raises
        ------
        RequestError
        """
        if not isinstance(inputs, Mapping) or not inputs:
            raise RequestError(f"{INPUTS} must be an object with rows by table, such as {REQUIRED}")
        for name in inputs:
            if name not in (*tables, IDS):
                hint = did_you_mean(str(name), [*tables, IDS])
                raise RequestError(f"{shown(name)} is not a table that can be sent. {hint}")
        own = {name: rows_of(name, rows) for name, rows in inputs.items() if name != IDS}
        return cls(own, _ids(inputs.get(IDS, [])), _day(params))


def rows_of(table: str, rows: Any) -> Lines:
    """Return the rows of one table.

    Raises
    ------
    RequestError
        If they are not a list of objects, or an object with columns and data.
    """
    if isinstance(rows, Mapping):
        columns, data = rows.get("columns"), rows.get("data")
        if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
            _lines(table, columns, data)  # names the line that is too long, from 1 as all lines are
        try:
            return _lines(table, *of_split(rows))
        except RequestError as error:
            raise RequestError(f"{table}: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise RequestError(f"{table} must be a list of objects, each of which names its columns")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return _lines(table, columns, [[row.get(name) for name in columns] for row in rows])


def _lines(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Lines:
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise RequestError(
                f"{table}, line {number}: it has {len(row):,} values; expected {len(columns):,}, one for each column"
            )
    return Lines(table, columns, rows)


def _ids(given: Any) -> list[str]:
    if not isinstance(given, list):
        raise RequestError(f"{IDS} must be a list of customers' ids")
    for number, value in enumerate(given, 1):
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise RequestError(f"{IDS}, entry {number} is {shown(value)}; expected a text, or a whole number")
    return [str(value).strip() for value in given]


def _day(params: Any) -> date | None:
    if params is None:
        return None
    if not isinstance(params, Mapping) or params.keys() - {AS_OF}:
        raise RequestError(f"{PARAMS} must be an object with the key {AS_OF} alone")
    given = params.get(AS_OF)
    if given is None or given == "":
        return None
    try:
        if isinstance(given, str) and len(given) == len("2017-10-03"):
            return date.fromisoformat(given)
    except ValueError:
        pass
    raise RequestError(f"{AS_OF} is {shown(given)}; expected a day such as 2017-10-03")
