"""A new task is one file and its YAML: rows of customer x category, a censored outcome, a metric for each customer.

The test adds only these two files to a copy of the project, and then runs every command on the task.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from merchandise_store import Store
from workplace import ROOT, environment

pytestmark = pytest.mark.slow
TASK = '''
"""Days until a customer buys again from a category, censored at the horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar

import ibis
import numpy as np
import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.models.base import Model, require_columns
from experiments.models.registry import Candidate
from experiments.reports.section import Section, Text
from experiments.tasks.base import Task
from features.grains import Grain
from features.outcomes import Outcome


def bought(tables):
    """Return the lines with a known category."""
    return tables.transactions.inner_join(tables.present()["products"], "product_id").filter(ibis._.category.notnull())


CUSTOMER_CATEGORY = Grain(
    "customer_category",
    ("customer_id", "category"),
    lambda past: bought(past).select("customer_id", "category").distinct(),
    "customer_id",
    needs=("transactions", "products"),
)


def days_to_next(future, rows):
    """Return days to the next purchase from the category; without one, the window's length as unobserved."""
    horizon = (future.end - future.start).days
    lines = bought(future)
    first = lines.group_by("customer_id", "category").agg(first=lines.timestamp.date().min())
    days = first["first"].delta(ibis.literal(future.start), unit="day").cast("float64")
    first = first.select("customer_id", "category", days=days)
    both = rows.left_join(first, ["customer_id", "category"])
    return both.select(
        "customer_id",
        "category",
        days=both.days.fill_null(float(horizon)),
        observed=both.days.notnull().cast("float64"),
    )


class SameWait(Model):
    """Baseline that predicts the mean of the censored waits for every row."""

    def fit(self, X, y):
        return self.set_state({"mean": float(y["days"].mean()), "longest": float(y["days"].max())})

    def predict(self, X):
        return np.full(len(X), self.mean_)

    def get_state(self):
        return {"mean": self.mean_, "longest": self.longest_}

    def set_state(self, state):
        self.mean_, self.longest_ = state["mean"], state["longest"]
        return self


class OwnRate(SameWait):
    """Weighted mean of the mean wait and the customer's own days per purchase."""

    def __init__(self, shrinkage: float = 0.5) -> None:
        self.shrinkage = shrinkage

    def predict(self, X):
        history = require_columns(X, ["frequency", "T"])
        own = ((history["T"] + 1) / (history["frequency"] + 1)).clip(upper=self.longest_)
        return (self.shrinkage * self.mean_ + (1 - self.shrinkage) * own).to_numpy(dtype=float)


def nearness(y: pd.DataFrame, prediction: pd.Series) -> pd.Series:
    """Return 1 minus each customer's mean error as a share of the longest wait; NaN for customers without purchase."""
    near = 1 - (y["days"] - prediction).abs() / y["days"].max()
    near = near.groupby(level="customer_id").mean()
    return near.where(y["observed"].groupby(level="customer_id").max() > 0)


@dataclass(frozen=True)
class CategoryReturn(Task):
    """Days to the next purchase from each category that a customer has bought from."""

    name: ClassVar[str] = "category_return"
    grain: ClassVar[Grain] = CUSTOMER_CATEGORY
    needs: ClassVar[tuple[str, ...]] = ("transactions", "products")
    outputs: ClassVar[Mapping[str, str]] = {"category_wait": "days to the next purchase from the category"}

    def outcome(self) -> Outcome:
        return Outcome(f"category_wait_{self.horizon_days}d", ("days", "observed"), days_to_next)

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        raise NotImplementedError

    def candidates(self) -> Mapping[str, Candidate]:
        return {
            "same_wait": Candidate(SameWait, "the mean wait of all", is_baseline=True),
            "own_rate": Candidate(OwnRate, "the customer's own rate"),
        }

    def control(self) -> Model:
        return SameWait()

    def metrics(self) -> Mapping[str, Metric]:
        metric = Metric(
            "nearness",
            "how near the predicted wait is, by customer",
            nearness,
            per_unit=True,
            gain="predicts waits",
            undefined="nobody came back",
        )
        return {metric.name: metric}

    @classmethod
    def customer_view(cls, scores: pd.DataFrame) -> pd.DataFrame:
        return scores.groupby(level="customer_id").min().rename(columns={"category_wait": "next_category_days"})

    @classmethod
    def section(cls, material: Any) -> Section:
        return Section("category_return", [Text("Waits by category.", "lead")], "Waits")
