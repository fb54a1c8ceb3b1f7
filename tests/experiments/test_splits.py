"""Cutoffs of the design, and the rule that windows of different parts do not overlap."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.evaluation.splits import make_splits
from features.errors import InputError

START, END = date(2017, 1, 1), date(2018, 1, 1)  # Complete Journey
CONFIG = yaml.safe_load((Path(__file__).parents[2] / "conf" / "evaluation" / "default.yaml").read_text())
RULE = {key: CONFIG[key] for key in ("step_days", "min_history_days", "n_validation")}


def days(*texts):
    return tuple(date.fromisoformat(text) for text in texts)


def test_complete_journey_at_90_days_has_the_cutoffs_of_the_design():
    splits = make_splits(START, END, horizon_days=90, **RULE)
    assert splits.training == days("2017-03-07", "2017-04-06")
    assert splits.validation == days("2017-07-05")
    assert splits.sealed == date(2017, 10, 3)
    assert splits.folds() == [(splits.training, days("2017-07-05"))]
    assert splits.refit() == (*splits.training, *days("2017-05-06", "2017-06-05", "2017-07-05"))
    assert splits.cutoffs() == splits.refit()


def test_complete_journey_at_28_days_has_several_validation_cutoffs():
    splits = make_splits(START, END, horizon_days=28, **RULE)
    assert splits.sealed == date(2017, 12, 4)
    assert splits.validation == days("2017-09-07", "2017-10-07", "2017-11-06")
    assert [len(training) for training, _ in splits.folds()] == [6, 7, 8]


@settings(max_examples=200, deadline=None)
@given(
    n_days=st.integers(60, 900),
    horizon_days=st.integers(1, 200),
    step_days=st.integers(1, 120),
    min_history_days=st.integers(1, 120),
    n_validation=st.integers(1, 6),
)
def test_windows_never_cross_parts(n_days, horizon_days, step_days, min_history_days, n_validation):
    end, h = START + timedelta(days=n_days), timedelta(days=horizon_days)
    options = {
        "horizon_days": horizon_days,
        "step_days": step_days,
        "min_history_days": min_history_days,
        "n_validation": n_validation,
    }
    needed = min_history_days + 3 * horizon_days
    if n_days < needed:
        with pytest.raises(InputError, match=f"{needed} days"):
            make_splits(START, end, **options)
        return
    splits = make_splits(START, end, **options)
    assert splits.sealed + h == end
    assert splits.validation[-1] + h == splits.sealed
    assert 1 <= len(splits.validation) <= n_validation
    for training, (cutoff,) in splits.folds():
        assert training
        assert all(earlier + h <= cutoff for earlier in training)
    assert splits.folds()[0] == (splits.training, splits.validation[:1])
    assert all(cutoff + h <= splits.sealed for cutoff in splits.refit())
    assert splits.validation[-1] in splits.refit()
    assert min(splits.cutoffs()) >= START + timedelta(days=min_history_days)
    gaps = [b - a for a, b in zip(splits.validation, splits.validation[1:], strict=False)]
    assert all(gap == timedelta(days=max(step_days, horizon_days)) for gap in gaps)


def test_too_little_data_states_the_arithmetic_and_what_fits():
    with pytest.raises(InputError) as error:
        make_splits(START, date(2017, 9, 1), horizon_days=90, **RULE)
    text = str(error.value)
    assert "330 days = min_history_days 60 + training, validation and sealed windows of 90 each" in text
    assert "243 days, 87 too few" in text
    assert "task.horizon_days=61" in text
    make_splits(START, date(2017, 9, 1), horizon_days=61, **RULE)


def test_a_single_day_and_options_out_of_range_raise():
    with pytest.raises(InputError, match="too short"):
        make_splits(START, START + timedelta(days=1), horizon_days=1, **RULE)
    with pytest.raises(InputError, match="step_days"):
        make_splits(START, END, horizon_days=90, **{**RULE, "step_days": 0})


def test_a_series_holds_out_several_cutoffs_together():
    rule = {"step_days": 7, "min_history_days": 28, "n_validation": 2}
    splits = make_splits(START, END, horizon_days=7, part_cutoffs=4, **rule)
    assert splits.sealed_cutoffs == days("2017-12-04", "2017-12-11", "2017-12-18", "2017-12-25")
    assert splits.sealed_end == END
    assert splits.validation == days("2017-10-09", "2017-11-06")
    training, held_out = splits.folds()[-1]
    assert held_out == days("2017-11-06", "2017-11-13", "2017-11-20", "2017-11-27")
    assert training[-1] == date(2017, 10, 30)  # its week ends where the first held-out one begins
    assert training[:2] == days("2017-01-30", "2017-02-06")
    assert splits.refit()[-1] == held_out[-1]
    assert not set(splits.sealed_cutoffs) & set(splits.cutoffs())
    with pytest.raises(InputError, match="training, validation and sealed windows of 7, 28 and 28"):
        make_splits(START, date(2017, 3, 1), horizon_days=7, part_cutoffs=4, **rule)


@given(training_step_days=st.integers(1, 60), horizon_days=st.integers(1, 80))
def test_a_denser_training_grid_moves_no_held_out_cutoff_and_crosses_no_part(training_step_days, horizon_days):
    usual = make_splits(START, END, horizon_days=horizon_days, **RULE)
    dense = make_splits(START, END, horizon_days=horizon_days, training_step_days=training_step_days, **RULE)
    assert (dense.validation, dense.sealed) == (usual.validation, usual.sealed)
    assert [held_out for _, held_out in dense.origins(4)] == [held_out for _, held_out in usual.origins(4)]
    ends = [*dense.validation, dense.sealed]
    for end, training in zip(ends, [*(training for training, _ in dense.folds()), dense.refit()], strict=True):
        assert training[-1] + timedelta(days=horizon_days) == end
        assert training[0] - timedelta(days=training_step_days) < dense.earliest <= training[0]
        assert {b - a for a, b in pairwise(training)} <= {timedelta(days=training_step_days)}


def test_a_year_at_90_days_has_two_training_cutoffs_a_month_apart_and_six_a_week_apart():
    weekly = make_splits(START, END, horizon_days=90, training_step_days=7, **RULE)
    assert weekly.training == days("2017-03-02", "2017-03-09", "2017-03-16", "2017-03-23", "2017-03-30", "2017-04-06")
    assert len(weekly.refit()) == 18
    with pytest.raises(InputError, match="training_step_days"):
        make_splits(START, END, horizon_days=90, training_step_days=0, **RULE)
