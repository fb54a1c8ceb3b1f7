"""Small shops to vary, and a working folder in which the road has been gone once, on CDNOW's sample."""

from __future__ import annotations

import fcntl
import gc
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# What takes seconds to import is imported where it is needed: the process that hands tests to the workers needs none.
if TYPE_CHECKING:
    import pandas as pd

    from merchandise_store import Store
    from online_retail import OnlineRetail

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
for library in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
):  # two tests run at once, and so do their processes
    os.environ[library] = "1"
gc.set_threshold(100_000)  # searching takes an eighth of the time, else; see processes.collect_rarely
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell starts the tests in the background

# No worker ends with one of them alone.
LONGEST_FIRST = (
    "test_readme.py",
    "test_spark.py",
    "test_fleet.py",
    "test_new_task.py",
    "test_bad_input_matrix.py",
    "test_own_files.py",
    "test_guess.py",
    "test_commands.py",
    "test_doubts.py",
    "test_audit.py",
)

IN_MEMORY = Path("/dev/shm")
ROOM_IN_MEMORY = 4 * 2**30  # bytes; the longest run of tests takes a fourth of that


def pytest_configure() -> None:
    """Put temporary folders in memory where there is room: databases wait for the disk at every write."""
    if "TMPDIR" in os.environ or not os.access(IN_MEMORY, os.W_OK):
        return
    runs_programs = not os.statvfs(IN_MEMORY).f_flag & os.ST_NOEXEC
    if runs_programs and shutil.disk_usage(IN_MEMORY).free > ROOM_IN_MEMORY:
        os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the longest tests first; keep a file's quick tests, which share fixtures, in one process."""
    mark_further_cases(items)
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))
    for item in items:
        if not item.get_closest_marker("slow") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


def mark_further_cases(items: list[pytest.Item]) -> None:
    """Mark all but the first n cases of a test with the marker `quick(n)` as slow; of what is asked for by its name."""
    cases: Counter[str] = Counter()
    for item in items:
        quick = item.get_closest_marker("quick")
        if quick:
            name = item.nodeid.partition("[")[0]
            cases[name] += 1
            if cases[name] > quick.args[0]:
                item.add_marker(pytest.mark.slow)


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


@pytest.fixture
def steady_shop(tmp_path: Path) -> Callable[[pd.DataFrame], list[str]]:
    """Write lines of `steady_shops.lines_of` as the shop's file, and return the overrides that read it for clv."""
    columns = {"order_id": "order", "customer_id": "customer", "timestamp": "time", "amount": "value"}
    mapped = [f"data.tables.transactions.columns.{column}={source}" for column, source in columns.items()]
    given = ["data=files", "data.shop=s", "data.currency=EUR", "data.timezone=UTC", *mapped]
    given += [f"data.tables.transactions.path={tmp_path}/x.csv", "++data.tables.transactions.columns.store_id=store"]
    given += ["task=clv", "task.minimum={}", "evaluation.n_resamples=200", "data.burn_in_days=0"]

    def written(lines: pd.DataFrame) -> list[str]:
        lines.to_csv(tmp_path / "x.csv", index=False)
        return given

    return written


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
def new_store(made_once: Callable[[str, Callable[[Path], str]], tuple[Path, str]]) -> Path:
    """MLflow's database as the first command makes it, which takes seconds. To be copied."""
    from experiments.tracking.store import connect

    folder, _ = made_once("store", lambda folder: str(connect(f"sqlite:///{folder}/mlflow.db")))
    return folder / "mlflow.db"


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
def configurations() -> dict[object, bytes]:
    """Configurations, pickled, by what they were made from."""
    return {}


@pytest.fixture
def quick_composition(configurations: dict[object, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse each configuration file and merge the files of each choice of groups once for all commands of this process.

    What commands and tests change is theirs alone: each gets the configuration from its pickle.
    """
    from hydra._internal import defaults_list
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf

    from experiments.commands import compose

    def once(key: object, make: Callable[[], Any]) -> Any:
        if key not in configurations:
            configurations[key] = pickle.dumps(make())
        return pickle.loads(configurations[key])

    load, merge = OmegaConf.load, ConfigLoaderImpl._compose_config_from_defaults_list
    valid_config, choices = compose.valid_config, defaults_list._create_interpolation_map

    def load_once(file: object) -> object:
        if not isinstance(file, io.TextIOBase):
            return load(file)
        text = file.read()
        file.seek(0)
        return once(text, lambda: load(file))

    def merge_once(loader: ConfigLoaderImpl, defaults: Sequence[Any], repo: Any) -> object:
        files = [(each, repo.load_config(each.config_path)) for each in defaults]
        key = pickle.dumps([(each.config_path, each.package, file.header, file.config) for each, file in files])
        return once(key, lambda: merge(loader, defaults, repo))

    def valid_once(arguments: Sequence[str]) -> object:
        """A message about an unknown key lists the keys that exist, for these choices of groups."""
        groups = [each for each in arguments if (compose.CONF / each.partition("=")[0]).is_dir()]
        return once(("keys", *groups), lambda: valid_config(arguments))

    def choices_if_asked(overrides: Any, defaults: Sequence[Any], self_added: bool) -> object:
        """Hydra gathers the choices of groups for each file, whether or not a file names one by `${...}`."""
        asked = any(each.is_interpolation() for each in defaults)
        return choices(overrides, defaults, self_added) if asked else None

    monkeypatch.setattr(OmegaConf, "load", load_once)
    monkeypatch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", merge_once)
    monkeypatch.setattr(compose, "valid_config", valid_once)
    monkeypatch.setattr(defaults_list, "_create_interpolation_map", choices_if_asked)


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
