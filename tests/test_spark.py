"""Spark gives what DuckDB gives: the same snapshots, targets, models and scores. Run by `make test-spark`."""

from __future__ import annotations

import dataclasses
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import ibis
import ibis.expr.types as ir
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from features import group_totals, outcomes
from features.engines import Engine, open_engine
from features.families import FAMILIES, PARAMETRISED
from features.families.purchases import square
from features.grains import CUSTOMER
from features.occasions import occasions, orders
from features.outcomes import Outcome
from features.shop import Shop
from features.sources import stage
from features.sources.staged import Staged
from features.tables import MOMENT, MONEY
from merchandise_store import Store, sales_of_a_year
from online_retail import COLUMNS, DATE_FORMAT, data_config
from workplace import QUICK

pytestmark = pytest.mark.spark
one_session = pytest.mark.xdist_group("spark")  # in one process, since starting Spark takes seconds
TOLERANCE = 1e-9


@pytest.fixture(scope="module", autouse=True)
def quick_java() -> Iterator[None]:
    """Keep Java from optimising code that runs once: that would take a fifth of the time. Spark does the same work."""
    on_interrupt = signal.getsignal(signal.SIGINT)  # Spark sets its own, for as long as the process lives
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        yield
    signal.signal(signal.SIGINT, on_interrupt)


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[], Engine]]:
    spill = str(tmp_path_factory.mktemp("spill"))
    return {
        "duckdb": partial(open_engine, "duckdb", threads=2, memory_limit="2GiB", temp_directory=spill),
        "spark": partial(open_engine, "spark", master="local[2]", driver_memory="2g", shuffle_partitions=2),
    }


def online_retail(folder: Path) -> dict[str, object]:
    """Orders and returns of a shop in London, some around midnight and over the end of winter time."""
    rng = np.random.default_rng(0)
    moments = pd.Timestamp("2011-01-01") + pd.to_timedelta(rng.integers(0, 200 * 96, 3_000) * 15, unit="min")
    frame = pd.DataFrame(
        {
            "InvoiceNo": np.arange(len(moments)),
            "StockCode": rng.integers(0, 40, len(moments)),
            "Description": "LANTERN",
            "Quantity": rng.integers(1, 12, len(moments)) * rng.choice([1, -1], len(moments), p=[0.85, 0.15]),
            "InvoiceDate": moments.strftime("%m/%d/%Y %H:%M"),
            "UnitPrice": rng.gamma(4, 1, len(moments)).round(2) + 0.01,
            "CustomerID": np.floor(1 / (rng.random(len(moments)) + 0.003)),
            "Country": "United Kingdom",
        }
    )
    frame.to_csv(folder / "online_retail.csv", index=False)
    config = data_config("files", shop="shop", currency="GBP", timezone="Europe/London", path=str(folder))
    mapping = {"path": "online_retail.csv", "date_format": DATE_FORMAT, "columns": {**COLUMNS}}
    config["tables"]["transactions"] |= mapping
    config["rules"]["negative_quantity"] = "return"
    return config


def one_customer_in_ten(staged: Staged, folder: Path) -> Staged:
    """Return a shop whose tables, in the folder, hold the customers whose numbers end in 7."""
    folder.mkdir()
    for name in staged.rows:
        table = pq.read_table(staged.folder / f"{name}.parquet")
        if "customer_id" in table.column_names:
            table = table.filter(pc.ends_with(table["customer_id"], "7"))
        pq.write_table(table, folder / f"{name}.parquet")
    return dataclasses.replace(staged, folder=folder, digest=f"{staged.digest} of one customer in ten")


@pytest.fixture(params=["complete_journey", "cdnow", "merchandise_store", "files"])
def shops(request, engines, tmp_path: Path) -> dict[str, Shop]:
    """The same staged tables on either engine."""
    if request.param == "files":
        config = online_retail(tmp_path)
    elif request.param == "merchandise_store":
        store = Store(tmp_path)
        store.sell(sales_of_a_year())
        config = store.config
    else:
        config = data_config(request.param)
    staged = stage(config, tmp_path / "cache")
    if request.param == "complete_journey":  # of all 1.47 million lines, Spark makes the same in a minute more
        staged = one_customer_in_ten(staged, tmp_path / "sample")
    opened = {name: engine() for name, engine in engines.items()}
    return {name: Shop(staged, staged.open(engine), engine, tmp_path / "cache") for name, engine in opened.items()}


