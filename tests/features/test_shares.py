"""Shares of spend by value, the spelling of values, and the wildcard for the largest."""

from __future__ import annotations

import string
from datetime import date
from decimal import Decimal

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models import ModelSignature, infer_signature
from simulated import CUTOFF, END, engine, open_shop, simulate
from test_families import FEATURE_SETS, VALUED

from features.errors import InputError
from features.families import PARAMETRISED, feature_meanings, resolve, spelling
from features.families.habits import HOURS, WEEKDAYS
from features.snapshot import WILDCARD_LIMIT, definition_hash, expand, feature_rows, snapshot

HARD_VALUES = [
    "SOFT DRINKS",
    "FRZN MEAT/MEAT",
    "M&M's",
    '12" [x] {y}: a, b',
    "음료/차",
    "Café no. 1",
    "-",
    "*",
    "%20",
    "\t",
]


@pytest.fixture
def on(tmp_path):
    return engine(tmp_path)


def shop(lines, products, folder, on):
    """Tables of (customer, day, amount, product, store) lines and {product: (category, brand)}."""
    frame = pd.DataFrame(lines, columns=["customer_id", "timestamp", "amount", "product_id", "store_id"])
    frame = frame.assign(
        order_id=[f"o{i}" for i in range(len(frame))],
        line_number=0,
        timestamp=pd.to_datetime(frame["timestamp"]),
        amount=[Decimal(str(amount)) for amount in frame["amount"]],
    )
    kinds = pd.DataFrame(
        [(product, *kind) for product, kind in products.items()], columns=["product_id", "category", "brand"]
    )
    return open_shop({"transactions": frame, "products": kinds}, folder, on)


PRODUCTS = {
    "cola": ("SOFT DRINKS", "Private"),
    "tea": ("Soft_Drinks", "private"),
    "candy": ("M&M's", "National"),
    "차": ("음료/차", None),
    "bag": (None, "National"),
}
LINES = [
    ("ann", "2020-01-10", "10.10", "cola", "1"),
    ("ann", "2020-02-10", "20.20", "tea", "1"),
    ("ann", "2020-03-10", "30.30", "candy", "2"),
    ("ann", "2020-04-10", "40.40", "차", None),
    ("ann", "2020-05-10", "99", "bag", "2"),
    ("ann", "2020-05-11", "99", None, "2"),
    ("bob", "2020-05-12", "7", "unheard of", None),
    ("cyd", "2020-05-12", "0", "cola", "1"),
    ("ann", "2020-06-01", "5000", "candy", "3"),
]


