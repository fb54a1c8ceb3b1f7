"""Studies: the same seed gives the same trials, an interrupt loses nothing, a failure is kept and passed by."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import optuna
import pytest

from experiments.processes import is_gone, mark
from experiments.tuning.space import Space, tuned
from experiments.tuning.storage import fail_stale_trials
from experiments.tuning.study import StudyOptions, best, finished, open_study, optimize
from features.errors import InputError

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
        seed=seed,
        sampler=SAMPLER,
        pruner={"n_startup_trials": 2, "n_warmup_steps": 0},
    )


def value(trial: optuna.Trial) -> float:
    model, params = SPACE.suggest(trial)
    return params["x"] if model == "a" else params["k"] / 100


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


def test_a_resumed_study_draws_what_an_unbroken_one_draws(tmp_path: Path) -> None:
    run_study(tmp_path, "broken", n_trials=5)
    assert params_of(run_study(tmp_path, "broken", n_trials=12)) == params_of(run_study(tmp_path, "whole", n_trials=12))


def test_no_trial_is_drawn_twice(tmp_path: Path) -> None:
    drawn = [str(params) for params in params_of(run_study(tmp_path)) if params["model"] == "a"]
    assert len(set(drawn)) == len(drawn) > 3


def test_a_failing_trial_keeps_its_traceback_and_the_study_goes_on(tmp_path: Path) -> None:
    def fails_twice(trial: optuna.Trial) -> float:
        if trial.number in (1, 3):
            raise ZeroDivisionError("the third customer")
        return value(trial)

    study = run_study(tmp_path, n_trials=6, objective=fails_twice)
    failed = [trial for trial in finished(study) if trial.state.name == "FAIL"]
    assert [trial.number for trial in failed] == [1, 3]
    assert all("ZeroDivisionError: the third customer" in trial.user_attrs["traceback"] for trial in failed)
    assert best(study).state.name == "COMPLETE"


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

    with pytest.raises(InputError, match="none of 3 complete trials is within the task's guards"):
        best(run_study(tmp_path, "outside", n_trials=3, objective=all_outside))


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


def test_an_objective_that_is_no_number_fails_the_trial_and_ends(tmp_path: Path) -> None:
    study = run_study(tmp_path, n_trials=3, objective=lambda trial: float("nan"))
    assert [trial.state.name for trial in finished(study)] == ["FAIL"] * 3


def test_a_study_made_for_something_else_is_not_joined(tmp_path: Path) -> None:
    run_study(tmp_path, n_trials=2)
    with pytest.raises(InputError, match="was made with other data"):
        open_study("study", options(tmp_path), "another")


def _slow_study(folder: Path) -> None:
    run_study(folder, n_trials=50, objective=lambda trial: time.sleep(0.15) or value(trial))


def test_sigkill_loses_no_finished_trial_and_leaves_none_running(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("fork").Process(target=_slow_study, args=(tmp_path,))
    worker.start()
    journal, deadline = tmp_path / "optuna.journal", time.monotonic() + 60
    while not (journal.exists() and journal.read_text().count('"state":1') >= 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    before = open_study("study", options(tmp_path), "same")
    kept = {trial.number for trial in finished(before)}
    assert len(kept) >= 3
    after = run_study(tmp_path, n_trials=len(kept) + 2)
    assert kept <= {trial.number for trial in finished(after)}
    assert len(finished(after)) == len(kept) + 2
    assert not after.get_trials(states=(optuna.trial.TrialState.RUNNING,))


def test_a_running_trial_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    study = open_study("study", options(tmp_path), "same")
    mine, others = study.ask(), study.ask()
    mine.set_user_attr("owner", mark())
    others.set_user_attr("owner", {**mark(), "started": "of a process before, of the same pid"})
    assert fail_stale_trials(study) == [others.number]
    assert not is_gone({"host": "elsewhere", "pid": 1, "started": "0"})


def test_params_come_back_from_a_trial_as_they_were_drawn(tmp_path: Path) -> None:
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
def test_a_wrong_space_is_refused_before_any_trial(space: Space, message: str) -> None:
    with pytest.raises(InputError, match=message):
        space.check({"lightgbm": {"num_leaves": 31}})
