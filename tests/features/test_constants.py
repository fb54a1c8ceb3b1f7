"""Constants in definitions: planted names, days and numbers are found, in every feature of the project none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from simulated import CUTOFF, engine, open_shop, simulate
from test_merchandise_store import DATA, published

from features import constants
from features.constants import audit_constants, fixed_constants
from features.engines import DuckDB
from features.families import FAMILIES, Family
from features.grains import CUSTOMER
from features.leakage import Finding
from features.learnt import learnt
from features.shop import Shop
from features.tables import Tables
from online_retail import data_config

SPENT = {"c0001": 812.5, "c0007": 90.25}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> DuckDB:
    return engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def shop(on: DuckDB, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return open_shop(simulate(seed=3), tmp_path_factory.mktemp("shop"), on)


def per_customer(past: Tables, value: Callable[[ir.Table], ir.Value]) -> ir.Table:
    """Add up a value of lines."""
    lines = past.transactions.left_join(past.products, "product_id")
    return lines.group_by("customer_id").agg(planted=value(lines).cast("float64").sum())


def remembered(lines: pd.DataFrame) -> pd.DataFrame:
    """Look up what two customers will have spent."""
    customers = lines["customer_id"].drop_duplicates()
    return pd.DataFrame({"customer_id": customers, "planted": customers.map(SPENT).fillna(0.0)})


def honest(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.category.nullif("").notnull() & (t.amount > 20) & (t.timestamp.hour() < 12))


def a_customer(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.customer_id == "c0001")


def numbers_of_ids(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.product_id.re_extract(r"p(\d+)", 1).nullif("").cast("int64"))


def a_lookup_in_python(past: Tables) -> ir.Table:
    schema = {"customer_id": "string", "planted": "float64"}
    return learnt(remembered, {"lines": past.transactions.select("customer_id")}, schema)


WEIGHTS = {"morning": 0.374, "noon": 1.618}


@cache
def in_the_evening() -> float:
    return 0.0725


class Weights:
    def of(self, hours: pd.Series) -> pd.Series:
        return np.where(hours < 9, WEIGHTS["morning"], np.where(hours < 13, WEIGHTS["noon"], in_the_evening()))


def weighed(lines: pd.DataFrame) -> pd.DataFrame:
    worth = lines.assign(planted=Weights().of(lines["hour"]))
    return worth.groupby("customer_id", as_index=False)["planted"].sum()


def weights_in_python(past: Tables) -> ir.Table:
    lines = past.transactions
    read = {"lines": lines.select("customer_id", hour=lines.timestamp.hour())}
    return learnt(weighed, read, {"customer_id": "string", "planted": "float64"})


OF_HOURS = np.arange(24) % 7 + np.arange(24)


def looked_up(lines: pd.DataFrame) -> pd.DataFrame:
    worth = lines.assign(planted=OF_HOURS[lines["hour"]].astype(float))
    return worth.groupby("customer_id", as_index=False)["planted"].sum()


def a_table_in_python(past: Tables) -> ir.Table:
    lines = past.transactions
    read = {"lines": lines.select("customer_id", hour=lines.timestamp.hour())}
    return learnt(looked_up, read, {"customer_id": "string", "planted": "float64"})


def weights_of_categories(past: Tables) -> ir.Table:
    weights = (("category 1", 1.4), ("category 2", 0.6))
    return per_customer(past, lambda t: ibis.cases(*((t.category == name, w) for name, w in weights), else_=1.0))


def a_day_to_come(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: ibis.literal(date(2020, 7, 4)).delta(t.timestamp.date(), unit="day"))


def a_day_in_words(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.timestamp.strftime("%Y-%m-%d") == "2020-05-04")


def a_year(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.timestamp.year() == 2020)


def a_month_as_a_number(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.timestamp.year() * 100 + t.timestamp.month() == 202_004)


def a_month_in_words(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.timestamp.strftime("%Y-%m") == "2020-04")


def a_day_of_parts(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.timestamp.date() >= ibis.date(2020, 5, 4))


def seconds_since_1970(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: t.timestamp.epoch_seconds() >= 1_588_550_400)


def a_season(past: Tables) -> ir.Table:
    """Count lines at weekends of April, and of the year before: they name no year."""
    return per_customer(
        past,
        lambda t: (
            (t.timestamp.month() == 4).cast("int64") * (t.timestamp.day_of_week.index() >= 5).cast("int64")
            + (t.timestamp.year() == past.end.year - 1).cast("int64")
        ),
    )


def measured_weights(past: Tables) -> ir.Table:
    return per_customer(past, lambda t: 0.374 * t.amount.cast("float64") + 1.618 * t.quantity.cast("float64") + 0.0725)


def a_table_of_numbers(past: Tables) -> ir.Table:
    hours = [(hour, 1 + hour % 7) for hour in range(24)]
    return per_customer(past, lambda t: ibis.cases(*((t.timestamp.hour() == h, w) for h, w in hours), else_=0))


PLANTED = {
    honest: ("clean", ""),
    a_customer: ("leaks", "moves with customer_id"),
    numbers_of_ids: ("leaks", "moves with product_id"),
    a_lookup_in_python: ("leaks", "customer c0001: 812.5 became 0"),
    weights_of_categories: ("unproven", "moves with category"),
    a_day_to_come: ("unproven", "days that are the same at every cutoff: 2020-07-04"),
    a_day_in_words: ("unproven", "2020-05-04"),
    a_year: ("unproven", "2020-01-01"),
    a_month_as_a_number: ("unproven", "values move where all days are 28 years later, customer c0"),
    a_month_in_words: ("unproven", "values move where all days are 28 years later"),
    a_day_of_parts: ("unproven", "values move where all days are 28 years later"),
    seconds_since_1970: ("unproven", "values move where all days are 28 years later"),
    a_season: ("clean", ""),
    measured_weights: ("unproven", "3 numbers that somebody measured: 0.0725, 0.374, 1.618"),
    a_table_of_numbers: ("unproven", "a table of 24 numbers"),
    weights_in_python: ("unproven", "3 numbers that somebody measured: 0.0725, 0.374, 1.618"),
    a_table_in_python: ("unproven", "a table of"),
}


@pytest.fixture
def audited(shop: Tables, on: DuckDB, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finding]:
    """`audited(build)`: the one finding on a planted family of customers."""

    def audit(build: Callable[[Tables], ir.Table], declared: str = "") -> Finding:
        cheat = Family("planted", ("transactions", "products"), {"planted": "a cheat"}, build, constants=declared)
        monkeypatch.setitem(FAMILIES, "planted", cheat)
        monkeypatch.setattr(constants, "grains_of", lambda tables: [CUSTOMER])
        monkeypatch.setattr(constants, "all_features", lambda *asked: ["planted"])
        found = [finding for finding in audit_constants(shop, on, CUTOFF) if "0 features" not in finding.subject]
        (finding,) = found
        return finding

    return audit


@pytest.mark.quick(4)
@pytest.mark.parametrize("build", PLANTED, ids=lambda build: build.__name__)
def test_constants_of_every_kind_are_found(
    build: Callable[[Tables], ir.Table], audited: Callable[..., Finding]
) -> None:
    finding, said = PLANTED[build]
    found = audited(build)
    assert (found.finding, found.fails) == (finding, finding != "clean")
    assert said in found.figures


def test_a_declared_origin_is_said_and_does_not_excuse_ids(audited: Callable[..., Finding]) -> None:
    declared = "weights of the shop's planners, of 2018"
    found = audited(measured_weights, declared)
    assert (found.finding, found.fails) == ("differs", False)
    assert found.figures.endswith(f"declared: {declared}")
    assert audited(a_customer, declared).fails


def every_feature(tables: Tables, on: DuckDB, cutoff: date) -> Iterator[Finding]:
    found = list(audit_constants(tables, on, cutoff))
    assert sum(finding.checks for finding in found if finding.finding == "clean") > 20
    return (finding for finding in found if finding.finding != "clean")


def test_no_feature_of_the_registry_holds_days_or_measured_numbers() -> None:
    assert fixed_constants(feature for family in FAMILIES.values() for feature in family.features) == {}


@pytest.mark.slow
def test_no_feature_of_the_registry_depends_on_names(shop: Tables, on: DuckDB) -> None:
    assert list(every_feature(shop, on, CUTOFF)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cutoff"),
    [
        ("cdnow", date(1997, 10, 1)),
        ("complete_journey", date(2017, 7, 5)),
        pytest.param("merchandise_store", date(2019, 6, 1), marks=published),
    ],
)
def test_features_of_the_real_shops_hold_no_constants(name: str, cutoff: date, on: DuckDB, shared_cache: Path) -> None:
    path = {"path": str(DATA)} if name == "merchandise_store" else {}
    shop = Shop.open(data_config(name, **path), on, shared_cache)
    assert list(every_feature(shop.tables, on, cutoff)) == []
