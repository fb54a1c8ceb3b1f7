"""Controls: data without signal give no skill, and a leak in the procedure shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

import numpy as np
import optuna
import pandas as pd
import pytest

from experiments.evaluation.controls import permuted_within_cutoff
from experiments.evaluation.validation import Dataset
from experiments.gate.standing import control_metrics, permuted_metric, stand
from experiments.models import CANDIDATES, Candidate, Constant
from experiments.tuning.objective import ValidationObjective
from experiments.tuning.space import Space, tuned
from features.errors import UnsuitableDataError
from small_task import SmallTask

CUTOFFS = (date(2017, 3, 1), date(2017, 4, 1), date(2017, 5, 1))
FOLDS = ((CUTOFFS[:1], CUTOFFS[1:2]), (CUTOFFS[:2], CUTOFFS[2:]))


class Rate(Constant):
    """Model whose prediction is the feature itself."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return X["rate"].to_numpy()


TASK = SmallTask(models={"rate": Candidate(Rate, "rate", is_baseline=True), "lightgbm": CANDIDATES["lightgbm"]})


class Remembering(Constant):
    """Cheating model that looks up the targets of its customers at any cutoff."""

    known: ClassVar[dict[tuple[Any, ...], float]] = {}

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.array([self.known[row] for row in X.index])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([range(400), pd.DatetimeIndex(CUTOFFS)], names=["customer_id", "cutoff"])
    rate = rng.gamma(1.0, 1.0, len(index))
    return Dataset(
        pd.DataFrame({"rate": rate, "noise": rng.normal(size=len(index))}, index=index),
        pd.DataFrame({"y": rate * rng.gamma(2.0, 0.5, len(index))}, index=index),
    )


def test_permuted_targets_keep_the_values_of_each_cutoff_but_not_their_customers(dataset: Dataset) -> None:
    dealt = permuted_within_cutoff(dataset.target, seed=1)
    assert dealt.index.equals(dataset.target.index)
    for day in pd.DatetimeIndex(CUTOFFS):
        own, new = (values.xs(day, level="cutoff") for values in (dataset.target, dealt))
        np.testing.assert_array_equal(np.sort(own), np.sort(new))
        assert abs(np.corrcoef(own, new)[0, 1]) < 0.2
    shuffled = dataset.target.sample(frac=1, random_state=0)
    pd.testing.assert_series_equal(permuted_within_cutoff(shuffled, seed=1).sort_index(), dealt.sort_index())
    assert not dealt.equals(permuted_within_cutoff(dataset.target, seed=2))
    both = dataset.y.assign(days=range(len(dataset.y)))
    twice = permuted_within_cutoff(both, seed=1)
    pd.testing.assert_series_equal(twice["y"], dealt, check_names=False)
    assert (both["y"].to_numpy()[twice["days"]] == twice["y"]).all()  # columns of a row stay together


def test_a_model_beats_controls_without_signal(dataset: Dataset) -> None:
    standing = stand(TASK, "lightgbm", {"n_estimators": 30}, dataset, FOLDS, n_controls=4, seed=0)
    metrics = standing.metrics()
    assert metrics["valid/gini"] > 0.4
    assert metrics["naive/gini"] == metrics["naive/rate/gini"] > 0.4
    assert metrics["control/constant/gini"] == 0
    assert abs(metrics["control/permuted_target/gini"]) < 0.1
    assert metrics["control/permuted_target/gini"] <= metrics["control/permuted_target/gini_max"] < 0.2
    table = standing.table()
    assert table["kind"].value_counts().to_dict() == {"control": 5, "baseline": 1, "model": 1}
    assert list(table.columns) == ["model", "kind", "gini"]


def test_the_best_trial_is_not_validated_again(dataset: Dataset) -> None:
    space = Space(["lightgbm"], {"lightgbm": {"n_estimators": {"low": 2, "high": 20, "type": "int"}}})
    objective = ValidationObjective(TASK, space, dataset, FOLDS)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=3)
    best = study.best_trial
    assert best.number != 0
    known = objective.validation_of(best.number)
    assert known is not None
    assert all(objective.validation_of(number) is None for number in range(3) if number != best.number)
    given = (TASK, *tuned(best.params), dataset, FOLDS)
    anew, again = (stand(*given, n_controls=1, seed=0, validation=validation) for validation in (None, known))
    assert again.metrics() == anew.metrics()


def test_equal_predictions_have_no_rank_correlation_and_no_row(dataset: Dataset) -> None:
    task = replace(TASK, primary_metric="spearman")
    standing = stand(task, "lightgbm", {"n_estimators": 5}, dataset, FOLDS, n_controls=1, seed=0)
    assert "control/constant/spearman" not in standing.metrics()
    assert standing.table()["model"].tolist() == ["lightgbm", "rate", "permuted_target"]


def test_a_baseline_of_equal_predictions_cannot_be_compared(dataset: Dataset) -> None:
    level = Candidate(Constant, "one level", is_baseline=True)
    task = replace(TASK, primary_metric="spearman", models={**TASK.models, "level": level})
    standing = stand(task, "lightgbm", {"n_estimators": 5}, dataset, FOLDS, n_controls=1, seed=0)
    with pytest.raises(UnsuitableDataError, match="spearman is undefined"):
        standing.metrics()


class Refusing(Constant):
    def fit(self, X: pd.DataFrame, y: pd.Series) -> Any:
        raise UnsuitableDataError("there is nothing to learn")


def test_a_model_that_rejects_permuted_targets_has_no_control(dataset: Dataset) -> None:
    assert np.isnan(permuted_metric(TASK, Refusing, dataset, FOLDS, seed=0))
    assert control_metrics("control/x", np.array([np.nan, 0.1, 0.3])) == {"control/x": 0.2, "control/x_max": 0.3}
    assert control_metrics("control/x", np.array([np.nan])) == {}


def test_the_control_shows_a_leak_in_the_procedure(dataset: Dataset) -> None:
    dealt = permuted_within_cutoff(dataset.target, seed=3)
    Remembering.known = dict(dealt.items())
    assert permuted_metric(TASK, Remembering, dataset, FOLDS, seed=3) == pytest.approx(1.0)
