"""Expected value, return probability and model results on the page, with customers counted by hand."""

from __future__ import annotations

import dataclasses
import math
import warnings

import pandas as pd
import pytest

from experiments.gate.chance import Knowledge
from experiments.gate.results_section import Answer, result_parts
from experiments.gate.rule import Comparison, Decision, Use
from experiments.reports.material import Evaluated, InUse
from experiments.reports.section import Part, Picture, Table, Text
from experiments.tasks.clv import spent_by_the_first, value_parts
from experiments.tasks.repurchase import return_parts

RULE = InUse("all that was spent so far", "shop-clv, version 2", is_baseline=True, is_judged=True, total_ratio=1.312)
MODEL = InUse("lightgbm", "shop-clv, version 1", is_baseline=False, is_judged=True)
TIERS = ["VIP", "Gold", "Silver"]


def grouped(names: list[str]) -> pd.Series:
    return pd.Series(pd.Categorical(names, TIERS, ordered=True), index=[f"c{i}" for i in range(len(names))])


def texts(parts: list[Part], kind: str) -> list[str]:
    return [part.text for part in parts if isinstance(part, Text) and part.kind == kind]


def table(parts: list[Part]) -> pd.DataFrame:
    (frame,) = (part.frame for part in parts if isinstance(part, Table))
    return frame.set_index("tier")


def valued(clv: list[float], model: InUse = MODEL) -> list[Part]:
    groups = grouped(["VIP"] * 5 + ["Silver"] * 15)
    spend = pd.Series(clv, groups.index)
    return value_parts(spend, groups, horizon_days=90, currency="USD", model=model, about="Tiers are today's.")


def test_expected_value_is_rounded_and_the_top_tenth_is_the_highest():
    parts = valued([100.0, 90.0, 45.0, 10.0, 10.0] + [1.0] * 15)
    (lead,) = texts(parts, "lead")
    assert "predicted to spend about 270 USD" in lead  # exactly 270
    assert "the top tenth 70.4% of it" in lead  # 190 of 270, by two of twenty customers
    assert texts(parts, "plain") == ["The order of the tiers is more reliable than the amounts. Tiers are today's."]
    shown = table(parts)
    assert shown["customers"].to_dict() == {"VIP": 5, "Gold": 0, "Silver": 15}
    assert shown["share of expected spend"].to_dict() == {"VIP": "94.4%", "Gold": "0.0%", "Silver": "5.6%"}
    assert "by lightgbm (shop-clv, version 1)." in next(part.caption for part in parts if isinstance(part, Table))
    assert "spend about 1,300,000 USD" in texts(valued([63_650.9] * 20), "lead")[0]


def test_how_far_amounts_can_be_trusted_stands_beside_them():
    said = "Amounts are rough: the actual spend is expected between 20% below and 35% above what is predicted."
    (text,) = texts(valued([10.0] * 20, dataclasses.replace(MODEL, amounts=said)), "plain")
    assert text == f"{said} Tiers are today's."


def test_unreliable_amounts_are_not_shown_as_sums():
    no_sums = dataclasses.replace(MODEL, is_unreliable=True)
    parts = valued([100.0, 90.0, 45.0, 10.0, 10.0, 30.0] + [1.0] * 14, no_sums)
    (lead,) = texts(parts, "lead")
    assert "USD" not in lead
    assert "%" not in lead  # shares of amounts are amounts
    shown = table(parts)["share of the 20% predicted highest"]
    assert shown.to_dict() == {"VIP": "75.0%", "Gold": "0.0%", "Silver": "25.0%"}  # 100, 90, 45 and 30 of twenty
    assert table(parts).columns.tolist() == ["customers", shown.name]
    curve = pd.DataFrame({"customers_share": [0.0, 0.1, 0.3, 1.0], "spend_share": [0.0, 0.2, 0.3, 1.0]})
    evaluated = Evaluated({"model": {"cumulative_gain": curve}}, "sealed window from 2020-01-01")
    measured = spent_by_the_first(evaluated)
    assert measured == "In the sealed window from 2020-01-01 the 20% predicted highest made 25.0% of the spend."
    assert spent_by_the_first(None) == ""
    buyers = returning([0.2] * 10, [1.0] * 10, model=no_sums)
    assert "is not predicted: amounts are unreliable" in texts(buyers, "lead")[0]
    assert table(buyers).columns.tolist() == ["customers", shown.name]


