"""Mappings that `experiments init` guesses: staged as they are, they give what is true of made-up shops."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest
from layouts import LAYOUTS, Truth

from experiments.commands import main
from experiments.commands.compose import open_session

KNOWN = [name for name in LAYOUTS if name not in ("instacart", "olist", "shopify", "woocommerce", "brazilian")]
ASKED = {"currency", "timezone"}  # what no table says


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str, code: int = 0) -> None:
    assert main.run(["init", *arguments]) == code


def found(shop: str) -> Truth:
    """Count what staging gives with the mapping as it stands, and the guesses beside what is open."""
    filled = ["data.currency=EUR", "data.timezone=UTC"]
    staged = open_session(data=shop, overrides=filled, config_dir="conf").shop.staged
    counts = "count(DISTINCT customer_id), count(DISTINCT order_id), count(DISTINCT timestamp::DATE), sum(amount)"
    row = duckdb.sql(f"SELECT {counts} FROM '{staged.folder}/transactions.parquet'").fetchone()
    assert row is not None
    return Truth(*row)


@pytest.mark.parametrize("name", KNOWN)
def test_a_layout_is_staged_right_without_an_edit(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, truth = LAYOUTS[name](folder / "raw")
    init(name, f"path={os.path.relpath(path)}")
    printed = capsys.readouterr().out
    assert "rows in and out" in printed
    assert "the first 10 rows as they were read" in printed
    written = (folder / "conf" / "data" / f"{name}.yaml").read_text()
    open_keys = {line.partition(":")[0].strip() for line in written.splitlines() if ": ???" in line.partition(" #")[0]}
    assert open_keys <= ASKED
    assert found(name) == truth
