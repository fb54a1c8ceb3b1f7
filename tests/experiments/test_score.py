"""Scoring of grains: each has a file of its own, and one without rows costs the others nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest

from experiments.serving import scorer as scorer_of_rows
from experiments.workflow import score
from features.grains import CONTACT, CUSTOMER, CUSTOMER_PRODUCT


def test_a_grain_without_a_row_is_left_out_with_a_line_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    grains = {"clv": CUSTOMER, "response": CONTACT, "next": CUSTOMER_PRODUCT, "other": CUSTOMER_PRODUCT}
    monkeypatch.setattr(
        scorer_of_rows, "questions", lambda: {name: SimpleNamespace(grain=grain) for name, grain in grains.items()}
    )
    rows = {CONTACT: pd.DataFrame({"frequency": []}), CUSTOMER_PRODUCT: pd.DataFrame({"frequency": [1.0], "T": [5.0]})}

    def snapshot(features: list[str], day: date, grain: object) -> Path:
        path = tmp_path / f"{grain.name}.parquet"
        rows[grain][features].to_parquet(path)
        return path

    session = MagicMock()
    session.shop.snapshot = snapshot
    champions = {name: SimpleNamespace(features=["frequency"], tags={"task": name}) for name in grains}
    champions["other"].features = ["T", "frequency"]
    with caplog.at_level(logging.WARNING):
        ((grain, path, scorer),) = score.prepare_other_grains(session, date(2017, 10, 3), champions)
    assert (grain, list(scorer.champions), scorer.key) == (CUSTOMER_PRODUCT, ["next", "other"], CUSTOMER_PRODUCT.key)
    assert list(pd.read_parquet(path)) == ["frequency", "T"]
    assert caplog.messages == ["no row of contact before 2017-10-03: response has nothing to score"]


def test_how_far_amounts_can_be_trusted_stands_beside_scores_and_in_the_metadata() -> None:
    tags = {"horizon_days": "90", "population": "all", "statement": "strong: ranks better", "verdict": "strong"}
    told = {"amounts": "rough (20% below to 35% above)", "amounts_said": "Amounts are rough: …"}
    of_spend, of_segments = (
        SimpleNamespace(name="shop", number=3, is_baseline=False, tags=own) for own in ({**tags, **told}, tags)
    )
    assert score.about("clv", of_spend)["clv_amounts"] == "rough (20% below to 35% above)"
    assert "segmentation_amounts" not in score.about("segmentation", of_segments)
    texts = score.verdict_texts({"clv": of_spend, "segmentation": of_segments})
    assert texts["clv_amounts"] == "Amounts are rough: …"
    assert set(texts) == {"clv_verdict", "segmentation_verdict", "clv_amounts"}


@pytest.mark.slow
def test_a_score_is_made_again_bit_for_bit_after_late_rows_arrived(tmp_path: Path, run: Callable[..., object]) -> None:
    rng, day = np.random.default_rng(4), pd.Timestamp("2023-10-01")
    size = 6_000
    time = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 700 * 24, size), unit="h")
    lines = pd.DataFrame(
        {"order": [f"o{n}" for n in range(size)], "customer": rng.integers(0, 300, size), "time": time}
    )
    lines["total"] = rng.gamma(2, 20, size).round(2)
    lines["loaded"] = time + pd.to_timedelta(
        np.where(rng.random(size) < 0.1, rng.integers(24, 60 * 24, size), 0), unit="h"
    )
    then = lines[lines["loaded"] < day]
    late = lines[(lines["time"] < day) & (lines["loaded"] >= day)]
    assert len(late) > 20
    columns = {"order_id": "order", "customer_id": "customer", "timestamp": "time", "amount": "total"}
    mapped = [f"data.tables.transactions.columns.{column}={source}" for column, source in columns.items()]
    shop = ["data=files", "data.shop=s", "data.currency=EUR", "data.timezone=UTC", *mapped]
    shop.append("++data.tables.transactions.columns.recorded_at=loaded")
    shop += [f"data.tables.transactions.path={tmp_path}/x.csv"]
    found = []
    for name, known in {"then": then, "now": lines}.items():
        known.to_csv(tmp_path / "x.csv", index=False)
        if name == "then":
            run("train", "model=naive_last_91_days_rate", *shop)
            run("promote", "version=1", "reason=to be scored", *shop)
        run("score", f"as_of={day:%Y-%m-%d}", f"output={name}.parquet", *shop)
        found.append(pd.read_parquet(tmp_path / f"{name}.parquet"))
    assert len(found[0]) > 200
    pd.testing.assert_frame_equal(*found, check_exact=True)
    assert set(late["customer"].astype(str)) & set(found[0]["customer_id"])
