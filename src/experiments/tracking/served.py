"""The model as MLflow runs it: rows of features in, predictions out. Logged as code, never pickled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel
from mlflow.utils import proto_json_utils

from experiments.models.base import load


class ServedModel(PythonModel):
    """Predicts with the model stored as text under the artifact `model`.

    The names of the features and of the predictions come from `model_config`.
    """

    def load_context(self, context: Any) -> None:
        self.features: list[str] = list(context.model_config["features"])
        self.outputs: list[str] = list(context.model_config["outputs"])
        self.model = load(Path(context.artifacts["model"]).read_text())
        refuse_text_as_numbers(self.features)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        X = model_input[self.features]
        finite = np.isfinite(X.to_numpy(dtype=float))
        if not finite.all():
            names = X.columns[~finite.all(axis=0)].tolist()
            raise invalid(f"null or infinite values in {', '.join(names)}: every feature needs a number in every row")
        return pd.DataFrame(np.asarray(self.model.predict(X)).reshape(len(X), -1), columns=self.outputs)


def invalid(message: str) -> MlflowException:
    """The exception that the scoring server answers with status 400."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


def refuse_text_as_numbers(features: Collection[str]) -> None:
    """Make the scoring server refuse text and booleans where one of these features wants a number.

    MLflow casts JSON to the signature's types before a model sees it, "3" to 3.0 and true to 1.0
    included. There is no hook before the cast, so the cast is wrapped; frames of other models pass through.
    """
    cast: Callable[..., pd.DataFrame] = proto_json_utils.cast_df_types_according_to_schema
    cast = getattr(cast, "__wrapped__", cast)

    @functools.wraps(cast)
    def checked(pdf: pd.DataFrame, schema: Any) -> pd.DataFrame:
        if schema.has_input_names() and set(schema.input_names()) == set(features):
            for name in pdf.columns.intersection(list(features)):
                wrong = [value for value in pdf[name] if isinstance(value, (str, bool, list, dict))]
                if wrong:
                    raise invalid(f"{name} needs a number, got {wrong[0]!r}")
        return cast(pdf, schema)

    proto_json_utils.cast_df_types_according_to_schema = checked


set_model(ServedModel())
