"""Machines that work on one study by a PostgreSQL storage and an MLflow server: `make test-fleet`."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from experiments.addresses import with_driver
from experiments.tracking.hidden import plain
from fleet import Machine, Servers, faults, machines, postgresql_binaries, servers
from workplace import QUICK, experiments

pytestmark = [pytest.mark.fleet, pytest.mark.xdist_group("fleet")]
NAME = "cdnow-clv"
SWEEP = [*QUICK, "evaluation.n_validation=2"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Servers]:
    try:
        postgresql_binaries()
    except SystemExit as missing:
        pytest.exit(str(missing), returncode=1)
    with servers() as addresses:
        yield addresses


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    experiments(folder, "features", *QUICK, "output=features.parquet")
    return folder / ".cache"


def wait_until(condition, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        gc.collect()  # each look opens connections, and the server has so many
        time.sleep(0.05)


def study_of(shared: Servers, name: str) -> optuna.Study:
    wait_until(lambda: name in optuna.get_all_study_names(with_driver(shared.storage)))
    return shared.study(name)


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A file that keeps trials from ending, until it is removed."""
    (tmp_path / "held").touch()
    return tmp_path / "held"


def test_four_machines_of_two_workers_that_begin_at_once_on_empty_databases(
    shared: Servers, cache: Path, tmp_path: Path, held: Path
) -> None:
    command = ["tune", *SWEEP, "tuning.n_trials=16", "tuning.workers=2", "tuning.study_name=fleet", *shared.overrides]
    with machines(tmp_path, "abcd", cache) as fleet:
        processes = [machine.start(*command, held=held) for machine in fleet]
        study = study_of(shared, "fleet")
        wait_until(lambda: {trial.user_attrs["owner"]["host"] for trial in study.trials} == set("abcd"))
        held.unlink()
        codes = [process.wait(timeout=400) for process in processes]
    logs = "".join(f"--- {machine.name}\n{machine.log}" for machine in fleet)
    assert codes == [0, 0, 0, 0], logs
    assert faults(study, shared.client, NAME, 16) == [], logs
    assert [version.version for version in shared.client.search_model_versions(f"name = '{NAME}'")] == ["1"]
    assert all(f"{NAME} version 1" in machine.log for machine in fleet)
    assert shared.password not in logs
    (parent,) = [run for run in shared.client.search_runs(["1"]) if run.data.tags.get("study") == "fleet"]
    assert shared.password not in str(parent.data.tags)
    for file in ("config.yaml", "overrides.txt"):
        assert shared.password not in Path(shared.client.download_artifacts(parent.info.run_id, file)).read_text()


def in_progress(study: optuna.Study, machine: Machine) -> list[optuna.trial.FrozenTrial]:
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    return [trial for trial in running if trial.user_attrs["owner"]["host"] == machine.name]


def test_a_worker_and_a_whole_machine_that_are_killed_in_mid_trial(
    shared: Servers, cache: Path, tmp_path: Path, held: Path
) -> None:
    """The worker is replaced; the machine's silence tells the other that its trials are to end and be made up for."""
    command = [
        *("tune", *SWEEP, "tuning.n_trials=8", "tuning.workers=2", "tuning.study_name=killed", *shared.overrides),
        *("tuning.heartbeat_interval=1", "tuning.grace_period=8"),
    ]
    with machines(tmp_path, "ef", cache) as (one, other):
        doomed, living = (machine.start(*command, held=held) for machine in (one, other))
        study = study_of(shared, "killed")
        wait_until(lambda: in_progress(study, one) and in_progress(study, other))
        worker = in_progress(study, other)[0]
        os.kill(worker.user_attrs["owner"]["pid"], signal.SIGKILL)
        os.killpg(doomed.pid, signal.SIGKILL)
        doomed.wait()
        silent = [trial.number for trial in in_progress(study, one)]
        assert silent
        held.unlink()

        assert living.wait(timeout=200) == 0, other.log  # it waits for what the machine had finished and not written
        assert "killed by signal 9 and is replaced" in other.log
        ended = {trial.number: trial.state.name for trial in study.trials}
        assert [ended[number] for number in (worker.number, *silent)] == ["FAIL"] * (1 + len(silent))
        assert faults(study, shared.client, NAME, 8) == [], one.log + other.log


def test_of_two_machines_that_train_the_same_at_once_one_registers_it(
    shared: Servers, cache: Path, tmp_path: Path
) -> None:
    params = ["model=bg_nbd", "model.params.penalizer_coef=0.00123", "evaluation.n_validation=1"]
    with machines(tmp_path, "gh", cache) as pair:
        processes = [machine.start("train", *QUICK, *params, f"tracking.uri={shared.tracking}") for machine in pair]
        assert [process.wait(timeout=120) for process in processes] == [0, 0], [machine.log for machine in pair]
    versions = shared.client.search_model_versions(f"name = '{NAME}'")
    (trained,) = [version for version in versions if "0.00123" in plain(version.tags)["params"]]
    assert all(f"{NAME} version {trained.version} (bg_nbd)" in machine.log for machine in pair)
