"""Net and gross spend: what came back counts from the day on which it came back, and not a day sooner."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from simulated import END, START, engine, open_shop, simulate

from features import outcomes
from features.definitions import feature_hashes
from features.errors import InputError
from features.families import FAMILIES, Family, feature_families, purchases
from features.grains import CUSTOMER, CUSTOMER_PRODUCT
from features.leakage import descriptive
from features.outcomes import Outcome
from features.snapshot import feature_rows, reads_spend
from features.sources import stage
from features.tables import GROSS, NET, Tables
from online_retail import data_config

CUTOFFS = [START + timedelta(days=n) for n in (1, 30, 91, 152, 200, (END - START).days)]
HORIZON = timedelta(days=60)


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    return engine(tmp_path_factory.mktemp("spill"))


@pytest.fixture(scope="module", params=range(2))
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
@pytest.mark.quick(4)
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
@pytest.mark.quick(4)
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
@pytest.mark.quick(4)
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
    window, rows = shops[NET].between(cutoff, end), grain.rows(shops[NET].as_of(cutoff))
    cut = on.frame(outcomes.overreturned(window, rows)).set_index(key)["amount"].astype(float).sort_index()
    pd.testing.assert_series_equal(cut, (sold - back)[sold < back].sort_index(), check_names=False)
    pd.testing.assert_series_equal(found[NET], 0.5 * np.maximum(sold - back, 0), check_names=False, atol=1e-9)
    pd.testing.assert_series_equal(found[GROSS].reindex(sold.index), 0.5 * sold, check_names=False, atol=1e-9)


def test_definitions_differ_between_net_and_gross_where_money_is_read_and_nowhere_else():
    names = [name for name, family in feature_families().items() if family.grain == CUSTOMER]
    net, gross = feature_hashes(names, spend=NET), feature_hashes(names, spend=GROSS)
    assert {name for name in names if net[name] != gross[name]} == {"monetary_value", *FAMILIES["value"].features}
    asked = {
        build: reads_spend(Outcome("y", ("y",), build), CUSTOMER) for build in (outcomes.spend, outcomes.purchased)
    }
    assert asked == {outcomes.spend: True, outcomes.purchased: False}


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


@pytest.fixture(scope="module")
def ledger():
    """Sales, returns below zero, and orders whose status and day of return stand on their first line."""
    rng = np.random.default_rng(5)
    orders = pd.DataFrame(
        {
            "order": [f"o{n}" for n in range(400)],
            "customer": rng.choice([f"c{n}" for n in range(25)], 400),
            "time": pd.Timestamp(START) + pd.to_timedelta(np.sort(rng.integers(0, 200 * 24, 400)), unit="h"),
        }
    )
    lines = orders.loc[orders.index.repeat(rng.integers(1, 4, 400))].reset_index(drop=True)
    lines["product"] = rng.choice(["x", "y", "z"], len(lines))
    lines["quantity"] = rng.integers(1, 5, len(lines))
    is_back = rng.random(len(orders)) < 0.3
    lines.loc[lines["order"].isin(orders.loc[is_back, "order"]), "quantity"] *= -1
    lines["price"] = rng.integers(1, 4, len(lines)) * 2.5
    is_first = ~lines["order"].duplicated()
    is_refunded = is_first & (lines["quantity"] > 0) & (rng.random(len(lines)) < 0.2)
    lines["back"] = (lines["time"] + pd.to_timedelta(rng.integers(0, 40, len(lines)), unit="D")).where(is_refunded)
    lines["status"] = np.where(is_refunded, "refunded", "paid")
    lines["status"] = lines["status"].where(is_first, "")
    return lines


PAID = {"column": "status", "sale": ["paid"], "return": ["refunded"]}
COLUMNS = {"order_id": "order", "customer_id": "customer", "timestamp": "time", "product_id": "product"}
COLUMNS |= {"quantity": "quantity", "unit_price": "price", "returned_at": "back"}


def staged(lines, folder, *, status=PAID, rules=None, product=True, refunds=None, confirmed=None):
    """Stage lines of a file, as a user maps them."""
    folder.mkdir()
    lines.to_csv(folder / "x.csv", index=False)
    config = data_config("files", shop="s", currency="EUR", timezone="Europe/Berlin", path=str(folder))
    columns = COLUMNS if product else {name: source for name, source in COLUMNS.items() if name != "product_id"}
    config["tables"]["transactions"] |= {"path": "x.csv", "status": status, "columns": columns}
    config["tables"]["returns"] = refunds
    config["rules"] |= {"negative_quantity": "return", "duplicate_rows": "keep"} | (rules or {})
    config["confirmed_drops"] = confirmed
    return stage(config, folder / "cache")


@pytest.fixture(scope="module")
def whole(ledger, tmp_path_factory):
    """The tables of the whole ledger."""
    folder = tmp_path_factory.mktemp("whole")
    return staged(ledger, folder / "shop").open(engine(folder))


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", [date(2020, 2, 1), date(2020, 5, 1)])
def test_files_that_end_at_the_cutoff_give_the_features_of_files_that_go_on(cutoff, ledger, whole, tmp_path):
    """Nothing that a file says of later days, of a return or of a status, is known before them."""
    names = [name for family in ("rfm", "value", "returns") for name in FAMILIES[family].features]
    early = ledger[ledger["time"] < pd.Timestamp(cutoff)]
    is_later = early["back"] >= pd.Timestamp(cutoff)
    early = early.assign(back=early["back"].mask(is_later), status=early["status"].mask(is_later, "paid"))
    found = []
    for tables in (staged(early, tmp_path / "early").open(engine(tmp_path)), whole):
        shop = Tables(start=tables.start, end=END, burn_in_days=tables.burn_in_days, spend=NET, **tables.present())
        found.append(on_its_own(shop, names, cutoff))
    assert (found[0]["returned_value_share"] > 0).any()
    assert (found[0]["total_spend"] < 0).any() or (found[0]["spend_last_28_days"] < 0).any()
    pd.testing.assert_frame_equal(*found, check_exact=True)


def on_its_own(shop, names, cutoff):
    """Compute features on the engine that opened the shop."""
    rows = feature_rows(shop.as_of(cutoff), names).order_by("customer_id")
    return rows.to_pandas().set_index("customer_id")


def test_no_more_of_a_line_is_taken_back_than_was_sold(ledger, whole):
    lines, back = whole.transactions.to_pandas(), whole["returns"].to_pandas()
    assert back["sold_at"].notna().mean() > 0.5
    assert back["sold_at"].isna().any()
    assert (back["returned_at"] >= back["sold_at"].fillna(back["returned_at"])).all()
    paired = back.dropna(subset="order_id").merge(lines, on=["order_id", "line_number"], suffixes=("", "_sold"))
    assert len(paired) == back["order_id"].notna().sum()
    assert (paired["customer_id"] == paired["customer_id_sold"]).all()
    assert (paired["product_id"] == paired["product_id_sold"]).all()
    total = paired.groupby(["order_id", "line_number"]).agg({"quantity": "sum", "quantity_sold": "first"})
    assert (total["quantity"] <= total["quantity_sold"]).all()
    sold, given_back = lines["amount"].sum(), back["amount"].sum()
    assert len(lines) + len(back) == len(ledger) + (back["return_id"].isna()).sum()
    value = (ledger["quantity"] * ledger["price"]).sum()
    by_status = back.loc[back["return_id"].isna(), "amount"].sum()
    assert float(sold - (given_back - by_status)) == pytest.approx(value)


def test_a_shop_without_returns_has_gross_spend_whatever_is_asked(shops):
    bare = shops[NET].with_tables(returns=None)
    assert (bare.spend, bare.nets_returns) == (GROSS, False)
    assert shops[NET].as_of(CUTOFFS[2]).between(START, CUTOFFS[1]).nets_returns


ORDERS = pd.DataFrame(
    {
        "order": ["o1", "o1", "o2", "o3"],
        "customer": ["ann", "ann", "bob", "cy"],
        "time": [pd.Timestamp(START + timedelta(days=n)) for n in (0, 0, 1, 2)],
        "quantity": 1,
        "price": [10, 20, 40, 80],
        "back": [pd.Timestamp(START + timedelta(days=3)), None, None, None],
        "status": ["back", "", "ok", "ok"],
    }
)
BACK = {"column": "status", "sale": ["ok"], "return": ["back"]}


@pytest.mark.parametrize(
    ("status", "rules", "amount"),
    [
        (None, {}, 10),
        (BACK, {}, 30),
        (BACK | {"sale": ["", "ok"]}, {"mixed_status": "keep"}, 10),
        pytest.param({"column": "status", "sale": ["ok"], "return": ["back", ""]}, {}, 30, marks=pytest.mark.slow),
    ],
    ids=["no status", "of the order", "of the line", "both lines came back"],
)
def test_lines_come_back_by_their_own_status_or_by_the_order_s(status, rules, amount, tmp_path):
    found = staged(ORDERS, tmp_path / "shop", status=status, rules=rules, product=False).open(engine(tmp_path))
    assert found["returns"].amount.sum().execute() == amount


def test_a_status_of_nothing_beside_another_stops(tmp_path):
    with pytest.raises(InputError, match="mixed_status"):
        staged(ORDERS, tmp_path / "shop", status=BACK | {"sale": ["", "ok"]}, product=False)


@pytest.mark.parametrize("status", [pytest.param("exclude", marks=pytest.mark.slow), "return"])
def test_a_refund_of_an_order_that_is_no_sale_is_left_out_and_counted(status, tmp_path):
    """The order is left out, or came back by its status: its refund would take money off that is not there."""
    folder = tmp_path / "shop"
    refunds = pd.DataFrame({"order": ["o1", "o3"], "date": START + timedelta(days=9), "refund": [30, 7]})
    refunds.to_csv(tmp_path / "refunds.csv", index=False)
    columns = {"order_id": "order", "returned_at": "date", "amount": "refund"}
    found = staged(
        ORDERS,
        folder,
        status={"column": "status", "sale": ["ok"], status: ["back"]},
        product=False,
        refunds={"path": str(tmp_path / "refunds.csv"), "columns": columns},
        confirmed={"refund_of_no_sale": 0.9, "excluded_status": 0.5},
    )
    tables = found.open(engine(tmp_path))
    net = tables.transactions.amount.sum().execute() - tables["returns"].amount.sum().execute()
    assert net == 40 + 80 - 7
    drops = {drop.rule: (drop.rows, drop.amount) for drop in found.drops if drop.table == "returns"}
    assert drops["refund_of_no_sale"] == (1, 30.0)
