"""A fleet on one machine: PostgreSQL, an MLflow server, and folders in which commands run as on machines of their own.

A machine has its own working folder, folder for temporary files (where locks lie) and host name, so that its processes
know of the others what processes on other machines know: what the two servers say.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import psycopg
from mlflow import MlflowClient
from sqlalchemy import NullPool

from experiments.addresses import with_driver
from experiments.tuning.study import is_finished
from workplace import BIN, ROOT, environment

WAIT_SECONDS = 90


class Server:
    """A server that can be killed and started again at its address, and whose network can be cut.

    Parameters
    ----------
    name : str
    start : callable
        Starts the process, in a process group of its own.
    ask : callable
        Asks it something that it answers once it is up.
    refused : type
        Exception of `ask` until then.
    """

    def __init__(
        self, name: str, start: Callable[[], subprocess.Popen[bytes]], ask: Callable[[], Any], refused: type[Exception]
    ) -> None:
        self.name, self._start, self._ask, self._refused = name, start, ask, refused
        self.start()

    def start(self) -> None:
        self.process = self._start()
        _wait_for(self.name, self.process, self._ask, self._refused)

    def kill(self, sent: signal.Signals = signal.SIGKILL) -> None:
        """End it, with its own processes."""
        os.killpg(self.process.pid, sent)
        self.process.wait()


class Link:
    """A port of this machine that leads to another one, and can be cut: nothing passes then, and nothing is refused."""

    def __init__(self, port: int) -> None:
        self._target, self._passes = port, threading.Event()
        self._passes.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._passes.clear()

    def restore(self) -> None:
        self._passes.set()

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # the server is down
                near.close()
                continue
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._passes.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Servers:
    """Addresses of what a fleet shares, and the servers behind them."""

    storage: str
    tracking: str
    password: str
    postgresql: Server
    mlflow: Server

    @property
    def overrides(self) -> list[str]:
        return [f"tuning.storage={self.storage}", f"tracking.uri={self.tracking}"]

    def by(self, links: Sequence[Link]) -> list[str]:
        """Return the overrides of a machine that reaches the storage and the MLflow server by these links."""
        addresses = zip((self.storage, self.tracking), links, strict=True)
        storage, tracking = (re.sub(r":\d+(?=/|$)", f":{link.port}", address) for address, link in addresses)
        return [f"tuning.storage={storage}", f"tracking.uri={tracking}"]

    @property
    def links(self) -> list[Link]:
        """Return new links to the storage and to the MLflow server."""
        return [Link(urlsplit(address).port or 0) for address in (self.storage, self.tracking)]

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.tracking)

    def study(self, name: str) -> optuna.Study:
        return optuna.load_study(study_name=name, storage=self._studies)

    @cached_property
    def _studies(self) -> optuna.storages.RDBStorage:
        # made once and without a pool: whoever waits for a study asks again and again, and the server has 100 places
        return optuna.storages.RDBStorage(with_driver(self.storage), engine_kwargs={"poolclass": NullPool})


@dataclass(frozen=True)
class Machine:
    """A folder whose commands run as on a machine of that name."""

    name: str
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, held: Path | None = None) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, its words in `log.txt`; trials last while `held` is there."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        with (self.folder / "log.txt").open("a") as log:
            process = subprocess.Popen(
                [str(BIN / "experiments"), *arguments],
                cwd=self.folder,
                env=environment(
                    MACHINE=self.name,
                    PYTHONPATH=str(ROOT / "tests" / "elsewhere"),
                    TMPDIR=str(self.folder / "tmp"),
                    **({"HELD": str(held)} if held else {}),
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
    with (
        tempfile.TemporaryDirectory() as folder,
        _postgresql_server(Path(folder) / "postgresql") as (address, password, database),
    ):
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE studies")
            connection.execute("CREATE DATABASE mlflow")
        with _mlflow_server(f"{address}/mlflow", Path(folder)) as (tracking, mlflow):
            yield Servers(f"{address}/studies", tracking, password, database, mlflow)


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[str, str]]:
    """PostgreSQL on loopback, empty: its address without a database, and the password in it."""
    with _postgresql_server(folder) as (address, password, _):
        yield address, password


@contextmanager
def _postgresql_server(folder: Path) -> Iterator[tuple[str, str, Server]]:
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

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(str(binaries / "postgres"), "-D", str(folder / "data"), "-k", str(folder), "-p", str(port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),  # nothing here outlives the machine
            ],
            stderr=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
            **as_itself,
        )

    address = f"postgresql://fleet:{password}@127.0.0.1:{port}"
    server = Server("PostgreSQL", start, lambda: psycopg.connect(f"{address}/postgres").close(), psycopg.Error)
    try:
        yield address, password, server
    finally:
        server.process.send_signal(signal.SIGINT)  # without waiting for its clients
        server.process.wait()


def postgresql_binaries() -> Path:
    """Where `initdb` and `postgres` lie; the process ends if nowhere."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    return Path(initdb).resolve().parent


@contextmanager
def _mlflow_server(database: str, folder: Path) -> Iterator[tuple[str, Server]]:
    port = _free_port()

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts")),
            ],
            cwd=folder,
            env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),  # seven processes that nothing here asks for
            stdout=subprocess.DEVNULL,
            stderr=(folder / "mlflow.log").open("a"),
            start_new_session=True,
        )

    address = f"http://127.0.0.1:{port}"
    server = Server("mlflow server", start, lambda: urllib.request.urlopen(f"{address}/health").close(), OSError)
    try:
        yield address, server
    finally:
        server.kill()


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
