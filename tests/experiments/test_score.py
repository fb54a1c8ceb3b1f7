"""Scoring of grains: each has a file of its own, and one without rows costs the others nothing."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pandas as pd
import pytest

from experiments.workflow import score
from features.grains import CONTACT, CUSTOMER, CUSTOMER_PRODUCT


def test_a_grain_without_a_row_is_left_out_with_a_line_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    grains = {"clv": CUSTOMER, "response": CONTACT, "next": CUSTOMER_PRODUCT, "other": CUSTOMER_PRODUCT}
    monkeypatch.setattr(
        score, "questions", lambda: {name: SimpleNamespace(grain=grain) for name, grain in grains.items()}
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
