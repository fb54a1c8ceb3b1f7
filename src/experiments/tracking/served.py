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

    The names of the features and of the predictions come from `model_config`.
    """

    def load_context(self, context: Any) -> None:
        self.features: list[str] = list(context.model_config["features"])
        self.outputs: list[str] = list(context.model_config["outputs"])
        self.model = load(unchanged(Path(context.artifacts["model"]), context.model_config.get("model_digest")))
        read_strictly(self.features, Limits(**context.model_config.get("limits", {"ranges": {}})))

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


def unchanged(path: Path, digest: str | None) -> str:
    """Return the text of the model, if it has the digest that it was logged with; older models have none."""
    content = path.read_bytes()
    if digest and hashlib.sha256(content).hexdigest() != digest:
        raise invalid(f"{path.name} is not the file that was logged: restore it, or train the model again")
    return content.decode()


def invalid(message: str) -> MlflowException:
    """Build the exception that the scoring server answers with status 400."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


def read_strictly(features: Sequence[str], limits: Limits) -> None:
    """Make the scoring server read the rows of these features by `requests.read_rows`, before its own reader.

    MLflow casts to the signature's types before a model sees a request: "3" becomes 3.0, true 1.0, and a value too many
    in a CSV row moves all columns. There is no hook before that, so this wraps the function that answers all requests,
    for models of these features only. Outside the scoring server it does nothing. Parquet is refused: MLflow reads it
    without these checks. An error of the model is logged, and is not sent with its stack.
    """
    server = sys.modules.get("mlflow.pyfunc.scoring_server")
    if server is None:
        return
    answer = getattr(server.invocations, "__wrapped__", server.invocations)
    largest = int(os.environ.get(LARGEST, LARGEST_BYTES))

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
            rows = read_rows(data, kind, features, limits)
        except RequestError as error:
            raise invalid(str(error)) from None
        body = json.dumps({"dataframe_split": rows.to_dict("split", index=False)})
        try:
            return answer(body, JSON, model, schema)
        except Exception:
            logger.exception("The model has no answer for a request")
            raise invalid("the model has no answer for these rows; the server's log says why") from None

    server.invocations = checked


set_model(ServedModel())
