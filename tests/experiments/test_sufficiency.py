"""Windows with too little data: the error names them and the missing amount."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from experiments.evaluation.validation import Dataset
from experiments.gate.sufficiency import check_sufficiency, check_tables
from experiments.tasks.base import check_minimum
from features.candidates import CANDIDATES
from features.errors import InputError, InsufficientDataError
from features.grains import CATEGORY_WEEK, CUSTOMER
from small_task import SmallTask

COUNTED = SmallTask().counted


def task(**minimum: int) -> SimpleNamespace:
    return SimpleNamespace(
        name="clv", minimum=minimum, needs=("transactions", "contacts"), counted=COUNTED, grain=CUSTOMER
    )


def counts(**columns: list[int]) -> pd.DataFrame:
    days = pd.date_range("2017-03-01", periods=len(next(iter(columns.values()))), freq="28D", name="cutoff")
    return pd.DataFrame({**dict.fromkeys(COUNTED, 0), **columns}, index=days)


def test_counts_of_windows_equal_counts_by_hand() -> None:
    days = pd.to_datetime(["2017-03-01", "2017-03-29"])
    index = pd.MultiIndex.from_product([list("abcd"), days], names=["customer_id", "cutoff"])
    X = pd.DataFrame({"frequency": [0, 1, 0, 0, 2, 3, 1, 1]}, index=index)
    y = pd.DataFrame({"y": [0, 5, 1, 0, 0, 0, 2, 2.0]}, index=index)
    assert SmallTask().counts(Dataset(X, y)).to_dict("index") == {
        days[0]: {"customers": 4, "repeat_customers": 2, "positives": 2, "negatives": 2},
        days[1]: {"customers": 4, "repeat_customers": 3, "positives": 2, "negatives": 2},
    }


def test_enough_data_pass() -> None:
    check_sufficiency(task(customers=200, positives=10), counts(customers=[200, 240], positives=[10, 20]))


def test_the_missing_amount_is_computed_from_shares_and_growth() -> None:
    held = counts(customers=[200, 240], positives=[10, 20])  # 10 / 200 of customers; 10 more in 4 weeks
    with pytest.raises(InsufficientDataError, match="positives in the window from 2017-03-01") as raised:
        check_sufficiency(task(customers=200, positives=30), held)
    assert raised.value.found == "10"
    assert "some 400 more customers like these or some 8 more weeks" in raised.value.hint


def test_all_counts_that_are_too_low_are_named_and_the_largest_need_decides() -> None:
    held = counts(customers=[100, 100], repeat_customers=[50, 40], positives=[10, 20])
    with pytest.raises(InsufficientDataError) as raised:
        check_sufficiency(task(customers=150, repeat_customers=50, positives=20), held)
    assert raised.value.found == "100; 40; 10"
    assert "some 100 more customers like these;" in raised.value.hint  # more weeks do not help


def test_no_amount_is_stated_if_the_data_hold_none() -> None:
    with pytest.raises(InsufficientDataError, match="hold none so far"):
        check_sufficiency(task(positives=1), counts(customers=[100], positives=[0]))


def shop(*tables: str, names_products: bool = True) -> SimpleNamespace:
    return SimpleNamespace(tables=SimpleNamespace(present=lambda: tables), names_products=names_products)


def test_missing_tables_raise_and_are_named() -> None:
    with pytest.raises(InsufficientDataError, match="contacts"):
        check_tables(task(), shop("transactions"))


def test_the_tables_of_its_rows_are_needed_too() -> None:
    weekly = SimpleNamespace(name="weekly", needs=("transactions",), grain=CATEGORY_WEEK)
    check_tables(weekly, shop("transactions", "products"))
    with pytest.raises(InsufficientDataError, match="weekly needs tables that this shop does not have: products"):
        check_tables(weekly, shop("transactions"))


def test_rows_of_products_need_lines_that_name_one() -> None:
    lists = SimpleNamespace(name="recommendation", needs=("transactions",), grain=CANDIDATES)
    check_tables(lists, shop("transactions"))
    with pytest.raises(InsufficientDataError, match="no line of an order names its product"):
        check_tables(lists, shop("transactions", names_products=False))


def test_rows_of_another_grain_are_missed_as_rows() -> None:
    weekly = SimpleNamespace(name="weekly", minimum={"rows": 5}, counted={"rows": "rows that are judged"})
    days = pd.date_range("2017-03-01", periods=2, freq="7D", name="cutoff")
    with pytest.raises(InsufficientDataError) as raised:
        check_sufficiency(weekly, pd.DataFrame({"rows": [3, 3]}, index=days))
    assert raised.value.expected == "5 rows that are judged"
    assert "some 2 more rows like these;" in raised.value.hint


@pytest.mark.parametrize("minimum", [{"custmers": 1}, {"customers": -1}, {"customers": 1.5}, {"customers": True}])
def test_a_minimum_must_be_a_known_count(minimum: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"task\.minimum"):
        check_minimum(minimum, COUNTED)


def test_simulated_growth_agrees_with_the_estimate() -> None:
    weekly = 7.0
    held = counts(customers=[int(100 + weekly * 4 * step) for step in range(4)])
    with pytest.raises(InsufficientDataError) as raised:
        check_sufficiency(task(customers=300), held)
    weeks = int(str(raised.value.hint).split("some ")[2].split()[0])
    assert 100 + weekly * weeks >= 300 > 100 + weekly * (weeks - 1)
    assert np.isclose(weeks, 200 / weekly, atol=1)