def test_hand_computed_shares_of_spend_on_lines_of_known_value(tmp_path, on):
    names = ["category_share.SOFT_DRINKS", "category_share.M.26M.27s", "category_share.음료/차", "category_share.BEEF"]
    names += ["brand_share.PRIVATE", "brand_share.National", "store_share.1", "store_share.2", "channel_share.web"]
    frame = snapshot(shop(LINES, PRODUCTS, tmp_path, on), names, [CUTOFF], on, cache=tmp_path / "cache", digest="d")
    assert list(frame.columns) == names
    found = frame.droplevel("cutoff")
    brands, stores = 10.1 + 20.2 + 30.3 + 99, 10.1 + 20.2 + 30.3 + 198
    ann = [0.3, 0.3, 0.4, 0, 30.3 / brands, 129.3 / brands, 30.3 / stores, 228.3 / stores, 0]
    np.testing.assert_allclose(found.loc["ann"], ann, rtol=1e-12)
    assert (found.loc[["bob", "cyd"]] == 0).all(axis=None)  # nothing known, nothing spent


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.quick(1)
def test_shares_of_all_values_add_up_to_one_and_the_largest_is_the_top_share(seed, tmp_path, on):
    past = open_shop(simulate(seed), tmp_path, on).as_of(CUTOFF)
    wildcards = ["category_share.*", "department_share.*", "store_share.*"]
    parts = {wildcard: expand([wildcard], past, on) for wildcard in wildcards}
    assert [len(names) for names in parts.values()] == [7, 3, 2]
    habits = {"days": [f"{day}_share" for day in WEEKDAYS], "parts": [f"{part}_share" for part in HOURS]}
    names = [name for some in (*parts.values(), *habits.values(), ["top_category_share"]) for name in some]
    found = on.frame(feature_rows(past, names)).set_index("customer_id")
    assert found.min(axis=None) >= 0
    assert found.max(axis=None) <= 1
    for some in parts.values():
        total = found[some].sum(axis=1)
        nothing = (found[some] == 0).all(axis=1)
        assert nothing.mean() < 0.2
        np.testing.assert_allclose(total[~nothing], 1, rtol=1e-12)
    for some in habits.values():
        np.testing.assert_allclose(found[some].sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(found[parts["category_share.*"]].max(axis=1), found["top_category_share"])


def test_a_wildcard_stands_for_the_values_with_most_spend_before_the_cutoff(tmp_path, on):
    tables = shop(LINES, PRODUCTS, tmp_path, on)
    categories = ["category_share.음료/차", "category_share.M.26M.27s", "category_share.SOFT_DRINKS"]
    assert expand(["T", "category_share.*", "recency"], tables.as_of(CUTOFF), on) == ["T", *categories, "recency"]
    assert expand(["category_share.*"], tables.as_of(END), on)[0] == "category_share.M.26M.27s"
    named = ["category_share.soft_drinks", "category_share.*"]  # named before, so it comes once and first
    assert expand(named, tables.as_of(CUTOFF), on) == ["category_share.soft_drinks", *categories[:2]]
    with pytest.raises(InputError, match="no value for channel_share"):
        expand(["T", "channel_share.*"], tables.as_of(CUTOFF), on)


def test_a_wildcard_stops_at_its_limit_and_orders_equals_by_value(tmp_path, on):
    lines = [("ann", "2020-01-10", "1", "cola", f"s{i:02}") for i in range(WILDCARD_LIMIT + 3)]
    lines += [("ann", "2020-01-10", "2", "cola", "largest"), ("ann", "2020-01-10", "0", "cola", "a free one")]
    names = expand(["store_share.*"], shop(lines, PRODUCTS, tmp_path, on).as_of(CUTOFF), on)
    assert names == ["store_share.largest", *(f"store_share.s{i:02}" for i in range(WILDCARD_LIMIT - 1))]


def test_names_without_a_wildcard_pass_unread(tmp_path, on):
    past = shop(LINES, PRODUCTS, tmp_path, on).as_of(CUTOFF)
    assert expand(["T", "store_share.330"], past, engine=None) == ["T", "store_share.330"]


def test_a_wildcard_resolves_without_data_and_cannot_be_built(tmp_path, on):
    assert [family.needs for family in resolve(["category_share.*"])] == [("transactions", "products")]
    with pytest.raises(InputError, match=r"category_share\.\* stands for"):
        definition_hash(["T", "category_share.*"])


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_value_has_one_spelling_that_reads_back(value):
    assert spelling.read(spelling.spell(value)) == value.replace(" ", "_")


def test_names_pass_unchanged_through_lightgbm_mlflow_yaml_and_the_command_line():
    values = [*HARD_VALUES, *(f"a{c}b" for c in string.punctuation + string.whitespace), *string.punctuation]
    names = list(dict.fromkeys(f"category_share.{spelling.spell(value)}" for value in values))
    assert set(resolve(names).popitem()[1]) == set(names)
    X = pd.DataFrame(np.random.default_rng(0).random((50, len(names))), columns=names)
    booster = lgb.train({"verbose": -1, "min_data_in_leaf": 5}, lgb.Dataset(X, X[names[0]]), num_boost_round=2)
    assert lgb.Booster(model_str=booster.model_to_string()).feature_name() == names
    assert ModelSignature.from_dict(infer_signature(X).to_dict()).inputs.input_names() == names
    assert yaml.safe_load("".join(f"- {name}\n" for name in names)) == names
    for name in filter(str.isascii, [*names, "category_share.*"]):
        assert OverridesParser.create().parse_override(f"features.names=[{name}]").value() == [name]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["categry_share.BEEF"], "did you mean 'category_share.BEEF'"),
        (["category_share"], r"did you mean 'category_share\.\*'"),
        (["category_share."], r"does not spell a value(.|\n)*category_share\.SOFT_DRINKS"),
        (["store_share.A STORE"], r"write store_share\.A_STORE"),
        (["brand_share.M&M's"], r"write brand_share\.M\.26M\.27s"),
        (["brand_share.home.audio"], r"write brand_share\.home\.2Eaudio"),
        (["brand_share.a.20b"], "does not spell a value"),  # a space is an underscore
        (["brand_share.a.*"], "does not spell a value"),
        (["brand_share.a.FFb"], "does not spell a value"),  # no UTF-8
        (["brand_share.B", "brand_share.b"], "more than once"),
        (["store_share.*", "store_share.*"], "more than once"),
    ],
)
def test_mistaken_names_are_refused_with_advice(names, message):
    with pytest.raises(InputError, match=message):
        resolve(names)


def test_shares_need_their_tables(tmp_path, on):
    past = open_shop({"transactions": simulate(0)["transactions"]}, tmp_path, on).as_of(CUTOFF)
    with pytest.raises(InputError, match="products") as refused:
        expand(["category_share.*", "store_share.*", "brand_share.Private"], past, on)
    assert "leave out category_share.*, brand_share.Private" in refused.value.hint


def test_every_share_is_described():
    for name, meaning in feature_meanings(VALUED).items():
        assert PARAMETRISED[name.partition(".")[0]].example in meaning


@pytest.mark.slow
@pytest.mark.parametrize("basis", ["value", "products", "brands", "behaviour"])
def test_feature_sets_for_segments_are_built_on_the_complete_journey(basis, complete_journey, engine, tmp_path):
    names = yaml.safe_load((FEATURE_SETS / f"segment_{basis}.yaml").read_text())["names"]
    cutoff = date(2017, 10, 3)
    tables = complete_journey.open(engine)
    names = expand(names, tables.as_of(cutoff), engine)
    X = snapshot(tables, names, [cutoff], engine, cache=tmp_path, digest=complete_journey.digest)
    assert X.shape == (2_447, {"value": 7, "products": 19, "brands": 9, "behaviour": 22}[basis])
    same_for_all = {"top_channel_share"} if basis == "behaviour" else set()  # the source knows no channels
    assert set(X.columns[X.nunique() == 1]) == same_for_all


def test_segment_value_is_built_on_cdnow(cdnow, engine, tmp_path):
    names = yaml.safe_load((FEATURE_SETS / "segment_value.yaml").read_text())["names"]
    X = snapshot(cdnow.open(engine), names, [date(1997, 10, 1)], engine, cache=tmp_path, digest=cdnow.digest)
    assert X.shape == (2_357, len(names))
