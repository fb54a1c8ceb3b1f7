"""Requirements of a model: all libraries that its code imports, so that it runs in an empty environment."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from experiments.tracking.packaging import PREDICTING
from experiments.tracking.requirements import SOURCE, imports_of, libraries_of, requirements_of, unmet
from workplace import environment, experiments

AS_IN_AN_EMPTY_ENVIRONMENT = """
import importlib, importlib.metadata as metadata, pkgutil, re, sys
from packaging.requirements import Requirement

def plain(name):
    return re.sub("[-_.]+", "-", name).lower()

def below(text):
    needed = Requirement(text)
    try:
        further = map(Requirement, metadata.requires(needed.name) or [])
    except metadata.PackageNotFoundError:  # of another platform
        return []
    asked = ("", *needed.extras)
    return [str(each) for each in further if not each.marker or any(each.marker.evaluate({"extra": e}) for e in asked)]

waiting, there = sys.argv[1:], set()
while waiting:
    text = waiting.pop().partition(";")[0]
    if text not in there:
        there.add(text)
        waiting += below(text)
installed = {plain(Requirement(text).name) for text in there}
owners = metadata.packages_distributions()

class Empty:
    def find_spec(self, name, path=None, target=None):
        owned = [] if name in ("experiments", "features") else owners.get(name, [])
        if owned and not installed & set(map(plain, owned)):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Empty())
import mlflow.pyfunc
import experiments.models
for module in pkgutil.iter_modules(experiments.models.__path__):
    importlib.import_module(f"experiments.models.{module.name}")
import experiments.tracking.served
"""


def in_an_empty_environment(requirements: list[str]) -> str:
    """Import what a server imports, with only the libraries that these requirements install; return the last line."""
    done = subprocess.run(
        [sys.executable, "-c", AS_IN_AN_EMPTY_ENVIRONMENT, *requirements],
        env=environment(PYTHONPATH=str(SOURCE)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


@pytest.mark.slow
def test_the_requirements_suffice_for_the_code_that_a_model_carries() -> None:
    requirements = requirements_of(*PREDICTING)
    assert in_an_empty_environment(requirements) == ""
    without = [each for each in requirements if not each.startswith("ibis-framework")]
    assert "No module named 'ibis'" in in_an_empty_environment(without)


def test_imports_of_functions_count_and_those_for_the_type_checker_do_not() -> None:
    source = (
        "import a.b\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import c\nelse:\n    import d\n"
        "def f():\n    try:\n        from e import g\n    except ImportError:\n        pass\n"
    )
    assert {*imports_of(source)} == {"a.b", "typing", "typing.TYPE_CHECKING", "d", "e", "e.g"}


def test_a_model_of_a_tasks_own_file_needs_what_the_task_imports() -> None:
    models = libraries_of(*PREDICTING)
    assert {"mlflow", "ibis", "autograd", "lightgbm", "threadpoolctl"} <= models
    assert not {"optuna", "hydra", "matplotlib", "duckdb"} & models
    assert "matplotlib" in libraries_of(*PREDICTING, "experiments.tasks.clv")
    assert not [each for each in requirements_of("experiments.tasks.clv") if each.startswith("pyspark")]


def test_libraries_of_other_versions_are_named() -> None:
    numpy, pandas = (f"{name}=={version(name)}" for name in ("numpy", "pandas"))
    assert unmet([numpy, pandas]) == []
    wrong = [f"{numpy}.1 (installed: {version('numpy')})", "no-such-library==1.0 (installed: none)"]
    assert unmet([f"{numpy}.1", pandas, "no-such-library==1.0"]) == wrong


MODELS = {
    "clv": ["model=mbg_nbd", "features=transactions"],
    "segmentation": ["features=segment_value"],
    "repurchase": ["model=logistic", "features=transactions"],
}


@pytest.mark.install
def test_a_model_of_each_task_predicts_where_only_its_requirements_are_installed(tmp_path: Path) -> None:
    """Install them from the package index, as a machine does that serves the model and has nothing else."""
    few = ["data=cdnow", "evaluation.n_controls=1", "evaluation.step_days=400"]
    for task, chosen in MODELS.items():
        experiments(tmp_path, "train", *few, f"task={task}", *chosen)
    models = sorted(file.parent for file in tmp_path.glob("mlruns/*/models/*/artifacts/MLmodel"))
    assert len(models) == len(MODELS)
    (requirements,) = {(folder / "requirements.txt").read_text() for folder in models}
    (tmp_path / "requirements.txt").write_text(requirements)
    binaries = tmp_path / "empty" / "bin"
    subprocess.run([sys.executable, "-m", "venv", str(binaries.parent)], check=True)
    install = [str(binaries / "pip"), "install", "--quiet", "-r", str(tmp_path / "requirements.txt")]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=600)
    assert installed.returncode == 0, installed.stderr
    for folder in models:
        request = ["-i", str(folder / "serving_input_example.json"), "-t", "json", "--env-manager", "local"]
        answer = subprocess.run(
            [str(binaries / "mlflow"), "models", "predict", "-m", str(folder), *request],
            cwd=tmp_path,
            env={"PATH": f"{binaries}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout.splitlines()[-1])["predictions"]