'''

CONFIG = """
# @package _global_
defaults:
  - override /features: rfm
  - override /evaluation: four_weeks
  - override /search: own

task:
  name: category_return
  horizon_days: 28
  primary_metric: nearness
  min_effect: 0.005
  guards: {}
  minimum: {customers: 20}
model: {name: own_rate}
search:
  models: [own_rate]
  space:
    own_rate:
      shrinkage: {low: 0.0, high: 0.9}
"""

ROAD = """
import json, sys
from pathlib import Path

from experiments.commands.main import run

shop = ["data=merchandise_store", "data.path=raw", "task=category_return", "tuning.n_trials=3"]
shop += ["evaluation.n_resamples=200", "evaluation.n_controls=1"]
codes = {}
for command, *more in (
    ["data"],
    ["features", "output=features.csv"],
    ["tune"],
    ["promote"],
    ["score", "output=scores/customer_360.parquet"],
    ["report", "output=report.html", "report.sections=[category_return]"],
):
    print(f"== {command}", flush=True)
    codes[command] = run([command, *shop, *more])
Path("codes.json").write_text(json.dumps(codes))

import mlflow, pandas as pd
from mlflow.pyfunc import scoring_server

mlflow.set_tracking_uri("sqlite:///mlflow.db")
model = mlflow.pyfunc.load_model("models:/merchandise_store-category_return@champion")
rows = pd.read_csv("features.csv", dtype={"customer_id": str}).head(3)
asked = json.dumps({"dataframe_records": rows.drop(columns=["customer_id", "category", "cutoff"]).to_dict("records")})
answer = scoring_server.invocations(asked, "application/json", model, model.metadata.get_input_schema())
Path("served.json").write_text(json.dumps({"status": answer.status, "body": json.loads(answer.response)}))
"""


@pytest.fixture(scope="module")
def done(made_once: Callable[[str, Callable[[Path], str]], tuple[Path, str]]) -> tuple[Path, str]:
    """Return the folder in which a task from a single file went through every command, and their output."""
    folder, printed = made_once("new_task", go_through_every_command)
    return folder / "work", printed


def go_through_every_command(folder: Path) -> str:
    for part in ("src", "conf"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.egg-info"))
    (folder / "src" / "experiments" / "tasks" / "category_return.py").write_text(TASK)
    (folder / "conf" / "task" / "category_return.yaml").write_text(CONFIG)
    work = folder / "work"
    (work / "raw").mkdir(parents=True)
    Store(work / "raw").sell(sales_of_three_categories())
    ran = subprocess.run(
        [sys.executable, "-c", ROAD],
        cwd=work,
        env=environment(PYTHONPATH=str(folder / "src")),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def sales_of_three_categories() -> list[str]:
    """Simulate a year of lines of customers who come back at their own rates and buy from up to three categories."""
    rng = np.random.default_rng(5)
    products = {"G1": "Google", "P1": "Office", "N1": "Nest-USA"}
    days = pd.date_range("2019-01-01", "2019-12-31").strftime("%Y%m%d")
    lines = []
    for customer, rate in enumerate(rng.choice([0.01, 0.04, 0.2], 120)):
        bought = rng.random(len(days)) < rate
        bought[rng.integers(30)] = True
        for day in days[bought]:
            product = rng.choice(list(products))
            lines.append(f"{customer},{len(lines)},{day},{product},x,{products[product]},1,10.00,0,Not Used")
    return lines


def test_every_command_takes_the_task(done: tuple[Path, str]) -> None:
    work, printed = done
    assert json.loads((work / "codes.json").read_text()) == dict.fromkeys(
        ("data", "features", "tune", "promote", "score", "report"), 0
    )
    data, features = printed.split("== features")[0], pd.read_csv(work / "features.csv")
    assert "category_return at horizon_days=28: training" in data
    assert list(features.columns[:3]) == ["customer_id", "category", "cutoff"]
    assert {"frequency", "T"} <= set(features.columns)  # features of the customer, joined by the shared key
    assert not features.duplicated(["customer_id", "category"]).any()
    assert "merchandise_store-category_return version 1: promoted" in printed
    assert "strong: predicts waits better than the mean wait of all" in printed


def test_the_task_has_a_file_of_its_grain_and_columns_in_the_customer_view(done: tuple[Path, str]) -> None:
    work, _ = done
    own = pd.read_parquet(work / "scores" / "customer_category.parquet")
    customers = pd.read_parquet(work / "scores" / "customer_360.parquet").set_index("customer_id")
    assert list(own.columns[:3]) == ["customer_id", "category", "category_wait"]
    assert own["category_return_verdict"].unique().tolist() == ["strong"]
    soonest = own.groupby("customer_id")["category_wait"].min()
    np.testing.assert_array_equal(customers["next_category_days"], soonest.reindex(customers.index))


def test_the_champion_is_served_and_the_section_is_in_the_report(done: tuple[Path, str]) -> None:
    work, _ = done
    served = json.loads((work / "served.json").read_text())
    assert served["status"] == 200
    own = pd.read_parquet(work / "scores" / "customer_category.parquet")
    rows = pd.read_csv(work / "features.csv", dtype={"customer_id": str}).head(3)
    same = rows.merge(own, on=["customer_id", "category"])["category_wait"]
    answered = pd.DataFrame(served["body"]["predictions"])["category_wait"]
    np.testing.assert_allclose(answered, same, rtol=1e-12)
    assert "Waits by category." in (work / "report.html").read_text()
