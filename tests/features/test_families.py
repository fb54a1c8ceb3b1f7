"""Families of features against lifetimes, hand-computed values and the properties they promise."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
import yaml
from ibis.config import Config
from lifetimes.utils import summary_data_from_transaction_data
from simulated import BURN_IN_DAYS, CUTOFF, START, engine, open_shop, simulate, with_another_future

from features.errors import InputError
from features.families import FAMILIES, PARAMETRISED, feature_families, feature_meanings, resolve
from features.grains import CUSTOMER
from features.snapshot import expand, feature_rows
from features.tables import GROSS, NET, SPECS, Tables

ALL = [name for name, family in feature_families().items() if family.grain == CUSTOMER]
VALUED = [f"{name}.{features.example}" for name, features in PARAMETRISED.items()]
FEATURE_SETS = Path(__file__).parents[2] / "conf" / "features"


def rows(tables: Tables, on, names=ALL, cutoff=CUTOFF) -> pd.DataFrame:
    return on.frame(feature_rows(tables.as_of(cutoff), names)).set_index("customer_id").sort_index()


@pytest.fixture
def on(tmp_path):
    return engine(tmp_path)


@pytest.fixture(scope="module")
def of_seed(tmp_path_factory):
    """Return the features of a simulated shop, computed once for each seed."""

    @cache
    def computed(seed: int) -> pd.DataFrame:
        folder = tmp_path_factory.mktemp("simulated")
        on = engine(folder)
        return rows(open_shop(simulate(seed), folder, on), on)

    return computed


def cdnow(file: str) -> pd.DataFrame:
    columns = ["id", "date", "cds", "amount"]
    sample = {"names": ["master_id", *columns]} if "sample" in file else {"names": columns, "skiprows": 1}
    frame = pd.read_csv(
        files("lifetimes") / "datasets" / file, sep=r"\s+", header=None, dtype={"id": str, "date": str}, **sample
    )
    frame["date"] = pd.to_datetime(frame["date"], format="%Y%m%d")
    return frame


@pytest.mark.parametrize("file", ["CDNOW_sample.txt", "CDNOW_master.txt"])
def test_rfm_equals_lifetimes_on_cdnow(file, tmp_path, on):
    orders = cdnow(file)
    expected = summary_data_from_transaction_data(
        orders, "id", "date", "amount", observation_period_end="1997-09-30", include_first_transaction=False
    )
    canonical = pd.DataFrame(
        {
            "order_id": np.arange(len(orders)).astype(str),
            "line_number": 0,
            "customer_id": orders["id"],
            "timestamp": orders["date"],
            "amount": [Decimal(str(amount)) for amount in orders["amount"]],
        }
    )
    shop = open_shop({"transactions": canonical}, tmp_path, on)
    shop = Tables(start=date(1997, 1, 1), end=date(1998, 7, 1), transactions=shop.transactions)
    rfm = rows(shop, on, ["frequency", "recency", "T", "monetary_value"], date(1997, 10, 1))
    assert len(rfm) == {"CDNOW_sample.txt": 2_357, "CDNOW_master.txt": 23_570}[file]
    pd.testing.assert_frame_equal(rfm, expected, check_names=False, check_index_type=False, rtol=1e-12)


def hand_made() -> dict[str, pd.DataFrame]:
    """Ann buys on three days, on the second of them twice; Bob once; cutoff Monday 2020-06-01."""
    lines = [
        # order, customer, moment, amount, product, quantity, list price, coupon, store
        ("a1", "ann", "2020-01-10 09:00", 10, "milk", 2, 10, 0, "north"),
        ("a1", "ann", "2020-01-10 09:00", 30, "wine", 1, 40, 5, "north"),
        ("a2", "ann", "2020-05-09 11:00", 20, "milk", 4, 20, 0, "north"),
        ("a3", "ann", "2020-05-09 17:00", 0, "bag", None, None, 0, "south"),
        ("a4", "ann", "2020-05-29 15:00", 40, "rice", 1, 50, 0, "north"),
        ("b1", "bob", "2020-03-02 00:00", 7, None, None, None, None, None),
        ("a5", "ann", "2020-06-01 00:00", 99, "wine", 1, 99, 0, "north"),
        ("z1", "zoe", "2020-06-02 00:00", 99, "wine", 1, 99, 0, "north"),
    ]
    names = ["order_id", "customer_id", "timestamp", "amount", "product_id", "quantity", "list_amount"]
    transactions = pd.DataFrame(lines, columns=[*names, "coupon_discount", "store_id"])
    transactions = transactions.assign(line_number=range(len(lines)), timestamp=pd.to_datetime(transactions.timestamp))
    for column in ("amount", "quantity", "list_amount", "coupon_discount"):
        transactions[column] = [None if pd.isna(x) else Decimal(int(x)) for x in transactions[column]]
    days = pd.to_datetime
    return {
        "transactions": transactions,
        "customers": pd.DataFrame(
            {
                "customer_id": ["ann", "zoe"],
                "age_band": ["45-54", "65+"],
                "income_band": ["Under 15K", None],
                "household_size": ["5+", None],
                "children": [None, None],
                "home_ownership": ["Probable Homeowner", "Renter"],
                "marital_status": ["Unmarried", "Married"],
                "gender": [None, "F"],
            }
        ),
        "products": pd.DataFrame(
            {
                "product_id": ["milk", "wine", "rice", "bag"],
                "category": ["dairy", "drinks", "dry", None],
                "department": ["food", "drinks", "food", "other"],
            }
        ),
        "campaigns": pd.DataFrame(
            {
                "campaign_id": ["k1", "k2"],
                "starts_at": days(["2020-02-01", "2020-05-01"]),
                "ends_at": days(["2020-03-01", "2020-06-02"]),
            }
        ),
        "contacts": pd.DataFrame(
            {"campaign_id": ["k1", "k2"], "customer_id": "ann", "contacted_at": days(["2020-02-01", "2020-05-01"])}
        ),
        "responses": pd.DataFrame(
            {
                "campaign_id": ["k2", "k2", "k2"],
                "customer_id": ["ann", "ann", "ann"],
                "responded_at": days(["2020-05-09", "2020-05-29", "2020-06-01"]),
                "discount_id": ["x", "y", "z"],
            }
        ),
        # Half of the milk of 05-09 comes back on 05-20, something of no known sale on 05-30, the rice after the cutoff.
        "returns": pd.DataFrame(
            {
                "return_number": [1, 2, 3],
                "customer_id": "ann",
                "returned_at": days(["2020-05-20 10:00", "2020-05-30 10:00", "2020-06-01 00:00"]),
                "amount": [Decimal(10), Decimal(3), Decimal(40)],
                "kind": "return",
                "product_id": ["milk", None, "rice"],
                "order_id": ["a2", None, "a4"],
                "line_number": [2, None, 4],
                "sold_at": days(["2020-05-09 11:00", None, "2020-05-29 15:00"]),
            }
        ),
    }


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """All features of the shop made by hand, spend gross."""
    folder = tmp_path_factory.mktemp("by_hand")
    on = engine(folder)
    return rows(open_shop(hand_made(), folder, on), on)


def test_hand_computed_values_of_every_family(by_hand):
    found = by_hand.loc["ann"]
    # Purchase days 01-10 (40), 05-09 (20), 05-29 (40): gaps 120 and 20 days; last included day 05-31.
    expected = {
        **{"frequency": 2, "recency": 140, "T": 142, "monetary_value": 30, "days_since_last_purchase": 2},
        **{"left_truncated": 1, "total_spend": 100, "average_order_value": 25, "max_order_value": 40},
        **{"first_day_spend": 40, "purchase_day_value_std": np.std([40, 20, 40], ddof=1)},
        **{"spend_last_7_days": 40, "spend_last_28_days": 60, "spend_last_91_days": 60},
        **{"total_spend_rate": 100 / 152, "lifetime_spend_rate": 100 / 143},
        **{"last_28_days_spend_rate": 60 / 28, "last_91_days_spend_rate": 60 / 91},
        **{"spend_trend": 91 / 28, "orders": 4, "orders_per_purchase_day": 4 / 3, "purchase_days_last_28_days": 2},
        **{"purchase_days_last_91_days": 2, "purchase_day_rate": 3 / 143, "gap_mean_days": 70},
        **{"gap_std_days": np.std([120, 20], ddof=1), "gap_max_days": 120, "gap_last_days": 20},
        **{"gap_median_days": 70, "gap_latest_mean_days": 70},
        **{"overdue_ratio": 2 / 70, "weekend_share": 1 / 3, "order_hour_mean": (9 + 11 + 17 + 15) / 4},
        **{"lines_per_order": 5 / 4, "units_per_order": 8 / 4, "distinct_products": 4, "repeat_line_share": 2 / 5},
        **{"new_product_share_last_28_days": 2 / 3, "stores": 2, "main_store_line_share": 4 / 5},
        **{"distinct_categories": 3, "distinct_departments": 3, "category_concentration": 0.3**2 * 2 + 0.4**2},
        **{"top_category_share": 0.4, "top_department_share": 0.7},
        **{"discount_share": 20 / 120, "discount_share_last_91_days": 10 / 70, "discounted_line_share": 2 / 4},
        **{"coupon_line_share": 1 / 5, "coupon_order_share": 1 / 4, "coupon_discount_share": 5 / 120},
        **{"average_unit_price": 100 / 8, "contacts": 2, "contacts_last_91_days": 1, "active_campaigns": 1},
        **{"responses": 2, "responses_last_91_days": 2, "responses_per_contact": 1, "responded_campaign_share": 0.5},
        **{"days_since_last_contact": 30, "days_since_last_response": 2, "profile_known": 1, "age_band_start": 45},
        **{"income_band_start": 0, "household_size_number": 5, "children_number": -1, "is_homeowner": 1},
        **{"is_married": 0, "is_female": -1},
        # Orders: Friday 9:00, Saturday 11:00 and, in the south, 17:00, Friday 15:00; a coupon in the first.
        **dict.fromkeys(FAMILIES["habits"].features, 0),
        **{"friday_share": 0.5, "saturday_share": 0.5, "morning_share": 0.5, "afternoon_share": 0.5},
        **{"top_store_share": 3 / 4, "coupon_used_share": 1 / 4},
        **{"returned_order_share": 1 / 4, "returned_value_share": 13 / 100, "days_since_last_return": 1},
        "cutoff_day": 18_414,
    }
    assert expected.keys() == set(ALL)
    pd.testing.assert_series_equal(found, pd.Series(expected)[ALL], check_names=False, rtol=1e-12)


def test_median_mean_and_latest_of_unequal_gaps(tmp_path, on):
    gaps = {"odd": [3, 11, 2, 40, 5, 8, 21], "even": [4, 3, 11, 2, 40, 5, 8, 21]}
    days = [(name, day) for name, own in gaps.items() for day in np.cumsum([0, *own])]
    lines = pd.DataFrame(days, columns=["customer_id", "day"])
    lines["timestamp"] = pd.Timestamp("2020-01-10 09:00") + pd.to_timedelta(lines.pop("day"), unit="D")
    lines = lines.assign(order_id=lines.index.astype(str), line_number=0, amount=Decimal(1))
    shop = open_shop({"transactions": lines}, tmp_path, on)
    names = ["gap_median_days", "gap_mean_days", "gap_latest_mean_days", "gap_last_days", "gap_max_days"]
    found = rows(shop, on, names)
    # In order 2, 3, 5, 8, 11, 21, 40, and a 4 more; the latest five are 2, 40, 5, 8, 21.
    assert found.loc["odd"].tolist() == pytest.approx([8, 90 / 7, 76 / 5, 21, 40])
    assert found.loc["even"].tolist() == pytest.approx([6.5, 94 / 8, 76 / 5, 21, 40])


def test_customer_of_one_purchase_and_nothing_known_gets_the_documented_values(by_hand):
    found = by_hand.loc["bob"]
    expected = {
        **{"T": 90, "days_since_last_purchase": 90, "total_spend": 7, "average_order_value": 7, "max_order_value": 7},
        **{
            "first_day_spend": 7,
            "spend_last_91_days": 7,
            "last_91_days_spend_rate": 7 / 91,
            "total_spend_rate": 7 / 152,
        },
        **{"lifetime_spend_rate": 7 / 91, "orders": 1, "orders_per_purchase_day": 1, "purchase_days_last_91_days": 1},
        **{"purchase_day_rate": 1 / 91, "gap_mean_days": 90, "gap_max_days": 90, "gap_last_days": 90},
        **{"gap_median_days": 90, "gap_latest_mean_days": 90},
        **{"monday_share": 1, "night_share": 1, "cutoff_day": 18_414},
        **{"overdue_ratio": 1, "lines_per_order": 1, "days_since_last_contact": 365, "days_since_last_response": 365},
        "days_since_last_return": 365,
        **{name: -1 for name in FAMILIES["profile"].features if name != "profile_known"},
    }
    pd.testing.assert_series_equal(found, pd.Series(expected).reindex(ALL, fill_value=0.0), check_names=False)


def test_hand_computed_values_of_net_spend(by_hand, tmp_path, on):
    shop = open_shop(hand_made(), tmp_path, on, spend=NET)
    # Purchase days are worth 40, 10 and 40; money until the cutoff is 100 - 10 - 3.
    expected = {
        **{"total_spend": 87, "spend_last_7_days": 37, "spend_last_28_days": 47, "spend_last_91_days": 47},
        **{"total_spend_rate": 87 / 152, "lifetime_spend_rate": 87 / 143, "last_28_days_spend_rate": 47 / 28},
        **{"last_91_days_spend_rate": 47 / 91, "spend_trend": 91 / 28, "monetary_value": 25, "max_order_value": 40},
        **{"average_order_value": 90 / 4, "first_day_spend": 40},
        "purchase_day_value_std": np.std([40, 10, 40], ddof=1),
    }
    found = rows(shop, on).loc["ann"]
    np.testing.assert_allclose(found[list(expected)], list(expected.values()), rtol=1e-12)
    others = [name for name in ALL if name not in expected]
    pd.testing.assert_series_equal(found[others], by_hand.loc["ann", others])


def test_rates_shorten_their_window_to_the_days_of_data(tmp_path, on):
    shop = open_shop(hand_made(), tmp_path, on)
    found = rows(shop, on, ["last_91_days_spend_rate", "last_28_days_spend_rate"], date(2020, 1, 11)).loc["ann"]
    assert found.tolist() == [40 / 10, 40 / 10]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.quick(1)
def test_properties_of_every_row(seed, of_seed):
    found = of_seed(seed)
    assert found.index.is_unique
    assert (found.dtypes == np.float64).all()
    assert np.isfinite(found.to_numpy()).all()
    assert found["recency"].between(0, found["T"]).all()
    assert found["frequency"].between(0, found["T"]).all()
    assert (found["T"] == found["recency"] + found["days_since_last_purchase"]).all()
    truncated = found["T"] > (CUTOFF - START).days - 1 - BURN_IN_DAYS
    assert (found["left_truncated"] == truncated).all()
    assert 0 < truncated.mean() < 1
    shares = [name for name in ALL if "share" in name or name in ("category_concentration", "purchase_day_rate")]
    assert found[shares].min().min() >= 0
    assert found[shares].max().max() <= 1
    assert found.drop(columns=list(FAMILIES["profile"].features)).min().min() >= 0


@pytest.mark.slow
def test_money_of_another_unit_scales_and_nothing_else_changes(of_seed, tmp_path, on):
    """A shop that counts in won has days of a million; their squares need more than 18 digits."""
    frames = simulate(0)
    lines, unit = frames["transactions"], 100_000
    money = [column for column in ("amount", "list_amount", "coupon_discount") if column in lines]
    scaled = lines.assign(**{column: [None if m is None else m * unit for m in lines[column]] for column in money})
    back = frames["returns"].assign(amount=[m * unit for m in frames["returns"]["amount"]])
    scaled = {**frames, "transactions": scaled, "returns": back}
    given, found = of_seed(0), rows(open_shop(scaled, tmp_path, on), on)
    assert found["max_order_value"].max() > 1_000_000
    for name in ALL:
        of_money = name in (*FAMILIES["value"].features, "monetary_value", "average_unit_price")
        factor = unit if of_money and name != "spend_trend" else 1
        np.testing.assert_allclose(found[name], given[name] * factor, rtol=1e-6, err_msg=name)


def test_order_of_rows_does_not_matter(of_seed, tmp_path, on):
    shuffled = {name: frame.sample(frac=1, random_state=0) for name, frame in simulate(0).items()}
    found = rows(open_shop(shuffled, tmp_path, on), on)
    pd.testing.assert_frame_equal(of_seed(0), found, check_exact=True)


WILDCARDS = ["category_share.*", "store_share.*"]


@pytest.fixture(scope="module")
def with_shares(tmp_path_factory):
    """Return all features of a simulated shop, with those of its largest categories and stores; once by spend."""

    @cache
    def computed(spend: str) -> pd.DataFrame:
        folder = tmp_path_factory.mktemp("shares")
        on = engine(folder)
        tables = open_shop(simulate(0), folder, on, spend)
        return rows(tables, on, expand([*ALL, *VALUED, *WILDCARDS], tables.as_of(CUTOFF), on))

    return computed


@pytest.mark.parametrize(
    ("change", "spend"),
    [
        pytest.param("drop", GROSS, marks=pytest.mark.slow),
        pytest.param("append", NET, marks=pytest.mark.slow),
        pytest.param("poison", GROSS, marks=pytest.mark.slow),
        pytest.param("poison", NET, marks=pytest.mark.slow),  # tests/features/test_tampering.py does so to each table
    ],
)
def test_another_future_changes_no_feature_and_no_value_that_a_wildcard_stands_for(
    change, spend, with_shares, tmp_path, on
):
    tables = open_shop(with_another_future(simulate(0), change), tmp_path, on, spend)
    names = expand([*ALL, *VALUED, *WILDCARDS], tables.as_of(CUTOFF), on)
    assert names == list(with_shares(spend))
    pd.testing.assert_frame_equal(with_shares(spend), rows(tables, on, names), check_exact=True)


def test_families_return_what_they_declare_once_per_row(tmp_path, on):
    past = open_shop(simulate(0), tmp_path, on).as_of(CUTOFF)
    buyers = set(on.frame(CUSTOMER.rows(past))["customer_id"])
    for family in FAMILIES.values():
        key, frame = list(family.grain.key), on.frame(family.build(past))
        assert set(frame.columns) == {*key, *family.features}, family.name
        assert not frame.duplicated(key).any(), family.name
        if family.covers(CUSTOMER):
            assert set(frame["customer_id"]) >= buyers, family.name
        assert set(family.needs) <= SPECS.keys()
        assert family.fallbacks.keys() <= family.features.keys()


def test_mistaken_names_are_refused_with_advice(tmp_path, on):
    frames = simulate(0)
    past = open_shop({"transactions": frames["transactions"]}, tmp_path, on).as_of(CUTOFF)
    with pytest.raises(InputError, match="did you mean 'recency'"):
        feature_rows(past, ["frequency", "recencie"])
    with pytest.raises(InputError, match="more than once"):
        feature_rows(past, ["frequency", "frequency"])
    with pytest.raises(InputError, match="no feature"):
        feature_rows(past, [])
    with pytest.raises(InputError, match="products, customers") as refused:
        feature_rows(past, ["is_female", "frequency", "top_category_share"])
    assert "leave out top_category_share, is_female" in refused.value.hint


@pytest.mark.quick(1)
@pytest.mark.parametrize(("dialect", "spend"), [("pyspark", NET), ("bigquery", NET), ("snowflake", GROSS)])
def test_every_feature_compiles_for_other_engines(dialect, spend, monkeypatch):
    class SparkOptions(Config):  # ibis registers it when pyspark is installed and imported
        treat_nan_as_null: bool = False

    if ibis.options.pyspark is None:
        monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    tables = {name: ibis.table(spec.schema, name=name) for name, spec in SPECS.items()}
    past = Tables(start=START, end=CUTOFF, spend=spend, **tables)
    assert "SELECT" in ibis.to_sql(feature_rows(past, [*ALL, *VALUED]), dialect=dialect)


def names_of_set(name: str) -> list[str]:
    """Return the names of a feature set, which may extend another."""
    content = yaml.safe_load((FEATURE_SETS / f"{name}.yaml").read_text())
    if "defaults" not in content:
        return content["names"]
    kept = [each for each in names_of_set(content["defaults"][0]) if each not in content.get("drop", [])]
    return [*kept, *content.get("add", [])]


def test_feature_sets_in_conf_name_known_features_and_what_they_need():
    sets = {path.stem: names_of_set(path.stem) for path in FEATURE_SETS.glob("*.yaml")}
    assert {"rfm", "transactions", "full"} <= sets.keys()
    for names in sets.values():
        assert all(feature_meanings(names).values())
    for of_any_shop in ("rfm", "transactions", "segment_value", "segment_behaviour", "next_purchase"):
        assert {family.needs for family in resolve(sets[of_any_shop])} == {("transactions",)}
    left_out = (FAMILIES[name].features for name in ("habits", "profile", "returns", "gaps"))
    assert set(ALL) - set(sets["full"]) == {"total_spend_rate", "cutoff_day"}.union(*left_out)
    assert not {family.name for names in sets.values() for family in resolve(names) if family.undated}
    assert "unknown date" in feature_meanings(["age_band_start"])["age_band_start"]
