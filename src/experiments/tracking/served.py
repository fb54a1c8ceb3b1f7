"""The model that MLflow runs: rows of features in, predictions out. Logged as code, never pickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from experiments.models.base import load
from experiments.tracking.requests import Limits, read_rows
from experiments.tracking.server import answer_requests, invalid


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


def read_strictly(features: Sequence[str], limits: Limits, key: Sequence[str]) -> None:
    """Make the scoring server read rows of these features by `requests.read_rows`: see `server.answer_requests`.

    Columns of `key` that a request has, such as customer_id, are in the answer.
    """

    def is_own(model: Any, schema: Any) -> bool:
        return schema is not None and set(schema.input_names()) == set(features)

    def respond(data: bytes, kind: str, answer: Callable[[str], Any]) -> Any:
        rows = read_rows(data, kind, features, limits, key)
        return named(answer(json.dumps({"dataframe_split": rows.to_dict("split", index=False)})), rows.index)

    answer_requests(is_own, respond)


def named(response: Any, index: pd.Index) -> Any:
    """Return the server's response with the names of its rows in the predictions, where a request had them."""
    if index.names == [None]:
        return response
    content = json.loads(response.response)
    names = index.to_frame().to_dict("records")
    content["predictions"] = [{**row, **scores} for row, scores in zip(names, content["predictions"], strict=True)]
    return response._replace(response=json.dumps(content))


set_model(ServedModel())
