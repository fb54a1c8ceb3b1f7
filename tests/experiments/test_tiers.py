"""Tiers: scores are ranks, weights recover what drives spend, equal scores share a tier."""

from __future__ import annotations

import dataclasses
import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest

from experiments.description.groups import cut, movements
from experiments.description.tiers import scores
from experiments.description.tiers.assignment import TIES, Tiers, assign, tier_table
from experiments.description.tiers.options import TierOptions
from experiments.description.tiers.scores import equal, levels
from experiments.description.tiers.section import tier_parts
from experiments.description.tiers.weights import (
    Weighing,
    choose,
    compare_weightings,
    fit_weights,
    following_spend,
    weigh,
)
from experiments.description.value.section import value_tier_parts
from experiments.description.value.value_tiers import ValueOptions, pareto, value_table, value_tiers
from experiments.evaluation.shares import row_shares
from experiments.reports.fonts import use_in_pictures
from experiments.reports.section import Part, Picture, Table, Text
from features.errors import InputError
from features.shop import Shop
from merchandise_store import sales_of_a_year, shop_that_sold

NAMES = ["VIP", "Gold", "Silver", "Bronze", "At Risk"]
QUINTILES = [0.2, 0.4, 0.6, 0.8]
VARIABLES = ["days_since_last_purchase", "frequency", "average_order_value", "T", "clv"]
LEARNT_AT, TESTED_AT = date(2019, 4, 6), date(2019, 7, 5)
DRAWS = {"n_resamples": 200, "confidence": 0.95, "seed": 0}


def options(**changes) -> TierOptions:
    values = {
        "variables": VARIABLES,
        "reversed": ["days_since_last_purchase"],
        "rivals": {"circular": {"T": 1, "frequency": 0.5}},
        "n_levels": 4,
        "names": NAMES,
        "cut_points": QUINTILES,
        "by": "quantile",
        "horizon_days": 90,
        "value": ValueOptions(["high", "mid", "low"], [0.2, 0.5], 0.2, 0.8),
    }
    return TierOptions(**(values | changes))


def customers(n=2000, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"days": rng.integers(0, 300, n), "frequency": rng.poisson(1.0, n), "value": rng.lognormal(3, 1, n)},
        index=pd.Index([f"c{i}" for i in range(n)], name="customer_id"),
    ).astype(float)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    return shop_that_sold(tmp_path_factory.mktemp("tiers"), sales_of_a_year(240))


# Scores


def test_quartiles_of_four_customers_are_one_to_four_and_less_is_better_where_reversed():
    values = pd.DataFrame({"days": [5.0, 9.0, 1.0, 7.0], "value": [5.0, 9.0, 1.0, 7.0]})
    scored = levels(values, ["days"], 4)
    assert scored["value"].tolist() == [2, 4, 1, 3]
    assert scored["days"].tolist() == [3, 1, 4, 2]


def test_equal_values_share_a_score_the_largest_has_the_top_one_and_the_smallest_the_lowest():
    values = pd.DataFrame(
        {
            "half at zero": [0.0] * 5 + [1.0, 2.0, 3.0, 4.0, 5.0],
            "most at the top": [0.0] * 2 + [7.0] * 8,
            "most at the bottom": [0.0] * 9 + [7.0],
            "constant": [3.0] * 10,
        }
    )
    scored = levels(values, [], 4)
    assert scored["half at zero"].tolist() == [1] * 5 + [3, 3, 3, 4, 4]
    assert scored["most at the top"].tolist() == [1] * 2 + [4] * 8
    assert scored["most at the bottom"].tolist() == [1] * 9 + [4]
    assert scored["constant"].tolist() == [4] * 10
    assert levels(values, list(values), 4)["constant"].tolist() == [4] * 10


def test_scores_depend_on_the_order_of_values_and_not_of_rows():
    values = customers()
    scored = levels(values, ["days"], 4)
    bent = values.assign(value=np.log(values["value"]), frequency=np.exp(values["frequency"]), days=values["days"] ** 3)
    pd.testing.assert_frame_equal(levels(bent, ["days"], 4), scored)
    shuffled = values.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(levels(shuffled, ["days"], 4).loc[values.index], scored)


# Weights


