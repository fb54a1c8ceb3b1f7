"""A task of a series: weeks are rows, origins roll, and the bootstrap draws weeks in blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from experiments.evaluation.splits import Splits, make_splits
from experiments.evaluation.validation import Dataset, validate
from experiments.gate.sealed import Evidence, resample
from experiments.models import Candidate, Constant
from experiments.models.base import require_columns
from experiments.workflow.session import check_series
from features.errors import InputError
from features.families import FAMILIES, Family
from features.grains import CATEGORY_WEEK, CUSTOMER, Grain
from features.outcomes import Outcome
from features.shop import Shop
from merchandise_store import sales_of_a_year, shop_that_sold
from small_task import SmallTask

WEEK = 7


def amounts(tables, name, since=None):
    """Return the revenue of each category, from a day on."""
    lines = tables.transactions.inner_join(tables.present()["products"], "product_id")
    if since is not None:
        lines = lines.filter(lines.timestamp.date() >= since)
    return lines.group_by("category").agg(**{name: lines.amount.sum().cast("float64")})


def last_week(past):
    return amounts(past, "last_week", past.end - timedelta(days=WEEK))


def next_week(future, rows):
    both = rows.left_join(amounts(future, "y"), "category")
    return both.select("category", y=both.y.fill_null(0.0))


class Persistence(Constant):
    """The week before goes on."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return require_columns(X, ["last_week"])["last_week"].to_numpy()


@dataclass(frozen=True)
class WeeklySpend(SmallTask):
    """Revenue of each category in the week that begins at the cutoff."""

    grain: ClassVar[Grain] = CATEGORY_WEEK

    def outcome(self) -> Outcome:
        return Outcome("week", ("y",), next_week)


TASK = WeeklySpend(
    horizon_days=WEEK,
    models={
        "mean": Candidate(Constant, "the mean week", is_baseline=True),
        "week": Candidate(Persistence, "a week ago"),
    },
)


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Splits, Dataset]:
    """A store of eight months, its rolling origins, and all rows before the sealed part."""
    lines = [
        line.replace("G1,Bottle,Google", f"G{n % 3},x,Kind {n % 3}")
        for n, line in enumerate(sales_of_a_year(60))
        if line.split(",")[2] < "201909"  # 35 weeks: as many as the parts need, and some more
    ]
    shop = shop_that_sold(tmp_path_factory.mktemp("weeks"), lines)
    splits = make_splits(
        shop.tables.start,
        shop.tables.end,
        horizon_days=WEEK,
        step_days=CATEGORY_WEEK.step_days,
        min_history_days=28,
        n_validation=2,
        part_cutoffs=8,
    )
    family = Family("last_week", ("transactions",), {"last_week": "currency"}, last_week, grain=CATEGORY_WEEK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "last_week", family)
        yield shop, splits, TASK.dataset(shop, ["last_week"], splits.cutoffs())


def test_a_row_is_a_category_and_the_week_that_begins_at_its_cutoff(weeks: tuple[Shop, Splits, Dataset]) -> None:
    _, splits, rows = weeks
    assert rows.X.index.names == ["category", "cutoff"]
    assert set(rows.X.index.get_level_values("cutoff").date) == set(splits.cutoffs())
    before, after = (frame.unstack("category") for frame in (rows.X["last_week"], rows.y["y"]))
    np.testing.assert_allclose(before.to_numpy()[1:], after.to_numpy()[:-1])  # a week's outcome is the next one's past
    counts = TASK.counts(rows)
    assert list(counts.columns) == list(TASK.counted)
    assert set(counts["rows"]) == {3}
    assert (counts["positives"] + counts["negatives"] == 3).all()


def test_origins_roll_over_training_validation_and_sealed_parts(weeks: tuple[Shop, Splits, Dataset]) -> None:
    _, splits, rows = weeks
    validation = validate(TASK.evaluate, lambda: TASK.build("week", {}), rows, splits.folds())
    assert [fold.cutoff for fold in validation.folds] == list(splits.validation)
    for (training, held_out), fold in zip(splits.folds(), validation.folds, strict=True):
        assert max(training) + timedelta(days=WEEK) <= min(held_out)
        assert len(fold.evaluation.y) == 3 * len(held_out) == 24
    assert {*splits.sealed_cutoffs}.isdisjoint(splits.cutoffs())
    assert max(splits.cutoffs()) + timedelta(days=WEEK) <= splits.sealed


def test_a_window_is_counted_in_rows(weeks: tuple[Shop, Splits, Dataset]) -> None:
    _, splits, rows = weeks
    counts = TASK.counts(rows.at(splits.sealed - timedelta(days=WEEK)))
    assert counts.to_dict("records") == [
        {
            "rows": 3,
            "positives": (rows.y["y"].unstack("cutoff").iloc[:, -1] > 0).sum(),
            "negatives": (rows.y["y"].unstack("cutoff").iloc[:, -1] == 0).sum(),
        }
    ]
    assert list(TASK.counted) == list(counts.columns)
    assert TASK.history == ()
    with pytest.raises(InputError, match="'customers' is not counted"):
        replace(TASK, minimum={"customers": 1})


@pytest.mark.parametrize(
    ("step_days", "part_cutoffs", "message"),
    [(30, 13, "the cutoffs do not fit rows of category_week"), (7, 4, "too few cutoffs are held out to judge rows of")],
)
def test_cutoffs_that_no_series_has_are_refused(step_days: int, part_cutoffs: int, message: str) -> None:
    options = SimpleNamespace(step_days=step_days, part_cutoffs=part_cutoffs)
    check_series(CUSTOMER, options)
    check_series(CATEGORY_WEEK, SimpleNamespace(step_days=7, part_cutoffs=5))
    with pytest.raises(InputError, match=message):
        check_series(CATEGORY_WEEK, options)


def test_the_gate_resamples_weeks_in_blocks(weeks: tuple[Shop, Splits, Dataset]) -> None:
    shop, splits, rows = weeks
    sealed = TASK.dataset(shop, ["last_week"], splits.sealed_cutoffs)
    train = rows.at(*splits.refit())
    own, mean = (TASK.evaluate(TASK.build(name, {}).fit(train.X, train.target), sealed) for name in ("week", "mean"))
    windows = {str(splits.sealed): {"candidate": own, "mean": mean}}
    drawn = resample(TASK, Evidence(windows, None, {}), n_resamples=300, seed=0)
    assert TASK.grain.block == 4
    assert drawn.figure("candidate").estimate == own.metrics["gini"]
    assert drawn.figure("candidate").standard_error > 0
    by_week = own.prediction.groupby(level="cutoff").size()
    assert (by_week == 3).all()
    assert isinstance(splits.sealed, date)
    assert len(by_week) == len(splits.sealed_cutoffs)
