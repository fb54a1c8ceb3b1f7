"""The model that MLflow runs: rows of features in, predictions out. Logged as code, never pickled."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel

from experiments.models.base import load


class ServedModel(PythonModel):
    """MLflow model that predicts with the model stored as text under the artifact `model`.

    The names of the features and of the predictions come from `model_config`.
    """

    def load_context(self, context: Any) -> None:
        self.features: list[str] = list(context.model_config["features"])
        self.outputs: list[str] = list(context.model_config["outputs"])
        self.model = load(Path(context.artifacts["model"]).read_text())
        check_requests(self.features)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        X = model_input[self.features]
        finite = np.isfinite(X.to_numpy(dtype=float)).all(axis=0)
        if not finite.all():
            raise invalid(f"{', '.join(X.columns[~finite])} must be a finite number in every row, not null")
        return pd.DataFrame(self.model.outputs(X), columns=self.outputs)


def invalid(message: str) -> MlflowException:
    """Build the exception that the scoring server answers with status 400."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


def check_requests(features: Sequence[str]) -> None:
    """Make the scoring server check JSON rows of these features before it casts them.

    MLflow casts JSON to the signature's types before a model sees it: "3" becomes 3.0 and true 1.0. There is no hook
    before the cast, so this wraps the function that reads all four JSON forms, for rows of these features only. Outside
    the scoring server it does nothing.
    """
    server = sys.modules.get("mlflow.pyfunc.scoring_server")
    if server is None:
        return
    read = getattr(server.infer_and_parse_data, "__wrapped__", server.infer_and_parse_data)

    @functools.wraps(read)
    def checked(data: Mapping[str, Any], schema: Any = None) -> Any:
        if schema is not None and schema.has_input_names() and set(schema.input_names()) == set(features):
            check_rows(data, features)
        return read(data, schema)

    server.infer_and_parse_data = checked


def check_rows(data: Mapping[str, Any], features: Sequence[str]) -> None:
    """Check that every feature of JSON rows is a number, and neither missing nor null.

    Parameters
    ----------
    data : mapping
        A decoded request: `dataframe_split`, `dataframe_records`, `instances` or `inputs`. MLflow itself rejects other
        requests.
    """
    try:
        (content,) = data.values()
        if isinstance(content, dict) and "dataframe_split" not in data:
            content = {name: value if isinstance(value, list) else [value] for name, value in content.items()}
        rows = (
            pd.DataFrame(**content, dtype=object) if "dataframe_split" in data else pd.DataFrame(content, dtype=object)
        )
    except (TypeError, ValueError):
        return
    missing = [name for name in features if name not in rows]
    if missing:
        raise invalid(f"missing: {', '.join(missing)}")
    for name in features:
        for row, value in enumerate(rows[name]):
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < sys.float_info.max:
                shown = "null or missing" if value is None or value != value else repr(value)
                raise invalid(f"{name} must be a number, but is {shown} in row {row}")


set_model(ServedModel())
