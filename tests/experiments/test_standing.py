"""Controls beside a model: what has nothing to learn finds nothing, and a leak in the machinery would show."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from experiments.evaluation.controls import permuted_within_cutoff
from experiments.evaluation.metrics import gini
from experiments.gate.standing import control_metrics, permuted_metric, stand
from experiments.models import Constant, LightGBMSpend
from experiments.tasks.base import Dataset, Evaluation, Task
from features.errors import UnsuitableDataError

CUTOFFS = (date(2017, 3, 1), date(2017, 4, 1), date(2017, 5, 1))
FOLDS = ((CUTOFFS[:1], CUTOFFS[1]), (CUTOFFS[:2], CUTOFFS[2]))


class Spend(Task):
    """Spend by one feature, with the feature itself as the naive model."""

    name = "spend"
    primary_metric = "gini"
    guards: ClassVar = {}

    def candidates(self) -> dict[str, Any]:
        return {"rate": Rate, "lightgbm": LightGBMSpend}

    def metric(self) -> Any:
        return gini

    def evaluate(self, model: Any, dataset: Dataset) -> Evaluation:
        prediction = pd.Series(model.predict(dataset.X), index=dataset.y.index)
        return Evaluation(dataset.y, prediction, {"gini": gini(dataset.y, prediction)})


class Rate(Constant):
    is_naive = True

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return X["rate"].to_numpy()


class Remembering(Constant):
    """A cheat: it looks up what its customers' targets were, whatever the cutoff."""

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
        pd.Series(rate * rng.gamma(2.0, 0.5, len(index)), index=index),
    )


def test_permuted_targets_keep_each_cutoffs_values_and_forget_whose_they_are(dataset: Dataset) -> None:
    dealt = permuted_within_cutoff(dataset.y, seed=1)
    assert dealt.index.equals(dataset.y.index)
    for day in pd.DatetimeIndex(CUTOFFS):
        own, new = (values.xs(day, level="cutoff") for values in (dataset.y, dealt))
        np.testing.assert_array_equal(np.sort(own), np.sort(new))
        assert abs(np.corrcoef(own, new)[0, 1]) < 0.2
    shuffled = dataset.y.sample(frac=1, random_state=0)
    pd.testing.assert_series_equal(permuted_within_cutoff(shuffled, seed=1).sort_index(), dealt.sort_index())
    assert not dealt.equals(permuted_within_cutoff(dataset.y, seed=2))


def test_a_model_stands_above_controls_that_find_nothing(dataset: Dataset) -> None:
    standing = stand(Spend(), "lightgbm", {"n_estimators": 30}, dataset, FOLDS, n_controls=4, seed=0)
    metrics = standing.metrics()
    assert metrics["valid/gini"] > 0.4
    assert metrics["naive/gini"] == metrics["naive/rate/gini"] > 0.4
    assert metrics["control/constant/gini"] == 0
    assert abs(metrics["control/permuted_target/gini"]) < 0.1
    assert metrics["control/permuted_target/gini"] <= metrics["control/permuted_target/gini_max"] < 0.2
    table = standing.table()
    assert table["kind"].value_counts().to_dict() == {"control": 5, "naive": 1, "model": 1}
    assert list(table.columns) == ["model", "kind", "gini"]


class Refusing(Constant):
    def fit(self, X: pd.DataFrame, y: pd.Series) -> Any:
        raise UnsuitableDataError("there is nothing to learn")


def test_a_model_that_refuses_permuted_targets_has_no_control(dataset: Dataset) -> None:
    assert np.isnan(permuted_metric(Spend(), Refusing, dataset, FOLDS, seed=0))
    assert control_metrics("control/x", np.array([np.nan, 0.1, 0.3])) == {"control/x": 0.2, "control/x_max": 0.3}
    assert control_metrics("control/x", np.array([np.nan])) == {}


def test_the_control_shows_a_machinery_that_leaks(dataset: Dataset) -> None:
    dealt = permuted_within_cutoff(dataset.y, seed=3)
    Remembering.known = dict(dealt.items())
    assert permuted_metric(Spend(), Remembering, dataset, FOLDS, seed=3) == pytest.approx(1.0)
