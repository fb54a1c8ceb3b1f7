"""Metrics of waits against values computed by hand, pair by pair, and day by day."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.wait_metrics import (
    LATER,
    MEAN,
    MEDIAN,
    calibration_by_median,
    columns_of,
    concordance,
    ranked_probability_score,
    ranked_probability_skill,
    wait_metrics,
    waits,
)
from features.errors import InputError
from features.outcomes import thresholds_of

H = 4
DAYS = (1, 2, 3, 4)
METRICS = wait_metrics(DAYS, (2,), "predicts when")
NONE = [4, 0]


def outcomes(*rows: list[int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["days", "observed"], dtype=float)


def laws(*rows: list[float], days: tuple[int, ...] = DAYS) -> pd.DataFrame:
    """Return predictions of P(wait <= day) for each day, with the quantiles and means that follow."""
    F = np.array(rows, dtype=float)
    quantiles = [1 + (level > F).sum(axis=1) for level in (0.5, 0.1, 0.9)]
    mean = 1 + (1 - F[:, :-1]).sum(axis=1)
    return pd.DataFrame(np.column_stack([*quantiles, mean, F[:, :-1], 1 - F[:, -1]]), columns=columns_of(days))


def random_rows(n: int, seed: int, horizon: int = 28) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    wait = rng.integers(1, horizon + 12, n)
    y = pd.DataFrame({"days": np.minimum(wait, horizon), "observed": wait <= horizon}, dtype=float)
    F = np.sort(rng.random((n, horizon)).round(1), axis=1)
    return y, laws(*F, days=tuple(range(1, horizon + 1)))


Y = outcomes([1, 1], [3, 1], [4, 1], NONE)
SURE = laws([1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0])
HALF = laws(*[[0.5] * 4] * 4)


def test_values_computed_by_hand():
    # Of a coin for each day, (1/2)^2 a day. Shares with the event by day 1 to 4: 1/4, 1/4, 1/2, 3/4.
    climatology = 3 / 16 + 3 / 16 + 4 / 16 + 3 / 16
    found = {name: metric(Y, HALF) for name, metric in METRICS.items()}
    assert found == pytest.approx(
        {
            "rps": 1.0,
            "ranked_probability_skill": 1 - 1 / climatology,
            "c_index": 0.5,
            "mae": (0 + 2 + 3 + 3) / 4,  # the median is day 1
            "rmse": np.sqrt((1.5**2 + 0.5**2 + 1.5**2 + 1.5**2) / 4),  # the mean is 1 + 3/2
            "mae_of_buyers": 5 / 3,
            "rmse_of_buyers": np.sqrt((1.5**2 + 0.5**2 + 1.5**2) / 3),
            "brier_2": 0.25,
            "coverage_80": 1.0,  # day 1 to later
            "width_80": 5.0,
            # levels 0.1, 0.5, 0.9 at days 1, 1 and 4 of min(wait, 4)
            "pinball": np.mean([(0.1 * d + 0.5 * d + 0.1 * (3 - d)) / 3 for d in (0, 2, 3, 3)]),
            "calibration_error_later": 0.25,
        }
    )


def test_a_sure_prediction_of_the_right_day_is_perfect_and_the_climatology_has_no_skill():
    perfect = {name: metric(Y, SURE) for name, metric in METRICS.items()}
    assert all(perfect[name] == 1 for name in ("ranked_probability_skill", "c_index", "coverage_80", "width_80"))
    assert all(perfect[name] == 0 for name in ("rps", "mae", "rmse", "brier_2", "pinball", "calibration_error_later"))
    same = laws(*[[0.25, 0.25, 0.5, 0.75]] * 4)
    assert METRICS["ranked_probability_skill"](Y, same) == pytest.approx(0)
    for other in ([0.25, 0.25, 0.5, 0.8], [0.2, 0.25, 0.5, 0.75]):
        assert METRICS["ranked_probability_skill"](Y, laws(*[other] * 4)) < 0


def test_the_score_of_a_sure_prediction_is_its_absolute_error_in_days_and_the_true_law_scores_best():
    sure = laws([0, 1, 1, 1])
    for wait in range(1, 5):
        assert ranked_probability_score(outcomes([wait, 1]), sure, thresholds=DAYS) == abs(wait - 2)
    assert ranked_probability_score(outcomes(NONE), sure, thresholds=DAYS) == 3  # later is at least day 5
    true = np.array([0.2, 0.3, 0.1, 0.15, 0.25])
    everywhere = outcomes([1, 1], [2, 1], [3, 1], [4, 1], NONE)

    def expected(law):
        scores = ranked_probability_score(everywhere, laws(*[law] * 5), thresholds=DAYS)
        return float(true @ scores)

    best = expected(np.cumsum(true)[:4])
    rng = np.random.default_rng(0)
    assert all(expected(np.sort(rng.random(4))) > best for _ in range(50))


def test_wide_classes_weigh_as_many_days_as_they_hold():
    coarse = laws([0.2, 0.6], days=(1, 4))
    assert ranked_probability_score(outcomes([2, 1]), coarse, thresholds=(1, 4)) == pytest.approx(0.2**2 + 3 * 0.4**2)
    days = tuple(thresholds_of(56))
    day_29 = laws([float(day >= 29) for day in days], days=days)
    for wait, score in ((29, 0), (42, 0), (43, 14), (28, 7)):  # classes end at 21, 28, 42 and 56
        assert ranked_probability_score(outcomes([wait, 1]), day_29, thresholds=days) == score


@pytest.mark.parametrize("seed", range(5))
def test_the_c_index_is_that_of_all_pairs_one_by_one(seed):
    y, p = random_rows(60, seed)
    wait, score = waits(y, 28), p[MEAN].round().to_numpy()  # rounded: some are tied
    pairs = [(i, j) if wait[i] < wait[j] else (j, i) for i, j in combinations(range(60), 2) if wait[i] != wait[j]]
    agreed = [1.0 if score[i] < score[j] else 0.5 if score[i] == score[j] else 0.0 for i, j in pairs]
    assert concordance(wait, score) == pytest.approx(np.mean(agreed), rel=1e-12)
    assert concordance(wait, -score) == pytest.approx(1 - np.mean(agreed), rel=1e-12)
    assert concordance(wait, wait) == 1


@pytest.mark.parametrize("name", METRICS)
def test_a_weight_is_so_many_rows_and_the_order_of_rows_does_not_matter(name):
    y, p = random_rows(80, 1)
    metric = wait_metrics(range(1, 29), (2,), "predicts when")[name]
    w = np.random.default_rng(2).integers(0, 4, (3, 80)).astype(np.uint8)
    found = metric(y, p, weights=w)
    repeated = [metric(y.loc[y.index.repeat(row)], p.loc[p.index.repeat(row)]) for row in w]
    np.testing.assert_allclose(found, repeated, rtol=1e-10)
    order = np.random.default_rng(3).permutation(80)
    assert metric(y.iloc[order], p.iloc[order]) == pytest.approx(metric(y, p), rel=1e-12)


def test_the_bootstrap_resamples_customers_with_all_their_rows():
    y, p = random_rows(90, 4)
    metric = wait_metrics(range(1, 29), (), "predicts when")["ranked_probability_skill"]
    draws = paired_bootstrap(metric, y, {"a": p, "b": p}, np.repeat(np.arange(30), 3), n_resamples=40, seed=0)
    assert draws["a"].estimate == metric(y, p)
    assert np.isfinite(draws["a"].draws).all()
    assert np.ptp(draws["a"].draws) > 0
    assert (draws.gain("a", "b").draws == 0).all()


def test_nobody_or_all_at_once_leave_figures_undefined_and_the_others_defined():
    nobody = outcomes(NONE, NONE)
    p = laws([0, 0, 0.5, 0.5], [0, 0.1, 0.2, 0.9])
    undefined = {name for name, metric in METRICS.items() if np.isnan(metric(nobody, p))}
    assert undefined == {"ranked_probability_skill", "c_index", "mae_of_buyers", "rmse_of_buyers"}
    assert all(METRICS[name].undefined != "there are no rows" for name in undefined)


@pytest.mark.parametrize("wrong", [[0, 1], [5, 1], [3, 0], [2.5, 1], [3, np.nan], [3, 2], [4, 0.5]])
def test_days_outside_of_the_window_or_censored_before_its_end_and_half_days_are_refused(wrong):
    with pytest.raises(InputError, match="not waits"):
        METRICS["rps"](outcomes([1, 1], wrong), laws([0, 0, 0, 1], [0, 0, 0, 1]))


def test_calibration_has_a_row_for_each_tenth_of_the_customers_by_their_median():
    y, p = random_rows(200, 5)
    table = calibration_by_median(y, p, 28)
    assert list(table.index) == list(range(1, 11))
    assert table["customers"].sum() == 200
    assert np.average(table["actual"], weights=table["customers"]) == pytest.approx(y["days"].mean())
    same = calibration_by_median(y, laws(*[np.linspace(0, 0.9, 28)] * 200, days=tuple(range(1, 29))), 28)
    assert same["customers"].tolist() == [200]
    assert same["actual_later"].tolist() == [pytest.approx(1 - y["observed"].mean())]


def test_calibration_sorts_by_the_median_and_then_the_mean_as_in_a_table_made_by_hand():
    p = pd.DataFrame({MEDIAN: [3, 1, 2, 5, 3, 2], MEAN: [2.5, 1.2, 2.0, 3.8, 2.2, 2.6]})
    p[LATER] = [0.1, 0.0, 0.05, 0.6, 0.2, 0.1]
    y = outcomes(NONE, [1, 1], [3, 1], [2, 1], [4, 1], [1, 1])
    # Rows in order: 1, 2 | 5, 4 | 0, 3.
    expected = pd.DataFrame(
        {
            "customers": [2, 2, 2],
            "predicted": [1.6, 2.4, 3.15],
            "actual": [2.0, 2.5, 3.0],
            "predicted_later": [0.025, 0.15, 0.35],
            "actual_later": [0.0, 0.0, 0.5],
        },
        index=pd.Index([1, 2, 3], name="decile"),
    )
    pd.testing.assert_frame_equal(calibration_by_median(y, p, H, bins=3), expected)


def test_skill_needs_weights_of_all_rows():
    y, p = random_rows(10, 6)
    with pytest.raises(InputError, match="one weight per row"):
        ranked_probability_skill(y, p, thresholds=range(1, 29), weights=np.ones(9))