def test_weights_recover_which_two_variables_drive_spend_however_heavy_its_tail():
    rng = np.random.default_rng(1)
    scored = pd.DataFrame(rng.integers(1, 5, (4000, 4)), columns=["a", "b", "c", "d"])
    spend = np.exp(0.8 * scored["a"] + 0.4 * scored["b"] + rng.standard_normal(4000)) * (rng.random(4000) < 0.9)
    weights = fit_weights(scored, spend)
    assert weights.sum() == pytest.approx(1)
    assert weights["a"] == pytest.approx(2 / 3, abs=0.06)
    assert weights["b"] == pytest.approx(1 / 3, abs=0.06)
    assert weights[["c", "d"]].max() < 0.03


def test_a_score_that_goes_against_spend_has_no_weight_and_none_are_learnt_where_all_do():
    scored = pd.DataFrame({"up": [1, 2, 3, 4] * 25, "down": [4, 3, 2, 1] * 25})
    spend = pd.Series([10.0, 20.0, 30.0, 40.0] * 25)
    assert fit_weights(scored, spend).to_dict() == {"up": 1.0, "down": 0.0}
    assert fit_weights(scored[["down"]], spend) is None
    assert fit_weights(scored, spend * 0) is None


def test_learnt_weights_are_used_only_where_the_lower_bound_of_their_gain_is_above_zero():
    comparison = pd.DataFrame({"gain_low": [np.nan, 0.01]}, index=["learnt", "equal"])
    assert choose(comparison) == "learnt"
    assert choose(comparison.assign(gain_low=[np.nan, 0.0])) == "equal"
    assert choose(comparison.loc[["equal"]] * np.nan) == "equal"


# Cuts


def test_equal_scores_share_a_tier_and_a_tier_without_customers_stays():
    score = pd.Series([4.0] * 2 + [3.0] * 6 + [1.0] * 2)
    tier = cut(score, NAMES, QUINTILES)
    assert tier.groupby(score).nunique().eq(1).all()
    assert tier.value_counts(sort=False).to_dict() == {"VIP": 2, "Gold": 0, "Silver": 6, "Bronze": 0, "At Risk": 2}
    assert tier.cat.categories.tolist() == NAMES


def test_thresholds_of_the_score_rise_while_tiers_are_named_from_the_best():
    tier = cut(pd.Series([4.0, 3.0, 2.9, 1.0]), ["high", "mid", "low"], [2.0, 3.0], by="score")
    assert tier.tolist() == ["high", "high", "mid", "low"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cut_points": [0.2, 0.4, 0.4, 0.8]}, "do not rise"),
        ({"cut_points": [0.2, 0.4, 0.6, 1.0]}, "out of range"),
        ({"cut_points": [0.2, 0.4]}, "5 groups need 4 cut points, not 2"),
        ({"by": "score", "cut_points": [1, 2, 3, 3.5]}, "out of range"),
        ({"by": "share"}, "cannot be cut by 'share'"),
        ({"names": ["A", "A", "B", "C", "D"]}, "different names"),
        ({"variables": ["frequenzy"], "reversed": [], "rivals": {}}, "there is no feature 'frequenzy'"),
        ({"variables": [], "reversed": [], "rivals": {}}, "empty or has duplicates"),
        ({"variables": ["clv", "clv"], "reversed": [], "rivals": {}}, "empty or has duplicates"),
        ({"reversed": ["recency"]}, "'recency' is not one of the variables"),
        ({"rivals": {"mine": {"T": -1}}}, "weights are not valid"),
        ({"rivals": {"mine": {"T": "much"}}}, "wrong type"),
        ({"rivals": {"equal": {"T": 1}}}, "is taken"),
        ({"n_levels": 1}, "n_levels is out of range"),
        ({"horizon_days": 0}, "horizon_days is out of range"),
    ],
)
def test_bad_options_are_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        options(**changes).check()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cut_points": [0.5, 0.2]}, "do not rise"),
        ({"names": ["high", " ", "low"]}, "different names"),
        ({"top_share": 1.0}, "top_share is out of range"),
    ],
)
def test_bad_options_of_value_tiers_cost_no_other_tiers(changes, problem):
    chosen = options(value=dataclasses.replace(options().value, **changes))
    chosen.check()
    with pytest.raises(InputError, match=problem):
        value_tiers(pd.Series([3.0, 2.0, 1.0]), chosen.value)


