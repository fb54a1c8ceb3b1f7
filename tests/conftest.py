"""Small shops to vary, and a working folder in which the road has been gone once, on CDNOW's sample."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from experiments.commands import main
from merchandise_store import Store
from online_retail import OnlineRetail
from workplace import QUICK, experiments

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
for library in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
):  # two tests run at once, and so do their processes
    os.environ[library] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that no worker ends with one while the other has nothing left."""
    longest = "test_readme_commands_work_in_their_order"
    items.sort(key=lambda item: (item.name != longest, item.path.name not in ("test_commands.py", "test_audit.py")))


@pytest.fixture(autouse=True)
def no_tracking_uri_left_behind() -> Iterator[None]:
    """`mlflow.set_tracking_uri` writes to the environment, which later tests and their processes would inherit."""
    yield
    mlflow.set_tracking_uri(None)
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture
def online_retail(tmp_path: Path) -> OnlineRetail:
    (tmp_path / "raw").mkdir()
    return OnlineRetail(tmp_path / "raw")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "raw").mkdir()
    return Store(tmp_path / "raw")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder after `experiments run`, and what that printed. Not to be changed: see `workspace`."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # workers share one
    folder, printed = base / "finished", base / "finished.txt"
    with (base / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            folder.mkdir()
            printed.write_text(experiments(folder, "run", *QUICK, "report.sections=[verdicts]").stdout)
    return folder, printed.read_text()


@pytest.fixture
def workspace(finished_run: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the finished folder; its models' files stay where they are, as their paths are absolute."""
    folder, _ = finished_run
    for name in ("mlflow.db", "optuna.journal"):
        shutil.copy(folder / name, tmp_path / name)
    shutil.copytree(folder / ".cache", tmp_path / ".cache")
    return tmp_path


@pytest.fixture
def run(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run("promote", "rollback=true", code=2)` in the copied folder, by this process, which has its imports."""
    monkeypatch.chdir(workspace)
    mlflow.set_tracking_uri(f"sqlite:///{workspace}/mlflow.db")

    def typed(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        ended = main.run(arguments)
        printed = capfd.readouterr()
        assert ended == code, f"exit code {ended}\n{printed.out}\n{printed.err}"
        return subprocess.CompletedProcess(arguments, ended, printed.out, printed.err)

    return typed
