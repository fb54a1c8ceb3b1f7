"""The model of customer_360 that MLflow runs: rows of customers in, what is known and predicted of each out."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from experiments.tracking.packaging import files_digest
from experiments.tracking.requests import RequestError
from experiments.tracking.server import CSV, answer_requests, invalid, response_of


class ServedCustomers(PythonModel):
    """MLflow model that answers with the parts under the artifact `parts`.

    The artifact `config` has their digest, and names the function that opens them: `(folder) -> answers`, with a method
    for JSON, one for CSV and one for objects of Python.
    """

    def load_context(self, context: Any) -> None:
        config = json.loads(Path(context.artifacts["config"]).read_text())
        folder = Path(context.artifacts["parts"])
        if files_digest(folder) != config["digest"]:
            raise invalid(f"{folder} does not hold the files that were logged: restore it, or build the model again")
        module, name = config["opened_by"].split(":")
        self.answers = getattr(importlib.import_module(module), name)(folder)
        answer_requests(self._is_own, self._respond)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> dict[str, Any]:
        # a frame of lines, or tables by name: a hint that said so would be read as a schema, by which values are cast
        try:
            return self.answers.of_objects(model_input, params)
        except RequestError as error:
            raise invalid(str(error)) from None

    def _is_own(self, model: Any, schema: Any) -> bool:
        return model.unwrap_python_model() is self

    def _respond(self, data: bytes, kind: str, _: Callable[[str], Any]) -> Any:
        try:
            text = data.decode("utf-8") if isinstance(data, bytes) else data
        except UnicodeDecodeError:
            raise RequestError("the request is not encoded in UTF-8") from None
        found = self.answers.of_csv(text) if kind.startswith(CSV) else self.answers.of_json(text)
        return response_of(json.dumps({"predictions": found}, allow_nan=False))


set_model(ServedCustomers())
