"""The library: docs/python-api.md runs as it stands, and importing the package costs nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

import experiments
from experiments import open_session
from experiments.workflow.features import catalogue, catalogue_text
from features.errors import InputError
from workplace import ROOT, environment

GUIDE = (ROOT / "docs" / "python-api.md").read_text()


def run_python(script: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_guide_runs_and_everything_lands_in_the_sessions_folder(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)
    printed = run_python("".join(blocks), tmp_path)
    assert "2,357 customers from 1997-01-01 to 1998-07-01" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["marketing"]
    folder = tmp_path / "marketing"
    for name in ("mlflow.db", "mlruns", "optuna.journal", "features.parquet", "customer_360.parquet", "report.html"):
        assert (folder / name).exists()
    versions = MlflowClient(f"sqlite:///{folder}/mlflow.db").search_model_versions("name='cdnow-clv'")
    assert all(version.source.startswith("models:/") for version in versions)
    assert {version.tags["kind"] for version in versions} >= {"refit"}


def test_the_guide_names_every_function_of_the_library() -> None:
    named = set(re.findall(r"^\| `(\w+)\(", GUIDE, flags=re.MULTILINE))
    assert named | {"open_session"} == set(experiments.__all__)
    for name in experiments.__all__:
        assert callable(getattr(experiments, name))


def test_importing_the_package_imports_no_library(tmp_path: Path) -> None:
    printed = run_python("import sys, experiments; print(*sorted(sys.modules))", tmp_path)
    heavy = {"hydra", "ibis", "lightgbm", "mlflow", "numpy", "optuna", "pandas", "sklearn"}
    assert not heavy & set(printed.split())


def test_overrides_in_one_string_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(InputError, match=r"overrides must be a list(?s:.)*\['tuning.n_trials=3'\]"):
        open_session(data="cdnow", overrides="tuning.n_trials=3")


def test_describing_the_data_imports_no_library_that_trains_draws_or_tracks(tmp_path: Path) -> None:
    printed = run_python(
        "import sys; from experiments.commands import compose, data; print(*sorted(sys.modules))", tmp_path
    )
    heavy = {"joblib", "lightgbm", "matplotlib", "mlflow", "optuna", "scipy", "sklearn"}
    assert not heavy & set(printed.split())


def test_a_session_has_the_defaults_of_conf_and_paths_of_its_folder(tmp_path: Path) -> None:
    session = open_session(data="cdnow", task="repurchase", folder=tmp_path, overrides=["tuning.seed=7"])
    assert (session.config.data["shop"], session.config.task["name"]) == ("cdnow", "repurchase")
    assert (session.config.tuning.n_trials, session.config.tuning.seed) == (20, 7)
    assert session.cache == tmp_path / ".cache"
    assert session.config.tuning.storage == str(tmp_path / "optuna.journal")
    assert session.config.engine["temp_directory"] == str(tmp_path / ".cache" / "duckdb")
    assert session.hypotheses


def test_a_feature_set_is_changed_by_add_and_drop_and_the_catalogue_shows_all(tmp_path: Path) -> None:
    changes = ["features=rfm", "features.add=[orders, weekend_share]", "features.drop=[recency]"]
    session = open_session(data="cdnow", folder=tmp_path, overrides=changes)
    rfm = open_session(data="cdnow", folder=tmp_path, overrides=["features=rfm"]).config.features.names
    assert session.config.features.names == [*(name for name in rfm if name != "recency"), "orders", "weekend_share"]
    for wrong, words in (("drop=[recencie]", "did you mean 'recency'"), ("add=[T]", "the set has 'T' already")):
        with pytest.raises(InputError, match=words):
            open_session(data="cdnow", folder=tmp_path, overrides=["features=rfm", f"features.{wrong}"])

    found = catalogue(session)
    assert set(rfm) < set(found.index)
    assert found.loc["frequency", ["min", "median"]].tolist() == [0, 0]
    assert found.loc["distinct_categories", "needs"] == "transactions, products"
    assert found.loc["distinct_categories"].isna().sum() == 3  # CDNOW has no products
    assert "purchase days - 1" in catalogue_text(found)


@pytest.mark.slow
def test_sessions_of_two_folders_keep_their_stores_apart(tmp_path: Path) -> None:
    first, second = (open_session(data="cdnow", folder=tmp_path / name) for name in ("first", "second"))
    uris = [session.client.tracking_uri for session in (first, second, first)]
    assert uris == [f"sqlite:///{tmp_path}/{name}/mlflow.db" for name in ("first", "second", "first")]


@pytest.mark.parametrize(
    ("given", "problem", "hint"),
    [
        ({"data": "cdnwo"}, "there is no data=cdnwo", "did you mean 'cdnow'"),
        ({"overrides": ["tuning.n_trails=3"]}, "there is no key 'tuning.n_trails'", "did you mean tuning.n_trials"),
        ({"overrides": ["tuning.n_trials=many"]}, "tuning.n_trials has a value of the wrong type", ""),
    ],
)
def test_a_mistake_is_explained_as_on_the_command_line(given: dict[str, object], problem: str, hint: str) -> None:
    with pytest.raises(InputError, match=problem) as refused:
        open_session(**given)
    assert hint in str(refused.value)
