"""Small shops to vary, and a working folder in which the road has been gone once, on CDNOW's sample."""

from __future__ import annotations

import fcntl
import gc
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# What takes seconds to import is imported where it is needed: the process that hands tests to the workers needs none.
if TYPE_CHECKING:
    from merchandise_store import Store
    from online_retail import OnlineRetail

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
for library in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
):  # two tests run at once, and so do their processes
    os.environ[library] = "1"
gc.set_threshold(20_000)  # as the commands do
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell starts the tests in the background

# No worker ends with one of them alone.
LONGEST_FIRST = ("test_readme.py", "test_spark.py", "test_fleet.py", "test_commands.py", "test_audit.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the longest tests first; keep a file's quick tests, which share fixtures, in one process."""
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))
    for item in items:
        if not item.get_closest_marker("slow") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


def pytest_collection_finish() -> None:
    """Keep what was imported out of later garbage collections, which would search it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def families_stay_in_their_order() -> Iterator[None]:
    """`monkeypatch` puts a family that it took away back at the registry's end, where later tests would find it."""
    registry = sys.modules.get("features.families.registry")
    before = dict(registry.FAMILIES) if registry else {}
    yield
    if registry and list(registry.FAMILIES) != list(before):
        registry.FAMILIES.clear()
        registry.FAMILIES.update(before)


@pytest.fixture(autouse=True)
def no_tracking_uri_left_behind() -> Iterator[None]:
    """`mlflow.set_tracking_uri` writes to the environment, which later tests and their processes would inherit."""
    yield
    forget_tracking_uri()


def forget_tracking_uri() -> None:
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture
def online_retail(tmp_path: Path) -> OnlineRetail:
    from online_retail import OnlineRetail

    (tmp_path / "raw").mkdir()
    return OnlineRetail(tmp_path / "raw")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    from merchandise_store import Store

    (tmp_path / "raw").mkdir()
    return Store(tmp_path / "raw")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of the test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def shared_cache(shared_folder: Path) -> Path:
    """Staged shops, features and outcomes that any test may read and add to."""
    return shared_folder / "cache"


@pytest.fixture(scope="session")
def made_once(shared_folder: Path) -> Callable[[str, Callable[[Path], str]], tuple[Path, str]]:
    """`made_once("finished", make)`: a folder that one worker fills for all, and the text that `make` returned."""

    def made(name: str, make: Callable[[Path], str]) -> tuple[Path, str]:
        folder, printed = shared_folder / name, shared_folder / f"{name}.txt"
        with (shared_folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not printed.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a worker left that failed
                folder.mkdir()
                printed.write_text(make(folder))
        return folder, printed.read_text()

    return made


@pytest.fixture(scope="session")
def finished_run(made_once: Callable[[str, Callable[[Path], str]], tuple[Path, str]]) -> tuple[Path, str]:
    """A folder after `experiments run`, and what that printed. Not to be changed: see `workspace`."""
    from experiments.commands import main
    from workplace import QUICK

    def run_here(folder: Path) -> str:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as told:
            patch.chdir(folder)
            assert main.run(["run", *QUICK, "report.sections=[verdicts]"]) == 0
        forget_tracking_uri()
        return told.getvalue()

    return made_once("finished", run_here)


@pytest.fixture
def workspace(finished_run: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the finished folder."""
    from workplace import copy_work

    copy_work(finished_run[0], tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def configurations() -> dict[str, object]:
    """Configurations by the text of their file."""
    return {}


@pytest.fixture
def quick_composition(configurations: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse each configuration file once for all commands of this process; `-m` for sweeps is not looked for."""
    from hydra._internal.hydra import Hydra
    from omegaconf import OmegaConf

    load = OmegaConf.load

    def load_once(file: object) -> object:
        if not isinstance(file, io.TextIOBase):
            return load(file)
        text = file.read()
        if text not in configurations:
            file.seek(0)
            configurations[text] = load(file)
        return deepcopy(configurations[text])

    monkeypatch.setattr(OmegaConf, "load", load_once)
    monkeypatch.setattr(Hydra, "get_mode", lambda *_, **__: None)  # composes everything to learn whether it is a sweep


@pytest.fixture
def run(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], quick_composition: None
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run("promote", "rollback=true", code=2)` in the copied folder, by this process, which has its imports."""
    import mlflow

    from experiments.commands import main

    monkeypatch.chdir(workspace)
    mlflow.set_tracking_uri(f"sqlite:///{workspace}/mlflow.db")

    def typed(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        ended = main.run(arguments)
        printed = capfd.readouterr()
        assert ended == code, f"exit code {ended}\n{printed.out}\n{printed.err}"
        return subprocess.CompletedProcess(arguments, ended, printed.out, printed.err)

    return typed
