"""The nightly job on a shop whose data grow."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from experiments.workflow import retrain
from features.errors import InputError
from steady_shops import lines_of, steady_orders

FIRST, HORIZON = 640, 90
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_each_night_does_what_is_due_and_the_same_night_nothing_more(
    steady_shop: Callable[[pd.DataFrame], list[str]], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = steady_orders(seed=3, customers=900)
    options = ["report.sections=[verdicts]", "search.models=[mbg_nbd]", "search.space={}", "tuning.n_trials=2"]
    options += ["evaluation.n_controls=1", "evaluation.n_origins=1"]

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")

    def reports() -> int:
        return len(client.search_runs([client.get_experiment_by_name("s-report").experiment_id]))

    def night(until: int, *further: str, code: int = 0) -> tuple[str, int]:
        """Return the line of the task, and the number of versions."""
        printed = run("retrain", *steady_shop(lines_of(orders, until)), *options, *further, code=code).stdout
        versions = client.search_model_versions("name = 's-clv'")
        return printed.splitlines()[-1], len([v for v in versions if v.tags["kind"] != "naive"])

    line, versions = night(FIRST)
    assert line.startswith("clv: searched anew, as no search has given a candidate yet. ")
    assert "In use: version " in line
    assert versions == 1
    for until, kept in ((FIRST, 1), (FIRST + HORIZON - 1, 2)):
        line, versions = night(until)
        assert reports() == kept
        assert line.startswith("clv: kept, as the next window to judge a model in ends on 2024-"), line
        assert versions == 1

    def fails(*_: object) -> None:
        raise InputError("the store is full")

    with monkeypatch.context() as patch:
        patch.setattr(retrain, "make_candidate", fails)
        line, _ = night(FIRST + HORIZON, code=1)
    assert line.startswith("clv: failed, the store is full")
    line, versions = night(FIRST + HORIZON)
    assert line.startswith("clv: refitted with the parameters of its last search, as there are 90 more days"), line
    assert versions == 2
    line, versions = night(FIRST + 2 * HORIZON, "retrain.search_days=91")
    assert line.startswith("clv: searched anew, as the last search was 180 days of data ago"), line
    assert versions == 3
    assert night(FIRST + 2 * HORIZON)[1] == 3
