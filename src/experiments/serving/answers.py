"""The forms of a request, each with its answer: what a model of MLflow calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.serving.customers import Customers, Parts
from experiments.serving.request import Request
from features.tables import REQUIRED


class Answers:
    """Answers of customer_360 to requests in JSON, in CSV and in objects of Python.

    Parameters
    ----------
    customers : Customers
    """

    def __init__(self, customers: Customers) -> None:
        self.customers = customers

    def of_json(self, text: str) -> dict[str, Any]:
        """Answer a body of JSON: see `Request.of_json`.

        Raises
        ------
        RequestError
        """
        return self.customers.answer(Request.of_json(text, self.customers.tables))

    def of_csv(self, text: str) -> dict[str, Any]:
        """Answer lines of orders as CSV: see `Request.of_csv`.

        Raises
        ------
        RequestError
        """
        return self.customers.answer(Request.of_csv(text))

    def of_objects(self, given: Any, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Answer tables as frames or lists of objects; one frame alone has lines of orders.

        Raises
        ------
        RequestError
        """
        tables = given if isinstance(given, Mapping) else {REQUIRED: given}
        plain = {name: _plain(rows) for name, rows in tables.items()}
        return self.customers.answer(Request.of_inputs(plain, params, self.customers.tables))


def open_answers(folder: Path) -> Answers:
    """Open the parts in a folder."""
    return Answers(Customers(Parts.read(folder)))


def _plain(rows: Any) -> Any:
    """Return the rows of a frame, or of an array, as lists."""
    if isinstance(rows, pd.DataFrame):
        values = rows.astype(object).where(rows.notna(), None)
        return {"columns": [str(name) for name in rows], "data": values.to_numpy().tolist()}
    return rows.tolist() if hasattr(rows, "tolist") else rows
