"""The examples in docstrings run, and every candidate model has one."""

import doctest
import importlib
from pathlib import Path

import pytest

import experiments
import features
from experiments.models import CANDIDATES

SOURCES = [
    (package.__name__, file.relative_to(Path(package.__file__).parent))
    for package in (experiments, features)
    for file in sorted(Path(package.__file__).parent.rglob("*.py"))
    if ">>> " in file.read_text()
]
MODULES = [".".join((package, *file.with_suffix("").parts)).removesuffix(".__init__") for package, file in SOURCES]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_run(name):
    tested = doctest.testmod(importlib.import_module(name))
    assert tested.attempted > 0
    assert tested.failed == 0


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_has_an_example(name):
    assert ">>> " in type(CANDIDATES[name].build()).__doc__
