"""How fast the project is, beside what else there is: ratios of medians from one run, in results.md.

    python benchmarks/speed.py                  # all sections
    python benchmarks/speed.py features fit     # some of them; the others keep their figures

Each section times its commands in turn, round after round, so that a busy machine slows all of them.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import optuna
import pandas as pd
import psutil
import yaml
from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter
from lifetimes.utils import summary_data_from_transaction_data

from experiments.models.probabilistic import BGNBD, DAYS_PER_WEEK, MBGNBD
from features.engines import DuckDB
from features.snapshot import row_per_customer
from features.sources import stage
from features.sources.staging import Staged
from features.writing import replacing

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
RFM = ["frequency", "recency", "T", "monetary_value"]
MILLION = 1_000_000
Row = tuple[str, str, str, str]  # what, figure, beside, ratio or target


def timed(commands: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each command; one round to warm up, then `rounds` in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            begun = time.perf_counter()
            command()
            seconds[name].append(time.perf_counter() - begun)
    return {name: median(measured[1:]) for name, measured in seconds.items()}


def config(name: str, **changes: object) -> dict[str, object]:
    """A data config as conf/ has it."""
    options = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text())
    options.pop("defaults", None)
    return {**options, **changes}


def replicated(staged: Staged, lines: int, folder: Path) -> Staged:
    """The same shop with its customers and orders repeated under shifted ids until it has so many lines."""
    copies = -(-lines // staged.rows["transactions"])
    folder.mkdir()
    with duckdb.connect() as connection:
        for table in staged.rows:
            source, target = f"'{staged.folder}/{table}.parquet'", f"'{folder}/{table}.parquet'"
            columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
            shifted = [column for column in ("customer_id", "order_id") if column in columns]
            again = ", ".join(f"{column} || '-' || copy AS {column}" for column in shifted)
            limit = f"LIMIT {lines}" if table == "transactions" else ""
            rows = f"SELECT * REPLACE ({again}) FROM {source}, range({copies}) AS copies(copy) {limit}"
            query = f"SELECT * EXCLUDE (copy) FROM ({rows})" if shifted else f"SELECT * FROM {source}"
            connection.execute(f"COPY ({query}) TO {target} (FORMAT parquet)")
        kept = {
            name: connection.execute(f"SELECT count(*) FROM '{folder}/{name}.parquet'").fetchone()[0]
            for name in staged.rows
        }
    return replace(staged, folder=folder, rows=kept)


def engine(folder: Path) -> DuckDB:
    return DuckDB(threads=os.cpu_count() or 1, memory_limit="3GiB", temp_directory=str(folder / "spill"))


# Features

SQL = """
    WITH days AS (
        SELECT customer_id, timestamp::DATE AS day, sum(amount) AS amount,
            min(timestamp::DATE) OVER (PARTITION BY customer_id) AS first_day
        FROM '{path}' WHERE timestamp < DATE '{cutoff}' GROUP BY customer_id, timestamp::DATE
    )
    SELECT customer_id, (count(*) - 1)::DOUBLE AS frequency, (max(day) - min(day))::DOUBLE AS recency,
        (DATE '{cutoff}' - 1 - min(day))::DOUBLE AS T,
        coalesce(sum(amount) FILTER (day > first_day)::DOUBLE / nullif(count(*) - 1, 0), 0) AS monetary_value
    FROM days GROUP BY customer_id
