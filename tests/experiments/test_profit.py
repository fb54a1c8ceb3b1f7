"""Profit curves: by hand, beside a bootstrap, and money of a gain in Gini as the mean distance of two gain curves."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.evaluation.profit import profit_curve, worth_of_gini
from experiments.evaluation.spend_metrics import captured_spend, gini

SOME = (0.1, 0.3, 0.6, 1.0)


def customers(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    value = rng.lognormal(3, 1, n)
    return value * rng.lognormal(0, 0.8, n) * (rng.random(n) < 0.6), value * rng.lognormal(0, 0.3, n)


def test_by_hand() -> None:
    found = profit_curve([50, 0, 20, 10], [9, 8, 1, 1], contact_cost=5, shares=(0.25, 0.5, 0.75, 1.0))
    assert list(found["profit"]) == [45, 40, 50, 60]  # of the two last, who are predicted the same, 15 each
    assert list(found["customers"]) == [1, 2, 3, 4]
    assert np.isnan(profit_curve([5.0], [1.0], contact_cost=1).loc[1.0, "low"])
    assert profit_curve([0.0, 0.0], [1.0, 2.0], contact_cost=1).loc[1.0].to_list() == [2, -2, -2, -2]


def test_the_interval_of_light_tails_is_as_wide_as_that_of_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(10, 100, 1500)
    y = p * rng.uniform(0, 2, 1500)
    found = profit_curve(y, p, contact_cost=4.0, shares=SOME)
    draws = [
        profit_curve(y[drawn], p[drawn], contact_cost=4.0, shares=SOME)["profit"]
        for drawn in rng.integers(0, len(y), (400, len(y)))
    ]
    wide = np.quantile(draws, 0.975, axis=0) - np.quantile(draws, 0.025, axis=0)
    assert (found["high"] - found["low"]).to_numpy() == pytest.approx(wide, rel=0.15)


def test_a_gain_in_gini_is_the_mean_distance_of_gain_curves_in_money() -> None:
    y, p = customers(3, 400)
    worse = p * np.random.default_rng(4).lognormal(0, 0.7, len(p))
    shares = (np.arange(400) + 0.5) / 400
    apart = [captured_spend(y, p, share=s) - captured_spend(y, worse, share=s) for s in shares]
    gain = gini(y, p) - gini(y, worse)
    assert gain * worth_of_gini(y) == pytest.approx(np.mean(apart) * y.sum(), rel=1e-3)
    assert worth_of_gini([3.0, 3.0]) == 0
