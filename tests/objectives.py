"""A small study, and objectives of its workers: a spawned process imports this module, and no library of tests."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna

from experiments.tuning.space import Space
from experiments.tuning.study import StudyOptions, open_study

PATIENCE = 90  # seconds: nobody is that slow, and a test that waits for nothing fails
SAMPLER = {
    "n_startup_trials": 4,
    "n_ei_candidates": 24,
    "multivariate": True,
    "group": True,
    "constant_liar": True,
}
SPACE = Space(
    models=["a", "b"],
    space={"a": {"x": {"low": 0.0, "high": 1.0}}, "b": {"k": {"low": 1, "high": 64, "log": True, "type": "int"}}},
)


def options(folder: Path, n_trials: int = 12, seed: int = 1) -> StudyOptions:
    return StudyOptions(
        n_trials=n_trials,
        storage=str(folder / "optuna.journal"),
        heartbeat_interval=1,
        grace_period=3,
        seed=seed,
        sampler=SAMPLER,
        pruner={"n_startup_trials": 2, "n_warmup_steps": 0},
    )


def value(trial: optuna.Trial) -> float:
    model, params = SPACE.suggest(trial)
    return params["x"] if model == "a" else params["k"] / 100


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def owners(study: optuna.Study) -> set[int]:
    """Return the processes that have begun a trial."""
    return {trial.user_attrs["owner"]["pid"] for trial in study.get_trials(deepcopy=False)}


def value_beside(trial: optuna.Trial, processes: int = 2) -> float:
    """Return the value once so many processes take part, or the first might do all trials before the next begins."""
    assert "mlflow" not in sys.modules  # its import takes longer than all others that a worker needs
    wait_until(lambda: len(owners(trial.study)) >= processes)
    return value(trial)


def value_after_the_replacement(trial: optuna.Trial) -> float:
    """Let the first two trials, one of each worker, go on; the others await the third process."""
    return value_beside(trial, 2 if trial.number < 2 else 3)


def value_while_supervised(trial: optuna.Trial) -> float:
    """Let ten trials end; the others last until the main process is gone."""
    supervisor = multiprocessing.parent_process()
    if trial.number >= 10:
        wait_until(lambda: not supervisor.is_alive())
    return value_beside(trial)


def out_of_memory(trial: optuna.Trial) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def join_here_only(folder: Path, error: type[Exception]) -> optuna.Study:
    if multiprocessing.parent_process() is not None:
        raise error("the network is down")
    return open_study("study", options(folder), "same")


def drop_table(database: Path, trial: optuna.Trial) -> float:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP TABLE trial_params")
    return value(trial)
