"""The simulated seasonal shops have the season, the growth and the customers of their parameters."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.sources import stage
from seasonal_shops import shop

STEADY = {"growth": 1.0, "trend": 1.0, "noise": 0.0, "unlike_years": 0.0}


def orders_a_week(simulated):
    return simulated.orders().set_index("timestamp").resample("7D", origin="end").size()


@pytest.mark.parametrize("seed", range(3))
def test_recovery_of_the_peak(seed):
    """Compare weeks of the peak with weeks outside, in a shop that all customers were in before and stay with."""
    large = shop(seed, **STEADY, years=2, end=date(2012, 12, 31), customers=12_000, first=1.0, lifetime=1e6)
    weeks = orders_a_week(large).iloc[1:]
    day_of_year = weeks.index.dayofyear.to_numpy()
    at_peak = weeks[np.abs(day_of_year - large.peak_day) < large.peak_width / 3]
    outside = weeks[np.abs(day_of_year - 180) < 45]
    assert at_peak.mean() / outside.mean() == pytest.approx(large.peak, rel=0.06)


def test_growing_and_shrinking_shops():
    growing, shrinking = (
        shop(3, **{**STEADY, "growth": growth}, peak=1.0, years=3, customers=3_000).orders() for growth in (2.0, 0.5)
    )

    def arrivals(orders):
        first = orders.groupby("customer_id")["timestamp"].min()
        middle = pd.Series(first.sort_values())
        middle = middle[middle > middle.min() + pd.Timedelta(days=90)]
        span = middle.max() - middle.min()
        early, late = (middle < middle.min() + span / 3).sum(), (middle > middle.max() - span / 3).sum()
        return late / early

    assert arrivals(growing) > 2
    assert arrivals(shrinking) < 0.5


def test_a_seed_is_one_shop_by_file_and_by_overrides(tmp_path):
    from experiments import open_session

    simulated = shop(11, customers=300)
    first = simulated.write(tmp_path).read_bytes()
    assert shop(11, customers=300).write(tmp_path).read_bytes() == first
    staged = stage(simulated.config(tmp_path), tmp_path / "cache")
    session = open_session(task="clv", folder=str(tmp_path), overrides=simulated.overrides(tmp_path))
    assert session.shop.staged.digest == staged.digest
    assert staged.rows["transactions"] == len(simulated.orders())
    assert not any(drop.rows for drop in staged.drops)
