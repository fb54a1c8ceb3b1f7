"""Facts about goods and customers that come later: features that count them are found, those of the project are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import ibis.expr.types as ir
import pandas as pd
import pytest
from simulated import engine, open_shop, simulate

from features import unseen
from features.engines import DuckDB
from features.families import FAMILIES, Family
from features.grains import CUSTOMER
from features.tables import SPECS, Tables
from features.unseen import audit_unseen, seen_alone, undated

EARLY = date(2020, 3, 1)  # some goods have not been sold by then


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> DuckDB:
    return engine(tmp_path_factory.mktemp("engine"))


def frames() -> dict[str, pd.DataFrame]:
    """Simulate a shop in which three in four products and customers come after the first two months."""
    simulated = simulate(seed=3)
    for name, table in simulated.items():
        moment = SPECS[name].moment(table.columns)
        for key in ("customer_id", "product_id"):
            if moment and key in table:
                number = table[key].str.extract(r"(\d+)$")[0].fillna("0").astype(int)
                table = table[(table[moment] >= pd.Timestamp(EARLY)) | (number % 4 == 0)]
        simulated[name] = table.reset_index(drop=True)
    return simulated


@pytest.fixture(scope="module")
def shop(on: DuckDB, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return open_shop(frames(), tmp_path_factory.mktemp("shop"), on)


def per_customer(past: Tables, value: ir.Value) -> ir.Table:
    return past.transactions.select("customer_id").distinct().mutate(planted=value.cast("float64"))


def share_of_the_catalogue(past: Tables) -> ir.Table:
    """Products bought of all that the shop lists."""
    lines = past.transactions
    of = lines.group_by("customer_id").agg(bought=lines.product_id.nunique())
    return of.select("customer_id", planted=of.bought / past.products.count().as_scalar())


def goods_to_come(past: Tables) -> ir.Table:
    return per_customer(past, past.products.anti_join(past.transactions, "product_id").count().as_scalar())


def people_to_come(past: Tables) -> ir.Table:
    return per_customer(past, past.customers.count().as_scalar())


def share_of_what_was_sold(past: Tables) -> ir.Table:
    lines = past.transactions.inner_join(past.products, "product_id")
    of = lines.group_by("customer_id").agg(bought=lines.product_id.nunique())
    return of.select("customer_id", planted=of.bought / lines.product_id.nunique().as_scalar())


@pytest.mark.parametrize(
    ("build", "undated", "finding", "fails"),
    [
        (share_of_the_catalogue, False, "leaks", True),
        (goods_to_come, False, "leaks", True),
        (people_to_come, False, "leaks", True),
        (people_to_come, True, "differs", False),
        (share_of_what_was_sold, False, "clean", False),
    ],
)
def test_counts_of_what_comes_later_are_found(
    build: Callable[[Tables], ir.Table],
    undated: bool,
    finding: str,
    fails: bool,
    shop: Tables,
    on: DuckDB,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert on.frame(shop.products.anti_join(shop.as_of(EARLY).transactions, "product_id")).shape[0] > 0
    needs = ("transactions", "products", "customers")
    planted = Family("planted", needs, {"planted": "a cheat"}, build, undated=undated)
    monkeypatch.setitem(FAMILIES, "planted", planted)
    monkeypatch.setattr(unseen, "grains_of", lambda tables: [CUSTOMER])
    monkeypatch.setattr(unseen, "all_features", lambda *asked: ["planted"])
    first, *rest = audit_unseen(shop, on, EARLY)
    assert (first.finding, first.fails) == (finding, fails)
    assert len(rest) == (finding != "clean")


def test_goods_that_no_dated_row_names_are_not_audited(shop: Tables, on: DuckDB) -> None:
    """A shop may list products, and have no product on the lines of its orders."""
    lines = {
        name: table.drop("product_id")
        for name, table in shop.items()
        if SPECS[name].moment(table.columns) and "product_id" in table.columns
    }
    assert "products" in undated(shop)
    tables = shop.with_tables(**lines)
    assert "customers" in undated(tables)
    assert "products" not in undated(tables)
    changed = seen_alone(tables, on, EARLY)
    assert changed is not None
    assert len(changed.frame(tables.products)) == len(on.frame(shop.products))


@pytest.mark.slow
def test_no_feature_of_the_registry_knows_what_comes_later(shop: Tables, on: DuckDB) -> None:
    (found,) = audit_unseen(shop, on, EARLY)
    assert (found.finding, found.checks > 100) == ("clean", True)
