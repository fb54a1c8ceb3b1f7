"""Packaging of a fitted model as an MLflow model that loads anywhere: its text, its signature, the project's code."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from experiments.models.base import Model, dump, foreign_code
from experiments.tracking.requirements import SOURCE, own_code, requirements_of
from features.checksums import checksum
from features.errors import InputError
from features.families.registry import FAMILIES, feature_ranges

CODE = [SOURCE / "experiments", SOURCE / "features"]
FILES_DIGEST = "files_digest"  # tag of a version: the digest of its files
PREDICTING = ("experiments.models", "experiments.tracking.served")  # what a server imports of that code


def code_digest(*folders: Path) -> str:
    """Compute a hash of the project's code, or of the given folders: a model of other code is another model."""
    digest = hashlib.sha256()
    for folder in folders or CODE:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def models_digest(module: str = "", libraries: tuple[str, ...] = ()) -> str:
    """Compute a hash of the code that predicts.

    Parameters
    ----------
    module : str
        Module of the model's class: its file counts too where it is not one of the models', as in a task's own file.
    libraries : tuple of str
        `Model.libraries`: those of the user's own count too.
    """
    digests = [code_digest(SOURCE / "experiments" / "models")]
    file = SOURCE.joinpath(*module.split(".")).with_suffix(".py")
    if module and not module.startswith("experiments.models.") and file.is_file():
        digests.append(checksum(file))
    if own := own_code_digest(libraries):
        digests.append(own)
    return hashlib.sha256("".join(digests).encode()).hexdigest() if digests[1:] else digests[0]


def own_code_digest(libraries: Collection[str]) -> str:
    """Compute a hash of the user's own modules among these libraries; "" if there are none."""
    digest, paths = hashlib.sha256(), own_code(libraries)
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(path.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest() if paths else ""


def files_digest(folder: Path) -> str:
    """Compute a hash of all files of a model: its text, its code, its description.

    Two things that are not of the model may stand among them: bytecode of an import, and the note that MLflow writes on
    a folder when it loads a registered version from it.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.parent.name == "__pycache__" or path.relative_to(folder).as_posix() == REGISTERED_MODEL_META_FILE_NAME:
            continue
        digest.update(f"{checksum(path)} {path.relative_to(folder).as_posix()}\n".encode())
    return digest.hexdigest()


def digest_tag(uri: str) -> dict[str, str]:
    """Return the tag that says which files a logged model has."""
    return {FILES_DIGEST: files_digest(Path(mlflow.artifacts.download_artifacts(uri)))}


def predict_apart(store: str, uri: str, folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Predict in a separate process, which imports the code that the model carries, and not its bytecode.

    Parameters
    ----------
    store : str
    uri : str
        Name of the model, for the message.
    folder : Path
        Its files.
    rows : DataFrame

    Raises
    ------
    InputError
        If that process fails: a file is missing, or a library does not fit the code.
    """
    with tempfile.TemporaryDirectory() as scratch:
        given, made = Path(scratch) / "rows.parquet", Path(scratch) / "scores.parquet"
        rows.to_parquet(given)
        script = (
            "import sys, mlflow, pandas\n"
            "mlflow.set_tracking_uri(sys.argv[1])\n"
            "model = mlflow.pyfunc.load_model(sys.argv[2])\n"
            "model.predict(pandas.read_parquet(sys.argv[3])).to_parquet(sys.argv[4])\n"
        )
        done = subprocess.run(
            [sys.executable, "-X", f"pycache_prefix={scratch}", "-c", script, store, *map(str, (folder, given, made))],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise InputError(
                f"{uri} does not predict with the code that it carries",
                where=uri,
                found=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1],
                hint="if the folder was moved, move it back: paths of artifacts are absolute",
            )
        return pd.read_parquet(made)


def log_model(model: Model, features: Sequence[str], outputs: Sequence[str], key: Sequence[str]) -> str:
    """Log a fitted model on the active run and return its URI.

    Inputs and outputs are doubles: MLflow silently drops the signature of nullable integers and truncates floats that
    are sent to integer columns. The input example is synthetic, so the model contains no customer's row.
    """
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.double, name) for name in features]),
        outputs=Schema([ColSpec(DataType.double, name) for name in outputs]),
    )
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "model.json"
        text.write_text(dump(model))
        config = Path(folder) / "config.json"  # MLflow logs a `model_config` as params: 6,000 characters of features
        config.write_text(
            json.dumps(
                {
                    "features": list(features),
                    "outputs": list(outputs),
                    "key": list(key),
                    "limits": limits_of(features),
                    "model_digest": checksum(text),
                    "allowed": foreign_code(model),
                }
            )
        )
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"model": str(text), "config": str(config)},
            code_paths=[str(path) for path in (*CODE, *own_code(model.libraries))],
            signature=signature,
            input_example=synthetic_rows(features),
            pip_requirements=requirements_of(*PREDICTING, type(model).__module__, libraries=model.libraries),
        )
    if info.signature != signature:
        raise RuntimeError(f"MLflow changed the model's signature to {info.signature}")
    return info.model_uri


def log_parts(folder: Path, opened_by: str, example: Mapping[str, object], models: Sequence[Model]) -> str:
    """Log a model that is made of several parts on the active run and return its URI.

    Parameters
    ----------
    folder : Path
        The parts.
    opened_by : str
        "module:function" that opens them: see `served_customers`.
    example : mapping
        Synthetic rows by table, as a request has them.
    models : sequence of Model
        Those among the parts: the libraries and the user's own code that they need go with them.
    """
    libraries = {library for model in models for library in model.libraries}
    signature = ModelSignature(params=ParamSchema([ParamSpec("as_of", DataType.string, "")]))
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "config.json"
        config.write_text(json.dumps({"digest": files_digest(folder), "opened_by": opened_by}))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served_customers.py")),
            artifacts={"parts": str(folder), "config": str(config)},
            code_paths=[str(path) for path in (*CODE, *own_code(libraries))],
            signature=signature,
            input_example=dict(example),
            pip_requirements=requirements_of(
                "experiments.models",
                "experiments.tracking.served_customers",
                opened_by.partition(":")[0],
                *{type(model).__module__ for model in models},
                libraries=libraries,
            ),
        )
    return info.model_uri


def limits_of(features: Sequence[str]) -> dict[str, object]:
    """Return the values that features can have, as their families declare them (`requests.Limits`)."""

    def of_features(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
        return [list(pair) for pair in pairs if {*pair} <= {*features}]

    families = FAMILIES.values()
    return {
        "ranges": {name: list(bounds) for name, bounds in feature_ranges(features).items()},
        "at_most": of_features(pair for family in families for pair in family.at_most),
        "zero_with": of_features(pair for family in families for pair in family.zero_with),
    }


def synthetic_rows(features: Sequence[str]) -> pd.DataFrame:
    """Return two synthetic rows of features: consistent purchase histories, and 1 and 2 or less in other columns."""
    highest = {name: high for name, (_, high) in feature_ranges(features).items() if high is not None}
    rows = pd.DataFrame({name: [1.0, min(2.0, float(highest.get(name, 2)))] for name in features})
    known = {"frequency": [0.0, 3.0], "recency": [0.0, 60.0], "T": [40.0, 90.0], "monetary_value": [0.0, 25.0]}
    known["days_since_last_purchase"] = [40.0, 30.0]
    return rows.assign(**{name: values for name, values in known.items() if name in features})
