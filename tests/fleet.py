"""A fleet on one machine: PostgreSQL, an MLflow server, and folders in which commands run as on machines of their own.

A machine has its own working folder, folder for temporary files (where locks lie) and host name, so that its processes
know of the others what processes on other machines know: what the two servers say.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psycopg
from mlflow import MlflowClient

from experiments.addresses import with_driver
from experiments.tuning.study import is_finished
from workplace import BIN, ROOT, environment

WAIT_SECONDS = 90


@dataclass(frozen=True)
class Servers:
    """Addresses of what a fleet shares."""

    storage: str
    tracking: str
    password: str

    @property
    def overrides(self) -> list[str]:
        return [f"tuning.storage={self.storage}", f"tracking.uri={self.tracking}"]

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.tracking)

    def study(self, name: str) -> optuna.Study:
        return optuna.load_study(study_name=name, storage=with_driver(self.storage))


@dataclass(frozen=True)
class Machine:
    """A folder whose commands run as on a machine of that name."""

    name: str
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own; its words go to `log.txt`."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        with (self.folder / "log.txt").open("a") as log:
            process = subprocess.Popen(
                [str(BIN / "experiments"), *arguments],
                cwd=self.folder,
                env=environment(
                    MACHINE=self.name,
                    PYTHONPATH=str(ROOT / "tests" / "elsewhere"),
                    TMPDIR=str(self.folder / "tmp"),
                    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
                ),
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()


@contextmanager
def machines(base: Path, names: str, cache: Path) -> Iterator[list[Machine]]:
    """Machines that have staged their data already, to save time; what they still run is ended with them."""
    for name in names:
        shutil.copytree(cache, base / name / ".cache")
    fleet = [Machine(name, base / name) for name in names]
    try:
        yield fleet
    finally:
        for process in [process for machine in fleet for process in machine.started if process.poll() is None]:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def servers() -> Iterator[Servers]:
    """PostgreSQL and, on it, an MLflow server, both on loopback and empty."""
    with tempfile.TemporaryDirectory() as folder, postgresql(Path(folder) / "postgresql") as (address, password):
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE studies")
            connection.execute("CREATE DATABASE mlflow")
        with _mlflow_server(f"{address}/mlflow", Path(folder)) as tracking:
            yield Servers(f"{address}/studies", tracking, password)


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[str, str]]:
    """PostgreSQL on loopback, empty: its address without a database, and the password in it."""
    binaries, password, port = postgresql_binaries(), secrets.token_hex(8), _free_port()
    folder.mkdir()
    as_itself: dict[str, Any] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root; Debian's package makes a user for it
        folder.parent.chmod(0o755)
        shutil.chown(folder, "postgres", "postgres")
        as_itself = {"user": "postgres", "group": "postgres", "extra_groups": []}
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    subprocess.run(
        [
            *(str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "fleet", "-E", "UTF8", "--no-sync"),
            *("-A", "scram-sha-256", "--pwfile", str(folder / "password")),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        **as_itself,
    )
    process = subprocess.Popen(
        [
            *(str(binaries / "postgres"), "-D", str(folder / "data"), "-k", str(folder), "-p", str(port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),  # nothing here outlives the process
        ],
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **as_itself,
    )
    address = f"postgresql://fleet:{password}@127.0.0.1:{port}"
    try:
        _wait_for("PostgreSQL", process, lambda: psycopg.connect(f"{address}/postgres").close(), psycopg.Error)
        yield address, password
    finally:
        process.send_signal(signal.SIGINT)  # without waiting for its clients
        process.wait()


def postgresql_binaries() -> Path:
    """Where `initdb` and `postgres` lie; the process ends if nowhere."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    return Path(initdb).resolve().parent


@contextmanager
def _mlflow_server(database: str, folder: Path) -> Iterator[str]:
    port = _free_port()
    process = subprocess.Popen(
        [
            *(str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts")),
        ],
        cwd=folder,
        env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),  # seven processes that nothing here asks for
        stdout=subprocess.DEVNULL,
        stderr=(folder / "mlflow.log").open("w"),
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for("mlflow server", process, lambda: urllib.request.urlopen(f"{address}/health").close(), OSError)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with its web server's own processes
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(name: str, process: subprocess.Popen[bytes], ask: Any, refused: type[Exception]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return ask()
        except refused:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def faults(study: optuna.Study, client: MlflowClient, experiment: str, n_trials: int) -> list[str]:
    """Return the faults of a study that has ended, and of its runs."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)]
    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id], max_results=10_000)
    parents = [run.info.run_id for run in runs if run.data.tags.get("study") == study.study_name]
    ours = [run.data.tags for run in runs if run.data.tags.get("mlflow.parentRunId") in parents]
    written = Counter(int(tags["trial"]) for tags in ours if "trial" in tags)
    by_status: Mapping[str, int] = Counter(run.info.status for run in runs)
    numbers = [trial.number for trial in trials]
    return [
        text
        for wrong, text in (
            (len(trials) != n_trials, f"{len(trials)} trials finished, not {n_trials}"),
            (len(set(numbers)) != len(numbers), f"trials twice: {numbers}"),
            (len(parents) != 1, f"{len(parents)} parents"),
            (written != Counter(numbers), f"runs of trials {sorted(written.items())}, finished {numbers}"),
            (bool(study.get_trials(states=(optuna.trial.TrialState.RUNNING,))), "a trial is RUNNING"),
            (by_status["RUNNING"] > 0, f"{by_status['RUNNING']} runs are RUNNING"),
        )
        if wrong
    ]
