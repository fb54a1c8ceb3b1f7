"""Importances of features: a property of permutation, on a model whose use of its features is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.evaluation.importances import MOST_ROWS, drivers, importances, linked
from experiments.models.boosting import LightGBMSpend
from experiments.models.calibrated import Calibrated
from experiments.reports.drivers import drivers_parts, reasons
from experiments.reports.section import Text


def test_a_feature_matters_as_much_as_the_model_uses_it_and_the_seed_decides() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(2 * MOST_ROWS, 3)), columns=["strong", "weak", "unread"])
    y = 3 * X["strong"] + X["weak"]
    rows = []

    def metric(given: pd.DataFrame) -> float:
        """Minus the mean squared error, which permuting a feature of weight w raises by 2 w^2 var(x)."""
        rows.append(len(given))
        return -float(((3 * given["strong"] + given["weak"] - y[given.index]) ** 2).mean())

    found = importances(metric, X, [["unread"], ["weak"], ["strong"]], seed=1)
    assert list(found.index) == ["strong", "weak", "unread"]
    assert found["unread"] == 0
    np.testing.assert_allclose([found["strong"], found["weak"]], [18, 2], rtol=0.1)
    assert set(rows) == {MOST_ROWS}
    pd.testing.assert_series_equal(found, importances(metric, X, [["unread"], ["weak"], ["strong"]], seed=1))


def test_features_that_limit_each_other_are_permuted_together() -> None:
    pairs = [("recency", "T"), ("days", "T"), ("frequency", "recency"), ("absent", "T")]
    blocks = linked(["frequency", "spend", "T", "recency", "days"], pairs)
    assert sorted(map(sorted, blocks)) == [["T", "days", "frequency", "recency"], ["spend"]]
    X = pd.DataFrame({"recency": np.arange(50.0), "T": np.arange(50.0) + 1, "spend": 1.0})
    seen: list[pd.DataFrame] = []
    importances(lambda given: seen.append(given) or 0.0, X, linked(X.columns, pairs), seed=1)
    assert all((given["recency"] < given["T"]).all() for given in seen)
    assert not seen[1].equals(seen[0])


def test_contributions_add_up_to_what_the_trees_say_and_pass_through_what_holds_the_trees() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(400, 3)), columns=["more", "less", "unread"])
    y = np.exp(X["more"] - 0.5 * X["less"])
    model = LightGBMSpend(n_estimators=40, min_child_samples=5).fit(X, y)
    contributions = model.contributions(X[["unread", "less", "more"]])
    raw = model.booster_.predict(X[model.feature_names_in_].to_numpy(), raw_score=True)
    left = raw - contributions.sum(axis=1)
    np.testing.assert_allclose(left, left.mean(), atol=1e-9)  # the mean of the trees
    moved = drivers(contributions, X)
    assert list(moved.index) == ["more", "less", "unread"]
    assert moved["share"].sum() == 1
    assert moved.loc["more", "direction"] > 0.9 > -0.9 > moved.loc["less", "direction"]
    calibrated = Calibrated(model, constant=0.3).fit(X, y)
    pd.testing.assert_frame_equal(calibrated.contributions(X), calibrated.model_.contributions(X))
    said = drivers_parts(moved.drop(index="unread"))[0]
    assert isinstance(said, Text)
    assert "with more (" in said.text
    assert "more of it raises them) and less (" in said.text
    assert drivers_parts(None) == drivers_parts(moved * 0) == []


def test_reasons_are_the_largest_contributions_with_their_sign() -> None:
    moved = pd.Series({"orders": 0.2, "gap_days": -0.9, "T": 0.01, "spend": 0.5})
    row, medians = (
        pd.Series({"orders": 3.0, "gap_days": 40.0, "T": 100.0, "spend": 12.5}),
        pd.Series(dict.fromkeys(moved.index, 1.0)),
    )
    assert [str(each) for each in reasons(moved, row, medians)] == [
        "lowered by gap days: 40 (median 1)",
        "raised by spend: 12.50 (median 1)",
        "raised by orders: 3 (median 1)",
    ]
