"""A working folder in which the road has been gone once, on CDNOW's sample, and commands to go on from there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.tracking.store import exclusive

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

QUICK = ["data=cdnow", "experiment=clv_quick", "tuning.n_trials=4", "task.guards.total_ratio=[0.7, 1.4]"]
ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def environment(**changes: str) -> dict[str, str]:
    """The environment that a user who activated .venv has."""
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return {**inherited, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **changes}


@pytest.fixture(autouse=True)
def no_tracking_uri_left_behind() -> Iterator[None]:
    """`mlflow.set_tracking_uri` writes to the environment, which later tests and their processes would inherit."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def experiments(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the console script in a folder and check its exit code."""
    done = subprocess.run(
        [str(BIN / "experiments"), *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder after `experiments run`, and what that printed. Not to be changed: see `workspace`."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # workers share one
    folder, printed = base / "finished", base / "finished.txt"
    with exclusive(base, "finished"):
        if not printed.exists():
            folder.mkdir()
            printed.write_text(experiments(folder, "run", *QUICK).stdout)
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
def run(workspace: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run("promote", "rollback=true", code=2)` in the copied folder."""
    return lambda *arguments, code=0: experiments(workspace, *arguments, code=code)
