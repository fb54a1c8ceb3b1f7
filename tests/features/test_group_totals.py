"""Totals of groups of customers in a window, against what pandas computes from the same simulated lines."""

from __future__ import annotations

from datetime import date
from functools import partial

import numpy as np
import pandas as pd
import pytest
from simulated import engine, open_shop, simulate

from features import group_totals
from features.errors import InputError
from features.occasions import OTHER, occasions
from features.shop import Shop

START, END = date(2020, 3, 1), date(2020, 7, 1)
KIND = pd.CategoricalDtype(["VIP", "Gold", "nobody"], ordered=True)
FRAMES = simulate(0)
# One customer of three has no tier; a stranger has one and buys nothing.
CUSTOMERS = sorted(FRAMES["transactions"]["customer_id"].unique())
TIERS = pd.Series(
    [("VIP", "Gold", None)[i % 3] for i in range(len(CUSTOMERS) + 1)], index=[*CUSTOMERS, "stranger"]
).astype(KIND)


@pytest.fixture
def shop(tmp_path):
    on = engine(tmp_path)
    return Shop(staged=None, tables=open_shop(FRAMES, tmp_path, on), engine=on, cache=tmp_path)


def lines():
    """The lines of the window and the tiers, with category, as pandas has them."""
    rows = FRAMES["transactions"].merge(FRAMES["products"], on="product_id", how="left")
    moments = pd.to_datetime(rows["timestamp"])
    rows = rows[(moments >= pd.Timestamp(START)) & (moments < pd.Timestamp(END))]
    rows = rows.assign(
        group=rows["customer_id"].map(TIERS), day=rows["timestamp"].dt.normalize(), value=rows["category"]
    )
    known = rows["quantity"].notna()
    rows = rows.assign(
        spend=rows["amount"].astype(float),
        units=rows["quantity"].astype(float).fillna(0),
        counted=rows["amount"].astype(float).where(known, 0.0),
    )
    return rows.dropna(subset="group")


def sums(rows, key):
    return rows.groupby(["group", key], observed=True).agg(
        customers=("customer_id", "nunique"),
        orders=("order_id", "nunique"),
        spend=("spend", "sum"),
        units=("units", "sum"),
        counted=("counted", "sum"),
    )


def indexed(frame, key):
    assert frame["group"].dtype == KIND
    return frame.assign(**{key: pd.to_datetime(frame[key]) if key == "day" else frame[key]}).set_index(["group", key])


def test_days_and_values_add_up_to_what_pandas_computes(shop):
    days = indexed(shop.behaviour(group_totals.by_day, TIERS, START, END), "day").sort_index()
    pd.testing.assert_frame_equal(
        days, sums(lines(), "day").drop(columns="counted"), check_dtype=False, check_index_type=False
    )
    values = indexed(shop.behaviour(group_totals.by_value, TIERS, START, END), "value").sort_index()
    expected = sums(lines(), "value")
    expected["mean_unit_price"] = expected.pop("counted") / expected["units"]
    pd.testing.assert_frame_equal(values, expected, check_dtype=False, check_names=False)
    one = pd.Series("all", index=TIERS.index)
    departments = shop.behaviour(partial(group_totals.by_value, level="department"), one, START, END)
    sold = FRAMES["transactions"].dropna(subset="product_id")
    sold = sold[sold["timestamp"].between(str(START), str(END), inclusive="left")]
    assert departments["spend"].sum() == pytest.approx(sold["amount"].astype(float).sum())


def test_shares_are_of_what_a_customer_bought(shop):
    rows = lines().dropna(subset="value")
    dear = ["category 1", "category 5"]
    for measure in ("units", "spend"):
        part = rows["value"].isin(dear) * rows[measure]
        expected = part.groupby(rows["customer_id"]).sum() / rows.groupby("customer_id")[measure].sum()
        got = shop.behaviour(partial(group_totals.value_share, values=dear, measure=measure), TIERS, START, END)
        pd.testing.assert_series_equal(
            got.set_index("customer_id")["share"].sort_index(), expected.dropna(), check_names=False
        )
    baskets = shop.behaviour(group_totals.baskets, TIERS, START, END)
    assert len(baskets) == len(rows[["customer_id", "day", "value"]].drop_duplicates())


