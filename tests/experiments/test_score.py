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
