"""Attrition beside facts of unknown date: the test by another implementation, and simulated shops."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nchypergeom_fisher

from features.attrition import RATIO, attrition, audit_attrition, contact_attrition, holm, p_value
from features.engines import DuckDB
from undated_facts import LEAKING_LISTS, LEAKS, LISTS, SCENARIOS, compared_in, lists_in, opened


def test_the_p_value_is_that_of_fishers_noncentral_hypergeometric_over_all_strata() -> None:
    have, lack, left_have, left_lack = np.array([[9, 30], [14, 11], [1, 2], [7, 6]])
    gone = left_have + left_lack
    laws = [nchypergeom_fisher(have[n] + lack[n], have[n], gone[n], 1 / RATIO) for n in range(2)]
    chance = sum(laws[0].pmf(x) * laws[1].pmf(y) for x, y in product(range(9), range(9)) if x + y <= left_have.sum())
    assert p_value(have, lack, left_have, left_lack) == pytest.approx(2 * chance, rel=1e-9)
    assert p_value(lack, have, left_lack, left_have) == pytest.approx(2 * chance, rel=1e-9), "both directions are alike"
    alike = np.array([100]), np.array([100]), np.array([30]), np.array([30])
    assert p_value(*alike) == 1.0
    assert p_value(np.array([40_000]), np.array([50_000]), np.array([900]), np.array([9_000])) < 1e-100


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.quick(3)
def test_facts_that_know_who_stayed_are_flagged_and_others_are_not(scenario: str, tmp_path: Path) -> None:
    """`benchmarks/attrition.md` has the shares over 100 shops each."""
    flagged = [any(each.is_flagged for each in compared_in(scenario, seed, tmp_path)) for seed in range(2)]
    assert flagged == [scenario in LEAKS] * 2


@pytest.mark.quick(2)
@pytest.mark.parametrize("scenario", LISTS)
def test_lists_that_were_put_together_later_are_flagged_and_others_are_not(scenario: str, tmp_path: Path) -> None:
    compared = lists_in(scenario, 0, tmp_path)
    assert [each.fact for each in compared] == ["k0", "k1", "k2"]
    assert any(each.is_flagged for each in compared) == (scenario in LEAKING_LISTS)


def test_by_hand_and_what_cannot_be_compared(tmp_path: Path) -> None:
    """Of 60 customers who buy every ten days the odd ones stop halfway; all even ones and no odd one were asked."""
    lines = [(f"c{n}", day) for n in range(60) for day in range(n % 10, 50 if n % 2 else 100, 10)]
    sold = pd.DataFrame(lines, columns=["customer_id", "day"])
    sold["timestamp"] = pd.Timestamp(2020, 1, 1) + pd.to_timedelta(sold.pop("day"), unit="D")
    asked = pd.DataFrame({"customer_id": [f"c{n}" for n in range(0, 60, 2)], "gender": ["F", "M"] * 15})
    on = DuckDB(threads=1, memory_limit="1GiB", temp_directory=str(tmp_path))
    tables = opened({"transactions": sold, "customers": asked}, 100, on)
    early = next(each for each in attrition(tables, on) if (each.fact, each.position) == ("known", "early"))
    assert (early.subjects, early.left, early.expected) == (30, 0, 30)
    assert (early.is_flagged, round(early.gain, 2)) == (True, 0.5)
    facts = {finding.subject: finding for finding in audit_attrition(tables, on, ["total_spend"])}
    assert (facts["customers: known"].finding, facts["customers: known"].fails) == ("leaks", False)
    read = [finding for finding in audit_attrition(tables, on, ["total_spend", "profile_known"]) if finding.fails]
    assert [finding.subject for finding in read] == ["customers: known"]
    assert "profile_known read the table" in read[0].figures
    assert attrition(tables.with_tables(customers=None), on) == []
    addressed = pd.DataFrame({"customer_id": [f"c{n}" for n in range(60) if n % 4 < 2], "campaign_id": "k"})
    listed = addressed.assign(contacted_at=pd.Timestamp(2020, 2, 20))  # all odd ones have left: half of those addressed
    with_list = opened({"transactions": sold, "contacts": listed}, 100, on)
    (of_list,) = contact_attrition(with_list, on)
    assert (of_list.fact, of_list.position, of_list.subjects, of_list.left, of_list.expected) == (
        "k",
        "its day",
        30,
        15,
        15,
    )
    (said,) = audit_attrition(with_list, on, ["total_spend"])
    assert (said.subject, said.finding) == ("contacts: 1 lists", "clean")
    assert holm([]) == []


def test_products_of_a_season_differ_and_days_without_sales_are_passed_over(tmp_path: Path) -> None:
    """Winter goods are sold until day 125; new ids begin after the early cutoff, before which there is nothing."""
    lines = [(f"p{n}", day) for n in range(120) for day in range(n % 5, 125 if n < 40 else 360, 5)]
    sold = pd.DataFrame(lines, columns=["product_id", "day"]).assign(customer_id="c1")
    sold["timestamp"] = pd.Timestamp(2020, 1, 1) + pd.to_timedelta(sold.pop("day"), unit="D")
    kinds = [("WINTER" if n < 40 else "ALL YEAR") for n in range(120)]
    products = pd.DataFrame({"product_id": [f"p{n}" for n in range(120)], "category": kinds})
    on = DuckDB(threads=1, memory_limit="1GiB", temp_directory=str(tmp_path))
    tables = opened({"transactions": sold, "products": products}, 360, on)
    found = {each.subject: each for each in audit_attrition(tables, on, ["category_share.WINTER"])}
    assert (found["products: category = WINTER"].finding, found["products: category = WINTER"].fails) == (
        "differs",
        False,
    )
    assert "category_share.WINTER read the table" in found["products: category = WINTER"].figures
    late = sold[sold["timestamp"] > pd.Timestamp(2020, 6, 1)]
    positions = {each.position for each in attrition(opened({"transactions": late, "products": products}, 360, on), on)}
    assert "early" not in positions
