"""A shop with returns: net spend is another question than gross spend, and what is cut to 0 is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import open_session
from experiments.gate.admission import NotComparableError, check_champion, check_comparable
from experiments.tracking.registry import Version
from experiments.workflow.data import holdings
from experiments.workflow.session import Session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Orders of two years, of which a fifth comes back after some weeks."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    orders = pd.DataFrame(
        {"order": range(900), "customer": rng.integers(0, 60, 900), "total": rng.integers(5, 90, 900)}
    )
    day = rng.integers(0, 700, 900)
    back = orders[rng.random(900) < 0.2].assign(total=lambda rows: -rows["total"])
    days = np.concatenate([day, day[back.index] + rng.integers(10, 40, len(back))])
    lines = pd.concat([orders, back.assign(order=back["order"] + 1_000)], ignore_index=True)
    lines["date"] = (pd.Timestamp("2022-01-01") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d")
    lines.to_csv(folder / "x.csv", index=False)
    return folder


def session_of(folder: Path, *overrides: str, task: str = "clv") -> Session:
    columns = {"order_id": "order", "customer_id": "customer", "timestamp": "date", "amount": "total"}
    mapped = [f"data.tables.transactions.columns.{column}={source}" for column, source in columns.items()]
    shop = ["data.shop=s", "data.currency=EUR", "data.timezone=UTC", "data.tables.transactions.path=x.csv"]
    rules = [f"data.path={folder}", "data.rules.negative_amount=return"]
    return open_session(data="files", task=task, folder=folder, overrides=[*shop, *mapped, *rules, *overrides])


@pytest.fixture(scope="module")
def sessions(folder: Path) -> dict[str, Session]:
    return {spend: session_of(folder, f"data.spend={spend}") for spend in ("net", "gross")}


def test_a_model_of_net_spend_is_never_compared_with_one_of_gross_spend(sessions: dict[str, Session]) -> None:
    net, gross = sessions["net"], sessions["gross"]
    assert net.target == f"{gross.target}_net"
    version = Version("s-clv", 1, "run", gross.lineage, "store")
    with pytest.raises(NotComparableError, match="another target"):
        check_comparable(version, net.lineage, "tune")
    with pytest.raises(NotComparableError, match="another target"):
        check_champion(version, net.lineage, "retire")
    check_comparable(version, gross.lineage, "tune")


def test_a_question_that_reads_no_money_stays_the_same(folder: Path) -> None:
    net, gross = (session_of(folder, f"data.spend={spend}", task="repurchase") for spend in ("net", "gross"))
    assert net.target == gross.target


@pytest.mark.slow
def test_customers_who_get_back_more_than_they_pay_are_counted_in_each_window(sessions: dict[str, Session]) -> None:
    net = sessions["net"]
    assert "overreturned" not in holdings(sessions["gross"])
    head, *windows, _ = holdings(net).splitlines()
    counted = [int(line.split()[-1]) for line in windows]
    assert head.split()[-1] == "overreturned"
    assert sum(counted) > 0
    for day, count in zip(net.counts.index, counted, strict=True):
        y = net.dataset([day.date()]).y["y"]
        assert y.min() == 0
        assert 0 <= count <= (y == 0).sum()
