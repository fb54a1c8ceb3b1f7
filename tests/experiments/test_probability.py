"""Metrics of probabilities against their definitions and scikit-learn, and the task that reports them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from scipy.stats import binomtest

from experiments.evaluation.probability_metrics import (
    expected_calibration_error,
    probability_metrics,
    reliability_table,
    roc_auc,
)
from experiments.evaluation.spend_metrics import gini
from experiments.evaluation.validation import Dataset, mean_metrics
from experiments.models.base import Model
from experiments.tasks.repurchase import Repurchase
from features.errors import InputError

METRICS = probability_metrics(0.3, "predicts the event")


def some_customers(n: int = 500, seed: int = 0):
    """Draw outcomes and probabilities with ties."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(1, 2, n), 2)
    return (rng.random(n) < p**0.8).astype(float), p


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("roc_auc", sklearn.metrics.roc_auc_score),
        ("average_precision", sklearn.metrics.average_precision_score),
        ("brier", sklearn.metrics.brier_score_loss),
        ("log_loss", sklearn.metrics.log_loss),
        (
            "accuracy",
            lambda y, p, sample_weight: sklearn.metrics.accuracy_score(y, p >= 0.3, sample_weight=sample_weight),
        ),
    ],
)
def test_metrics_equal_scikit_learns_with_and_without_weights(name, theirs):
    y, p = some_customers()
    weights = np.random.default_rng(1).integers(0, 4, (3, len(y)))
    assert METRICS[name](y, p) == pytest.approx(theirs(y, p, sample_weight=None), rel=1e-12)
    expected = [theirs(y, p, sample_weight=w) for w in weights]
    np.testing.assert_allclose(METRICS[name](y, p, weights=weights), expected, rtol=1e-12)


def test_gini_of_an_event_is_twice_the_auc_minus_1():
    y, p = some_customers()
    assert gini(y, p) == pytest.approx(2 * roc_auc(y, p) - 1, rel=1e-12)


def test_expected_calibration_error_by_hand():
    # bins [.1, .2): 2 customers, mean .15, none; [.9, 1]: 3 customers, mean .95, two of them
    y, p = [0, 0, 1, 1, 0], [0.1, 0.2 - 1e-9, 0.9, 0.95, 1.0]
    assert expected_calibration_error(y, p) == pytest.approx(2 / 5 * 0.15 + 3 / 5 * (0.95 - 2 / 3))
    assert expected_calibration_error([0, 1], [0.5, 0.5]) == 0


def test_metrics_that_need_both_classes_are_nan_for_one_class():
    undefined = {name for name in METRICS if np.isnan(METRICS[name]([0, 0], [0.1, 0.2]))}
    assert undefined == {"roc_auc", "average_precision", "top_decile_lift"}
    assert np.isnan(roc_auc([1, 1], [0.1, 0.2]))


def test_outcomes_and_probabilities_out_of_range_raise():
    with pytest.raises(InputError, match="other than 0 and 1"):
        roc_auc([0, 2], [0.1, 0.2])
    with pytest.raises(InputError, match="not probabilities"):
        expected_calibration_error([0, 1], [0.1, 1.2])