def test_new_customers_have_their_own_row_and_nobody_vanishes():
    before = cut(pd.Series({"a": 3.0, "b": 1.0}), ["high", "low"], [0.5])
    after = cut(pd.Series({"c": 3.0, "b": 2.0, "a": 1.0, "d": 0.0}), ["high", "low"], [0.5])
    counts = movements(before, after, "new since")
    assert counts.loc["new since"].to_dict() == {"high": 1, "low": 1}
    assert counts.loc["high"].to_dict() == {"high": 0, "low": 1}
    assert counts.to_numpy().sum() == len(after)
    np.testing.assert_allclose(row_shares(counts).sum(axis=1), 1)


# Value


def test_pareto_of_five_customers_by_hand():
    told = pareto(pd.Series([60.0, 20.0, 10.0, 10.0, 0.0]), top_share=0.2, revenue_share=0.8)
    assert (told.revenue_of_top, told.customers_behind) == (pytest.approx(0.6), pytest.approx(0.4))
    # a tenth of five customers is half of the best one; 70% is reached half-way through the second
    told = pareto(pd.Series([60.0, 20.0, 10.0, 10.0, 0.0]), top_share=0.1, revenue_share=0.7)
    assert (told.revenue_of_top, told.customers_behind) == (pytest.approx(0.3), pytest.approx(0.3))
    assert np.isnan(pareto(pd.Series([0.0, 0.0]), 0.2, 0.8).customers_behind)


def test_value_tiers_count_shares_of_customers_from_the_best():
    past = pd.Series(np.arange(10, 0, -1.0))
    table = value_table(value_tiers(past, options().value), past, past * 0)
    assert table["customers"].tolist() == [2, 3, 5]
    np.testing.assert_allclose(table["past_share"], [19 / 55, 21 / 55, 15 / 55])
    assert table["next_share"].isna().all()  # nobody spent anything


# A shop


def test_a_shop_gets_tiers_whose_weights_are_learnt_before_they_are_tested(shop):
    chosen = options()
    weighing = weigh(shop, LEARNT_AT, TESTED_AT, chosen, **DRAWS)
    tiers = assign(shop, TESTED_AT, weighing.weights[weighing.used], chosen)
    following = following_spend(shop, TESTED_AT, 90)
    table = tier_table(tiers, following)
    assert tiers.tier.index.equals(tiers.score.index)
    assert table.index.tolist() == NAMES
    assert table["customers"].sum() == len(tiers.tier)
    np.testing.assert_allclose(table[["customers_share", "past_share", "next_share"]].sum(), 1)
    assert table.loc["VIP", "next_mean_spend"] > table.loc["At Risk", "next_mean_spend"]
    assert weighing.comparison.index.tolist() == ["learnt", "equal", "circular", "expected spend alone"]
    over = weighing.comparison["gini"]
    np.testing.assert_allclose(
        weighing.comparison["clv_gain"].dropna(), over["expected spend alone"] - over.drop("expected spend alone")
    )
    assert (weighing.comparison["clv_gain_low"] <= weighing.comparison["clv_gain_high"]).tolist() == [True] * 3 + [
        False
    ]
    for name, weights in weighing.weights.items():
        assert weights.min() >= 0, name
        assert weights.sum() == pytest.approx(1), name
    with pytest.raises(InputError, match="windows of learning and testing overlap"):
        weigh(shop, LEARNT_AT, date(2019, 7, 4), chosen, **DRAWS)


def test_clv_is_left_out_with_a_line_where_its_fit_is_refused(shop, monkeypatch):
    def refuse(model, X, y=None):
        raise InputError("the fit did not converge")

    monkeypatch.setattr(scores.BGNBD, "fit", refuse)
    tiers = assign(shop, TESTED_AT, equal(options()), options())
    assert tiers.weights.to_dict() == dict.fromkeys(VARIABLES[:-1], 0.25)
    assert "Expected spend is left out of the scores at 2019-07-05: the fit did not converge." in tiers.notes
    comparison = compare_weightings(shop, TESTED_AT, {"equal": tiers.weights}, options(), **DRAWS)
    assert comparison.index.tolist() == ["equal"]


# What the page says, of ten customers counted by hand