def test_a_model_that_is_no_better_than_chance_is_not_advised():
    knows = "No better than chance: gini 0.010, 95% interval -0.05 to 0.07, where chance gives 0."
    blind = dataclasses.replace(MODEL, is_blind=True, knows=knows)
    parts = valued([10.0] * 20, blind)
    assert "Address customers in the order" in texts(valued([10.0] * 20), "lead")[0]
    assert "Do not address customers in this order" in texts(parts, "lead")[0]
    assert knows in texts(parts, "plain")[0]
    p, spend = [0.1] * 6 + [0.4, 0.4, 0.01, 0.01], [1.0] * 10
    assert "Look after the least likely quarter" in texts(returning(p, spend), "lead")[0]
    (lead,) = texts(returning(p, spend, model=blind), "lead")
    assert "Do not choose single customers" in lead
    assert "Look after" not in lead


def test_a_figure_is_better_than_chance_where_its_whole_interval_is():
    better = Knowledge("gini", 0.1, (0.01, 0.2), 0.95, 0.0)
    assert str(better) == "Better than chance: gini 0.100, 95% interval 0.010 to 0.200, where chance gives 0."
    for low, chance in ((0.0, 0.0), (-0.1, 0.0), (0.48, 0.5), (math.nan, 0.0)):
        assert Knowledge("gini", 0.3, (low, 0.6), 0.95, chance).is_blind


def test_a_baseline_is_named_with_its_total_ratio_or_as_never_evaluated():
    parts = valued([10.0] * 20, RULE)
    assert "(the baseline all that was spent so far); the top tenth" in texts(parts, "lead")[0]
    said = "This is a baseline. In the sealed window its total was 1.31 times the actual one."
    measured = dataclasses.replace(RULE, total_interval=(1.2, 1.452), tenth_ratios=(1.95, 0.981))
    assert measured.standing == (
        f"{said[:-1]} (95% interval 1.20 to 1.45). Of the tenth predicted lowest it was 1.95 times, of the tenth "
        "predicted highest 0.98 times."
    )
    assert texts(parts, "plain")[0].startswith(said)
    unseen = dataclasses.replace(RULE, is_judged=False)
    assert "never evaluated" in texts(valued([10.0] * 20, unseen), "plain")[0]


def test_no_expected_spend_gives_no_share_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "about 0 USD" in texts(valued([0.0] * 20), "lead")[0]


def returning(
    p: list[float], spend: list[float], names: list[str] | None = None, days: int = 100, model: InUse = RULE
) -> list[Part]:
    groups = grouped(names or ["VIP"] * 4 + ["Gold"] * 4 + ["Silver"] * (len(p) - 8))
    history = pd.DataFrame({"total_spend": spend, "T": days, "days_since_last_purchase": days}, groups.index)
    history.iloc[:3, 2] = 27, 28, 0
    return return_parts(
        pd.Series(p, groups.index), groups, history, horizon_days=28, model=model, about="Tiers are today's."
    )


def test_the_quarter_at_stake_holds_among_equals_those_who_spent_most():
    p = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4, 0.4, 0.01, 0.01]  # of the eight best six are alike
    spend = [5.0, 10.0, 5.0, 5.0, 30.0, 5.0, 100.0, 100.0, 0.0, 140.0]
    (lead,) = texts(returning(p, spend), "lead")
    assert "About 1 of 10 customers (14.2%) are predicted to buy within 28 days (the baseline " in lead
    assert (
        "Look after the least likely quarter of VIP and Gold first (2 customers with a mean probability of 10.0%;"
        in lead
    )
    assert "brought 10.0% of past revenue." in lead  # 40 of 400
    shown = table(returning(p, spend))
    assert shown["mean probability"].to_dict() == {"VIP": "10.0%", "Gold": "25.0%", "Silver": "1.0%"}


def test_nobody_is_at_stake_where_all_are_equal_or_even_the_least_likely_return():
    assert "quarter" not in texts(returning([0.2] * 10, [1.0] * 10), "lead")[0]
    assert "quarter" not in texts(returning([0.1, 0.2] * 5, [1.0] * 10, ["Silver"] * 10), "lead")[0]
    (lead,) = texts(returning([0.9, 0.92] + [0.99] * 8, [1.0] * 10), "lead")
    assert "Even the least likely quarter of VIP and Gold (2 customers)" in lead
    assert "a mean probability of 91.0%" in lead
    assert "Look after" not in lead