"""


def with_pandas(path: Path, cutoff: date) -> pd.DataFrame:
    """RFM and T as one would write it by hand."""
    lines = pd.read_parquet(path, columns=["customer_id", "timestamp", "amount"])
    lines = lines[lines["timestamp"] < pd.Timestamp(cutoff)]
    days = lines.assign(day=lines["timestamp"].dt.normalize(), amount=lines["amount"].astype(float))
    days = days.groupby(["customer_id", "day"], as_index=False)["amount"].sum()
    customers = days.groupby("customer_id")
    first, last, frequency = customers["day"].min(), customers["day"].max(), customers.size() - 1
    repeats = days[days["day"] > days["customer_id"].map(first)].groupby("customer_id")["amount"].sum()
    return pd.DataFrame(
        {
            "frequency": frequency,
            "recency": (last - first).dt.days,
            "T": (pd.Timestamp(cutoff) - timedelta(days=1) - first).dt.days,
            "monetary_value": (repeats / frequency).reindex(frequency.index).fillna(0.0),
        },
        dtype=float,
    )


def with_lifetimes(path: Path, cutoff: date) -> pd.DataFrame:
    lines = pd.read_parquet(path, columns=["customer_id", "timestamp", "amount"])
    lines = lines.assign(amount=lines["amount"].astype(float))
    return summary_data_from_transaction_data(
        lines, "customer_id", "timestamp", "amount", observation_period_end=pd.Timestamp(cutoff) - timedelta(days=1)
    )


def features(folder: Path) -> Iterator[Row]:
    """RFM and T from one Parquet file to a pandas frame; then every family."""
    staged = stage(config("cdnow", variant="master"), folder / "cache")
    for millions in (1, 10):
        shop = replicated(staged, millions * MILLION, folder / f"cdnow_{millions}")
        path, on = shop.folder / "transactions.parquet", engine(folder)
        past = shop.open(on).as_of(shop.end)
        rivals = {
            "this project": lambda past=past, on=on: on.frame(row_per_customer(past, RFM)),
            "DuckDB SQL by hand": lambda on=on, path=path: on.connection.con.sql(
                SQL.format(path=path, cutoff=shop.end)
            ).df(),
            "pandas by hand": lambda path=path: with_pandas(path, shop.end),
            "lifetimes": lambda path=path: with_lifetimes(path, shop.end),
        }
        frames = {name: command() for name, command in rivals.items()}
        ours = frames["this project"].set_index("customer_id").sort_index()
        for name, frame in frames.items():
            frame = frame.set_index("customer_id") if "customer_id" in frame else frame
            np.testing.assert_allclose(frame.sort_index()[RFM], ours[RFM], rtol=1e-9, err_msg=name)
        seconds = timed(rivals, rounds=3)
        for name in list(rivals)[1:]:
            target = {"lifetimes": "at least 5" if millions == 10 else "", "DuckDB SQL by hand": "at least 0.67"}.get(
                name, ""
            )
            yield row(f"RFM + T, {millions}M lines, {len(ours):,} customers", seconds, name, target)
    shop = replicated(stage(config("complete_journey"), folder / "cache"), 10 * MILLION, folder / "journey_10")
    on = engine(folder)
    past = shop.open(on).as_of(shop.end)
    names = yaml.safe_load((ROOT / "conf" / "features" / "full.yaml").read_text())["names"]
    seconds = timed(
        {
            "this project": lambda: on.frame(row_per_customer(past, names)),
            "its RFM + T alone": lambda: on.frame(row_per_customer(past, RFM)),
        },
        rounds=3,
    )
    yield row(f"all {len(names)} features of The Complete Journey x 7, 10M lines", seconds, "its RFM + T alone")


def row(what: str, seconds: Mapping[str, float], rival: str, target: str = "") -> Row:
    """The project's time, a rival's, and how many times faster the project is."""
    ours = seconds["this project"]
    wanted = f" (target: {target})" if target else ""
    return (
        what,
        f"{ours:.2f} s",
        f"{rival}: {seconds[rival]:.2f} s",
        f"{seconds[rival] / ours:.2f} times as fast{wanted}",
    )


# Fits


def fit(folder: Path) -> Iterator[Row]:
    """BG/NBD and MBG/NBD on CDNOW's 23,570 customers and on more, drawn from them with other last days."""
    staged = stage(config("cdnow", variant="master"), folder / "cache")
    on = engine(folder)
    base = on.frame(row_per_customer(staged.open(on).as_of(date(1997, 10, 1)), RFM[:3])).set_index("customer_id")
    rng = np.random.default_rng(0)
    for customers in (2_400, 24_000, 500_000):
        drawn = base.iloc[rng.integers(0, len(base), customers)]
        later = rng.integers(0, 30, customers)  # days that a customer has been known longer
        x, t_x, T = drawn["frequency"], drawn["recency"] / DAYS_PER_WEEK, (drawn["T"] + later) / DAYS_PER_WEEK
        for name, ours, theirs in (("BG/NBD", BGNBD, BetaGeoFitter), ("MBG/NBD", MBGNBD, ModifiedBetaGeoFitter)):
            model = ours(penalizer_coef=0.0).fit_purchases(x, t_x, T)
            rival = theirs().fit(x, t_x, T)
            theirs_scaled = -customers * rival._negative_log_likelihood_ + np.log(rival._scale) * x.sum()
            gap = abs(model.log_likelihood_ / theirs_scaled - 1)
            seconds = timed(
                {
                    "this project": lambda: ours(penalizer_coef=0.0).fit_purchases(x, t_x, T),
                    "lifetimes": lambda: theirs().fit(x, t_x, T),
                },
                rounds=3,
            )
            target = "at least 4" if (name, customers) == ("BG/NBD", 500_000) else ""
            yield row(f"{name}, {customers:,} customers; likelihoods differ by {gap:.0e}", seconds, "lifetimes", target)
