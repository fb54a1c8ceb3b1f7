"""The generated references in docs/ say what the code and conf/ say."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
import typing
from pathlib import Path
from types import ModuleType

import pytest

from experiments.workflow.config import Config
from small_task import SmallTask
from workplace import ROOT


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generator", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = generator()


@pytest.mark.parametrize("name", GENERATOR.REFERENCES)
def test_reference_is_what_the_generator_gives(name: str, quick_composition: None) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == GENERATOR.REFERENCES[name](), "type `make docs`"


def test_reference_has_every_key_of_the_schema() -> None:
    reference = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    groups = {group: kind for group, kind in typing.get_type_hints(Config).items() if dataclasses.is_dataclass(kind)}
    names = [f"{group}.{field.name}" for group, kind in groups.items() for field in dataclasses.fields(kind)]
    assert len(names) > 50
    special = ("model.", "search.", "features.")  # tables of their own
    assert [name for name in names if not name.startswith(special) and f"`{name}" not in reference] == []


def test_every_key_has_a_meaning_or_stands_below_one_that_has() -> None:
    reference = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| .* \| (.*) \|$", reference, re.MULTILINE)
    assert len(rows) > 200
    explained = {name for name, meaning in rows if meaning}
    silent = [name for name, meaning in rows if not meaning]
    assert [name for name in silent if not any(name.startswith(f"{parent}.") for parent in explained)] == []


def test_comments_are_read_beside_below_and_above_a_key() -> None:
    text = """\
# The header is of the file.
name: x
path: ???                       # where,
                                # likewise
quoted: "a # b"                 # not within quotes
# Of the group.
group:
  inner: [1, 2]                 # of the inner one
plain: 3
"""
    found = {".".join(key.path): (key.default, key.comment) for key in GENERATOR.keys(text)}
    assert found == {
        "name": ("x", ""),
        "path": ("???", "where, likewise"),
        "quoted": ("'a # b'", "not within quotes"),
        "group": ("", "Of the group."),
        "group.inner": ("[1, 2]", "of the inner one"),
        "plain": ("3", ""),
    }


def test_a_task_whose_file_holds_its_search_is_read_for_its_own_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """\
# @package _global_
# Spend in two weeks.
defaults:
  - override /search: own
task:
  name: small
  horizon_days: 14              # two weeks
search:
  models: [lightgbm]            # trees
"""
    found = {".".join(key.path): key.comment for key in GENERATOR.keys(text, "task")}
    assert found == {"name": "", "horizon_days": "two weeks"}
    assert GENERATOR.header(text) == "Spend in two weeks."
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "small.yaml").write_text(text)
    monkeypatch.setattr(GENERATOR, "CONF", tmp_path)
    monkeypatch.setattr(GENERATOR, "TASKS", {"small": SmallTask})
    assert GENERATOR.configured("small").horizon_days == 14
