"""One conformance suite over all tasks, on CDNOW's sample, and how any task is validated and pruned."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import optuna
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from experiments.commands.compose import typed
from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.models.base import Model
from experiments.tasks import TASKS
from experiments.tasks.base import Dataset, Evaluation, Task, build, naive_models, validate
from experiments.tuning.objective import ValidationObjective
from experiments.tuning.space import Space
from experiments.workflow.session import Session
from features.errors import InputError
from workplace import ROOT

DAY = timedelta(days=1)


@pytest.fixture(scope="module", params=sorted(TASKS))
def session(request: pytest.FixtureRequest, shared_cache: Path) -> Session:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return Session(typed(compose("config", ["data=cdnow", f"task={request.param}", f"cache={shared_cache}"])))


@pytest.fixture(scope="module")
def fitted(session: Session) -> tuple[Model, Dataset, Dataset]:
    """The configured model, fitted; its training rows; the last validation cutoff's rows."""
    training, cutoff = session.splits.folds()[-1]
    dataset = session.dataset([*training, cutoff])
    train = dataset.at(*training)
    return build(session.task, session.config.model.name, {}).fit(train.X, train.y), train, dataset.at(cutoff)


def test_features_lie_before_and_targets_after_the_cutoff(session: Session) -> None:
    cutoff = session.splits.validation[-1]
    whole = session.dataset([cutoff])
    tables = session.shop.tables
    lines = session.shop.engine.frame(tables.transactions.select("customer_id", "timestamp", "amount"))
    end = pd.Timestamp(cutoff + timedelta(days=session.task.horizon_days))
    later = lines[(lines.timestamp >= pd.Timestamp(cutoff)) & (lines.timestamp < end)]
    spent = later.groupby("customer_id").amount.sum().astype(float)
    if session.task.name == "repurchase":
        spent = (later.groupby("customer_id").size() > 0).astype(float)
    customers = whole.X.index.get_level_values("customer_id")
    assert set(customers) == set(lines[lines.timestamp < pd.Timestamp(cutoff)].customer_id)
    np.testing.assert_allclose(whole.y.to_numpy(), spent.reindex(customers, fill_value=0.0).to_numpy())
    assert (whole.X["T"] <= (cutoff - session.splits.earliest + timedelta(days=60)).days).all()


def test_task_names_what_it_promises(session: Session, fitted: tuple[Model, Dataset, Dataset]) -> None:
    task, (model, _, rows) = session.task, fitted
    candidates = {name: candidate() for name, candidate in task.candidates().items()}
    naive = naive_models(task, {})
    assert naive
    assert set(naive) < set(candidates)
    assert model.outputs(rows.X).shape == (len(rows.X), len(task.outputs))
    judged = model.outputs(rows.X)[:, task.outputs.index(task.judged)]
    np.testing.assert_array_equal(judged, model.predict(rows.X))
    metrics = task.evaluate(model, rows).metrics
    assert {task.objective, task.primary_metric, *task.guards} <= set(metrics)
    assert set(task.needs) <= set(session.shop.tables.present())
    assert task.primary_metric not in task.ability  # which is in a marketer's words


def test_primary_metric_is_the_one_that_the_gate_resamples(
    session: Session, fitted: tuple[Model, Dataset, Dataset]
) -> None:
    task, (model, train, rows) = session.task, fitted
    evaluation = task.evaluate(model, rows)
    assert task.metric()(rows.y, evaluation.prediction) == evaluation.metrics[task.primary_metric]
    naive = next(iter(naive_models(task, model.get_params()).values()))().fit(train.X, train.y)
    draws = paired_bootstrap(
        task.metric(),
        rows.y.to_numpy(),
        {"model": evaluation.prediction.to_numpy(), "naive": task.evaluate(naive, rows).prediction.to_numpy()},
        rows.y.index.get_level_values("customer_id").to_numpy(),
        n_resamples=50,
        seed=0,
    )
    assert draws["model"].estimate == evaluation.metrics[task.primary_metric]
    assert np.isfinite(draws.gain("model", "naive").draws).all()