def test_reliability_table_keeps_customers_and_has_wilsons_intervals():
    y, p = some_customers()
    table = reliability_table(y, p)
    assert table["customers"].sum() == len(y)
    assert (table["customers"] * table["observed_share"]).sum() == pytest.approx(y.sum())
    assert ((table["low"] <= table["observed_share"]) & (table["observed_share"] <= table["high"])).all()
    gap = (table["mean_predicted"] - table["observed_share"]).abs()
    assert (gap * table["customers"]).sum() / len(y) == pytest.approx(expected_calibration_error(y, p))
    for row in table.itertuples():
        theirs = binomtest(round(row.observed_share * row.customers), row.customers).proportion_ci(method="wilson")
        assert (row.low, row.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert reliability_table([0, 1, 1], [0.95, 1.0, 0.0]).index.tolist() == [1, 10]


OPTIONS = {
    "horizon_days": 28,
    "event": "inactivity",
    "active_within_days": None,
    "threshold": 0.5,
    "primary_metric": "roc_auc",
    "min_effect": 0.005,
    "guards": {"expected_calibration_error": (0.0, 0.1)},
    "minimum": {},
    "amounts": {"reliable": (0.8, 1.25), "rough": (0.5, 2.0)},
}


class Told(Model):
    """Model whose prediction is the column "told"."""

    def predict(self, X):
        return X["told"].to_numpy()

    def get_state(self):
        return {}

    def set_state(self, state):
        return self


def customers(absent, days_ago, frequency, told) -> Dataset:
    index = pd.MultiIndex.from_product([range(len(absent)), [pd.Timestamp("2020-06-01")]])
    index.names = ["customer_id", "cutoff"]
    X = pd.DataFrame({"days_since_last_purchase": days_ago, "frequency": frequency, "told": told}, index=index)
    return Dataset(X.astype(float), pd.DataFrame({"y": absent}, index=index, dtype=float))


class TestRepurchase:
    def test_only_active_customers_are_evaluated_if_the_task_says_so(self):
        rows = customers([0, 1, 1, 0], days_ago=[0, 27, 28, 90], frequency=[3, 2, 0, 0], told=[0.1, 0.9, 0.2, 0.8])
        everybody, active = (Repurchase(**OPTIONS | {"active_within_days": n}) for n in (None, 28))
        assert everybody.evaluate(Told(), rows).metrics["roc_auc"] == 0.75
        judged = active.evaluate(Told(), rows)
        assert judged.y.index.get_level_values("customer_id").tolist() == [0, 1]
        assert judged.metrics["roc_auc"] == 1
        assert judged.tables["reliability"]["customers"].sum() == 2
        assert everybody.target != active.target
        assert everybody.population != active.population

    def test_every_question_has_its_own_name_output_and_words(self):
        asked = [
            Repurchase(**OPTIONS | {"event": event, "active_within_days": active})
            for active in (None, 28)
            for event in ("purchase", "inactivity")
        ]
        assert tuple(task.name for task in asked) == Repurchase.names()
        assert [task.judged for task in asked] == [(f"p_{name}",) for name in Repurchase.names()]
        assert len(set(Repurchase.names())) == 4
        assert [task.ability for task in asked] == ["predicts who will come back", "predicts who will stay away"] * 2

    def test_groups_have_separate_metrics_unless_all_have_the_same_outcome(self):
        rows = customers(
            [0, 1, 1, 0, 1, 1], [0, 9, 28, 90, 80, 40], [3, 2, 1, 1, 0, 0], told=[0.1, 0.9, 0.2, 0.8, 0.5, 0.5]
        )
        metrics = Repurchase(**OPTIONS).evaluate(Told(), rows).metrics
        assert metrics["active/roc_auc"] == 1
        assert metrics["repeat/roc_auc"] == 0.75
        assert metrics["repeat/expected_calibration_error"] == pytest.approx((0.1 + 0.1 + 0.8 + 0.8) / 4)
        assert not [name for name in metrics if name.startswith("one_day/")]
        assert mean_metrics([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0}

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"primary_metric": "log_loss"}, "cannot choose models"),
            ({"primary_metric": "roc_acu"}, "did you mean 'roc_auc'"),
            ({"event": "churn"}, "unknown event 'churn'"),
            ({"active_within_days": 0}, "active_within_days"),
            ({"threshold": 1.0}, "threshold"),
            ({"horizon_days": 0}, "horizon_days"),
            ({"guards": {"gini": (0, 1)}}, "unknown metric 'gini'"),
            ({"amounts": {"reliable": (0.8, 1.25)}}, "task.amounts"),
        ],
    )
    def test_options_out_of_range_raise(self, wrong, said):
        with pytest.raises(InputError, match=said):
            Repurchase(**OPTIONS | wrong)
