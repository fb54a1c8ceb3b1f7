"""Metrics of spend against their definitions and scikit-learn or scipy, and the bootstrap over customers."""

from __future__ import annotations

from itertools import permutations
from time import process_time

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, spearmanr
from scipy.stats import t as student
from sklearn.metrics import auc, mean_absolute_error, mean_squared_error

from experiments.evaluation.bootstrap import Distribution, paired_bootstrap, resample_weights
from experiments.evaluation.cluster_metrics import explained_deviance
from experiments.evaluation.metrics import Metric, measure
from experiments.evaluation.probability_metrics import probability_metrics
from experiments.evaluation.spend_metrics import (
    SPEND_METRICS,
    calibration_table,
    cumulative_gain,
    gini,
    mae,
    rmse,
    spearman,
    top_decile_lift,
    total_ratio,
)
from features.errors import InputError
from simulated_gains import coverage

METRICS = pytest.mark.parametrize("name", SPEND_METRICS)


def some_customers(n: int = 300, seed: int = 0):
    """Draw spend with many zeros and predictions with ties."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.4, 0.0, rng.lognormal(3, 1, n).round(2))
    p = np.round(0.5 * y + rng.lognormal(3, 1, n), -1)
    return y, p, rng.permutation(n)


def test_gini_by_hand():
    # gain curve 0, 3/4, 1, 1 over thirds for y = 3, 1, 0: area (3/8 + 7/8 + 1) / 3 = 3/4
    assert gini([3, 1, 0], [30, 20, 10]) == 1
    assert gini([3, 1, 0], [10, 20, 30]) == -1
    # order 1, 3, 0: curve 0, 1/4, 1, 1: area (1/8 + 5/8 + 1) / 3 = 7/12; (7/6 - 1) / (3/2 - 1) = 1/3
    assert gini([3, 1, 0], [20, 30, 10]) == pytest.approx(1 / 3)
    assert gini([3, 1, 0], [5, 5, 5]) == 0


def test_gini_equals_the_area_under_scikit_learns_trapezoids():
    y, p, order = some_customers()
    p = p + order * 1e-6  # no ties
    ranked = y[np.argsort(-p)]
    perfect = np.sort(y)[::-1]
    share = np.linspace(0, 1, len(y) + 1)
    areas = [auc(share, np.append(0, np.cumsum(values)) / y.sum()) for values in (ranked, perfect)]
    assert gini(y, p) == pytest.approx((2 * areas[0] - 1) / (2 * areas[1] - 1), rel=1e-12)


@pytest.mark.parametrize("metric", [gini, top_decile_lift])
def test_ties_are_averaged_over_all_orders(metric):
    y = np.array([4.0, 0.0, 9.0, 1.0, 2.0])
    p = np.array([1.0, 2.0, 1.0, 1.0, 0.0])
    tied = np.flatnonzero(p == 1)
    ordered = [metric(y, _broken(p, tied, order)) for order in permutations(range(len(tied)))]
    assert metric(y, p) == pytest.approx(np.mean(ordered), rel=1e-12)


def _broken(p, tied, order):
    broken = p.copy()
    broken[tied] += 1e-3 * np.array(order)
    return broken


def test_rmse_mae_spearman_equal_scikit_learn_and_scipy():
    y, p, _ = some_customers()
    assert rmse(y, p) == pytest.approx(mean_squared_error(y, p) ** 0.5)
    assert mae(y, p) == pytest.approx(mean_absolute_error(y, p))
    assert spearman(y, p) == pytest.approx(spearmanr(y, p).statistic, rel=1e-12)
    assert total_ratio(y, p) == pytest.approx(p.sum() / y.sum())


def test_top_decile_lift_by_hand():
    y = np.array([50.0, *[1.0] * 19])
    assert top_decile_lift(y, y) == pytest.approx((50 + 1) / 69 / 0.1)
    assert top_decile_lift(y, np.ones(20)) == pytest.approx(1)
    assert SPEND_METRICS["captured_spend_30"](y, y) == pytest.approx((50 + 5) / 69)
    # 15 customers: the border lies in the middle of the second
    assert top_decile_lift([10, 4, *[0] * 13], range(15, 0, -1)) == pytest.approx(12 / 14 / 0.1)


def test_a_right_total_hides_tenths_that_are_not_right():
    y = np.array([1.0] * 10 + [10.0] * 10)
    p = np.array([3.0] * 10 + [8.0] * 10)
    found = {name: SPEND_METRICS[name](y, p) for name in SPEND_METRICS if name.startswith("total_ratio")}
    assert found == {
        "total_ratio": 1.0,
        "total_ratio_lowest_tenth": pytest.approx(3.0),
        "total_ratio_highest_tenth": pytest.approx(0.8),
    }
    assert np.isnan(SPEND_METRICS["total_ratio_lowest_tenth"]([0.0, *[1.0] * 9], range(10)))


AMOUNTS = st.sampled_from([0.0, 0.0, 1.0, 2.5, 40.0]), st.sampled_from([0.0, 0.001, 3.0, 7.0])
EVENTS = st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.0])
EVERY_METRIC = [
    *(pytest.param(metric, *AMOUNTS, id=name) for name, metric in SPEND_METRICS.items()),
    pytest.param(explained_deviance, *AMOUNTS, id="explained_deviance"),
    *(pytest.param(metric, *EVENTS, id=f"{name}-event") for name, metric in probability_metrics(0.3, "").items()),
]


@pytest.mark.parametrize(("metric", "outcomes", "predictions"), EVERY_METRIC)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_weights_equal_repeated_rows_and_order_does_not_matter(metric, outcomes, predictions, data):
    y, p = (data.draw(arrays(float, 12, elements=elements)) for elements in (outcomes, predictions))
    some = arrays(int, 12, elements=st.integers(0, 3)).filter(lambda drawn: drawn.any())
    counts = data.draw(st.lists(some, min_size=2, max_size=4))
    together = np.atleast_1d(metric(y, p, weights=np.stack(counts)))
    for weights, value in zip(counts, together, strict=True):
        expected = metric(np.repeat(y, weights), np.repeat(p, weights))
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
        backwards = metric(y[::-1], p[::-1], weights=weights[::-1])
        np.testing.assert_allclose(backwards, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


@METRICS
def test_degenerate_data_give_the_documented_value(name):
    metric = SPEND_METRICS[name]
    captured = {"captured_spend_10": 0.1, "captured_spend_20": 0.2, "captured_spend_30": 0.3}
    totals = {"total_ratio", "total_ratio_lowest_tenth", "total_ratio_highest_tenth"}
    undefined = {"gini", "spearman", "top_decile_lift", *totals, *captured}
    assert np.isnan(metric([0, 0, 0], [1, 2, 3])) == (name in undefined)
    single = {"gini": np.nan, "spearman": np.nan, "rmse": 1, "mae": 1, "top_decile_lift": 1}
    single |= captured | dict.fromkeys(totals, 1.25)
    np.testing.assert_allclose(metric([4], [5]), single[name])


@METRICS
def test_malformed_input_raises(name):
    metric = SPEND_METRICS[name]
    with pytest.raises(InputError, match="pair up"):
        metric([1, 2], [1])
    with pytest.raises(InputError, match="pair up"):
        metric([], [])
    with pytest.raises(InputError, match="not finite numbers"):
        metric([1, 2], [1, np.nan])
    with pytest.raises(InputError, match="one weight per row"):
        metric([1, 2], [1, 2], weights=[1])


def test_calibration_table_keeps_customers_and_totals():
    y, p, order = some_customers()
    table = calibration_table(y, p)
    assert table.index.is_monotonic_increasing
    assert table["mean_predicted"].is_monotonic_increasing
    assert table["customers"].sum() == len(y)
    assert (table["customers"] * table["mean_actual"]).sum() == pytest.approx(y.sum())
    np.testing.assert_allclose(table["ratio"], table["mean_predicted"] / table["mean_actual"])
    assert calibration_table(y[order], p[order]).round(9).equals(table.round(9))
    assert calibration_table(y, np.arange(len(y)))["customers"].tolist() == [30] * 10
    assert len(calibration_table(y, np.ones(len(y)))) == 1


def test_cumulative_gain_is_the_curve_of_gini_and_lift():
    y, p, _ = some_customers()
    curve, perfect = cumulative_gain(y, p), cumulative_gain(y, y)
    assert curve.iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    areas = [2 * auc(c["customers_share"], c["spend_share"]) - 1 for c in (curve, perfect)]
    assert areas[0] / areas[1] == pytest.approx(gini(y, p))
    assert np.interp(0.1, curve["customers_share"], curve["spend_share"]) / 0.1 == pytest.approx(top_decile_lift(y, p))


class TestBootstrap:
    def test_all_rows_of_a_customer_are_drawn_together(self):
        customers = np.array(["a", "b", "a", "c", "b", "a"])
        weights = np.vstack(list(resample_weights(customers, 500, seed=1)))
        assert weights.shape == (500, 6)
        assert (weights[:, 0] == weights[:, 2]).all()
        assert (weights[:, 1] == weights[:, 4]).all()
        assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
        assert np.array_equal(weights, np.vstack(list(resample_weights(customers, 500, seed=1))))
        assert not np.array_equal(weights, np.vstack(list(resample_weights(customers, 500, seed=2))))

    def test_chunks_do_not_change_the_draws(self, monkeypatch):
        y, p, customers = some_customers()
        whole = paired_bootstrap(gini, y, {"m": p}, customers, n_resamples=50, seed=4)
        monkeypatch.setattr("experiments.evaluation.bootstrap.CELLS_AT_ONCE", 7 * len(y))
        parts = paired_bootstrap(gini, y, {"m": p}, customers, n_resamples=50, seed=4)
        np.testing.assert_allclose(parts["m"].draws, whole["m"].draws, rtol=1e-12)

    def test_a_chunk_has_at_most_the_cells_that_fit_also_where_few_units_of_many_have_rows(self, monkeypatch):
        monkeypatch.setattr("experiments.evaluation.bootstrap.CELLS_AT_ONCE", 300)
        among, few = np.arange(100), np.array([3, 7])
        chunks = list(resample_weights(few, 10, seed=1, among=among))
        assert [len(chunk) for chunk in chunks] == [3, 3, 3, 1]
        (whole,) = resample_weights(among, 3, seed=1)
        assert np.array_equal(chunks[0], whole[:, few])
        assert [len(chunk) for chunk in resample_weights(np.repeat(few, 75), 4, seed=1)] == [2, 2]

    def test_models_share_resamples_so_a_constant_gain_has_no_variance(self):
        y, p, customers = some_customers()
        draws = paired_bootstrap(total_ratio, y, {"a": p, "b": p * 2}, customers, n_resamples=200, seed=0)
        gain = draws.gain("b", "a")
        np.testing.assert_allclose(gain.draws, draws["a"].draws)
        same = paired_bootstrap(gini, y, {"a": p, "b": p * 2}, customers, n_resamples=200, seed=0).gain("b", "a")
        assert np.abs(same.draws).max() < 1e-12
        with pytest.raises(InputError, match="no draws of 'c'"):
            draws.gain("a", "c")

    def test_standard_error_of_a_mean_equals_theory(self):
        y = np.random.default_rng(0).normal(10, 3, 400)
        draws = paired_bootstrap(mae, y, {"zero": np.zeros(400)}, np.arange(400), n_resamples=4000, seed=0)["zero"]
        assert draws.standard_error == pytest.approx(y.std() / 20, rel=0.05)
        low, high = draws.interval(0.95)
        assert (low, high) == pytest.approx((y.mean() - 1.96 * y.std() / 20, y.mean() + 1.96 * y.std() / 20), rel=0.01)
        assert draws.lower_bound(0.025) == low
        assert draws.upper_bound(0.025) == high

    def test_repeating_the_rows_of_each_customer_leaves_intervals_unchanged(self):
        # Four cutoffs with the same outcome add no information: rows drawn one by one would halve the interval.
        y, p, customers = some_customers()
        once = paired_bootstrap(gini, y, {"m": p}, customers, n_resamples=300, seed=0)["m"]
        often = paired_bootstrap(
            gini, np.tile(y, 4), {"m": np.tile(p, 4)}, np.tile(customers, 4), n_resamples=300, seed=0
        )["m"]
        np.testing.assert_allclose(often.draws, once.draws, rtol=1e-9)

    def test_bounds_equal_scipys_bca(self):
        sample = np.random.default_rng(0).lognormal(0, 1, 60)
        theirs = scipy.stats.bootstrap(
            (sample,), np.mean, n_resamples=3000, confidence_level=0.9, method="BCa", rng=np.random.default_rng(1)
        )
        ours = Distribution(sample.mean(), theirs.bootstrap_distribution, (sample.sum() - sample) / (len(sample) - 1))
        assert ours.acceleration > 0.02
        assert ours.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-12)
        drawn = paired_bootstrap(
            mae, sample, {"zero": np.zeros(60)}, np.arange(60), n_resamples=20_000, seed=0, bca=True
        )["zero"]
        assert drawn.acceleration == pytest.approx(ours.acceleration)
        assert drawn.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval), rel=0.03)

    def test_skewness_of_groups_is_that_of_customers(self):
        sample = np.random.default_rng(0).lognormal(0, 1, 3000)
        grouped = paired_bootstrap(
            mae, sample, {"zero": np.zeros(3000)}, np.arange(3000), n_resamples=10, seed=0, bca=True
        )
        delete_one = Distribution(sample.mean(), np.zeros(1), (sample.sum() - sample) / 2999)
        assert len(grouped["zero"].jackknife) == 200
        assert grouped["zero"].acceleration == pytest.approx(delete_one.acceleration, abs=0.004)

    @pytest.mark.parametrize("skew", ["left", "right", "lumpy", "constant"])
    def test_a_p_value_is_below_alpha_where_the_bound_at_alpha_is_above(self, skew):
        rng = np.random.default_rng(0)
        draws = {
            "left": -rng.lognormal(0, 1, 500),
            "right": rng.lognormal(0, 1, 500),
            "lumpy": rng.integers(0, 4, 500).astype(float),
            "constant": np.ones(500),
        }[skew]
        for distribution in (
            Distribution(draws.mean(), draws, rng.lognormal(0, 1, 50)),
            Distribution(draws.mean(), draws, without=rng.lognormal(0, 1, 50), n_units=50),
        ):
            self.bounds_and_p_values_agree(distribution, draws)

    def bounds_and_p_values_agree(self, distribution, draws):
        for threshold in np.quantile(draws, [0.01, 0.05, 0.3, 0.5, 0.9, 0.99]) + np.array([0, 1e-3, 0, -1e-3, 0, 0]):
            for alpha in (0.005, 0.03, 0.2, 0.6, 0.97):
                assert (distribution.p_at_most(threshold) < alpha) == (distribution.lower_bound(alpha) > threshold)
                assert (distribution.p_at_least(threshold) < alpha) == (distribution.upper_bound(alpha) < threshold)

    def test_upper_bounds_are_wider_by_the_customers_that_a_figure_is_made_of(self):
        sample = np.random.default_rng(0).lognormal(0, 1, 3000)
        pulls = sample - sample.mean()
        behind = np.sum(pulls**2) ** 2 / np.sum(pulls**4)
        drawn = paired_bootstrap(
            mae, sample, {"zero": np.zeros(3000)}, np.arange(3000), n_resamples=400, seed=0, widened=True
        )["zero"]
        assert drawn.degrees == pytest.approx(behind - 1, rel=0.25)  # groups of three customers each
        exact = Distribution(drawn.estimate, drawn.draws, without=(sample.sum() - sample) / 2999, n_units=3000)
        assert exact.degrees == pytest.approx(behind - 1)
        absent = np.append(exact.without, np.full(500, exact.without.mean()))  # groups of customers of other windows
        assert Distribution(0.0, drawn.draws, without=absent, n_units=3000).degrees == pytest.approx(behind - 1)
        plain = Distribution(drawn.estimate, drawn.draws)
        assert drawn.bound(0.025) == plain.bound(0.025)
        assert drawn.bound(0.975) == np.quantile(drawn.draws, norm.cdf(student.ppf(0.975, drawn.degrees)))
        assert drawn.bound(0.975) > plain.bound(0.975)
        assert plain.degrees == np.inf

    @pytest.mark.slow
    @pytest.mark.parametrize("figure", ["gini gain", "total ratio"])
    def test_the_intervals_in_use_hold_the_truth_where_percentiles_miss_it(self, figure):
        held = coverage(figure, customers=200, repeats=300, n_resamples=400, seed=0, tail="heavy")
        assert held["used"] >= 0.92
        assert held["used"] > held["percentile"]

    @pytest.mark.slow
    def test_bca_covers_more_of_heavy_tailed_means_and_percentiles_more_of_gains_in_gini(self):
        mean = coverage("mean", customers=50, repeats=300, n_resamples=500, seed=0)
        gain = coverage("gini gain", customers=100, repeats=300, n_resamples=500, seed=0)
        assert mean["BCa"] > mean["percentile"] + 0.01
        assert gain["percentile"] > gain["BCa"]
        assert gain["percentile"] > 0.9  # so the gate, which decides on gains, uses percentile bounds

    def test_undefined_draws_are_left_out(self):
        assert Distribution(1.0, np.array([np.nan, 1.0, 1.0])).interval(0.95) == (1.0, 1.0)
        assert np.isnan(Distribution(np.nan, np.array([np.nan])).lower_bound(0.05))

    def test_three_models_of_2400_customers_take_seconds_not_minutes(self):
        y, p, customers = some_customers(2400)
        start = process_time()
        paired_bootstrap(gini, y, {"a": p, "b": p + 1, "c": -p}, customers, n_resamples=2000, seed=0)
        assert process_time() - start < 10  # about 0.8 s on an idle core


class TestBlocks:
    def test_weeks_are_drawn_in_blocks_of_consecutive_weeks(self):
        weeks = np.repeat(np.arange(12), 3)
        weights = np.vstack(list(resample_weights(weeks, 400, seed=1, block=4)))
        assert (weights.sum(axis=1) == len(weeks)).all()
        assert (weights[:, ::3] == weights[:, 2::3]).all()  # a week's rows stay together
        alone = np.vstack(list(resample_weights(weeks, 400, seed=1)))
        near = [np.corrcoef(drawn[:, 12], drawn[:, 15])[0, 1] for drawn in (weights, alone)]  # weeks 4 and 5
        assert near[0] > 0.5 > 0.15 > abs(near[1])
        with pytest.raises(InputError, match="1 to 12 units"):
            next(resample_weights(weeks, 1, seed=1, block=13))

    def test_blocks_widen_the_interval_of_an_autocorrelated_series(self):
        rng = np.random.default_rng(2)
        series = np.zeros(400)
        for week in range(1, 400):
            series[week] = 0.8 * series[week - 1] + rng.normal()
        options = {"n_resamples": 500, "seed": 0}
        errors = {
            block: paired_bootstrap(mae, series, {"zero": np.zeros(400)}, np.arange(400), block=block, **options)[
                "zero"
            ].standard_error
            for block in (1, 20)
        }
        assert errors[20] > 1.5 * errors[1]


class TestPerUnitMetrics:
    index = pd.MultiIndex.from_product([list("abc"), list("xy")], names=["customer_id", "product_id"])
    y = pd.Series([1.0, 0.0, 2.0, 2.0, 0.0, 0.0], index=index)

    @staticmethod
    def error(y: pd.Series, prediction: pd.Series) -> pd.Series:
        """Compute the mean absolute error of each customer who bought anything."""
        by_customer = (y - prediction).abs().groupby(level="customer_id").mean()
        return by_customer.where(y.groupby(level="customer_id").sum() > 0)

    def test_each_unit_counts_once_and_units_without_a_value_do_not_count(self):
        metric = Metric("error", "mean error of a buyer", self.error, per_unit=True, undefined="nobody bought")
        zero = self.y * 0
        assert metric(self.y, zero) == (0.5 + 2.0) / 2
        draws = paired_bootstrap(
            metric, self.y, {"zero": zero}, self.y.index.get_level_values("customer_id"), n_resamples=300, seed=0
        )["zero"]
        assert draws.estimate == 1.25
        assert set(np.round(draws.draws[~np.isnan(draws.draws)], 6)) == {0.5, 1.0, 1.25, 1.5, 2.0}
        assert np.isnan(draws.draws).any()  # all three draws may be the customer who bought nothing

    def test_an_undefined_metric_is_reported(self):
        metric = Metric("error", "mean error of a buyer", self.error, per_unit=True, undefined="nobody bought")
        values, undefined = measure([metric], self.y * 0, self.y)
        assert (values, undefined) == ({}, {"error": "nobody bought"})
