"""The task next_purchase: dates of the customer view, and the report section, with customers counted by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from experiments.evaluation.validation import Dataset
from experiments.reports.material import InUse
from experiments.reports.section import Part, Picture, Table, Text
from experiments.reports.wait_charts import recency_figure
from experiments.tasks.next_purchase import NextPurchase, next_purchase_parts
from experiments.workflow.score import CustomerScorer
from features.errors import InputError
from features.outcomes import thresholds_of

DAY = date(2017, 12, 30)
MODEL = InUse("Cox regression", "shop-next_purchase, version 1", is_baseline=False, is_judged=True)
TIERS = ["VIP", "Gold", "Silver"]


def task(horizon_days: int) -> NextPurchase:
    return NextPurchase(
        horizon_days, "ranked_probability_skill", min_effect=0.005, guards={}, minimum={}, after_visit=False
    )


def scores_of(medians: list[float], horizon_days: int = 56) -> pd.DataFrame:
    """Return the outputs of customers whose wait spans a week around the median, or who buy later than the horizon."""
    rows = []
    for median in medians:
        days = {"next_purchase_days": median, "next_purchase_days_low": max(1, median - 3)}
        days |= {"next_purchase_days_high": min(median + 3, horizon_days + 1), "next_purchase_days_mean": median}
        ahead = {f"p_within_{day}": float(median <= day) for day in thresholds_of(horizon_days)}
        rows.append({**days, **ahead, "p_not_within_horizon": float(median > horizon_days)})
    index = pd.Index([f"c{i}" for i in range(len(rows))], name="customer_id")
    return pd.DataFrame(rows, index=index)[list(task(horizon_days).outputs)]


def test_day_1_is_the_day_of_the_scores_and_what_is_later_than_the_horizon_has_no_date() -> None:
    shown = NextPurchase.customer_columns(scores_of([1, 4, 56, 57]), DAY, 56)
    assert shown["next_purchase_date"].tolist()[:3] == ["2017-12-30", "2018-01-02", "2018-02-23"]
    assert shown["next_purchase_date_low"].tolist() == ["2017-12-30", "2017-12-30", "2018-02-20", "2018-02-21"]
    assert shown.isna().sum().to_dict() == {
        **dict.fromkeys(shown, 0),
        "next_purchase_date": 1,
        "next_purchase_date_high": 2,
    }
    assert shown["p_within_7"].tolist() == [1, 1, 0, 0]
    assert shown["p_not_within_horizon"].tolist() == [0, 0, 0, 1]
    assert not [name for name in shown if name not in {*scores_of([1]), "next_purchase_date"} and "date" not in name]


def test_batches_have_the_same_types_and_a_horizon_of_a_reported_day_keeps_its_probability() -> None:
    dated, undated = (NextPurchase.customer_columns(scores_of(days), DAY, 56) for days in ([1, 9], [57, 57]))
    assert dated.dtypes.equals(undated.dtypes)
    shown = NextPurchase.customer_columns(scores_of([3, 29], 28), DAY, 28)
    assert shown["p_within_28"].tolist() == [1, 0]


def test_customer_360_has_the_columns_that_the_task_makes_of_its_scores() -> None:
    class Version:
        name, number, suffix = "shop-next_purchase", 1, ""
        tags: ClassVar = {"task": "next_purchase", "horizon_days": "56", "population": "all"}

        def scores(self, X: pd.DataFrame) -> pd.DataFrame:
            return scores_of([1, 57]).set_axis(X.index, axis=0)

    scorer = CustomerScorer(("customer_id",), {"next_purchase": Version()}, "USD", str(DAY), [], {}, None, 56)
    rows = pd.DataFrame({"customer_id": ["a", "b"], "frequency": [1.0, 2.0]})
    found = scorer(pa.RecordBatch.from_pandas(rows, preserve_index=False)).to_pandas()
    assert found["next_purchase_date"].fillna("later").tolist() == ["2017-12-30", "later"]
    assert "next_purchase_days" not in found
    assert found["next_purchase_horizon_days"].tolist() == [56, 56]


def written(medians: list[float], names: list[str], model: InUse = MODEL) -> list[Part]:
    scores = NextPurchase.customer_columns(scores_of(medians), DAY, 56)
    scores["days_since_last_purchase"] = np.arange(len(scores), dtype=float)
    groups = pd.Series(pd.Categorical(names, TIERS, ordered=True), scores.index)
    return next_purchase_parts(scores, groups, as_of=DAY, horizon_days=56, model=model, about="Tiers are today's.")


def test_the_section_states_who_is_due_by_when_and_who_has_no_date() -> None:
    parts = written([1, 2, 7, 8, 57, 57], ["VIP"] * 3 + ["Silver"] * 3)
    (lead,) = (part.text for part in parts if isinstance(part, Text) and part.kind == "lead")
    assert lead.startswith("4 of 6 customers have a predicted date (Cox regression). Half of these dates lie on")
    assert "lie on or before 2018-01-02." in lead  # the dates are 12-30, 12-31, 01-05 and 01-06
    assert "2 customers (33.3%) have no date: more likely than not they buy later than 2018-02-23, or never." in lead
    (table,) = (part.frame.set_index("tier") for part in parts if isinstance(part, Table))
    assert table["customers"].to_dict() == {"VIP": 3, "Gold": 0, "Silver": 3}
    assert table["buy within 7 days"].to_dict() == {"VIP": "100.0%", "Gold": "-", "Silver": "0.0%"}
    assert table["half are due by"].to_dict() == {"VIP": "2017-12-31", "Gold": "-", "Silver": "later"}
    assert table["not within 56 days"].to_dict() == {"VIP": "0.0%", "Gold": "-", "Silver": "66.7%"}
    due, by_recency = (part.figure for part in parts if isinstance(part, Picture))
    assert [text.get_text() for text in due.axes[0].texts][:3] == ["3", "0", "0"]
    assert due.axes[0].get_title("left") == "Week from 2017-12-30: most buyers in VIP"
    assert [line.get_label() for line in by_recency.axes[0].lines] == TIERS
    (warned,) = (part.text for part in parts if isinstance(part, Text) and "not calibrated by season" in part.text)
    assert "p_repurchase" in warned


def test_nobody_with_a_date_is_said_and_none_is_invented() -> None:
    parts = written(
        [57] * 4, ["Gold"] * 4, InUse("the same distribution for all customers", "v", is_baseline=True, is_judged=False)
    )
    (lead,) = (part.text for part in parts if isinstance(part, Text) and part.kind == "lead")
    assert lead.startswith(
        "0 of 4 customers have a predicted date (the baseline the same distribution for all customers)."
    )
    assert "4 customers (100.0%) have no date" in lead
    (table,) = (part.frame.set_index("tier") for part in parts if isinstance(part, Table))
    assert table.loc["Gold", "half are due by"] == "later"
    due, _ = (part.figure for part in parts if isinstance(part, Picture))
    title = "Hardly any buyers in the week from 2017-12-30"  # no tier is the best of none
    assert due.axes[0].get_title("left") == title


def test_dates_that_are_no_better_than_one_for_all_time_no_reminders() -> None:
    (seen, blind) = (written([1, 2], ["VIP"] * 2, replace(MODEL, is_blind=each)) for each in (False, True))
    leads = ["".join(part.text for part in parts if isinstance(part, Text)) for parts in (seen, blind)]
    assert ["own date" in lead for lead in leads] == [True, False]
    assert "Do not time reminders by these dates" in leads[1]


def test_after_a_visit_only_those_who_bought_the_day_before_are_judged_under_a_name_of_its_own() -> None:
    own = replace(task(56), after_visit=True)
    index = pd.MultiIndex.from_product([["a", "b", "c"], [pd.Timestamp(DAY)]], names=["customer_id", "cutoff"])
    rows = Dataset(
        pd.DataFrame({"days_since_last_purchase": [0.0, 1.0, 0.0], "frequency": 1.0}, index=index),
        pd.DataFrame({"days": [3.0, 9.0, 56.0], "observed": [1.0, 1.0, 0.0]}, index=index),
    )
    assert own.judged_rows(rows).y["days"].tolist() == [3, 56]
    assert own.counts(rows).iloc[0].to_dict() == {"customers": 2, "repeat_customers": 2, "buyers": 1, "others": 1}
    assert task(56).counts(rows).iloc[0].to_dict() == {"customers": 3, "repeat_customers": 3, "buyers": 2, "others": 1}
    assert own.suffix({"horizon_days": 28}) == "_after_visit_56d"


@pytest.mark.parametrize(
    ("gold_lately", "silver_lately", "finding", "when"),
    [
        (0.6, 0.2, "60% of Gold and 20% of Silver", "0-6"),
        (np.nan, 0.2, "30% of Gold and 4% of Silver", "7-13"),
        (0.6, np.nan, "30% of Gold and 4% of Silver", "7-13"),
    ],
)
def test_tiers_are_compared_at_the_same_recency(
    gold_lately: float, silver_lately: float, finding: str, when: str
) -> None:
    bins = pd.Index(["0-6", "7-13"])
    shares = pd.DataFrame({"VIP": np.nan, "Gold": [gold_lately, 0.3], "Silver": [silver_lately, 0.04]}, index=bins)
    figure = recency_figure(shares, days=7)
    assert _title(figure) == f"Likely to buy within 7 days: {finding}"
    assert figure.axes[0].texts[0].get_text().startswith(f"{when} days after a purchase; ")


def test_without_a_shared_recency_the_best_tier_is_described_alone() -> None:
    shares = pd.DataFrame({"Gold": [0.6, np.nan], "Silver": [np.nan, 0.04]}, index=["0-6", "7-13"])
    assert _title(recency_figure(shares, days=7)).endswith(": 60% of Gold")
    assert _title(recency_figure(shares * np.nan, days=7)).endswith(": too few customers")


def _title(figure: Figure) -> str:
    return figure.axes[0].get_title("left")


@pytest.mark.parametrize("horizon", [1, 5, 27])
def test_a_horizon_without_the_reported_probabilities_is_refused(horizon: int) -> None:
    with pytest.raises(InputError, match="horizon_days is out of range") as refused:
        task(horizon)
    assert "task.horizon_days" in str(refused.value)
    assert ">= 28" in str(refused.value)


@pytest.mark.parametrize("horizon", [28, 56, 90])
def test_any_horizon_has_its_outputs_and_metrics(horizon: int) -> None:
    own = task(horizon)
    assert list(own.outputs)[-1] == "p_not_within_horizon"
    assert len(own.outputs) == len(set(own.outputs))
    assert {name for name in own.metrics() if name.startswith("brier")} == {f"brier_{day}" for day in (7, 14, 28)}
