"""The commands of README and the guides, one after the other in one folder, as a new user types them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from workplace import ROOT, environment

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SERVERS = ("experiments ui", "mlflow models serve")  # tests/experiments/test_serving.py runs these


def blocks() -> list[str]:
    return [
        block
        for page in PAGES
        for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    ]


def script() -> str:
    lines = [line for line in "".join(blocks()).splitlines() if not line.startswith(SERVERS)]
    return "\n".join(["set -eu", *lines])


def write_online_retail(path: Path) -> None:
    """A simulated shop in the layout of UCI's Online Retail: 400 customers, 380 days."""
    rng = np.random.default_rng(0)
    orders = [
        (customer, day)
        for customer, rate in enumerate(rng.gamma(1.0, 0.02, size=400))
        for day in np.flatnonzero(rng.random(380) < rate + 0.002)
    ]
    customers, days = np.array(orders).T
    pd.DataFrame(
        {
            "InvoiceNo": np.arange(536365, 536365 + len(orders)),
            "StockCode": rng.integers(20000, 20050, size=len(orders)),
            "Description": "LANTERN",
            "Quantity": rng.integers(1, 12, size=len(orders)),
            "InvoiceDate": (pd.Timestamp("2010-12-01 08:26") + pd.to_timedelta(days, unit="D")).strftime(
                "%m/%d/%Y %H:%M"
            ),
            "UnitPrice": rng.gamma(4, 1, size=len(orders)).round(2) + 0.01,
            "CustomerID": customers + 12346,
            "Country": "United Kingdom",
        }
    ).to_csv(path, index=False, date_format="%m/%d/%Y %H:%M")


def test_readme_commands_work_in_their_order(tmp_path: Path) -> None:
    shutil.copy(ROOT / "MLproject", tmp_path)
    write_online_retail(tmp_path / "online_retail.csv")
    done = subprocess.run(
        ["bash", "-c", script()], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    for name in ("features.parquet", "customer_360.parquet", "autumn.csv"):
        assert (tmp_path / "outputs" / name).stat().st_size > 10_000
    assert "my_shop-clv version 1" in done.stdout
    table = pd.read_parquet(tmp_path / "outputs" / "customer_360.parquet")
    assert len(table) == 2469
    assert table[["clv", "segment", "p_alive"]].notna().all(axis=None)

    page = (tmp_path / "outputs" / "hypotheses.html").read_text()
    assert "the more an order is worth" in page
    assert "parameters" not in page  # of a hypothesis with a mistake
    store = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    first = store.get_model_version("complete_journey-clv", "1")
    sealed = store.get_run(first.run_id).data.metrics
    assert first.tags["gate"] == "promoted"
    assert sealed["sealed/gain_over_naive_last_91_days_rate"] >= 0.008
    assert sealed["sealed/gain_over_naive_last_91_days_rate_lower"] > 0


def test_servers_of_the_readme_are_those_that_are_tested() -> None:
    served = (ROOT / "tests" / "experiments" / "test_serving.py").read_text()
    assert all(any(line.startswith(server) for block in blocks() for line in block.splitlines()) for server in SERVERS)
    assert '"models", "serve"' in served
    assert '"ui"' in served


def links() -> list[tuple[Path, str]]:
    """Each link of a page to a file, without the part after #."""
    return [
        (page, link)
        for page in [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "adr").glob("*.md"))]
        for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text())
    ]


@pytest.mark.parametrize(("page", "link"), links(), ids=lambda value: getattr(value, "name", value))
def test_links_lead_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link).exists()


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
