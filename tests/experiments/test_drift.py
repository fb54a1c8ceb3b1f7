"""Drift: the distance is Kolmogorov and Smirnov's, and a shop in which nothing changes gives no alarm."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from experiments.evaluation.drift import distances, psi, shifts
from steady_shops import features_of, steady_orders


@pytest.fixture
def populations() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two populations that share half of their customers, and whose second column alone has moved."""
    rng = np.random.default_rng(1)

    def drawn(first: int, more: float) -> pd.DataFrame:
        index = pd.Index([f"c{n}" for n in range(first, first + 600)], name="customer_id")
        columns = {"orders": rng.poisson(3, 600), "items": rng.poisson(3 + more, 600), "day": np.full(600, 7.0 + more)}
        return pd.DataFrame(columns, index=index, dtype=float)

    return drawn(0, 0.0), drawn(300, 1.5)


def test_distances_are_those_of_scipy_and_a_constant_of_the_day_has_none(
    populations: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    found = distances(*populations)
    assert list(found.index) == ["orders", "items"]
    for name, distance in found.items():
        assert distance == pytest.approx(ks_2samp(*(each[name] for each in populations)).statistic, abs=1e-6)


def test_what_moved_is_found_and_what_did_not_is_not(populations: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = shifts(*populations, seed=2)
    assert list(found.index) == ["items", "orders"]
    assert found.loc["items", "p"] == pytest.approx(1 / 1001)
    assert found.loc["orders", "p"] > 0.05
    assert found.loc["items", "distance"] > 3 * found.loc["items", "expected"]
    assert found.loc["orders", "psi"] < 0.1 < found.loc["items", "psi"]
    pd.testing.assert_frame_equal(found, shifts(*populations, seed=2))
    rows = [each.sample(frac=1, random_state=3) for each in populations]
    pd.testing.assert_frame_equal(found, shifts(*rows, seed=2), rtol=1e-5)  # sums of single precision


def test_the_stability_index_is_the_sum_of_differences_times_log_ratios() -> None:
    before, now = np.arange(100.0), np.arange(100.0) + 10  # the lowest decile is gone, the highest has twice as many
    p, q = np.full(10, 10.5) / 105, np.array([0.5, *[10.5] * 8, 20.5]) / 105
    assert psi(before, now) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert psi(before, before) == 0.0


@pytest.mark.slow
def test_a_month_of_days_without_a_change_alarms_in_at_most_one_of_twenty_shops() -> None:
    """Ten looks at 40 shops each, of 14 features; benchmarks/monitoring.md has more of both."""
    alarms = 0
    for seed in range(40):
        orders = steady_orders(seed, customers=600)
        before = features_of(orders, 500, 300)
        looks = (shifts(before, features_of(orders, day, 300), n_resamples=200) for day in range(800, 830, 3))
        alarms += any(((found["p"] < 0.01) & (found["distance"] >= 0.1)).any() for found in looks)
    assert alarms <= 2


def test_customers_who_buy_less_often_are_found_in_a_shop_of_2000() -> None:
    orders = steady_orders(seed=9, customers=2_000)
    fewer = orders[(orders["day"] < 700) | (np.random.default_rng(0).random(len(orders)) < 0.4)]
    found = shifts(features_of(orders, 500, 200), features_of(fewer, 900, 200))
    assert found.loc["orders", "p"] < 0.01
    assert found.loc["orders", "distance"] >= 0.1
