"""The arrows of the design: data moves one way, and each library has one room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"

BELOW: dict[str, set[str]] = {"features": set()}
BELOW |= {f"experiments.{name}": {"features"} for name in ("processes", "addresses")}
for room, below in {
    "models": (),
    "evaluation": (),
    "reports": ("evaluation",),
    "tasks": ("models", "evaluation", "reports"),
    "tuning": ("tasks", "evaluation"),
    "tracking": ("models",),
    "gate": ("tasks", "tracking", "reports", "models", "evaluation"),
    "description": ("reports", "models", "evaluation"),
    "case_study": ("reports", "models", "evaluation"),
    "campaigns": ("reports", "evaluation"),
    "serving": ("description", "gate", "tasks", "tracking", "models", "reports", "evaluation"),
}.items():
    BELOW[f"experiments.{room}"] = {
        "features",
        "experiments.processes",
        "experiments.addresses",
        *(f"experiments.{name}" for name in below),
    }
BELOW["experiments.workflow"] = {*BELOW}
BELOW["experiments.commands"] = {*BELOW}

ROOM_OF_LIBRARY = {
    "optuna": "experiments.tuning",
    "mlflow": "experiments.tracking",
    "hydra": "experiments.commands",
    "omegaconf": "experiments.commands",
    "ibis": "features",
    "duckdb": "features",
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield node.lineno, node.module or ""
            if node.module in ("experiments", "features"):
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"


def room_of(module: str) -> str:
    parts = module.split(".")
    return "features" if parts[0] == "features" else ".".join(parts[:2])


def modules() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts)


def broken_rules(name: str, imported: str) -> Iterator[str]:
    room, library = room_of(name), imported.split(".")[0]
    if library in ROOM_OF_LIBRARY and room != ROOM_OF_LIBRARY[library]:
        yield f"{room} imports {library}, which belongs to {ROOM_OF_LIBRARY[library]}"
    if library in ("experiments", "features") and imported != "experiments":
        target = room_of(imported)
        if target != room and target not in BELOW.get(room, set()):
            yield f"{room} imports {target}, which is not below it"


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_imports_point_down(path: Path) -> None:
    found = [
        f"{path.name}:{line} {rule}"
        for line, imported in imports(path)
        for rule in broken_rules(module_name(path), imported)
    ]
    assert not found, "\n".join(found)


def test_the_rule_finds_an_arrow_that_runs_back_up() -> None:
    assert list(broken_rules("features.snapshot", "experiments.tasks"))
    assert list(broken_rules("experiments.models.baselines", "experiments.tasks.base"))
    assert list(broken_rules("experiments.tasks.clv", "mlflow"))
    assert list(broken_rules("experiments.tuning.study", "experiments.tracking.runs"))
    assert not list(broken_rules("experiments.workflow.tune", "experiments.tuning.study"))


def test_affinity_takes_arrays_and_reads_nothing() -> None:
    for path in (SRC / "features" / "affinity").glob("*.py"):
        for _, imported in imports(path):
            parts = imported.split(".")
            assert parts[0] not in {"ibis", "duckdb", "pyarrow", "pathlib", "os"}, f"{path} imports {imported}"
            assert parts[0] != "features" or parts[1] in {"affinity", "errors"}, f"{path} imports {imported}"


def test_only_engines_opens_a_connection() -> None:
    for path in modules():
        if module_name(path) != "features.engines":
            opened = [
                call
                for call in ("ibis.duckdb", "duckdb.connect", "ibis.connect", "ibis.pyspark")
                if call in path.read_text()
            ]
            assert not opened, f"{path} opens a connection: {opened}"


def test_only_csv_files_writes_csv_that_people_open() -> None:
    scratch = {"features.sources.files.records", "features.sources.merchandise_store"}  # copies that staging reads
    for path in modules():
        if module_name(path) not in {"features.csv_files", *scratch}:
            found = [
                call for call in ("to_csv(", "csv.writer", "DictWriter", "pyarrow.csv") if call in path.read_text()
            ]
            assert not found, f"{path} writes CSV: {found}"


def test_no_room_for_odds_and_ends() -> None:
    assert not [
        path for path in modules() if path.stem in {"utils", "util", "helpers", "helper", "manager", "misc", "common"}
    ]
