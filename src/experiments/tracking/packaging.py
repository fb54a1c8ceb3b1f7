"""A fitted model becomes an MLflow model that loads anywhere: its text, its signature, the project's code."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from experiments.models.base import Model, dump
from features.errors import InputError

SOURCE = Path(__file__).resolve().parents[2]
CODE = [SOURCE / "experiments", SOURCE / "features"]
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "lightgbm", "lifetimes")


def code_digest(*folders: Path) -> str:
    """A hash of the project's code, or of some folders of it: a model of other code is another model."""
    digest = hashlib.sha256()
    for folder in folders or CODE:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def models_digest() -> str:
    """A hash of the code that predicts."""
    return code_digest(SOURCE / "experiments" / "models")


def predict_apart(store: str, uri: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Predict in a process of its own, in which the code that the model carries is found first.

    Raises
    ------
    InputError
        If that process fails: a file is gone, or a library is not the one that the code was written for.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "rows.parquet", Path(folder) / "scores.parquet"
        rows.to_parquet(given)
        script = (
            "import sys, mlflow, pandas\n"
            "mlflow.set_tracking_uri(sys.argv[1])\n"
            "model = mlflow.pyfunc.load_model(sys.argv[2])\n"
            "model.predict(pandas.read_parquet(sys.argv[3])).to_parquet(sys.argv[4])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, store, uri, str(given), str(made)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise InputError(
                f"{uri} does not predict with the code that it carries",
                where=uri,
                found=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1],
                hint="a folder that was moved does not find its models: paths of artifacts are absolute",
            )
        return pd.read_parquet(made)


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