SPEND = pd.Series([400.0, 200, 100, 100, 50, 50, 40, 30, 20, 10])  # of 1,000
AFTER = pd.Series([0.0, 100, 0, 0, 60, 0, 20, 10, 5, 5])  # of 200


def in_tiers(names: list[str], cutoff=TESTED_AT, weights=None) -> Tiers:
    tier = pd.Series(pd.Categorical(names, NAMES, ordered=True))
    weights = pd.Series(weights or {"frequency": 0.5, "T": 0.5})
    values = pd.DataFrame({name: np.arange(10.0) for name in weights.index})
    return Tiers(tier, SPEND, cutoff, weights, values, SPEND)


BEFORE = in_tiers(["VIP", "VIP", "Gold", "Silver", *["Bronze"] * 5, "At Risk"], LEARNT_AT)
NOW = in_tiers(["VIP", "Gold", "Gold", "Silver", *["Bronze"] * 2, *["At Risk"] * 4])


def weighed(used="learnt", clv_low=0.02) -> Weighing:
    comparison = pd.DataFrame(
        {
            "gini": [0.5, 0.4, 0.6],
            "low": 0.3,
            "high": 0.7,
            "gain": [np.nan, 0.1, -0.1],
            "gain_low": [np.nan, 0.05, -0.2],
            "gain_high": [np.nan, 0.15, 0.02],
            "clv_gain": [0.1, 0.2, np.nan],
            "clv_gain_low": [clv_low, 0.1, np.nan],
            "clv_gain_high": [0.18, 0.3, np.nan],
        },
        index=["learnt", "equal", "expected spend alone"],
    )
    weights = {
        "learnt": pd.Series({"clv": 0.5, "frequency": 0.4, "T": 0.1}),
        "equal": pd.Series({"frequency": 1 / 3, "T": 1 / 3, "clv": 1 / 3}),
    }
    return Weighing(LEARNT_AT, TESTED_AT, weights, comparison, used)


def section_of(following=AFTER, weighing: Weighing | None = None) -> list[Part]:
    return tier_parts(BEFORE, NOW, following, weighing or weighed(), horizon_days=90, currency="USD")


def said(parts) -> list[str]:
    return [part.text for part in parts if isinstance(part, Text)]


def frame(parts, name: str) -> pd.DataFrame:
    return next(part.frame for part in parts if isinstance(part, Table) and part.name == name)


def test_the_first_lines_count_customers_and_revenue_and_explain_the_day():
    lead, day, moved, *_ = said(section_of())
    assert lead == (
        "VIP and Gold, 30.0% of customers on 2019-07-05, made 70.0% of the revenue before that day and 50.0% in the 90 "
        "days after it. Check Gold before VIP gets the budget: its customers spent most afterwards."
    )
    assert day.startswith("2019-07-05 is the last day whose following 90 days may be shown")
    assert "Purchasing behaviour and hypotheses use tiers with equal weights" in day
    assert "behaviour" not in said(section_of(weighing=weighed("equal")))[1]
    assert moved.startswith(
        "60.0% of the customers of 2019-04-06 are in the same tier on 2019-07-05, and 50.0% of the VIP"
    )
    assert moved.endswith("0 customers are new since.")
    table = frame(section_of(), "tiers")
    assert table["share of customers"].tolist() == ["10.0%", "20.0%", "10.0%", "20.0%", "40.0%"]
    assert table["share of revenue after"].tolist() == ["0.0%", "50.0%", "0.0%", "30.0%", "20.0%"]
    assert table["bought after"].tolist() == ["0.0%", "50.0%", "0.0%", "50.0%", "100.0%"]


def test_weights_are_those_of_the_variables_present_in_their_order():
    weights = frame(section_of(), "weights")  # clv was refused
    assert weights.index.tolist() == ["purchase days after the first", "days since the first purchase"]
    assert weights["learnt *"].tolist() == ["0.800", "0.200"]
    assert weights["equal"].tolist() == ["0.500", "0.500"]


def test_what_clv_alone_gains_over_the_weights_in_use_has_its_interval():
    assert "than the weights in use, by +0.100 (0.020 to 0.180) of the Gini." in " ".join(said(section_of()))
    unsure = said(section_of(weighing=weighed(clv_low=-0.01)))
    assert "by estimate: +0.100 (-0.010 to 0.180) of the Gini, which may be chance." in " ".join(unsure)


