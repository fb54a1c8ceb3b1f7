"""Amounts: calibrated by past windows and the season, with an interval that holds, apart from the ranking."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.evaluation.amounts import (
    PRIOR,
    Amounts,
    Calibration,
    Season,
    Window,
    after_look,
    apart,
    check_bounds,
    forecast,
)
from experiments.evaluation.spend_metrics import gini
from experiments.evaluation.splits import make_splits
from experiments.models import NaiveSpend
from experiments.models.base import dump, load
from experiments.models.calibrated import Calibrated
from experiments.workflow.calibration import MOST_WINDOWS, past_cutoffs
from features.errors import InputError
from features.seasons import same_weeks
from seasonal_amounts import amounts_of
from seasonal_shops import shop

BOUNDS = {"reliable": (0.8, 1.25), "rough": (0.5, 2.0)}
LAST = date(2012, 1, 2)
HORIZON = 90


def windows(n: int, shift: float = 0.0, season: float | None = 0.0, sampling: float = 0.0004) -> tuple[Window, ...]:
    """Past windows without overlap, all alike."""
    days = [LAST - timedelta(days=HORIZON * back) for back in reversed(range(n))]
    return tuple(Window(day, shift, season, sampling) for day in days)


def amounts(known: tuple[Window, ...], season: Season | None = None) -> Amounts:
    return Amounts(Calibration(0.0, 0.0, 0.95, season or Season({})), known, HORIZON, BOUNDS)


def year(shift: float = 0.0) -> Season:
    """A season that is known for the window after `LAST`."""
    first = LAST - timedelta(days=500)
    return Season({first + timedelta(days=30 * step): shift for step in range(15)})


class TestSameWeeks:
    def test_by_hand(self):
        days, values = [0.0, 100.0, 200.0, 500.0], [9.0, 1.0, 3.0, 6.0]
        assert same_weeks(364 + 150, days, values) == 2.0
        assert same_weeks(728 + 110, days, values) == pytest.approx((1.2 + (3 + 3 * 274 / 300)) / 2)  # 110 and 474
        assert same_weeks([364 + 501], days, values) == [pytest.approx(1.74)]  # a year before is not known: two are
        assert np.isnan(same_weeks([364 + 59, 250], days, values)).all()

    def test_a_season_needs_a_year(self):
        assert Season({}).at(LAST) is None
        assert Season({LAST - timedelta(days=200): 0.3}).at(LAST) is None
        assert year(0.3).at(LAST + timedelta(days=HORIZON)) == pytest.approx(0.3)


@example(horizon_days=60, step_days=28, training_step_days=28, spare_days=125)  # Complete Journey
@example(horizon_days=100, step_days=30, training_step_days=30, spare_days=5)
@example(horizon_days=90, step_days=30, training_step_days=7, spare_days=400)
@given(
    horizon_days=st.integers(1, 200),
    step_days=st.integers(1, 120),
    training_step_days=st.integers(1, 120),
    spare_days=st.integers(0, 900),
)
def test_every_past_cutoff_has_a_training_cutoff_and_they_stand_half_a_horizon_apart(
    horizon_days, step_days, training_step_days, spare_days
):
    start, half = date(2017, 1, 1), timedelta(days=horizon_days) / 2
    splits = make_splits(
        start,
        start + timedelta(days=60 + 3 * horizon_days + spare_days),
        horizon_days=horizon_days,
        step_days=step_days,
        training_step_days=training_step_days,
        min_history_days=60,
        n_validation=3,
    )
    found, refit = past_cutoffs(splits), splits.refit()
    assert len(found) <= MOST_WINDOWS
    assert set(found) <= set(refit)
    for cutoff in found:
        assert any(day + 2 * half <= cutoff for day in refit)
    assert all(later - earlier >= half for earlier, later in pairwise(found))
    if refit[-1] - refit[0] >= 2 * half:
        assert found[-1] == refit[-1]


class TestForecast:
    @pytest.mark.parametrize("season_sd", [None, 0.3])
    def test_nine_of_ten_intervals_hold_where_shops_are_as_the_prior_says(self, season_sd):
        """Shifts are drawn from the Gaussian model itself, windows without overlap."""
        rng, held, repeats, n = np.random.default_rng(0), 0, 1500, 4
        for _ in range(repeats):
            scale = math.sqrt(PRIOR.degrees / rng.chisquare(PRIOR.degrees))
            seasons = [None] * (n + 1) if season_sd is None else list(rng.normal(0, season_sd, n + 1))
            weight = PRIOR.weight + scale * PRIOR.weight_sd * rng.standard_normal()
            error = PRIOR.error * (PRIOR.unknown_season if season_sd is None else 1)
            spread = scale * math.sqrt(error**2 + PRIOR.sampling * 0.002)
            drift = scale * PRIOR.drift * rng.standard_normal()
            shifts = [drift + weight * (season or 0.0) + spread * rng.standard_normal() for season in seasons]
            known = [
                Window(LAST + timedelta(days=HORIZON * step), shift, season, 0.002)
                for step, (shift, season) in enumerate(zip(shifts, seasons, strict=True))
            ]
            low, high = forecast(known[:-1], known[-1].cutoff, known[-1].season, HORIZON).interval()
            held += low <= shifts[-1] <= high
        assert held / repeats == pytest.approx(0.9, abs=0.025)

    def test_more_windows_and_a_known_season_narrow_the_interval(self):
        def width(n, season):
            low, high = forecast(windows(n, season=season), LAST + timedelta(days=HORIZON), season, HORIZON).interval()
            return high - low

        assert width(6, 0.0) < width(1, 0.0) < width(6, None) < width(1, None)

    def test_a_season_counts_as_past_windows_found(self):
        """Where seasons did not come back, their weight shrinks; where they did, it stays."""
        back = [
            Window(w.cutoff, s, s, 1e-4) for w, s in zip(windows(6), [0.6, -0.4, 0.5, -0.5, 0.4, -0.6], strict=True)
        ]
        gone = [Window(w.cutoff, 0.0, w.season, w.sampling) for w in back]
        after = LAST + timedelta(days=HORIZON)
        assert forecast(back, after, 0.5, HORIZON).weight == pytest.approx(1.0, abs=0.05)
        assert forecast(gone, after, 0.5, HORIZON).weight < 0.2
        assert forecast(gone, after, 0.5, HORIZON).scale > forecast(back, after, 0.5, HORIZON).scale


class TestStatus:
    def test_thresholds(self):
        large, small = windows(6, sampling=1e-4), windows(6, sampling=0.02)
        assert amounts(large, year()).status == "reliable"
        rough = amounts(small, year())
        low, high = rough.interval()
        assert rough.status == f"rough ({apart(low)} to {apart(high)})"
        assert rough.status.startswith("rough (2")
        assert amounts(windows(2, season=None, sampling=0.05)).status == "unreliable"
        far = amounts(windows(6, shift=1.5), year())  # as after a look at a model that predicted far too little
        assert far.status == "unreliable"
        assert math.prod(far.interval()) > 1.25

    def test_one_window_or_none_is_said_and_never_reliable(self):
        one = amounts(windows(1, season=None, sampling=0.05))
        assert one.status == "unreliable"
        assert "90% interval from one past window; no year before shows the season" in one.said
        none = amounts(())
        assert (none.status, none.interval()) == ("unreliable", (0.0, math.inf))
        assert "no past window" in none.said

    @pytest.mark.parametrize(
        ("bounds", "said"),
        [
            ({"reliable": [0.8, 1.25]}, "not complete"),
            ({**BOUNDS, "rough": [2.0, 0.5]}, "task.amounts.rough"),
            ({**BOUNDS, "rough": [0.9, 1.1]}, "does not hold that of reliable"),
            ({**BOUNDS, "reliable": [0.8]}, "task.amounts.reliable"),
            ({**BOUNDS, "reliable": "wide"}, "task.amounts.reliable"),
        ],
    )
    def test_bounds_out_of_range_raise(self, bounds, said):
        with pytest.raises(InputError, match=said):
            check_bounds(bounds)

    def test_a_look_is_one_more_window_and_repeats_change_nothing(self):
        before = amounts(windows(3), year())
        y, prediction = pd.Series(np.full(2000, 15.0)), pd.Series(np.full(2000, 10.0))
        tags = after_look(before.tags(), y, prediction, before.following)
        after = Amounts.recorded(tags)
        assert len(after.windows) == 4
        assert after.windows[-1].shift == pytest.approx(math.log(1.5), abs=1e-4)
        assert math.prod(after.interval()) > math.prod(before.interval())  # the actual total may lie above again
        assert after_look({**before.tags(), **tags}, y, prediction, before.following) == tags
        assert after_look({}, y, prediction, LAST) == {}

    def test_tags_tell_all(self):
        given = amounts(windows(3, season=None), year(0.25))
        assert Amounts.recorded(given.tags()) == given
        assert max(map(len, given.tags().values())) < 5000  # what MLflow's databases hold


class TestCalibrated:
    X = pd.DataFrame({"lifetime_spend_rate": [3.0, 1.0, 2.0], "cutoff_day": [15_364.0, 15_364.0, 15_800.0]})

    def test_the_season_of_the_year_before_multiplies_totals_and_is_stored(self):
        y = pd.Series([1.0, 1.0, 1.0])
        plain = NaiveSpend(horizon_days=1).fit(self.X, y)
        model = Calibrated(
            NaiveSpend(horizon_days=1),
            constant=math.log(2),
            weight=0.5,
            days=[14_900.0, 15_000.0],
            shifts=[0.0, math.log(4)],
        ).fit(self.X, y)
        assert model.context == ("cutoff_day",)
        expected = plain.predict(self.X) * np.array([4.0, 4.0, 2.0])  # the day of the last row is not known
        np.testing.assert_allclose(model.predict(self.X), expected)
        assert np.array_equal(load(dump(model)).predict(self.X), model.predict(self.X))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["clv", "repurchase"])
def test_recovery_on_seasonal_shops(task):
    """Two years of simulated shops with a strong autumn, the last window within it or after it."""
    models = {"clv": ["naive_last_91_days_rate", "mbg_nbd"], "repurchase": ["naive_recency", "purchase_probability"]}[
        task
    ]
    ends = [date(2012, 12, 24), date(2012, 4, 10)] if task == "clv" else [date(2012, 12, 10), date(2012, 1, 20)]
    found = pd.concat(
        amounts_of(shop(seed, years=2, end=end, customers=1500, peak=2.3), task, models)
        for seed, end in enumerate(ends, start=70)
    )
    error = {when: np.log(found[when].astype(float)).abs().mean() for when in ("before", "after")}
    assert error["after"] < 0.6 * error["before"]
    assert found["season"].all()
    assert found["same_order"].all()
    assert ((found["low"] <= found["after"]) & (found["after"] <= found["high"])).all()


def test_one_year_knows_no_season_and_says_so():
    found = amounts_of(shop(5, years=1, customers=1500), "clv", ["mbg_nbd"])
    assert not found["season"].any()
    assert set(found["status"]) <= {"rough", "unreliable"}


def test_a_factor_moves_no_ranking():
    rng = np.random.default_rng(0)
    y, p = rng.gamma(1, 20, 500), rng.gamma(1, 20, 500)
    assert gini(y, p) == gini(y, p * 1.37)
