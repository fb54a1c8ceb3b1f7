"""Sharing of cores: each process uses its share, and values of the user stay."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from joblib import cpu_count

from experiments import processes
from experiments.addresses import exclusive
from experiments.processes import SHARED, THREADS, USAGE_ERROR, exit_code, sharing_cores, to_the_end
from experiments.workflow.run import n_processes
from features.errors import InputError


@pytest.fixture(autouse=True)
def a_machine_of_16(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*THREADS, SHARED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(processes, "cpu_count", lambda: min(16, int(os.environ.get("LOKY_MAX_CPU_COUNT", 16))))


def told() -> dict[str, str]:
    return {name: os.environ[name] for name in THREADS if name in os.environ}


def test_nested_processes_use_at_most_their_share() -> None:
    with sharing_cores(3):
        assert told() == dict.fromkeys(THREADS, "5")
        with sharing_cores(4):
            assert told() == dict.fromkeys(THREADS, "1")
        assert told() == dict.fromkeys(THREADS, "5")
    assert not told()
    assert SHARED not in os.environ


def test_values_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with sharing_cores(2), sharing_cores(2):
        assert told() == dict.fromkeys(THREADS, "4") | {"OMP_NUM_THREADS": "1"}
    assert told() == {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("configured", "engine", "workers", "wanted"),
    [
        (None, "duckdb", 1, 16),
        (None, "duckdb", 5, 3),
        (None, "duckdb", 40, 1),
        (None, "spark", 1, 1),
        (2, "spark", 4, 2),
    ],
)
def test_tasks_share_the_cores_as_processes_unless_the_number_is_given(
    configured: int | None, engine: str, workers: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.workflow.run.cpu_count", lambda: 16)
    config = SimpleNamespace(processes=configured, engine={"name": engine}, tuning=SimpleNamespace(workers=workers))
    assert n_processes(config) == wanted


def test_shared_cores_are_those_that_joblib_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cpu_count", cpu_count)
    with sharing_cores(cpu_count()):
        assert cpu_count() == 1


def test_an_interrupt_takes_effect_at_the_end_and_a_second_one_at_once() -> None:
    done = []

    def work(interrupts: int) -> None:
        with to_the_end():
            for _ in range(interrupts):
                signal.raise_signal(signal.SIGINT)
            done.append(interrupts)

    work(0)
    with pytest.raises(KeyboardInterrupt):
        work(1)
    with pytest.raises(KeyboardInterrupt):
        work(2)
    assert done == [0, 1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("limit", ["ENOSPC", "EDQUOT", "EFBIG"])
def test_where_a_file_may_not_grow_the_command_says_which(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> NoReturn:
        number = getattr(errno, limit)
        raise OSError(number, os.strerror(number), "optuna.journal")

    assert exit_code(write) == USAGE_ERROR
    assert "optuna.journal" in capsys.readouterr().err


def test_the_lock_of_a_server_lies_where_nobody_else_can_put_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with exclusive("http://host:5000", "store"):
        (lock,) = tmp_path.glob("experiments/locks/*")
        assert lock.parent.stat().st_mode & 0o077 == 0
    lock.unlink()
    lock.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), exclusive("http://host:5000", "store"):
        pass
    assert not (tmp_path / "victim").exists()
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(InputError, match="export XDG_CACHE_HOME"), exclusive("http://host:5000", "store"):
        pass
