"""A fitted model becomes an MLflow model that loads anywhere: its text, its signature, the project's code."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from experiments.models.base import Model, dump

SOURCE = Path(__file__).resolve().parents[2]
CODE = [SOURCE / "experiments", SOURCE / "features"]
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "lightgbm", "lifetimes")


def code_digest() -> str:
    """A hash of the project's code, so that a model of other code is known as another model."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def log_model(run_id: str, model: Model, features: Sequence[str], outputs: Sequence[str]) -> str:
    """Log a fitted model on a run and return its URI.

    Inputs and outputs are doubles: MLflow drops the signature of nullable integers without a word and
    cuts floats that are sent to integer columns. The input example is made up, so that no customer's
    row travels with the model.
    """
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.double, name) for name in features]),
        outputs=Schema([ColSpec(DataType.double, name) for name in outputs]),
    )
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_id=run_id, nested=True):
        text = Path(folder) / "model.json"
        text.write_text(dump(model))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"model": str(text)},
            model_config={"features": list(features), "outputs": list(outputs)},
            code_paths=[str(path) for path in CODE],
            signature=signature,
            input_example=synthetic_rows(features),
            pip_requirements=[f"{package}=={version(package)}" for package in REQUIREMENTS],
        )
    if info.signature != signature:
        raise RuntimeError(f"MLflow kept another signature than the one given: {info.signature}")
    return info.model_uri


def synthetic_rows(features: Sequence[str]) -> pd.DataFrame:
    """Two made-up rows of features: consistent for the purchase counts, 1 and 2 elsewhere."""
    rows = pd.DataFrame({name: [1.0, 2.0] for name in features})
    known = {"frequency": [0.0, 3.0], "recency": [0.0, 60.0], "T": [40.0, 90.0], "monetary_value": [0.0, 25.0]}
    return rows.assign(**{name: values for name, values in known.items() if name in features})
