"""Raw files cut at a day and staged anew: honest shops are clean, and what staging makes of later rows is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from features import restaging
from features.engines import DuckDB
from features.leakage import Finding, all_features
from features.restaging import audit_restaged
from features.shop import Shop
from features.sources import stage, stage_before
from features.tables import SPECS
from merchandise_store import Store, sales_of_a_year
from online_retail import data_config
from shop_database import database_config

CUTOFF = date(2020, 7, 1)
LINES = {"order_id": "nr", "customer_id": "who", "timestamp": "sold", "amount": "total", "product_id": "item"}
FILE: dict[str, Any] = {"path": "lines.csv", "columns": LINES, "date_format": "%d.%m.%Y %H:%M"}
LOOKED_AT = {
    "total_spend",
    "orders",
    "category_share.BEST",
    "category_share.REST",
    "income_band_start",
    "age_band_start",
}

Restaged = Callable[..., list[Finding]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of orders, whose best goods and customers change from half to half, and a file of goods."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    rows = []
    for n in range(600):
        day = date(2020, 1, 1) + timedelta(days=int(rng.integers(366)))
        who, item = (int(rng.integers(20)) + 10 * (day >= CUTOFF) for _ in range(2))
        rows.append(f"{n},c{who},{day:%d.%m.%Y} 10:00,{1 + int(rng.integers(90))},p{item}")
    (folder / "lines.csv").write_text("\n".join(["nr,who,sold,total,item", *rows, ""]))
    goods = [f"p{n},{'tea' if n % 2 else 'rice'}" for n in range(30)]
    (folder / "goods.csv").write_text("\n".join(["item,kind", *goods, ""]))
    return folder


@pytest.fixture
def restaged(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Restaged:
    """`restaged(products={…})`: the findings on the shop of these tables, of few features, as all take seconds."""
    monkeypatch.setattr(restaging, "all_features", lambda *asked: [n for n in all_features(*asked) if n in LOOKED_AT])

    def run(trained: tuple[str, ...] = (), cutoffs: tuple[date, ...] = (CUTOFF,), **tables: Any) -> list[Finding]:
        config = data_config("files", shop="s", currency="EUR", timezone="Europe/Berlin", path=str(folder))
        config["tables"] = {"transactions": FILE, **tables}
        on = DuckDB(threads=1, memory_limit="1GiB", temp_directory=str(tmp_path))
        shop = Shop.open(config, on, tmp_path / "cache")
        found = list(audit_restaged(shop, config, cutoffs, tmp_path, trained))
        assert not list(tmp_path.glob("restaged_*"))
        return found

    return run


def of_query(sql: str, **columns: str) -> dict[str, Any]:
    return {**FILE, "path": None, "sql": sql, "columns": columns or LINES}


def leaks(found: list[Finding]) -> set[str]:
    return {finding.subject for finding in found if finding.fails}


@pytest.mark.slow
def test_files_that_staging_only_reads_are_clean(restaged: Restaged) -> None:
    joined = "SELECT l.*, kind FROM read_csv('lines.csv', all_varchar = true) l JOIN 'goods.csv' USING (item)"
    goods = {"path": "goods.csv", "columns": {"product_id": "item", "category": "kind"}}
    (clean,) = restaged(transactions=of_query(joined), products=goods, cutoffs=(date(2020, 4, 1), CUTOFF))
    assert (clean.finding, clean.fails) == ("clean", False)
    assert "cut at 2020-04-01 and 2020-07-01 and staged anew; whole, as nothing dates" in clean.figures
    assert clean.figures.endswith("their rows: goods.csv")


def test_a_query_that_keeps_the_last_purchase_of_each_product_is_found(restaged: Restaged) -> None:
    last = "row_number() OVER (PARTITION BY who, item ORDER BY strptime(sold, '%d.%m.%Y %H:%M') DESC) = 1"
    found = restaged(transactions=of_query(f"FROM read_csv('lines.csv', all_varchar = true) QUALIFY {last}"))
    assert {"feature total_spend", "feature orders"} <= leaks(found)
    figures = {finding.subject: finding.figures for finding in found}
    assert "values move with raw rows from 2020-07-01 on, customer c" in figures["feature orders"]


@pytest.mark.slow
def test_a_rank_of_products_over_all_days_is_found(restaged: Restaged) -> None:
    """The query has no time of its own: the transactions date the file that it reads."""
    best = "CASE WHEN rank() OVER (ORDER BY sum(total) DESC) <= 10 THEN 'BEST' ELSE 'REST' END"
    ranked = of_query(f"SELECT item, {best} AS kind FROM 'lines.csv' GROUP BY item", product_id="item", category="kind")
    assert leaks(restaged(products=ranked)) == {"feature category_share.BEST", "feature category_share.REST"}


@pytest.mark.slow
def test_a_band_of_later_spend_fails_where_models_read_it(restaged: Restaged) -> None:
    band = "SELECT who, CASE WHEN sum(total) > 1500 THEN '3' ELSE '1' END AS band FROM 'lines.csv' GROUP BY who"
    banded = of_query(band, customer_id="who", income_band="band", age_band="band")
    found = restaged(("income_band_start",), customers=banded)
    bands = {finding.subject: finding for finding in found if "_band_" in finding.subject}
    assert {name: (finding.finding, finding.fails) for name, finding in bands.items()} == {
        "feature income_band_start": ("differs", True),
        "feature age_band_start": ("differs", False),
    }
    assert all("its family declares facts of unknown date" in finding.figures for finding in bands.values())


def test_customers_who_are_kept_because_they_come_back_are_found(restaged: Restaged) -> None:
    back = (
        "SELECT who FROM read_csv('lines.csv', all_varchar = true) GROUP BY who HAVING max(substr(sold, 4, 2)) > '09'"
    )
    found = restaged(transactions=of_query(f"FROM read_csv('lines.csv', all_varchar = true) WHERE who IN ({back})"))
    (empty,) = (finding for finding in found if finding.fails)
    assert (empty.subject, empty.finding) == ("raw files before 2020-07-01", "leaks")
    assert "transactions is empty without raw rows from 2020-07-01 on, though transactions have" in empty.figures


@pytest.mark.slow
def test_a_time_that_cannot_be_followed_is_not_checked(restaged: Restaged) -> None:
    """All lines get the day of the customer's first order, so that later ones seem to be early."""
    first = "strftime(min(strptime(sold, '%d.%m.%Y %H:%M')) OVER (PARTITION BY who), '%d.%m.%Y %H:%M')"
    query = f"SELECT * REPLACE ({first} AS sold) FROM read_csv('lines.csv', all_varchar = true)"
    found = {each.subject: each for each in restaged(transactions=of_query(query))}
    assert found["the query of transactions, whose time is no column of lines.csv"].finding == "not checked"