def test_pairs_are_counted_once_an_order_and_the_rare_ones_are_one(shop):
    rows = lines().dropna(subset="value")[["customer_id", "order_id", "value"]].drop_duplicates()
    both = rows.merge(rows, on=["customer_id", "order_id"])
    both = both[both["value_x"] < both["value_y"]]
    named = both["value_x"] + " + " + both["value_y"]
    expected = named.groupby([both["customer_id"], named]).size()
    window = shop.tables.between(START, END)
    all_pairs = shop.engine.frame(occasions(window, "pair", largest=1000)).set_index(["customer_id", "value"])["n"]
    assert len(expected) > 20
    assert all_pairs[all_pairs.index.isin(expected.index)].to_dict() == expected.to_dict()
    few = shop.engine.frame(occasions(window, "pair", largest=2))
    totals = all_pairs.groupby("value").sum()
    common = sorted(totals.index, key=lambda name: (-totals[name], name))[:2]
    assert set(few["value"]) == {*common, OTHER}
    assert few["n"].sum() == all_pairs.sum()


def test_an_order_has_one_coupon_status_and_a_shop_without_statuses_has_discounts(shop, tmp_path):
    rows = lines()
    used = rows["coupon_discount"].astype(float).gt(0).groupby([rows["customer_id"], rows["order_id"]]).any()
    expected = used.groupby("customer_id").mean()
    share = shop.behaviour(group_totals.coupon_share, TIERS, START, END).set_index("customer_id")["share"].sort_index()
    pd.testing.assert_series_equal(share, expected, check_names=False)
    assert set(shop.behaviour(group_totals.by_coupon, TIERS, START, END)["status"]) == {"Used", "Not used"}

    frame = (
        FRAMES["transactions"]
        .iloc[:6]
        .assign(
            customer_id=CUSTOMERS[0],
            order_id=list("aabbcd"),
            timestamp=pd.Timestamp(START),
            coupon_discount=None,
            coupon_status=["Clicked", "USED", "Not Used", "Clicked", "Not Used", None],
        )
    )
    (tmp_path / "worded").mkdir()
    worded = Shop(None, open_shop({"transactions": frame}, tmp_path / "worded", shop.engine), shop.engine, tmp_path)
    coupons = worded.behaviour(group_totals.by_coupon, TIERS, START, END).set_index("status")["orders"]
    assert coupons.to_dict() == {"Used": 1, "Clicked": 1, "Not used": 1}  # nothing is known of order d
    counts = occasions(worded.tables.between(START, END), "coupon", largest=30)
    lines_by_coupon = shop.engine.frame(counts).set_index("value")["n"]
    assert lines_by_coupon.to_dict() == {"used": 1, "not used": 5}  # not by order: large ones use a coupon more often
    with pytest.raises(InputError, match="products"):
        worded.behaviour(group_totals.by_value, TIERS, START, END)


def test_any_feature_of_the_window_and_groups_that_hold_nobody(shop):
    features = shop.during(["orders", "total_spend"], START, END)
    rows = lines()
    spent = rows.groupby("customer_id")["spend"].sum()
    np.testing.assert_allclose(features.loc[spent.index, "total_spend"], spent)
    nobody = pd.Series(["VIP"], index=["stranger"]).astype(KIND)
    assert shop.behaviour(group_totals.by_day, nobody, START, END).empty
    assert shop.behaviour(group_totals.by_coupon, TIERS.iloc[:0], START, END).empty
    with pytest.raises(InputError, match="did you mean 'category'"):
        shop.behaviour(partial(group_totals.by_value, level="categry"), TIERS, START, END)