def test_no_past_spend_gives_no_share_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "brought - of past revenue" in texts(returning([0.1] * 4 + [0.3] * 6, [0.0] * 10), "lead")[0]


def test_the_buyers_of_the_window_before_stand_beside_the_prediction():
    said = texts(returning([0.2] * 10, [1.0] * 10), "plain")[0]
    assert said.startswith("In the 28 days before, 2 of the 10 customers known at their start bought (20.0%).")
    assert said.endswith("Tiers are today's.")
    too_new = texts(returning([0.2] * 10, [1.0] * 10, days=27), "plain")[0]
    assert "In the 28 days" not in too_new


# Verdicts


def decided(gain: float) -> Decision:
    nearest = Comparison(
        "naive_last_91_days_rate", 0.40, (0.38, 0.42), gain, 0.0, 0.1, (gain - 0.01, gain + 0.01), 0.95, 0.01, {}
    )
    return Decision(
        True, "strong", (), (nearest,), "gini", 0.005, 0.05, 0.45, (0.43, 0.47), nearest.rival, {}, 1, {}
    )  # fmt: skip


@pytest.fixture
def answers() -> list[Answer]:
    won = Answer(
        "clv",
        {"verdict": "strong", "model": "lightgbm"},
        "strong: it ranks",
        Use("candidate", "x", 0.45, (0.43, 0.47), ("2017-10-03",), "naive_past_total", "total spend so far", 0.4, "r"),
        "LightGBM",
        decided(0.05),
    )
    lost = Answer(
        "repurchase",
        {"verdict": "undecided", "model": "naive_frequency", "kind": "naive"},
        "undecided: cannot be told",
        None,
        "purchase days so far",
        decided(0.001),
    )
    unseen = Answer("segmentation", {"model": "segmentation"}, "not judged", None, "clusters", None)
    return [won, lost, unseen]


def test_results_count_the_tasks_with_a_model_and_name_what_is_in_use(answers):
    parts = result_parts([dataclasses.replace(answers[0], money="0.005 is 1,500 USD"), *answers[1:]])
    assert [" In money: 0.005 is 1,500 USD." in said for said in texts(parts, "plain")] == [True, False, False]
    (lead,) = texts(parts, "lead")
    assert lead.startswith("1 of 3 tasks have a model that beats the best baseline: clv.")
    assert "A baseline is in use for repurchase." in lead
    frame, beside = (part.frame.set_index("task") for part in parts if isinstance(part, Table))
    assert frame["verdict"].to_dict() == {"clv": "strong", "repurchase": "undecided", "segmentation": "not judged"}
    assert frame["in use"].to_dict() == {
        "clv": "LightGBM",
        "repurchase": "purchase days so far",
        "segmentation": "clusters",
    }
    assert frame.loc["clv", ["figure", "interval"]].tolist() == ["gini 0.450", "0.430 to 0.470"]
    assert beside.loc["clv"].tolist() == ["total spend so far", "0.400", "the window from 2017-10-03"]
    assert frame.loc["segmentation", "figure"] == "-"
    (picture,) = (part for part in parts if isinstance(part, Picture))
    axes = picture.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["clv", "repurchase"]
    assert axes.lines[1].get_xdata()[0] == pytest.approx(10)  # .05 in units of .005


def test_results_name_the_tasks_whose_model_in_use_is_no_better_than_chance(answers):
    known = Knowledge("gini", 0.45, (0.43, 0.47), 0.95, 0.0)
    blind = Knowledge("roc_auc", 0.51, (0.46, 0.55), 0.95, 0.5)
    parts = result_parts([dataclasses.replace(a, known=k) for a, k in zip(answers, (known, blind, None), strict=True)])
    (lead,) = texts(parts, "lead")
    assert "Do not choose customers by what is predicted for repurchase: it is not shown to be better" in lead
    assert "No better than chance: roc auc 0.510" in texts(parts, "plain")[1]


def test_no_task_with_a_model_is_counted_as_none(answers):
    (lead,) = texts(result_parts(answers[1:]), "lead")
    assert lead.startswith("0 of 2 tasks have a model that beats the best baseline. A baseline is in use")
