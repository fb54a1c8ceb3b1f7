"""Net and gross spend: what came back counts from the day on which it came back, and not a day sooner."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from simulated import END, START, engine, open_shop, simulate

from features import outcomes
from features.families import FAMILIES, Family, purchases
from features.grains import CUSTOMER, CUSTOMER_PRODUCT
from features.leakage import descriptive
from features.snapshot import feature_rows
from features.tables import GROSS, NET

CUTOFFS = [START + timedelta(days=n) for n in (1, 30, 91, 152, 200, (END - START).days)]
HORIZON = timedelta(days=60)


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    return engine(tmp_path_factory.mktemp("spill"))


@pytest.fixture(scope="module", params=range(3))
def frames(request):
    return simulate(request.param)


@pytest.fixture(scope="module")
def shops(frames, on, tmp_path_factory):
    return {spend: open_shop(frames, tmp_path_factory.mktemp("shop"), on, spend) for spend in (NET, GROSS)}


def money(frame, moment, start, end, by=("customer_id",)):
    """Sum the money of rows within [start, end), in plain pandas."""
    inside = frame[(frame[moment] >= pd.Timestamp(start)) & (frame[moment] < pd.Timestamp(end))]
    return inside.groupby(list(by))["amount"].sum().astype(float)


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_net_is_gross_less_returns_of_every_customer_at_every_cutoff(cutoff, shops, frames, on):
    names = ["total_spend", "spend_last_28_days", "frequency", "days_since_last_purchase"]
    net, gross = (
        on.frame(feature_rows(shops[spend].as_of(cutoff), names)).set_index("customer_id").sort_index()
        for spend in (NET, GROSS)
    )
    for name, start in {"total_spend": START, "spend_last_28_days": cutoff - timedelta(days=28)}.items():
        back = money(frames["returns"], "returned_at", start, cutoff).reindex(net.index, fill_value=0.0)
        pd.testing.assert_series_equal(net[name], gross[name] - back, check_names=False, rtol=1e-12)
        sold = money(frames["transactions"], "timestamp", start, cutoff).reindex(net.index, fill_value=0.0)
        pd.testing.assert_series_equal(gross[name], sold, check_names=False, rtol=1e-12)
    pd.testing.assert_frame_equal(net.iloc[:, 2:], gross.iloc[:, 2:])


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_the_value_of_purchases_and_returns_without_a_sale_make_up_the_money(cutoff, shops, frames, on):
    past = shops[NET].as_of(cutoff)
    back = frames["returns"][frames["returns"]["returned_at"] < pd.Timestamp(cutoff)]
    unknown = float(back.loc[back["sold_at"].isna(), "amount"].sum())
    total = float(on.frame(purchases.money_by_day(past))["amount"].sum()) + unknown
    for value in (purchases.by_day(past), purchases.by_order(past)):
        found = on.frame(value)["amount"]
        assert found.min() >= 0
        assert float(found.sum()) == pytest.approx(total)


@pytest.mark.parametrize("grain", [CUSTOMER, CUSTOMER_PRODUCT], ids=lambda grain: grain.name)
@pytest.mark.parametrize("cutoff", [date(2020, 3, 1), date(2020, 5, 15)])
def test_the_outcome_is_what_is_sold_less_what_is_given_back_in_the_window_and_at_least_0(
    cutoff, grain, shops, frames, on
):
    end, key = cutoff + HORIZON, list(grain.key)
    found = {
        spend: on.frame(
            outcomes.spend(shop.between(cutoff, end), grain.rows(shop.as_of(cutoff)), margin=0.5)
        ).set_index(key)["y"]
        for spend, shop in shops.items()
    }
    sold, back = (
        money(frames[name], moment, cutoff, end, key).reindex(found[NET].index, fill_value=0.0)
        for name, moment in (("transactions", "timestamp"), ("returns", "returned_at"))
    )
    assert (sold < back).any()
    pd.testing.assert_series_equal(found[NET], 0.5 * np.maximum(sold - back, 0), check_names=False, atol=1e-9)
    pd.testing.assert_series_equal(found[GROSS].reindex(sold.index), 0.5 * sold, check_names=False, atol=1e-9)


def test_a_discounted_return_counts_by_its_own_day(on, tmp_path):
    frames = {
        "transactions": pd.DataFrame(
            {
                "order_id": ["1", "2"],
                "line_number": [1, 2],
                "customer_id": "ann",
                "timestamp": pd.to_datetime(["2020-01-05", "2020-06-01"]),
                "amount": [Decimal(1), Decimal(100)],
            }
        ),
        "returns": pd.DataFrame(
            {
                "return_number": [1],
                "customer_id": "ann",
                "returned_at": pd.to_datetime(["2020-08-13"]),  # day 73, a fifth of a year
                "amount": [Decimal(40)],
                "kind": "return",
            }
        ),
    }
    shop, cutoff = open_shop(frames, tmp_path, on, NET), date(2020, 6, 1)
    rows = CUSTOMER.rows(shop.as_of(cutoff))
    found = on.frame(outcomes.spend(shop.between(cutoff, cutoff + timedelta(days=90)), rows, discount_rate=0.1))
    assert found["y"].tolist() == pytest.approx([100 - 40 / 1.1 ** (73 / 365)], abs=1e-8)


def test_a_family_that_reads_returns_of_tomorrow_is_found(shops, monkeypatch):
    """Planted: net spend of a past that knows the returns that come after its cutoff."""
    value, whole = FAMILIES["value"], shops[NET]
    assert descriptive(["total_spend"]) == {}

    def build(past):
        net = value.build(past.with_tables(returns=whole["returns"]))
        return net.select("customer_id", planted_spend=net.total_spend)

    planted = Family("planted", value.needs, {"planted_spend": "planted"}, build)
    monkeypatch.setitem(FAMILIES, "planted", planted)
    assert "by another way than as_of" in descriptive(["planted_spend"])["planted_spend"]


def test_a_shop_without_returns_has_gross_spend_whatever_is_asked(shops):
    bare = shops[NET].with_tables(returns=None)
    assert (bare.spend, bare.nets_returns) == (GROSS, False)
    assert shops[NET].as_of(CUTOFFS[2]).between(START, CUTOFFS[1]).nets_returns
