"""Monitoring of a shop that goes on as before, and of one in which prices, stores and customers change."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from steady_shops import steady_orders

START, JUDGED, NOW = pd.Timestamp("2022-01-01"), 700, 880
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shop(tmp_path: Path, run: Run) -> Callable[[pd.DataFrame], list[str]]:
    """Write lines as the shop's file, and return the overrides that read it; the first ones give a model in use."""
    columns = {"order_id": "order", "customer_id": "customer", "timestamp": "time", "amount": "value"}
    mapped = [f"data.tables.transactions.columns.{column}={source}" for column, source in columns.items()]
    given = ["data=files", "data.shop=s", "data.currency=EUR", "data.timezone=UTC", *mapped]
    given += [f"data.tables.transactions.path={tmp_path}/x.csv", "++data.tables.transactions.columns.store_id=store"]
    given += ["task=clv", "task.minimum={}", "evaluation.n_resamples=200", "data.burn_in_days=0"]

    def written(lines: pd.DataFrame) -> list[str]:
        lines.to_csv(tmp_path / "x.csv", index=False)
        return given

    written(lines_of(steady_orders(seed=3, customers=900), JUDGED))
    run("train", "model=mbg_nbd", *given)
    run("promote", *given)
    return written


def lines_of(orders: pd.DataFrame, until: int) -> pd.DataFrame:
    lines = orders[orders["day"] < until]
    return pd.DataFrame(
        {
            "order": [f"o{n}" for n in lines.index],
            "customer": [f"c{n}" for n in lines["customer"]],
            "time": START + pd.to_timedelta(lines["day"], unit="D").dt.round("s"),
            "value": lines["value"].round(2),
            "store": "north",
        }
    )


@pytest.mark.slow
def test_a_shop_that_goes_on_keeps_its_promise_and_one_that_changes_alarms(
    shop: Callable[[pd.DataFrame], list[str]], run: Run, tmp_path: Path
) -> None:
    lines = lines_of(steady_orders(seed=3, customers=900), NOW)
    given = shop(lines)
    told = run("monitor", *given).stdout
    assert "no alarm" in told
    assert (tmp_path / "outputs/s/monitor.html").read_text().count("Windows that have ended since") == 1
    assert " from 2024-03-01 " in told.splitlines()[1]  # the second of two windows since the sealed one ended
    assert "customers bought in the last" in told

    late = lines["time"] >= START + pd.Timedelta(days=JUDGED)
    changed = lines.assign(
        value=lines["value"].mask(late, lines["value"] * 2).round(2),
        store=lines["store"].mask(late & (lines.index % 3 == 0), "south").mask(late & (lines.index % 3 == 1)),
    )
    given = shop(changed)
    told = run("monitor", *given, code=1).stdout
    alarms = [line for line in told.splitlines() if line.startswith("alarm")]
    assert any("average_order_value" in line for line in alarms), told
    assert any("a store_id that training had not seen" in line for line in alarms), told
    assert any("store_id is missing on" in line for line in alarms), told

    run("monitor", *given, code=1)  # a run for each day and question
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("s-monitor")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.data.metrics["alarms"] >= 1
    assert "drift/average_order_value" in kept.data.metrics
    assert "realised/gini" in kept.data.metrics


def test_nothing_in_use_is_said(run: Run, tmp_path: Path) -> None:
    assert "nothing in use to monitor" in run("monitor", "data=cdnow", "task=segmentation", code=2).stderr