def test_diagnosis_is_made_of_numbers_and_tables(session: Session, fitted: tuple[Model, Dataset, Dataset]) -> None:
    model, _, rows = fitted
    diagnosis = session.task.diagnose(model, rows)
    if diagnosis is None:
        pytest.skip("this task has none")
    assert all(np.isfinite(value) for value in diagnosis.metrics.values())
    assert not any(table.empty for table in diagnosis.tables.values())


def test_aligned_models_agree_with_the_champion(session: Session, fitted: tuple[Model, Dataset, Dataset]) -> None:
    model, train, rows = fitted
    if not session.task.keeps_labels:
        pytest.skip("this task has no labels to keep")
    again = build(session.task, session.config.model.name, {}).fit(train.X, train.y)
    numbers = sorted(set(again.segment(rows.X)))
    again.relabel(dict(zip(numbers, reversed(numbers), strict=True)))
    assert (again.segment(rows.X) != model.segment(rows.X)).any()
    session.task.align(again, rows.X, model, rows.X)
    np.testing.assert_array_equal(again.segment(rows.X), model.segment(rows.X))


class Spy(Task):
    """A task whose model predicts the seed it was given, and remembers what it was shown."""

    name = "spy"
    objective = primary_metric = "level"
    guards: ClassVar = {"level": (0.0, 0.9)}

    def __init__(self) -> None:
        self.seen: list[tuple[set[date], date]] = []

    def candidates(self):  # type: ignore[no-untyped-def]
        return {"spy": lambda: SpyModel(self)}

    def evaluate(self, model, dataset):  # type: ignore[no-untyped-def]
        (cutoff,) = {day.date() for day in dataset.X.index.get_level_values("cutoff")}
        self.seen.append((model.trained, cutoff))
        return Evaluation(dataset.y, dataset.y, {"level": model.level})


class SpyModel:
    def __init__(self, task: Spy, level: float = 0.0) -> None:
        self.task, self.level = task, level

    def get_params(self) -> dict[str, float]:
        return {"level": self.level}

    def set_params(self, level: float) -> SpyModel:
        self.level = level
        return self

    def fit(self, X: pd.DataFrame, y: pd.Series) -> SpyModel:
        self.trained = {day.date() for day in X.index.get_level_values("cutoff")}
        return self


CUTOFFS = [date(2017, 1, 1) + 30 * DAY * step for step in range(8)]
FOLDS = [(CUTOFFS[:3], CUTOFFS[5]), (CUTOFFS[:4], CUTOFFS[6]), (CUTOFFS[:5], CUTOFFS[7])]


def rows_at(cutoffs: list[date]) -> Dataset:
    index = pd.MultiIndex.from_product([["a", "b"], pd.DatetimeIndex(cutoffs)], names=["customer_id", "cutoff"])
    return Dataset(pd.DataFrame({"T": 1.0}, index=index), pd.Series(1.0, index=index))


def test_each_fold_is_trained_on_its_own_cutoffs_alone() -> None:
    task = Spy()
    validate(task, lambda: build(task, "spy", {"level": 0.5}), rows_at(CUTOFFS), FOLDS)
    assert task.seen == [(set(training), cutoff) for training, cutoff in FOLDS]


def test_a_cutoff_without_rows_is_missed_not_passed_over() -> None:
    with pytest.raises(KeyError, match="2017-01-31"):
        rows_at(CUTOFFS[:1]).at(*CUTOFFS[:2])


def test_a_poor_trial_is_pruned_after_its_first_cutoff_and_a_guard_is_a_constraint() -> None:
    task = Spy()
    space = Space(["spy"], {"spy": {"level": {"low": 0.0, "high": 1.0}}})
    objective = ValidationObjective(task, space, rows_at(CUTOFFS), FOLDS)
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0)
    )
    for level in (0.5, 0.6, 0.95, 0.1):
        study.enqueue_trial({"model": "spy", "spy.level": level})
    study.optimize(objective, n_trials=4)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"]
    assert [len(trial.user_attrs["fold_metrics"]) for trial in study.trials] == [3, 3, 3, 1]
    assert study.trials[2].constraints["level"] == pytest.approx(0.05)
    assert study.trials[0].constraints["level"] <= 0


def test_an_unknown_candidate_or_parameter_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'spy'"):
        build(Spy(), "sy", {})
    with pytest.raises(InputError, match="did you mean 'level'"):
        build(Spy(), "spy", {"levl": 1})