def test_what_cannot_be_staged_anew_is_not_checked(restaged: Restaged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restaging, "SPACE", 1e15)
    (finding,) = restaged()
    assert (finding.finding, finding.checks) == ("not checked", 0)
    assert "no room to stage anew" in finding.figures


def sources(folder: Path) -> dict[str, tuple[dict[str, Any], date, tuple[str, ...]]]:
    """Return the config of a shop of each kind, a cutoff, and what is not cut."""
    database = sqlite3.connect(folder / "shop.db")
    with database:
        database.execute("CREATE TABLE lines (nr, who, sold TEXT, total)")
        database.executemany(
            "INSERT INTO lines VALUES (?, ?, ?, 5)", [(n, n % 7, f"2020-0{n % 9 + 1}-01") for n in range(90)]
        )
    database.close()
    store = Store(folder)
    store.sell(sales_of_a_year(customers=20))
    of_database = database_config(f"sqlite:///{folder / 'shop.db'}")
    lines = of_database["tables"]["transactions"] | {
        "columns": {key: LINES[key] for key in LINES if key != "product_id"}
    }
    by_query = {**of_database, "tables": {"transactions": {**lines, "table": None, "sql": "SELECT * FROM lines"}}}
    return {
        "cdnow": (data_config("cdnow"), date(1997, 10, 1), ()),
        "complete_journey": (data_config("complete_journey"), date(2017, 7, 5), ()),
        "merchandise_store": (store.config, date(2019, 6, 1), ()),
        "database": ({**of_database, "tables": {"transactions": lines}}, CUTOFF, ()),
        "database, by a query": (by_query, CUTOFF, ("the query of transactions, which the database runs",)),
    }


@pytest.mark.quick(2)
@pytest.mark.parametrize("kind", ["cdnow", "database", "merchandise_store", "database, by a query", "complete_journey"])
def test_each_source_has_the_rows_before_a_day_and_no_others(kind: str, tmp_path: Path) -> None:
    config, cutoff, not_cut = sources(tmp_path)[kind]
    whole = stage(config, tmp_path / "cache")
    part, kept = stage_before(config, cutoff, tmp_path / "cache", tmp_path / "part")
    assert kept == not_cut
    for name in whole.rows:
        moment = SPECS[name].moment(SPECS[name].undated_schema)
        before = f"WHERE {moment} < TIMESTAMP '{cutoff}'" if moment else ""
        counted = "SELECT count(*), sum(hash({of}))::VARCHAR FROM '{file}' {before}"
        columns = "amount" if name == "transactions" else "1"
        full, cut = (
            duckdb.sql(counted.format(of=columns, file=folder / f"{name}.parquet", before=where)).fetchone()
            for folder, where in ((whole.folder, before), (part.folder, ""))
        )
        if kind != "merchandise_store" or name not in ("products", "discounts"):  # read from sales, known by months
            assert cut == full, name
        assert cut[0] > 0
