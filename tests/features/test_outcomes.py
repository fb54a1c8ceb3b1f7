"""Outcomes against values computed by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pandas as pd
import pytest
from simulated import CUTOFF, engine, open_shop

from features import outcomes
from features.errors import InputError
from features.grains import CUSTOMER

HORIZON = timedelta(days=90)


@pytest.fixture
def compute(tmp_path):
    lines = [
        ("ann", "2020-03-01 10:00", 50),  # before the cutoff: makes Ann eligible
        ("ann", "2020-06-01 00:00", 100),  # the window's first moment: day 0
        ("ann", "2020-08-13 09:00", 60),  # day 73, a fifth of a year
        ("ann", "2020-08-13 23:59", 40),
        ("ann", "2020-08-30 00:00", 999),  # day 90: the first moment after the window
        ("bob", "2020-05-31 23:59", 10),  # buys nothing after
        ("zoe", "2020-06-05 12:00", 70),  # first seen in the window
    ]
    frame = pd.DataFrame(lines, columns=["customer_id", "timestamp", "amount"])
    frame = frame.assign(
        order_id=[f"o{i}" for i in range(len(lines))],
        line_number=0,
        timestamp=pd.to_datetime(frame["timestamp"]),
        amount=[Decimal(amount) for amount in frame["amount"]],
    )
    on = engine(tmp_path)
    shop = open_shop({"transactions": frame}, tmp_path, on)

    def values(expression, column="y"):
        table = expression(shop.between(CUTOFF, CUTOFF + HORIZON), CUSTOMER.rows(shop.as_of(CUTOFF)))
        return on.frame(table).set_index("customer_id")[column].to_dict()

    return values


def test_spend_is_the_amount_in_the_window_and_0_for_eligible_customers_who_do_not_buy(compute):
    assert compute(outcomes.spend) == {"ann": 200.0, "bob": 0.0}


def test_spend_discounts_by_day_from_the_cutoff_and_keeps_the_margin(compute):
    found = compute(partial(outcomes.spend, discount_rate=0.1, margin=0.3))
    assert found["ann"] == pytest.approx(0.3 * (100 + 100 / 1.1 ** (73 / 365)), abs=1e-8)
    assert found["bob"] == 0


def test_purchase_days_count_days_not_orders(compute):
    assert compute(outcomes.purchase_days) == {"ann": 2.0, "bob": 0.0}


def test_inactivity_is_the_exact_complement_of_a_purchase(compute):
    assert compute(outcomes.purchased) == {"ann": 1.0, "bob": 0.0}
    assert compute(outcomes.inactive) == {"ann": 0.0, "bob": 1.0}


def test_the_cutoffs_date_is_day_1_of_the_wait_and_who_does_not_buy_is_censored_at_the_windows_end(compute):
    assert compute(outcomes.next_purchase, "days") == {"ann": 1.0, "bob": 90.0}
    assert compute(outcomes.next_purchase, "observed") == {"ann": 1.0, "bob": 0.0}


@pytest.mark.parametrize(("horizon_days", "observed"), [(91, 1.0), (90, 0.0)])
def test_a_purchase_on_the_windows_last_day_is_observed_and_one_a_day_later_is_not(tmp_path, horizon_days, observed):
    frame = pd.DataFrame(
        {
            "customer_id": "ann",
            "timestamp": pd.to_datetime(["2020-03-01 10:00", "2020-08-30 23:59"]),
            "amount": Decimal(1),
            "order_id": ["a", "b"],
            "line_number": 0,
        }
    )
    on = engine(tmp_path)
    shop = open_shop({"transactions": frame}, tmp_path, on)
    window = shop.between(CUTOFF, CUTOFF + timedelta(days=horizon_days))
    found = on.frame(outcomes.next_purchase(window, CUSTOMER.rows(shop.as_of(CUTOFF))))
    assert found[["days", "observed"]].to_numpy().tolist() == [[float(horizon_days), observed]]


@pytest.mark.parametrize(
    "wrong", [{"discount_rate": -0.1}, {"discount_rate": float("nan")}, {"margin": 0}, {"margin": 2}]
)
def test_rates_out_of_range_are_refused(wrong, compute):
    with pytest.raises(InputError, match=next(iter(wrong))):
        compute(partial(outcomes.spend, **wrong))
