"""Monitoring of a shop that goes on as before, and of one in which prices, stores and customers change."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from mlflow import MlflowClient

from experiments.workflow.in_use import OwnFigure
from experiments.workflow.monitor import Monitored, Watch, next_text
from steady_shops import START, lines_of, steady_orders

JUDGED, NOW = 700, 880
Run = Callable[..., subprocess.CompletedProcess[str]]
Written = Callable[[pd.DataFrame], list[str]]


@pytest.fixture
def shop(steady_shop: Written, run: Run) -> Written:
    """The shop with a model in use."""
    given = steady_shop(lines_of(steady_orders(seed=3, customers=900), JUDGED))
    run("train", "model=mbg_nbd", *given)
    run("promote", *given)
    return steady_shop


@pytest.mark.slow
def test_a_shop_that_goes_on_keeps_its_promise_and_one_that_changes_alarms(
    shop: Written, run: Run, tmp_path: Path
) -> None:
    lines = lines_of(steady_orders(seed=3, customers=900), NOW)
    given = shop(lines)
    told = run("monitor", "history=true", *given).stdout
    assert "no alarm" in told
    assert re.search(r"clv: at \d of [3-9] earlier origins the model would have been promoted", told), told
    assert "What promotions were worth" in (tmp_path / "outputs/s/monitor.html").read_text()
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


def test_each_task_with_an_alarm_gets_its_commands() -> None:
    def monitored(question: str, *alarms: str) -> Monitored:
        nothing = pd.DataFrame()
        return Monitored(question, "", OwnFigure("gini", math.nan), nothing, nothing, nothing, alarms, ())

    names = ("clv", "repurchase", "segmentation")
    sessions = [SimpleNamespace(question=name, again=lambda do, of=name: f"{do} task={of}") for name in names]
    watch = Watch(
        date(2024, 1, 1), (monitored("clv", "moved"), monitored("repurchase", "moved"), monitored("segmentation"))
    )
    assert next_text(watch, sessions).splitlines() == [  # type: ignore[arg-type]
        "next: tune task=clv && promote task=clv",
        "next: tune task=repurchase && promote task=repurchase",
    ]
    of_lines = dataclasses.replace(watch, models=watch.models[2:], alarms=("a new store",))
    assert next_text(of_lines, sessions) == "next: data task=clv"  # type: ignore[arg-type]
    assert next_text(dataclasses.replace(of_lines, alarms=()), sessions) == "next: score task=clv"  # type: ignore[arg-type]


def test_nothing_in_use_is_said(run: Run, tmp_path: Path) -> None:
    assert "nothing in use to monitor" in run("monitor", "data=cdnow", "task=segmentation", code=2).stderr
