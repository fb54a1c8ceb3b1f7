"""Requirements of a model: all libraries that its code imports, so that it runs in an empty environment."""

from __future__ import annotations

import subprocess
import sys

from experiments.tracking.packaging import PREDICTING
from experiments.tracking.requirements import SOURCE, imports_of, libraries_of, requirements_of
from workplace import environment

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