def assert_equal(frames: dict[str, pd.DataFrame]) -> None:
    pd.testing.assert_frame_equal(frames["spark"], frames["duckdb"], rtol=TOLERANCE, atol=TOLERANCE)


@one_session
def test_snapshots_and_outcomes_of_every_source_are_equal(shops: dict[str, Shop]) -> None:
    """Every family that the source can build, every share of its largest values, and the spend that follows."""
    tables = shops["duckdb"].tables
    cutoff = tables.end - timedelta(days=60)
    present = tables.present().keys()
    families = [family for family in FAMILIES.values() if family.grain == CUSTOMER and present >= set(family.needs)]
    names = [name for family in families for name in family.features]
    valued = {
        name: {on: shop.expand([f"{name}.*"], cutoff) for on, shop in shops.items()}
        for name, base in PARAMETRISED.items()
        if present >= set(base.needs) and has_values(shops["duckdb"], name, cutoff)
    }
    assert all(found["spark"] == found["duckdb"] for found in valued.values())
    names += [feature for found in valued.values() for feature in found["duckdb"]]
    assert_equal({on: shop.features(names, [cutoff]) for on, shop in shops.items()})
    for build in (partial(outcomes.spend, discount_rate=0.1), outcomes.purchase_days):
        outcome = Outcome("y", ("y",), build)
        assert_equal({on: shop.outcome(outcome, [cutoff], 60) for on, shop in shops.items()})


def has_values(shop: Shop, name: str, cutoff: date) -> bool:
    return not shop.engine.frame(PARAMETRISED[name].largest(shop.tables.as_of(cutoff), 1)).empty


@one_session
@pytest.mark.parametrize("shops", ["merchandise_store", "files"], indirect=True)
def test_what_groups_of_customers_did_is_equal(shops: dict[str, Shop]) -> None:
    """Every expression that a report asks, in the second half of the data; days, categories and shares alike."""
    tables = shops["duckdb"].tables
    middle = tables.start + (tables.end - tables.start) / 2
    buyers = shops["duckdb"].features(["frequency"], [middle]).droplevel("cutoff").index
    groups = pd.Series(pd.Categorical(np.where(np.arange(len(buyers)) % 2, "odd", "even")), index=buyers)
    asked = [
        group_totals.by_day,
        group_totals.by_coupon,
        partial(group_totals.by_coupon, of="lines"),
        group_totals.coupon_share,
    ]
    aspects = ["price", "month", "weekday", "coupon"]
    if tables.products is not None:
        values = shops["duckdb"].behaviour(group_totals.by_value, groups, middle, tables.end)["value"]
        asked += [
            group_totals.by_value,
            group_totals.baskets,
            partial(group_totals.value_share, values=list(values[:3])),
        ]
        aspects += ["category", "pair"]
    for expression in asked:
        assert_same_rows({on: shop.behaviour(expression, groups, middle, tables.end) for on, shop in shops.items()})
    for expression in (orders, *(partial(occasions, aspect=aspect, largest=3) for aspect in aspects)):
        window = {on: shop.tables.between(middle, tables.end) for on, shop in shops.items()}
        assert_same_rows({on: shop.engine.frame(expression(window[on])) for on, shop in shops.items()})
    assert_same_rows(
        {on: shop.during(["orders", "total_spend"], middle, tables.end).reset_index() for on, shop in shops.items()}
    )


def assert_same_rows(frames: dict[str, pd.DataFrame]) -> None:
    """Whatever their order, and whether a day is a date or a moment."""

    def in_order(frame: pd.DataFrame) -> pd.DataFrame:
        words = [name for name in frame if not pd.api.types.is_float_dtype(frame[name])]
        return frame.astype(dict.fromkeys(words, str)).sort_values(words, ignore_index=True)

    pd.testing.assert_frame_equal(in_order(frames["spark"]), in_order(frames["duckdb"]), rtol=TOLERANCE, atol=TOLERANCE)


