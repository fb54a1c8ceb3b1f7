"""Stages follow their rules, transitions are shares, and the forecast of a steady shop is right."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from experiments.description.lifecycle.forecast import average, backtest, forecast, period
from experiments.description.lifecycle.lifecycle import lifecycle
from experiments.description.lifecycle.options import ARRIVALS, LifecycleOptions
from experiments.description.lifecycle.section import lifecycle_parts
from experiments.description.lifecycle.stages import stage_of
from experiments.reports.section import Picture, Table, Text
from features.errors import InputError, InsufficientDataError
from features.shop import Shop
from merchandise_store import sales_of_a_year, shop_that_sold

STAGES = {
    "new": {"frequency": [0, 0], "T": [None, 59], "left_truncated": [0, 0]},
    "repeat": {"days_since_last_purchase": [None, 59]},
    "at_risk": {"days_since_last_purchase": [60, 119]},
    "dormant": {},
}
DAYS = 28


def options(stages=STAGES, period_days=DAYS, n_periods=3) -> LifecycleOptions:
    return LifecycleOptions(stages, period_days, n_periods)


def customer(frequency=0, T=10, left_truncated=0, days_since_last_purchase=10) -> dict[str, float]:
    return {
        "frequency": frequency,
        "T": T,
        "left_truncated": left_truncated,
        "days_since_last_purchase": days_since_last_purchase,
    }


def test_the_first_rule_that_fits_counts_and_left_truncated_customers_are_not_new():
    X = pd.DataFrame(
        [
            customer(),
            customer(left_truncated=1),
            customer(frequency=1),
            customer(T=59, days_since_last_purchase=59),
            customer(T=60, days_since_last_purchase=60),
            customer(frequency=4, T=300, days_since_last_purchase=119),
            customer(frequency=4, T=300, days_since_last_purchase=120),
        ]
    )
    stage = stage_of(X, options())
    assert stage.tolist() == ["new", "repeat", "repeat", "new", "at_risk", "at_risk", "dormant"]
    assert stage.cat.categories.tolist() == list(STAGES)


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        (STAGES | {"repeat": {"days_since": [0, 59]}}, "there is no feature 'days_since'"),
        (STAGES | {"at_risk": {"days_since_last_purchase": [70, 119]}}, "between 59 and 70 have no stage"),
        (
            STAGES | {"at_risk": {"days_since_last_purchase": [119, 60]}},
            "range of days_since_last_purchase is not valid",
        ),
        (STAGES | {"at_risk": {"days_since_last_purchase": 60}}, "range of days_since_last_purchase is not valid"),
        (
            STAGES | {"at_risk": {"days_since_last_purchase": ["60", 119]}},
            "range of days_since_last_purchase is not valid",
        ),
        (STAGES | {"at_risk": {}}, "takes every customer"),
        (STAGES | {"dormant": {"days_since_last_purchase": [120, None]}}, "takes the remaining customers"),
        ({"all": {}}, "at least two stages"),
        ({ARRIVALS: {"T": [0, 9]}, "rest": {}}, "is taken"),
    ],
)
def test_bad_rules_are_refused(stages, problem):
    with pytest.raises(InputError, match=problem):
        options(stages).check()


def panel(stages: dict[str, str], spend: dict[str, float], last: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "stage": pd.Series(stages).astype(pd.CategoricalDtype(list(STAGES), ordered=True)),
            "total_spend": pd.Series(spend, dtype=float),
            "days_since_last_purchase": pd.Series(last),
        }
    )


def test_a_period_by_hand():
    start = date(2019, 3, 1)
    before = panel({"a": "new", "b": "repeat"}, {"a": 10, "b": 50}, {"a": 5, "b": 40})
    after = panel({"a": "repeat", "b": "at_risk", "c": "new"}, {"a": 35, "b": 50, "c": 8}, {"a": 27, "b": 68, "c": 2})
    told = period(before, after, start, start + timedelta(days=DAYS))
    assert told.spend.to_dict() == {"new": 25, "repeat": 0, "at_risk": 0, "dormant": 0, ARRIVALS: 8}
    assert told.buyers.to_dict() == {"new": 1, "repeat": 0, "at_risk": 0, "dormant": 0, ARRIVALS: 1}
    assert told.counts.loc["repeat", "at_risk"] == told.counts.loc[ARRIVALS, "new"] == 1
    averages = average([told])
    np.testing.assert_allclose(averages.shares.sum(axis=1), 1)
    assert averages.unseen == ("at_risk", "dormant")
    expected = forecast(pd.Series({"new": 2, "repeat": 3}), averages)
    assert expected.revenue == 2 * 25 + 8
    assert expected.customers.to_dict() == {"new": 1, "repeat": 2, "at_risk": 3, "dormant": 0}


def steady_shop(n=12_000, weeks=40, seed=0):
    """Periods of customers who arrive, buy and drop out at constant rates, long after the first of them arrived."""
    rng = np.random.default_rng(seed)
    start, day = date(2019, 1, 1), timedelta(days=DAYS)
    purchases = [
        (rng.integers(-800, weeks * 7) + np.append(0, rng.exponential(30, rng.geometric(0.2) - 1).cumsum())).astype(int)
        for _ in range(n)
    ]
    panels = []
    for cutoff in range(0, weeks * 7, DAYS):
        pasts = {i: days[days < cutoff] for i, days in enumerate(purchases) if days[0] < cutoff}
        X = pd.DataFrame(
            {i: customer(len(past) - 1, cutoff - 1 - past[0], 0, cutoff - 1 - past[-1]) for i, past in pasts.items()}
        ).T
        spent = pd.Series({i: 10.0 * len(past) for i, past in pasts.items()})
        panels.append(X.assign(total_spend=spent, stage=stage_of(X, options())))
    return [
        period(before, after, start + step * day, start + (step + 1) * day)
        for step, (before, after) in enumerate(pairwise(panels))
    ]


def test_the_back_test_of_a_steady_shop_is_right():
    periods = steady_shop()
    told = backtest(periods, n_periods=3)
    assert len(told) == len(periods) - 3
    assert told[["revenue_error", "active_error"]].abs().mean().max() < 0.03
    assert told["revenue_error"].mean() == pytest.approx(0, abs=0.02)
    for at in periods:
        np.testing.assert_allclose(average([at]).shares.sum(axis=1), 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    return shop_that_sold(tmp_path_factory.mktemp("lifecycle"), sales_of_a_year())


def test_a_forecast_uses_all_days_until_now_and_its_back_test_ends_by_the_sealed_cutoff(shop):
    sealed, now = date(2019, 10, 3), date(2020, 1, 1)
    found = lifecycle(shop, sealed, options())
    assert found.cutoffs[-1] == found.now == shop.staged.end == now
    assert found.cutoffs[0] >= date(2019, 2, 1)  # after the burn-in of 31 days
    ends = found.backtest.index + pd.Timedelta(days=DAYS)
    assert sealed - timedelta(days=DAYS) < ends.max() <= sealed
    assert found.present.sum() == shop.staged.customers
    spent = shop.features(["total_spend"], [found.cutoffs[0], now])["total_spend"].groupby("cutoff").sum()
    assert sum(at.spend.sum() for at in found.periods) == pytest.approx(spent.iloc[1] - spent.iloc[0])
    np.testing.assert_allclose(found.averages.shares, average(found.periods[-3:]).shares)
    earlier = lifecycle(shop, sealed, options(), found.cutoffs[-2])
    assert earlier.periods[-1].spend.sum() == pytest.approx(found.periods[-2].spend.sum())
    # the same forecast, made as far ahead of its period, is what the back-test judges
    tested = lifecycle(shop, now, options()).backtest
    assert tested["revenue_forecast"].iloc[-1] == pytest.approx(earlier.forecast.revenue)
    assert tested["active_forecast"].iloc[-1] == pytest.approx(earlier.forecast.active)


def test_the_sentences_say_what_was_counted(shop):
    found = lifecycle(shop, date(2019, 10, 3), options())
    errors = {"revenue": (0.1, 0.22), "active": (0.3, -0.04)}
    told = pd.DataFrame({name: [10.0, 10.0] for name in found.backtest}, index=found.backtest.index[:2])
    for what, (own, baseline) in errors.items():
        told[f"{what}_error"], told[f"{what}_baseline_error"] = [own, -own], [baseline, 0.0]
    parts = lifecycle_parts(dataclasses.replace(found, backtest=told), options(), currency="USD")
    lead, coming, off = (part.text for part in parts if isinstance(part, Text) and part.kind != "note")
    new = int(found.present["new"])
    assert lead.startswith(f"On 2020-01-01 the shop's {found.present.sum():,} customers are new {new:,} (")
    last, expected = found.periods[-1], found.forecast
    assert "first: the forecast expects" in lead
    assert coming.startswith(f"The next 28 days are expected to bring {last.buyers.sum():,.0f} buyers, ")
    assert f"{last.buyers[ARRIVALS]:,.0f} of them new, and {expected.revenue:,.0f} USD: revenue if customers" in coming
    assert "buyers as in the last period, because forecasts of buyers by stages were no better" in coming
    assert coming.endswith(f"buyers and {last.spend.sum():,.0f} USD.")
    assert "over 2 periods forecasts by stages were off by 30.0% of buyers and 10.0% of revenue on average" in off
    assert "the period before, was off by 2.0% of buyers and 11.0% of revenue." in off
    # 2.92 is the 95% quantile of Student's t with 2 degrees of freedom
    assert "may be off by 87.6% of buyers and 29.2% of revenue (90% confidence, from 2 periods)" in off
    shown = next(part.frame for part in parts if isinstance(part, Table) and part.name == "next_period")
    assert [*shown] == ["customers now", "customers after", "revenue", "share of revenue"]
    names = ["stages", "transitions", "backtest"]
    assert [part.name for part in parts if isinstance(part, Picture)] == names


def test_no_number_is_given_where_past_ones_were_far_off(shop):
    found = lifecycle(shop, date(2019, 10, 3), options())
    told = pd.DataFrame({name: [0.5, -0.9] for name in found.backtest}, index=found.backtest.index[:2])
    parts = lifecycle_parts(dataclasses.replace(found, backtest=told), options(), currency="USD")
    coming = [part.text for part in parts if isinstance(part, Text)][1]
    assert coming.startswith(
        "No number is given for the next 28 days: in the back-test the better of both ways was off"
    )
    assert "in buyers by 70.0% and revenue by 70.0% on average" in coming


def test_a_history_too_short_for_a_back_test_says_so(shop):
    found = lifecycle(shop, date(2019, 3, 27), options())
    parts = lifecycle_parts(found, options(), currency="USD")
    assert found.backtest.empty
    assert any("before the sealed window, and there are 1." in note for note in found.notes)
    assert any("too short for a back-test" in part.text for part in parts if isinstance(part, Text))
    assert "backtest" not in [part.name for part in parts if isinstance(part, Picture | Table)]
    assert parts[0].text.endswith("of the last period's revenue.")  # advice rests on what stands in for the forecast
    told = f"and {found.periods[-1].spend.sum():,.0f} USD, as in the last period, from {found.periods[-1].start}: "
    assert any(told in part.text for part in parts if isinstance(part, Text))
    with pytest.raises(InsufficientDataError, match="shorter than one period of 28 days"):
        lifecycle(shop, date(2019, 2, 10), options(), date(2019, 2, 10))