def test_the_decision_on_weights_says_which_are_better():
    assert "Learnt weights are used: they rank better than equal weights." in " ".join(said(section_of()))
    kept = weighed("equal")
    assert "because the learnt weights are not shown to rank better" in " ".join(said(section_of(weighing=kept)))
    kept.comparison.loc["equal", ["gain_low", "gain", "gain_high"]] = -0.3, -0.2, -0.1
    assert "the learnt weights rank worse" in " ".join(said(section_of(weighing=kept)))


def test_value_tiers_by_hand():
    parts = value_tier_parts(NOW, AFTER, options().value, horizon_days=90)
    assert said(parts)[0] == (
        "The best 20% of customers made 60.0% of the revenue before 2019-07-05; 40.0% of customers made 80% of it. "
        "Past spend finds most of the next revenue: address the high tier first."
    )
    assert "The high tier then made 50.0% of the revenue in the 90 days that followed." in said(parts)[1]
    assert "The 20% who spent most in those days made 80.0%" in said(parts)[1]
    assert "2019-07-05 is the last day" in said(parts)[1]


def test_tiers_that_may_rank_by_chance_get_no_budget():
    assert "Do not spend by tier" not in said(section_of())[0]
    weighing = weighed("equal")
    weighing.comparison.loc["equal", ["gini", "low", "high"]] = 0.02, -0.03, 0.07
    assert "Do not spend by tier" in said(section_of(weighing=weighing))[0]


def test_where_nobody_buys_afterwards_the_page_says_so_and_shows_no_nan(tmp_path):
    weighing = weighed("equal")
    weighing.comparison.loc[:] = np.nan
    parts = section_of(AFTER * 0, weighing)
    assert said(parts)[0].endswith("These data do not show which tier to spend the budget on.")
    valued = value_tier_parts(NOW, AFTER * 0, options().value, horizon_days=90)
    assert said(valued)[1].endswith("Nobody bought in the 90 days that followed.")
    for part in [*parts, *valued]:
        if isinstance(part, Text):
            assert "nan" not in part.text
        if isinstance(part, Table):
            assert not part.frame.astype(str).isin(["nan", "+nan", "nan to nan"]).any(axis=None)
        if isinstance(part, Picture):
            part.figure.savefig(tmp_path / f"{part.name}.png")


def test_a_tie_that_moves_customers_between_tiers_is_noted(shop):
    tied = assign(shop, TESTED_AT, {"left_truncated": 1}, options(variables=["left_truncated"], reversed=[], rivals={}))
    assert TIES in tied.notes
    even = options(variables=["total_spend"], reversed=[], rivals={}, n_levels=1000, cut_points=[0.5], names=["a", "b"])
    assert TIES not in assign(shop, TESTED_AT, {"total_spend": 1}, even).notes


@pytest.mark.slow
def test_sections_draw_empty_tiers_and_names_in_hangul(shop, tmp_path):
    use_in_pictures()
    names = ["최우수", "우수", "일반", "관심", "이탈 위험"]
    chosen = options(names=names, by="score", cut_points=[1.1, 2.0, 3.0, 3.99])
    weighing = weigh(shop, LEARNT_AT, TESTED_AT, chosen, **DRAWS)
    before, tiers = (assign(shop, day, weighing.weights["equal"], chosen) for day in (LEARNT_AT, TESTED_AT))
    following = following_spend(shop, TESTED_AT, 90)
    empty = dataclasses.replace(tiers, tier=tiers.tier.where(tiers.tier != "우수", "일반"))
    section = tier_parts(before, empty, following, weighing, horizon_days=90, currency="USD")
    valued = value_tier_parts(empty, following, chosen.value, horizon_days=90)
    leads = [part.text for part in (*section, *valued) if isinstance(part, Text) and part.kind == "lead"]
    assert len(leads) == 2
    pictures = [part for part in (*section, *valued) if isinstance(part, Picture)]
    assert [picture.name for picture in pictures] == [
        "sizes", "revenue_share", "migration", "weightings", "value_tiers",
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that no font has is a warning
        for picture in pictures:
            picture.figure.savefig(tmp_path / f"{picture.name}.png")