OPERATIONS: dict[str, Callable[[ir.Table], ir.Table]] = {
    "quantiles interpolate": lambda t: t.group_by("key").agg(
        low=t.amount.cast("float64").quantile(0.1), middle=t.amount.cast("float64").median()
    ),
    "nulls come last": lambda t: t.mutate(place=ibis.row_number().over(order_by=["maybe", "row"])),
    "lag over ties": lambda t: t.mutate(before=t.row.lag().over(group_by="key", order_by=["moment", "row"])),
    "days and hours": lambda t: t.select(
        "row", day=t.moment.date(), hour=t.moment.hour(), weekday=t.moment.day_of_week.index()
    ),
    "differences of days": lambda t: t.select(
        "row", days=ibis.literal(date(2020, 4, 1)).delta(t.moment.date(), unit="day")
    ),
    "sums of decimals": lambda t: t.group_by("key").agg(
        total=t.amount.sum().cast("float64"), squares=square(t.amount).sum().cast("float64")
    ),
    "division of whole numbers": lambda t: t.select("row", ratio=t.row / 7, rest=t.row % 7),
    "division by nothing": lambda t: t.select("row", ratio=t.amount.cast("float64") / (t.row % 2).nullif(0)),
    "lower case": lambda t: t.select("row", text=t.text.lower()),
    "count of what is true": lambda t: t.group_by("key").agg(n=t.count(where=t.maybe > 3)),
}


@one_session
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_that_engines_are_known_to_differ_in_are_equal(operation, engines, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    moments = [datetime(2020, 3, 28, 22) + timedelta(minutes=int(m)) for m in rng.integers(0, 3_000, 200)]
    schema = {"row": "int64", "key": "string", "amount": MONEY, "maybe": "int64", "moment": MOMENT, "text": "string"}
    rows = {
        "row": np.arange(200).tolist(),
        "key": rng.choice(["a", "b", "c"], 200).tolist(),
        "amount": [Decimal(int(cents)) / 10_000 for cents in rng.integers(0, 10**12, 200)],
        "maybe": [None if u < 0.3 else int(10 * u) for u in rng.random(200)],
        "moment": moments,
        "text": rng.choice(["ÄÖ ß", "Мир", "음료", "I"], 200).tolist(),
    }
    pq.write_table(pa.table(rows, schema=ibis.schema(schema).to_pyarrow()), tmp_path / "rows.parquet")

    def result(engine: Engine) -> pd.DataFrame:
        frame = engine.frame(OPERATIONS[operation](engine.read(tmp_path / "rows.parquet", "rows")))
        return frame.sort_values("row" if "row" in frame else "key").reset_index(drop=True)

    pd.testing.assert_frame_equal(
        result(engines["spark"]()), result(engines["duckdb"]()), rtol=TOLERANCE, check_dtype=False
    )


@one_session
def test_an_overflow_is_an_error_and_no_null(engines, tmp_path: Path) -> None:
    pq.write_table(pa.table({"row": [2**62, 2**62]}), tmp_path / "rows.parquet")
    engine = engines["spark"]()
    rows = engine.read(tmp_path / "rows.parquet", "rows")
    with pytest.raises(Exception, match="OVERFLOW"):
        engine.frame(rows.mutate(more=rows.row * 4))


@one_session
def test_commands_on_spark_leave_what_they_leave_on_duckdb(
    workspace: Path, tmp_path_factory, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion's scores, the features, and a model trained anew."""
    other = tmp_path_factory.mktemp("spark") / "copy"
    shutil.copytree(workspace, other)
    for folder, engine in ((workspace, []), (other, ["engine=spark", "engine.driver_memory=2g"])):
        monkeypatch.chdir(folder)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        run("score", *QUICK, *engine, "output=scores.parquet")
        run("features", *QUICK, *engine, "output=features.csv")
        run("train", *QUICK, *engine, "model=bg_nbd", "evaluation.step_days=90")
    assert_equal(
        {"duckdb": pd.read_parquet(workspace / "scores.parquet"), "spark": pd.read_parquet(other / "scores.parquet")}
    )
    assert_equal({"duckdb": pd.read_csv(workspace / "features.csv"), "spark": pd.read_csv(other / "features.csv")})
    assert metrics(other) == pytest.approx(metrics(workspace), rel=TOLERANCE)


def metrics(folder: Path) -> dict[str, float]:
    """Of the candidate that was registered last."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client.get_run(client.get_model_version("cdnow-clv", "2").run_id).data.metrics
