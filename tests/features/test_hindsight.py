"""Facts beside totals of all days: ranks and bands made of later rows are found, honest facts are not."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from simulated import engine

from features.engines import DuckDB
from features.hindsight import agreements, audit_hindsight, misplaced
from features.tables import Tables
from undated_facts import START, opened

DAYS = 365
LEAKS = {"department", "category", "size"}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> DuckDB:
    return engine(tmp_path_factory.mktemp("engine"))


def shop(seed: int, on: DuckDB) -> Tables:
    """Open a shop whose goods sell by rates of their own, some in a season, with facts made in all ways.

    `department` is a band of all days' amounts, `category` of the buyers, `size` a rank by lines. The others are
    honest: `brand` a planner's class by the true rates, `subcategory` one of five, `manufacturer` the season,
    `name` a rank by the first quarter's lines.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(80, 600))
    rates = rng.lognormal(0, rng.uniform(0.6, 1.6), n)
    season = rng.random(n) < 0.3
    growth = rng.uniform(-1, 1.5)
    n_lines = int(n * rng.uniform(15, 60))
    day = (rng.random(4 * n_lines) ** (1 / (1 + max(growth, -0.5))) * DAYS).astype(int)
    item = rng.choice(n, 4 * n_lines, p=rates / rates.sum())
    kept = ~season[item] | (rng.random(4 * n_lines) < 0.5 + 0.5 * np.sin(2 * np.pi * day / DAYS))
    item, day = item[kept][:n_lines], day[kept][:n_lines]
    lines = pd.DataFrame(
        {
            "product_id": [f"p{number}" for number in item],
            "customer_id": [f"c{number}" for number in rng.integers(0, max(n_lines // 8, 20), len(item))],
            "timestamp": pd.Timestamp(START) + pd.to_timedelta(day, unit="D"),
            "amount": rng.lognormal(2, 0.8, len(item)).round(2),
        }
    )
    of = lines.groupby("product_id").agg(
        amount=("amount", "sum"), lines=("amount", "size"), buyers=("customer_id", "nunique")
    )
    early = lines[day < DAYS / 4].groupby("product_id").size().reindex(of.index, fill_value=0)
    number = of.index.str[1:].astype(int)
    products = pd.DataFrame(
        {
            "product_id": of.index,
            "department": pd.qcut(of["amount"], 4, labels=list("DCBA")).astype(str),
            "category": np.where(of["buyers"] > of["buyers"].quantile(0.7), "BEST", "REST"),
            "size": of["lines"].rank(ascending=False, method="first").astype(int).astype(str),
            "brand": np.searchsorted(np.quantile(rates, [0.3, 0.8]), rates[number]).astype(str),
            "subcategory": rng.integers(0, 5, len(of)).astype(str),
            "manufacturer": np.where(season[number], "WINTER", "ALL YEAR"),
            "name": early.rank(method="first").astype(int).astype(str),
        }
    )
    return opened({"transactions": lines, "products": products}, DAYS, on)


@pytest.mark.parametrize("n_shops", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_facts_made_of_later_rows_are_found_and_no_others(n_shops: int, on: DuckDB) -> None:
    """A band that totals of half the days give too is as good as known, and not found: few are in these shops."""
    flagged = [each.column for seed in range(n_shops) for each in agreements(shop(seed, on), on) if each.is_flagged]
    assert set(flagged) == LEAKS
    assert len(flagged) >= 0.9 * n_shops * len(LEAKS)


def test_a_fact_fails_where_models_read_its_table(on: DuckDB) -> None:
    tables = shop(0, on)
    read = {each.subject: each for each in audit_hindsight(tables, on, ["total_spend", "distinct_categories"])}
    assert {subject for subject, each in read.items() if each.fails} == {f"products.{column}" for column in LEAKS}
    assert "of all days misplace 0 of 5" in read["products.category"].figures
    assert "distinct_categories read the table" in read["products.category"].figures
    assert read["4 facts"].finding == "clean"
    unread = list(audit_hindsight(tables, on, ["total_spend"]))
    assert {each.finding for each in unread} == {"leaks", "clean"}
    assert not any(each.fails for each in unread)


def test_a_band_of_customers_is_found_though_it_has_a_date(on: DuckDB) -> None:
    """A tier that is written over keeps the day on which the customer came."""
    rng = np.random.default_rng(0)
    who = rng.choice(600, 9_000, p=rng.dirichlet(3 * np.ones(600)))
    lines = pd.DataFrame({"customer_id": [f"c{n}" for n in who], "product_id": "p", "amount": 5.0})
    lines["timestamp"] = pd.Timestamp(START) + pd.to_timedelta(rng.integers(0, DAYS, len(lines)), unit="D")
    number = lines["customer_id"].value_counts()
    tier = pd.cut(number, [0, number.median(), 1e9], labels=["silver", "gold"]).astype(str)
    people = pd.DataFrame({"customer_id": number.index, "known_at": pd.Timestamp(START), "region": tier.to_numpy()})
    (found,) = agreements(opened({"transactions": lines, "customers": people}, DAYS, on), on)
    assert (found.column, found.whole, found.is_flagged) == ("region", 0, True)
    assert found.middle == START + timedelta(days=round(DAYS / 2))


def test_misplaced_counts_who_is_on_the_wrong_side_of_a_bound() -> None:
    totals = np.arange(100.0)
    bands = (totals >= 60).astype(int)
    assert misplaced(bands, totals) == 0
    bands[[10, 20, 70]] = 1 - bands[[10, 20, 70]]
    assert misplaced(bands, totals) == 4  # and number 59, which is one of the upper 41
    assert misplaced(bands, np.ones(100)) == 0
