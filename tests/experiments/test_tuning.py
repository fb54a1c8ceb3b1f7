"""Studies: the same seed gives the same trials, an interrupt loses nothing, and a failure is stored."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from experiments.reports.study_charts import study_figures
from experiments.tuning import storage, workers
from experiments.tuning import study as studies
from experiments.tuning.space import Space, tuned
from experiments.tuning.storage import answering, fail, fail_stale_trials, heartbeats, new_trial
from experiments.tuning.study import (
    StudyOptions,
    best,
    failures,
    finished,
    is_surplus,
    lacks_writer,
    open_study,
    optimize,
)
from experiments.tuning.trials import param_importances, trial_table
from experiments.tuning.workers import check_memory_of_workers, optimize_with_workers
from features import memory
from features.errors import InputError, InsufficientDataError, UnsuitableDataError
from features.owners import is_gone, mark
from objectives import (
    PATIENCE,
    SPACE,
    drop_table,
    join_here_only,
    options,
    out_of_memory,
    owners,
    value,
    value_after_the_replacement,
    value_beside,
    value_while_supervised,
    wait_until,
)


def params_of(study: optuna.Study) -> list[dict[str, object]]:
    return [trial.params for trial in study.trials]


def run_study(folder: Path, name: str = "study", n_trials: int = 12, objective=value, seed: int = 1) -> optuna.Study:
    study = open_study(name, options(folder, n_trials, seed), "same")
    optimize(study, objective, n_trials, on_finished=lambda trial: None)
    return study


def test_same_seed_same_trials_and_another_seed_others(tmp_path: Path) -> None:
    first, again = run_study(tmp_path, "one"), run_study(tmp_path, "two")
    assert params_of(first) == params_of(again)
    assert params_of(first) != params_of(run_study(tmp_path, "three", seed=2))


def test_a_resumed_study_draws_the_same_trials_as_an_uninterrupted_one(tmp_path: Path) -> None:
    run_study(tmp_path, "broken", n_trials=5)
    assert params_of(run_study(tmp_path, "broken", n_trials=12)) == params_of(run_study(tmp_path, "whole", n_trials=12))


def test_no_trial_is_drawn_twice(tmp_path: Path) -> None:
    drawn = [str(params) for params in params_of(run_study(tmp_path)) if params["model"] == "a"]
    assert len(set(drawn)) == len(drawn) > 3


def test_a_failing_trial_keeps_its_traceback_and_the_study_continues(tmp_path: Path) -> None:
    def fails_twice(trial: optuna.Trial) -> float:
        if trial.number in (1, 3):
            raise ZeroDivisionError("the third customer")
        return value(trial)

    study = run_study(tmp_path, n_trials=6, objective=fails_twice)
    failed = [trial for trial in finished(study) if trial.state.name == "FAIL"]
    assert [trial.number for trial in failed] == [1, 3]
    assert all("ZeroDivisionError: the third customer" in trial.user_attrs["traceback"] for trial in failed)
    assert best(study).state.name == "COMPLETE"
    said = "2 of 6 trials failed, 2 of them, such as trial 1, with: ZeroDivisionError: the third customer"
    assert failures(study) == said


def test_a_log_file_gets_a_line_for_each_tenth(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "features.progress")
    study = run_study(tmp_path, n_trials=25)
    lines = [record.message for record in caplog.records if record.name == "features.progress"]
    assert len(lines) == 10
    assert lines[0].startswith("study: 3 of 25 trials, best ")
    assert lines[-1] == f"study: 25 of 25 trials, best {best(study).value:.4f}"


def test_the_parameter_that_decides_is_found_and_drawn(tmp_path: Path) -> None:
    space = Space(["a", "b"], {"a": {"x": {"low": 0.0, "high": 1.0}, "idle": {"low": 0.001, "high": 1.0, "log": True}}})

    def decided_by_x(trial: optuna.Trial) -> float:
        _, params = space.suggest(trial)
        if trial.number == 3:
            raise ZeroDivisionError
        trial.set_constraint("guard", 1.0 if trial.number == 5 else -1.0)
        return params.get("x", -1.0) + (2 if trial.number == 5 else 0)

    study = run_study(tmp_path, n_trials=30, objective=decided_by_x)
    table = trial_table(study)
    assert table["state"].value_counts().to_dict() == {"complete": 28, "failed": 1, "outside the guards": 1}
    assert table["best"].max() == best(study).value < table["value"].max()
    shares = param_importances(study, "a")
    assert shares.index[0] == "a.x"
    assert shares["a.x"] > 2 * shares["a.idle"]
    assert param_importances(study, "b").empty  # it has none
    drawn = study_figures(table, shares, metric="gini", model="a")
    assert list(drawn) == ["history", "importance", "slice"]
    assert [axes.get_title(loc="left") for axes in drawn["slice"].axes] == ["x", "idle"]
    assert drawn["slice"].axes[1].get_xscale() == "log"
    assert drawn["history"].axes[0].get_title(loc="left") == f"29 complete trials: best {best(study).value:.4f}"


def test_if_all_trials_fail_the_study_says_why(tmp_path: Path) -> None:
    def fails(trial: optuna.Trial) -> float:
        raise ZeroDivisionError("no customer at all")

    study = run_study(tmp_path, n_trials=3, objective=fails)
    with pytest.raises(InputError, match=r"all 3 trials failed(.|\n)*no customer at all"):
        best(study)


def test_a_trial_outside_the_guards_is_never_the_best(tmp_path: Path) -> None:
    def guarded(trial: optuna.Trial) -> float:
        trial.set_constraint("total_ratio", 1.0 if trial.number != 2 else -0.1)
        return float(trial.number)

    study = run_study(tmp_path, n_trials=5, objective=guarded)
    assert best(study).number == 2

    def all_outside(trial: optuna.Trial) -> float:
        trial.set_constraint("total_ratio", 0.5)
        return 1.0

    with pytest.raises(UnsuitableDataError, match="none of 3 complete trials is within the task's guards"):
        best(run_study(tmp_path, "outside", n_trials=3, objective=all_outside))


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ((UnsuitableDataError, InsufficientDataError), UnsuitableDataError),
        ((InputError, InputError), InputError),  # a range that no model accepts is not a lack of data
        ((UnsuitableDataError, InputError), InputError),
    ],
)
def test_models_that_reject_the_data_differ_from_a_range_that_no_model_accepts(
    tmp_path: Path, errors: tuple[type[InputError], ...], raised: type[InputError]
) -> None:
    def refuse(trial: optuna.Trial) -> float:
        raise errors[trial.number]("y or C is not what was expected")

    study = run_study(tmp_path, n_trials=2, objective=refuse)
    with pytest.raises(InputError, match=r"all 2 trials(.|\n)*y or C is not") as caught:
        best(study)
    assert type(caught.value) is raised


def test_an_interrupted_trial_does_not_count(tmp_path: Path) -> None:
    def interrupted(trial: optuna.Trial) -> float:
        if trial.number == 3:
            raise KeyboardInterrupt
        return value(trial)

    with pytest.raises(KeyboardInterrupt):
        run_study(tmp_path, n_trials=6, objective=interrupted)
    study = run_study(tmp_path, n_trials=6)
    assert [trial.number for trial in finished(study)] == [0, 1, 2, 4, 5, 6]
    assert not study.get_trials(states=(optuna.trial.TrialState.RUNNING,))


def test_an_objective_that_is_not_a_number_fails_the_trial(tmp_path: Path) -> None:
    study = run_study(tmp_path, n_trials=3, objective=lambda trial: float("nan"))
    assert [trial.state.name for trial in finished(study)] == ["FAIL"] * 3


def test_a_study_made_for_something_else_is_not_joined(tmp_path: Path) -> None:
    run_study(tmp_path, n_trials=2)
    with pytest.raises(InputError, match="was made with other data"):
        open_study("study", options(tmp_path), "another")


def _study_that_stands_still(folder: Path) -> None:
    run_study(folder, objective=lambda trial: value(trial) if trial.number < 3 else time.sleep(PATIENCE))


def test_sigkill_loses_no_finished_trial_and_leaves_none_running(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("fork").Process(target=_study_that_stands_still, args=(tmp_path,))
    worker.start()
    study = open_study("study", options(tmp_path), "same")
    wait_until(lambda: len(study.get_trials(deepcopy=False)) == 4)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    before = open_study("study", options(tmp_path), "same")
    assert [trial.number for trial in finished(before)] == [0, 1, 2]
    after = run_study(tmp_path, n_trials=5)
    assert [trial.number for trial in finished(after)] == [0, 1, 2, 4, 5]
    assert not after.get_trials(states=(optuna.trial.TrialState.RUNNING,))


def test_a_running_trial_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    study = open_study("study", options(tmp_path), "same")
    new_trial(study, mark())
    others = new_trial(study, {**mark(), "started": "of a process before, of the same pid"})
    assert fail_stale_trials(study) == [others.number]
    assert not is_gone({"host": "elsewhere", "pid": 1, "started": "0"})


def test_a_trial_of_another_machine_is_not_awaited_without_heartbeats(tmp_path: Path) -> None:
    study = open_study("study", options(tmp_path), "same")
    new_trial(study, {"host": "elsewhere", "pid": 1, "started": "0"})
    assert len(finished(run_study(tmp_path, n_trials=2))) == 2


@pytest.mark.parametrize("left", [b'{"op_code":4,"worker_', b"\0" * 64, b'{"op_code":4' + b"\0" * 64])
def test_a_partial_line_is_cut_off_the_journal(tmp_path: Path, left: bytes) -> None:
    """Of a killed process; or zeros, which a file system may leave where the power failed."""
    kept = params_of(run_study(tmp_path, n_trials=2))
    with (tmp_path / "optuna.journal").open("ab") as journal:
        journal.write(left)
    assert params_of(run_study(tmp_path, n_trials=3))[:2] == kept


@pytest.mark.parametrize("line", [b"garbage", b"[]", b"\xff\xfe", b"\0" * 64])
def test_a_whole_line_that_is_not_of_a_journal_is_refused_and_stays(tmp_path: Path, line: bytes) -> None:
    run_study(tmp_path, n_trials=2)
    with (tmp_path / "optuna.journal").open("ab") as journal:
        journal.write(line + b"\n")
    before = (tmp_path / "optuna.journal").read_bytes()
    with pytest.raises(InputError, match=f"line {len(before.splitlines())} of the file"):
        run_study(tmp_path, n_trials=3)
    assert (tmp_path / "optuna.journal").read_bytes() == before


def test_a_journal_that_is_deleted_during_a_study_is_named(tmp_path: Path) -> None:
    def deletes_it(trial: optuna.Trial) -> float:
        (tmp_path / "optuna.journal").unlink()
        return value(trial)

    signal.alarm(20)  # instead of waiting for its own lock forever
    try:
        with pytest.raises(FileNotFoundError, match=r"optuna\.journal"):
            run_study(tmp_path, objective=deletes_it)
    finally:
        signal.alarm(0)


def test_a_trial_that_was_taken_for_dead_does_not_count(tmp_path: Path) -> None:
    def taken_for_dead(trial: optuna.Trial) -> float:
        if trial.number == 1:
            fail(trial.study, trial.number)
        return value(trial)

    def taken_for_dead_before_its_draw(trial: optuna.Trial) -> float:
        if trial.number == 4:
            fail(trial.study, trial.number)
        trial.set_user_attr("more", "to say")
        return value(trial)

    assert [trial.number for trial in finished(run_study(tmp_path, n_trials=3, objective=taken_for_dead))] == [0, 2, 3]
    study = run_study(tmp_path, n_trials=5, objective=taken_for_dead_before_its_draw)
    assert [trial.number for trial in finished(study)] == [0, 2, 3, 5, 6]


# Several processes


def run_workers(
    folder: Path, n_trials: int, objective=value_beside, on_finished: Callable[[FrozenTrial], None] = lambda trial: None
) -> optuna.Study:
    join = partial(open_study, "study", options(folder, n_trials), "same")
    optimize_with_workers(join, objective, n_trials, 2, on_finished)
    study = join()
    assert len(finished(study)) == n_trials
    assert not study.get_trials(states=(TrialState.RUNNING,))
    return study


def test_two_workers_share_a_study_and_run_exactly_the_requested_trials_once_each(tmp_path: Path) -> None:
    told: list[int] = []
    study = run_workers(tmp_path, 25, on_finished=lambda trial: told.append(trial.number))
    assert sorted(told) == [trial.number for trial in finished(study)]
    assert len(owners(study)) == 2
    assert {trial.state for trial in finished(study)} == {TrialState.COMPLETE}
    run_workers(tmp_path, 25, on_finished=lambda trial: told.append(trial.number))
    assert len(told) == 25


def test_a_worker_that_is_killed_is_replaced_and_its_trial_does_not_count(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_the_first(trial: FrozenTrial) -> None:
        if not killed:
            killed.append(trial.user_attrs["owner"]["pid"])
            os.kill(killed[0], signal.SIGKILL)

    study = run_workers(tmp_path, 10, value_after_the_replacement, kill_the_first)
    assert len(owners(study)) == 3
    begun = [trial for trial in study.trials if trial.params]  # two workers may ask for the last place; one gets none
    assert all(trial in finished(study) for trial in begun if trial.user_attrs["owner"]["pid"] not in killed)


def test_workers_that_are_killed_again_and_again_end_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MAX_KILLED", 2)
    with pytest.raises(InputError, match=r"2 workers were killed(.|\n)*signal 9(.|\n)*use fewer workers"):
        run_workers(tmp_path, 3, out_of_memory)
    assert {trial.state for trial in open_study("study", options(tmp_path), "same").trials} == {TrialState.FAIL}


@pytest.mark.parametrize(("error", "raised"), [(InputError, InputError), (OSError, RuntimeError)])
@pytest.mark.quick(1)
def test_the_reason_why_a_worker_cannot_start_is_reported(
    tmp_path: Path, error: type[Exception], raised: type[Exception]
) -> None:
    with pytest.raises(raised, match="the network is down"):
        optimize_with_workers(partial(join_here_only, tmp_path, error), value, 3, 2, lambda trial: None)


def _supervise(folder: Path) -> None:
    run_workers(folder, 500, value_while_supervised)


def test_workers_end_without_loss_or_leftovers_if_the_main_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    supervisor = multiprocessing.get_context("fork").Process(target=_supervise, args=(tmp_path,))
    supervisor.start()
    study = open_study("study", options(tmp_path), "same")
    wait_until(lambda: len(finished(study)) == 10)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.join()
    wait_until(lambda: all(is_gone(trial.user_attrs["owner"]) for trial in study.trials))
    assert not list(temporary.iterdir())
    kept = {trial.number: trial.params for trial in finished(study)}
    resumed = run_workers(tmp_path, len(kept) + 3)
    assert kept.items() <= {trial.number: trial.params for trial in finished(resumed)}.items()


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_database_that_stops_answering_differs_from_a_failing_trial(tmp_path: Path, n_workers: int) -> None:
    database = tmp_path / "optuna.db"
    address, objective = f"sqlite:///{database}", partial(drop_table, database)
    join = partial(open_study, "study", StudyOptions(**{**vars(options(tmp_path)), "storage": address}), "same")

    def study_goes_on() -> None:
        with answering(address):
            if n_workers == 1:
                optimize(join(), objective, 3, lambda trial: None)
            else:
                optimize_with_workers(join, objective, 3, n_workers, lambda trial: None)

    with pytest.raises(InputError, match=r"storage stopped answering(.|\n)*no such table: trial_params"):
        study_goes_on()


def test_more_workers_than_memory_holds_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * 1000 * (10 * 48 + 200))
    check_memory_of_workers(3, 1000, 10)
    with pytest.raises(InputError, match=r"4 workers with 1,000 rows(.|\n)*tuning\.workers"):
        check_memory_of_workers(4, 1000, 10)


@settings(deadline=None, max_examples=100)
@given(n_trials=st.integers(1, 6), n_workers=st.integers(1, 5), schedule=st.lists(st.integers(0, 99), max_size=60))
def test_exactly_the_requested_number_finishes_in_any_order_of_processes(
    n_trials: int, n_workers: int, schedule: list[int]
) -> None:
    """Move one process at each step: it asks, checks its place, then finishes or, one time in five, is killed."""
    study = optuna.create_study()
    holds: list[tuple[optuna.Trial, bool] | None] = [None] * n_workers
    to_the_end = range(3 * n_workers * (n_trials + n_workers))
    for step, killed in [*((step, step % 5 == 0) for step in schedule), *((step, False) for step in to_the_end)]:
        worker, held = step % n_workers, holds[step % n_workers]
        if held is None:
            if len(finished(study)) < n_trials:
                holds[worker] = new_trial(study, mark()), False
        elif not held[1]:
            surplus = is_surplus(study, held[0].number, n_trials)
            if surplus:
                fail(study, held[0].number)
            holds[worker] = None if surplus else (held[0], True)
        else:
            if killed:
                fail(study, held[0].number)
            else:
                study.tell(held[0], 1.0)
            holds[worker] = None
    assert len(finished(study)) == n_trials


def test_a_database_knows_live_trials_of_other_machines_by_heartbeats(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/optuna.db"
    on_database = StudyOptions(**{**vars(options(tmp_path)), "storage": address, "grace_period": 60})
    study = open_study("study", on_database, "same")
    elsewhere = {"host": "elsewhere", "pid": 1, "started": "0"}
    alive, dead = new_trial(study, elsewhere), new_trial(study, elsewhere)
    assert fail_stale_trials(study) == []
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database, heartbeats(study, alive):
        with database:
            database.execute("UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-1 hour')")
        recent = "SELECT trial_id FROM trial_heartbeats WHERE heartbeat > datetime('now', '-1 minute')"
        wait_until(lambda: database.execute(recent).fetchall() == [(alive._trial_id,)])
        assert fail_stale_trials(study) == [dead.number]


def test_a_trial_of_another_machine_that_died_before_its_first_heartbeat_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_database = StudyOptions(**{**vars(options(tmp_path)), "storage": f"sqlite:///{tmp_path}/optuna.db"})
    study = open_study("study", on_database, "same")
    with monkeypatch.context() as before_its_heartbeat:
        before_its_heartbeat.setattr(storage, "has_heartbeats", lambda study: False)
        stillborn = new_trial(study, {"host": "elsewhere", "pid": 1, "started": "0"})
    assert fail_stale_trials(study) == []
    monkeypatch.setattr(storage, "BIRTH", 0)
    assert fail_stale_trials(study) == [stillborn.number]


@pytest.mark.parametrize("time_zone", ["Pacific/Auckland", "America/Lima"])
def test_a_machine_in_another_time_zone_gets_the_time_to_write_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time_zone: str
) -> None:
    monkeypatch.setenv("TZ", time_zone)
    time.tzset()
    try:
        study = open_study("study", options(tmp_path), "same")
        elsewhere = {"host": "elsewhere", "pid": 1, "started": "0"}
        optimize(study, lambda trial: 1.0, 1, lambda trial: None, writer=elsewhere)
    finally:
        monkeypatch.undo()
        time.tzset()
    (trial,) = finished(study)
    assert not lacks_writer(trial)
    monkeypatch.setattr(studies, "WRITING_TIME", 0)
    assert lacks_writer(trial)


def test_params_of_a_trial_equal_those_drawn(tmp_path: Path) -> None:
    drawn = []

    def remember(trial: optuna.Trial) -> float:
        drawn.append(SPACE.suggest(trial))
        return 0.0

    study = run_study(tmp_path, n_trials=6, objective=remember)
    assert [tuned(trial.params) for trial in finished(study)] == drawn


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Space(["lihgtgbm"], {}), "did you mean 'lightgbm'"),
        (Space([], {}), "names no model"),
        (Space(["lightgbm"], {"lightgbm": {"num_leafs": {"low": 1, "high": 2}}}), "did you mean 'num_leaves'"),
        (Space(["lightgbm"], {"lightgbm": {"num_leaves": {"low": 3, "high": 2}}}), "malformed range"),
        (Space(["lightgbm"], {"lightgbm": {"num_leaves": {"low": 3, "hihg": 9}}}), "malformed range"),
        (Space(["lightgbm"], {"lightgbm": {"num_leaves": {"choices": []}}}), "malformed range"),
        (Space(["lightgbm"], {"lightgbm": {"num_leaves": {"low": 0, "high": 9, "log": True}}}), "malformed range"),
    ],
)
def test_a_wrong_space_raises_before_any_trial(space: Space, message: str) -> None:
    with pytest.raises(InputError, match=message):
        space.check({"lightgbm": {"num_leaves": 31}})
