"""Features of the rows that a request brings: those of the whole shop, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from simulated import CUTOFF, engine, open_shop, simulate

from features.arrays import read_arrays, write_arrays
from features.candidates import CANDIDATES, KEY, LearntCatalogue, bought_lines, goods, purchases_of
from features.families import PARAMETRISED, feature_families
from features.families.affinity import FEATURES
from features.grains import CUSTOMER, customers
from features.live import LiveCandidates, LiveFeatures, ShopFacts
from features.snapshot import feature_rows
from features.sources import stage
from features.tables import GROSS, NET, SPECS, Tables
from online_retail import data_config

ALL = [name for name, family in feature_families().items() if family.grain == CUSTOMER]
ALL += [f"{name}.{features.example}" for name, features in PARAMETRISED.items()]
OF_PAIRS = ["frequency", *FEATURES, "T"]
FEW = ["frequency", "total_spend", "distinct_categories", "discount_share", "contacts"]


class Shop:
    """A simulated shop, and its features at a day."""

    def __init__(self, folder: Path, seed: int = 0, spend: str = GROSS, names: Sequence[str] = FEW) -> None:
        self.names = list(names)
        self.on = engine(folder)
        self.tables: Tables = open_shop(simulate(seed), folder, self.on, spend)
        facts = ShopFacts.from_state(ShopFacts.of(self.tables, self.names).state)
        self.live = LiveFeatures(self.names, facts, {name: folder / f"{name}.parquet" for name in facts.fixed})

    def batch(self, day: date) -> pd.DataFrame:
        return self.on.frame(feature_rows(self.tables.as_of(day), self.names)).set_index("customer_id").sort_index()

    def sent(self, customers: list[str]) -> dict[str, pa.Table]:
        """The rows of some customers, in the canonical types."""
        found = {}
        for name in self.live.facts.sent:
            table = self.tables[name]
            found[name] = table.filter(table.customer_id.isin(customers)).to_pyarrow().cast(self.live.schema(name))
        return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


def check(shop: Shop, day: date) -> None:
    whole = shop.batch(day)
    for some in ([whole.index[3]], list(whole.index[::7])):
        found = shop.live.of(shop.sent(some), day)
        assert list(found.index) == some
        np.testing.assert_array_equal(found.to_numpy(), whole.loc[some].to_numpy())


def test_features_of_few_customers_are_those_of_the_whole_shop_bit_by_bit(shop: Shop) -> None:
    check(shop, CUTOFF)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "spend"), [(0, GROSS), (1, NET)])
def test_no_feature_of_a_customer_reads_another_customer(tmp_path: Path, seed: int, spend: str) -> None:
    shop = Shop(tmp_path, seed, spend, ALL)
    for day in (CUTOFF, CUTOFF + timedelta(days=40)):
        check(shop, day)


@pytest.fixture(scope="module")
def offering(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> LiveCandidates:
    """Candidates by what was learnt of the shop, read from a file."""
    past, path = shop.tables.as_of(CUTOFF), tmp_path_factory.mktemp("learnt") / "catalogue.npz"
    bought = purchases_of(shop.on.frame(bought_lines(past)), shop.on.frame(customers(past)))
    known = LearntCatalogue.of(bought, shop.on.frame(goods(past)))
    write_arrays(path, known.state)
    before = path.read_bytes()
    write_arrays(path, known.state)
    assert path.read_bytes() == before
    return LiveCandidates(OF_PAIRS, shop.live, LearntCatalogue.from_state(known.product_ids, read_arrays(path)))


def test_candidates_of_few_customers_are_those_of_the_whole_shop_bit_by_bit(
    shop: Shop, offering: LiveCandidates
) -> None:
    rows = feature_rows(shop.tables.as_of(CUTOFF), OF_PAIRS, CANDIDATES)
    whole = shop.on.frame(rows).set_index(list(KEY)).sort_index()
    ids = whole.index.unique("customer_id")
    for some in ([ids[3]], list(ids[::7])):
        found, bought = offering.of(shop.sent(some), CUTOFF, pd.Index(some, name="customer_id"))
        pd.testing.assert_frame_equal(found, whole.loc[some], check_exact=True)
        assert set(bought.customer_ids) == set(some)


def test_who_bought_one_product_or_nothing_of_the_catalogue_is_offered_best_sellers(
    shop: Shop, offering: LiveCandidates
) -> None:
    sent = shop.sent([shop.batch(CUTOFF).index[3]])
    one = sent["transactions"].slice(0, 1)
    at = one.schema.get_field_index("product_id")
    for product, is_known in (("p0", True), ('tea, green "loose" 🍵', False), (None, False)):
        row = one.set_column(at, "product_id", pa.array([product], pa.string()))
        day, rows = CUTOFF + timedelta(days=30), {"transactions": row}
        found, bought = offering.of(rows, day, shop.live.of(rows, day).index)
        assert len(bought) == is_known
        assert len(found) >= 10
        assert found["own_orders"].sum() == (is_known and ("p0" in found.index.get_level_values("product_id")))
        assert (found["frequency"] == 0).all()


def test_a_request_brings_tables_about_customers_and_no_others(shop: Shop) -> None:
    facts = shop.live.facts
    assert {"transactions", "contacts", "responses"} <= set(facts.sent)
    assert {"products", "campaigns"} <= set(facts.fixed)
    assert all("customer_id" in SPECS[name].columns for name in facts.sent)


def test_requests_of_several_threads_do_not_mix(shop: Shop) -> None:
    whole = shop.batch(CUTOFF)
    requests = {customer: shop.sent([customer]) for customer in whole.index[:12]}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda rows: shop.live.of(rows, CUTOFF), list(requests.values()) * 2))
    for customer, found in zip([*requests] * 2, answers, strict=True):
        np.testing.assert_array_equal(found.to_numpy(), whole.loc[[customer]].to_numpy())


def test_who_bought_nothing_before_the_day_has_no_row(shop: Shop) -> None:
    assert shop.live.of({}, CUTOFF).empty
    first = shop.tables.transactions
    late = first.filter(first.timestamp >= ibis.timestamp(str(CUTOFF))).to_pyarrow()
    assert shop.live.of({"transactions": late.cast(shop.live.schema("transactions"))}, CUTOFF).empty


def test_a_return_that_names_its_order_finds_the_line_that_staging_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    orders = np.repeat(np.arange(200), rng.integers(1, 4, 200))
    sold = pd.DataFrame({"order": orders, "who": orders % 23, "pieces": rng.integers(1, 4, len(orders))})
    sold["at"] = pd.Timestamp("2023-01-01 09:00") + pd.to_timedelta(orders, unit="D")
    sold["what"], sold["total"] = rng.integers(0, 5, len(orders)), sold["pieces"] * 3
    back = sold.sample(60, random_state=1).reset_index(drop=True)
    back["at"] += pd.Timedelta(days=9)
    back.loc[:9, "order"], back.loc[10:19, "what"] = None, 99  # of the product, of the order
    sold.to_csv(tmp_path / "sold.csv", index=False)
    back.astype({"order": "Int64"}).to_csv(tmp_path / "back.csv", index=False)
    columns = {"order_id": "order", "customer_id": "who", "product_id": "what", "quantity": "pieces", "amount": "total"}
    config = data_config("files", shop="s", currency="EUR", timezone="UTC", max_dropped=1)
    config["order_spans_days"], config["rules"]["duplicate_rows"] = False, "keep"
    for table, moment in (("transactions", "timestamp"), ("returns", "returned_at")):
        path = tmp_path / ("sold.csv" if table == "transactions" else "back.csv")
        config["tables"][table] = {"path": str(path), "columns": {**columns, moment: "at"}}
    on = engine(tmp_path)
    tables = stage(config, tmp_path / "cache").open(on)
    live = LiveFeatures(["total_spend"], ShopFacts.of(tables, ["total_spend", "returned_order_share"]), {})
    staged = {name: tables[name].to_pyarrow().cast(live.schema(name)) for name in ("transactions", "returns")}
    known = staged["returns"].to_pandas()
    assert known["line_number"].notna().mean() > 0.5
    order = back["order"].astype("Int64").astype("string")
    sent = known.assign(line_number=None, sold_at=None, order_id=order.to_numpy()[known["return_number"] - 1])
    rows = {**staged, "returns": pa.Table.from_pandas(sent, schema=live.schema("returns"), preserve_index=False)}
    pd.testing.assert_frame_equal(live.with_sales(rows)["returns"].to_pandas(), known)
