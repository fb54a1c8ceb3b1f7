"""Intervals of skewed means: Student's t where nothing is skewed, Hall's equation where something is, and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from experiments.evaluation.skewed import skewed_interval
from experiments.evaluation.spend_metrics import total_ratio_interval


def test_rows_that_are_not_skewed_have_students_interval() -> None:
    pulls = np.array([-1.0, 1.0] * 20)
    half = t.ppf(0.975, 39) / np.sqrt(40)  # the standard deviation is 1, and each of the 40 rows brings as much
    assert skewed_interval(5.0, pulls, 0.95) == pytest.approx((5 - half, 5 + half))
    assert skewed_interval(5.0, np.ones(40), 0.95) == (5, 5)
    assert np.isnan(skewed_interval(5.0, [1.0], 0.95)).all()


def test_bounds_solve_halls_equation() -> None:
    pulls = np.random.default_rng(0).lognormal(0, 1, 60)
    pulls -= pulls.mean()
    n, scale = len(pulls), pulls.std()
    skewness = np.mean(pulls**3) / scale**3
    rows_behind = np.sum(pulls**2) ** 2 / np.sum(pulls**4)
    for bound, sign in zip(skewed_interval(2.0, pulls, 0.9), (1, -1), strict=True):
        T = np.sqrt(n) * (2.0 - bound) / scale
        h = T + skewness * T**2 / (3 * n**0.5) + skewness / (6 * n**0.5) + skewness**2 * T**3 / (27 * n)
        assert h == pytest.approx(sign * t.ppf(0.95, rows_behind - 1))


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.5])
def test_means_of_heavy_tails_are_held_where_normal_intervals_miss_them(sigma: float) -> None:
    rng = np.random.default_rng(1)
    truth, held, normal = np.exp(sigma**2 / 2), 0, 0
    for y in rng.lognormal(0, sigma, (600, 80)):
        low, high = skewed_interval(y.mean(), y, 0.95)
        held += low <= truth <= high
        normal += abs(y.mean() - truth) <= 1.96 * y.std() / np.sqrt(80)
    assert held / 600 >= 0.93
    assert normal < held


def test_the_interval_of_a_ratio_of_totals_does_not_depend_on_units() -> None:
    rng = np.random.default_rng(2)
    y, p = rng.lognormal(0, 1, 200), rng.lognormal(0, 1, 200)
    low, high = total_ratio_interval(y, p)
    assert low < p.sum() / y.sum() < high
    assert total_ratio_interval(100 * y, 10 * p) == pytest.approx((low / 10, high / 10))
    assert np.isnan(total_ratio_interval(0 * y, p)).all()
