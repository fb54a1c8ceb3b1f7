"""A customer's own history with a category, price bands, and outcomes of one category, against values by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest
from simulated import CUTOFF, END, engine, open_shop

from features.families import resolve
from features.families.own_history import lines_of
from features.families.price_bands import banded, borders, unit_prices
from features.families.registry import feature_ranges
from features.grains import CUSTOMER
from features.propensity import customers_by_value, purchase_outcome, upsell_outcome
from features.snapshot import feature_rows

# Prices: a 1, b 2 and 3 (median 2), c 3, d 3, e 6, f 9; a third of six is b, two thirds d.
CATEGORY = {**dict.fromkeys("abcdefg", "Soft Drinks"), "x": "tea", "y": None}
LINES = [  # customer, day, product, quantity, amount, regular price
    ("ann", "2020-01-10", "a", 2, 2, 4),
    ("ann", "2020-01-10", "b", 1, 2, 2),
    ("ann", "2020-05-29", "b", 1, 2, 2),
    ("ann", "2020-03-10", "x", 1, 100, 100),
    ("bob", "2020-05-12", "f", 1, 9, None),
    ("bob", "2020-05-13", "b", 1, 3, 3),
    ("cyd", "2020-02-01", "x", 1, 50, 50),
    ("dan", "2020-02-01", "c", 3, 9, 9),
    ("dan", "2020-02-01", "d", 2, 6, 6),
    ("eve", "2020-02-01", "e", 1, 6, 6),
    ("eve", "2020-02-02", "y", 1, 6, 6),
    # the window
    ("ann", "2020-06-01", "c", 1, 500, 500),  # of the middle band, whatever it costs by now
    ("bob", "2020-06-02", "f", 1, 9, 9),
    ("cyd", "2020-06-03", "f", 1, 9, 9),
    ("dan", "2020-06-04", "g", 1, 7, 7),  # new, and of the dearest band by its price
    ("eve", "2020-06-05", "a", 1, 1, 1),
    ("zoe", "2020-06-05", "a", 1, 1, 1),
]
OWN = ("days_since", "purchase_days", "purchase_days_last_91_days", "gap_days", "discount_share", "dearer_bands")


@pytest.fixture
def on(tmp_path):
    return engine(tmp_path)


@pytest.fixture
def tables(tmp_path, on):
    frame = pd.DataFrame(LINES, columns=["customer_id", "timestamp", "product_id", "quantity", "amount", "list_amount"])
    frame = frame.assign(
        order_id=[f"o{i}" for i in range(len(frame))], line_number=0, timestamp=pd.to_datetime(frame["timestamp"])
    )
    for column in ("quantity", "amount", "list_amount"):
        frame[column] = [None if pd.isna(value) else Decimal(int(value)) for value in frame[column]]
    products = pd.DataFrame({"product_id": list(CATEGORY), "category": list(CATEGORY.values())})
    return open_shop({"transactions": frame, "products": products}, tmp_path, on)


def test_hand_computed_history_with_a_category_and_with_a_product(tables, on):
    names = [f"category_{name}.SOFT_DRINKS" for name in OWN] + ["product_purchase_days.b", "product_share.b"]
    found = on.frame(feature_rows(tables.as_of(CUTOFF), names)).set_index("customer_id")
    # The last included day is 05-31; ann's two purchase days lie 140 days apart, and a's regular price was 4.
    expected = {
        "ann": [2, 2, 1, 140, 2 / 8, 2, 2, 4 / 106],
        "bob": [18, 2, 2, 1, 0, 0, 1, 3 / 12],
        "cyd": [365, 0, 0, 365, 0, 0, 0, 0],
        "dan": [120, 1, 0, 120, 0, 1, 0, 0],
        "eve": [120, 1, 0, 120, 0, 0, 0, 0],
    }
    expected = pd.DataFrame(expected, index=names).T
    pd.testing.assert_frame_equal(found.sort_index(), expected, check_names=False, rtol=1e-12)


def test_bands_are_thirds_of_the_products_and_equal_prices_share_one(tables, on):
    prices = unit_prices(lines_of(tables.as_of(CUTOFF), "category", "soft_drinks"))
    found = on.frame(banded(prices, borders(prices))).set_index("product_id")["band"]
    assert found.to_dict() == {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3, "f": 3}
    one = on.frame(banded(prices.mutate(price=5.0), borders(prices.mutate(price=5.0))))
    assert set(one["band"]) == {1}  # nothing is dearer where all cost the same


def test_outcomes_of_a_category_by_hand(tables, on):
    def values(outcome):
        window = tables.between(CUTOFF, END)
        past = tables.as_of(CUTOFF)
        table = outcome.rows(window, CUSTOMER.rows(past), past)
        return on.frame(table).set_index("customer_id")["y"].to_dict()

    for category in ("soft_DRINKS", "Soft Drinks"):
        drinks = values(purchase_outcome("p", "category", category))
        assert drinks == {"ann": 1, "bob": 1, "cyd": 1, "dan": 1, "eve": 1}
    assert set(values(purchase_outcome("p", "category", "tea")).values()) == {0}
    assert values(purchase_outcome("p", "product_id", "f")) == {"ann": 0, "bob": 1, "cyd": 1, "dan": 0, "eve": 0}
    # Cyd bought none before, bob has the dearest already, eve buys a cheaper one.
    assert values(upsell_outcome("u", "SOFT DRINKS")) == {"ann": 1, "bob": 0, "cyd": 0, "dan": 1, "eve": 0}


def test_customers_are_counted_by_category(tables, on):
    found = on.frame(customers_by_value(tables.as_of(date(2020, 6, 1)), "category"))
    assert found.to_records(index=False).tolist() == [("Soft_Drinks", 4), ("tea", 2)]


def test_a_share_by_value_lies_between_0_and_1_and_days_do_not():
    assert feature_ranges(["category_share.A", "category_days_since.A"]) == {
        "category_share.A": (0, 1),
        "category_days_since.A": (0, None),
    }
    assert [family.fallbacks for family in resolve(["category_days_since.A"])] == [{"category_days_since.A": 365}]
