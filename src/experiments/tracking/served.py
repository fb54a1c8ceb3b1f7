"""The model that MLflow runs: rows of features in, predictions out. Logged as code, never pickled."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel

from experiments.models.base import load
from experiments.tracking.requests import Limits, RequestError, read_rows

JSON, CSV = "application/json", "text/csv"
LARGEST = "EXPERIMENTS_LARGEST_REQUEST"  # environment variable: bytes of the largest request that is read
LARGEST_BYTES = 16 * 2**20

logger = logging.getLogger(__name__)


class ServedModel(PythonModel):
    """MLflow model that predicts with the model stored as text under the artifact `model`.

    The artifact `config` has the names of the features, of the predictions and of the code that the text may import.
    """

    def load_context(self, context: Any) -> None:
        config = json.loads(Path(context.artifacts["config"]).read_text())
        self.features: list[str] = config["features"]
        self.outputs: list[str] = config["outputs"]
        self.model = load(unchanged(Path(context.artifacts["model"]), config["model_digest"]), config["allowed"])
        read_strictly(self.features, Limits(**config["limits"]), config["key"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        X = model_input[self.features]
        finite = np.isfinite(X.to_numpy(dtype=float)).all(axis=0)
        if not finite.all():
            raise invalid(f"{', '.join(X.columns[~finite])} must be a finite number in every row, not null")
        scores = pd.DataFrame(self.model.outputs(X), columns=self.outputs)
        answered = np.isfinite(scores.to_numpy(dtype=float)).all(axis=1)
        if not answered.all():
            raise invalid(f"the model has no finite answer for row {int(answered.argmin())}")
        return scores


def unchanged(path: Path, digest: str) -> str:
    """Return the text of the model, if it has the digest that it was logged with."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise invalid(f"{path.name} is not the file that was logged: restore it, or train the model again")
    return content.decode()


def invalid(message: str) -> MlflowException:
    """Build the exception that the scoring server answers with status 400."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


def read_strictly(features: Sequence[str], limits: Limits, key: Sequence[str]) -> None:
    """Make the scoring server read the rows of these features by `requests.read_rows`, before its own reader.

    MLflow casts to the signature's types before a model sees a request: "3" becomes 3.0, true 1.0, and a value too many
    in a CSV row moves all columns. There is no hook before that, so this wraps the function that answers all requests,
    for models of these features only. Outside the scoring server it does nothing. Parquet is refused: MLflow reads it
    without these checks. An error of the model is logged, and is not sent with its stack. Columns of `key` that a
    request has, such as customer_id, are in the answer.
    """
    server = sys.modules.get("mlflow.pyfunc.scoring_server")
    if server is None:
        return
    answer = getattr(server.invocations, "__wrapped__", server.invocations)
    given = os.environ.get(LARGEST, str(LARGEST_BYTES))
    if not given.isdecimal():
        raise invalid(f"{LARGEST} must be a number of bytes, such as {LARGEST_BYTES}, but is {given!r}")
    largest = int(given)

    @functools.wraps(answer)
    def checked(data: bytes, content_type: str | None, model: Any, schema: Any) -> Any:
        kind = (content_type or JSON).strip().lower()
        if schema is None or set(schema.input_names()) != set(features):
            return answer(data, kind, model, schema)
        if not kind.startswith((JSON, CSV)):
            return server.InvocationsResponse(f"the server reads {JSON} and {CSV}", 415, "text/plain")
        if len(data) > largest:
            words = f"the request has {len(data):,} bytes, and {largest:,} are read at most: send fewer rows at a time"
            return server.InvocationsResponse(words, 413, "text/plain")
        try:
            rows = read_rows(data, kind, features, limits, key)
        except RequestError as error:
            raise invalid(str(error)) from None
        body = json.dumps({"dataframe_split": rows.to_dict("split", index=False)})
        try:
            return named(answer(body, JSON, model, schema), rows.index)
        except Exception:
            logger.exception("The model has no answer for a request")
            raise invalid("the model has no answer for these rows; the server's log says why") from None

    server.invocations = checked


def named(response: Any, index: pd.Index) -> Any:
    """Return the server's response with the names of its rows in the predictions, where a request had them."""
    if index.names == [None]:
        return response
    content = json.loads(response.response)
    names = index.to_frame().to_dict("records")
    content["predictions"] = [{**row, **scores} for row, scores in zip(names, content["predictions"], strict=True)]
    return response._replace(response=json.dumps(content))


set_model(ServedModel())
