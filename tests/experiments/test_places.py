"""Folders of any name: every file stays inside the one in which a command was started."""

import shutil

import mlflow
import pytest

from experiments.commands.main import run
from experiments.tracking.packaging import synthetic_rows
from workplace import QUICK


@pytest.mark.slow
def test_a_command_keeps_its_files_in_the_folder_it_was_started_in(
    tmp_path, finished_run, monkeypatch, quick_composition
):
    name = "my shop, 50% off, ü#1 [x]"
    here = tmp_path / "parent" / name
    here.mkdir(parents=True)
    shutil.copytree(finished_run[0] / ".cache", here / ".cache")
    monkeypatch.chdir(here)
    assert run(["train", "data=cdnow", "model=bg_nbd"]) == 0
    assert [path.name for path in here.parent.iterdir()] == [name]
    assert {path.name for path in here.iterdir()} == {".cache", ".locks", "mlflow.db", "mlruns"}
    (found,) = mlflow.MlflowClient().search_runs(["1"])
    assert list(here.glob(f"mlruns/*/{found.info.run_id}/artifacts/*"))
    assert list(here.glob("mlruns/*/models/*/artifacts/MLmodel"))
    assert {path.suffix for path in (here / ".locks").iterdir()} == {".lock"}


def test_a_folder_whose_models_mlflow_could_never_load_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, capsys, quick_composition
):
    here = tmp_path / "a%20b"
    here.mkdir()
    monkeypatch.chdir(here)
    assert run(["ui"]) == 2
    assert "a path without codes such as %20" in capsys.readouterr().err
    assert not list(here.glob("ml*"))
    assert [path.name for path in tmp_path.iterdir()] == ["a%20b"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["50% off", "ü#1 [x]"])
def test_all_commands_keep_their_files_in_the_folder_they_were_started_in(
    tmp_path, finished_run, monkeypatch, name, quick_composition
):
    here = tmp_path / "parent" / name
    here.mkdir(parents=True)
    shutil.copytree(finished_run[0] / ".cache", here / ".cache")
    monkeypatch.chdir(here)
    for command in (
        ["tune", *QUICK, "tuning.n_trials=5"],
        ["promote", *QUICK],
        ["score", *QUICK],
        ["report", *QUICK, "report.sections=[verdicts]"],
    ):
        assert run(command) == 0, command
        assert [path.name for path in here.parent.iterdir()] == [name]
    assert list(here.glob("outputs/*"))
    model = mlflow.pyfunc.load_model("models:/cdnow-clv@champion")  # as a server does
    names = model.metadata.get_input_schema().input_names()
    assert len(model.predict(synthetic_rows(names))) == 2
    assert [path.name for path in here.parent.iterdir()] == [name]
