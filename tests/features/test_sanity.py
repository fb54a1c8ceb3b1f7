"""Rows that do not look like a shop: each oddity is found, each suggested line settles it, sound shops are quiet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from features.engines import open_engine
from features.errors import InputError
from features.sanity import CHECKS, Facts, Finding, run_checks
from features.sanity.days import _jump
from features.sources import stage
from online_retail import data_config
from seasonal_shops import shop as seasonal_shop

COLUMNS = {
    "order_id": "order",
    "customer_id": "customer",
    "timestamp": "day",
    "product_id": "product",
    "amount": "total",
}
DAYS = pd.date_range("2021-03-01", "2021-07-04")


def sound() -> pd.DataFrame:
    """Lines of a shop of 400 customers with some 20 orders a day, of one line each."""
    rng = np.random.default_rng(3)
    rates = rng.gamma(1.5, 1.0, 400)
    days = DAYS.repeat(rng.poisson(20, len(DAYS)))
    return pd.DataFrame(
        {
            "order": [f"A{n}" for n in range(len(days))],
            "customer": (1000 + rng.choice(400, len(days), p=rates / rates.sum())).astype(str),
            "day": days,
            "product": [f"P{n}" for n in rng.integers(0, 60, len(days))],
            "total": rng.lognormal(3, 0.3, len(days)).round(2),
        }
    )


def with_rows(lines: pd.DataFrame, n: int = 60, **given: object) -> pd.DataFrame:
    """Add lines that are like n others but for some columns."""
    more = lines.iloc[:: len(lines) // n][:n].assign(order=[f"B{i}" for i in range(n)], **given)
    return pd.concat([lines, more])


def at_work(lines: pd.DataFrame) -> pd.DataFrame:
    """Add a till: six orders on each of thirty days."""
    days = DAYS[10:40].repeat(6)
    till = pd.DataFrame({"order": [f"T{i}" for i in range(len(days))], "customer": "1777", "day": days})
    return pd.concat([lines, till.assign(product="P1", total=5.0)])


def without_days(lines: pd.DataFrame, first: str, last: str) -> pd.DataFrame:
    return lines[~lines["day"].between(pd.Timestamp(first), pd.Timestamp(last))]


ODDITIES: Mapping[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "a word for nobody": ("placeholder_ids", lambda rows: with_rows(rows, 5, customer="Guest"), "Guest"),
    "the number 0": ("placeholder_ids", lambda rows: with_rows(rows, 90, customer="0"), "90 orders"),
    "a number below 0": ("placeholder_ids", lambda rows: with_rows(rows, 9, customer="-1"), "-1"),
    "an id far above all": ("placeholder_ids", lambda rows: with_rows(rows, 400, customer="1777"), "1777"),
    "an id for each order": ("nobody_comes_back", lambda rows: rows.assign(customer=rows["order"]), "0 of"),
    "a till": ("tills", at_work, "1777"),
    "a customer called a shop": ("tills", lambda rows: with_rows(rows, 9, customer="Store 7"), "Store 7"),
    "customers who test": ("test_orders", lambda rows: with_rows(rows, 9, customer="test@shop.com"), "test@shop.com"),
    "orders that are tests": ("test_orders", lambda rows: with_rows(rows, 3).replace({"B1": "TEST-1"}), "TEST-1"),
    "postage by its code": ("non_goods", lambda rows: with_rows(rows, 50, product="POST"), "POST"),
    "a code unlike all others": ("non_goods", lambda rows: with_rows(rows, 50, product="ZZ"), "ZZ"),
    "a product called a voucher": ("non_goods", lambda rows: with_rows(rows, 200, product="gift card 40"), "gift card"),
    "a week without sales": (
        "days_without_sales",
        lambda rows: without_days(rows, "2021-05-03", "2021-05-07"),
        "5 days",
    ),
    "a month that is missing": (
        "days_without_sales",
        lambda rows: without_days(rows, "2021-03-20", "2021-04-04"),
        "16",
    ),
    "a shop that was half as large": (
        "jumps_of_level",
        lambda rows: rows[(rows["day"] >= "2021-05-03") | (np.arange(len(rows)) % 3 == 0)],
        "orders a week jump",
    ),
    "prices in cents until a day": (
        "jumps_of_level",
        lambda rows: rows.assign(total=rows["total"].where(rows["day"] >= "2021-05-03", rows["total"] * 100)),
        "EUR an order jump",
    ),
    "a last day that is cut": (
        "cut_days",
        lambda rows: with_rows(rows, 1, day=DAYS[-1] + pd.Timedelta(days=1)),
        "last",
    ),
    "a first day that is cut": (
        "cut_days",
        lambda rows: with_rows(rows, 1, day=DAYS[0] - pd.Timedelta(days=1)),
        "first",
    ),
    "lines without a customer": ("lines_without_customer", lambda rows: with_rows(rows, 60, customer=None), "60 lines"),
    "orders that cost nothing": ("orders_of_value_0", lambda rows: with_rows(rows, 60, total=0.0), "60 orders"),
    "several currencies": (
        "currencies",
        lambda rows: with_rows(rows.assign(Currency="EUR"), 400, Currency="USD", total=30.0),
        "USD: 400 lines",
    ),
    "another currency": ("currencies", lambda rows: rows.assign(Currency="USD"), "added up as EUR"),
}


class Looked:
    """A folder with a file of lines, and what the checks find in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = data_config("files", shop="s", currency="EUR", timezone="UTC", path=str(folder))
        self.config["tables"]["transactions"] |= {"path": "x.csv", "columns": {**COLUMNS}}
        self.config["rules"]["zero_price"] = "keep"

    def write(self, lines: pd.DataFrame) -> None:
        lines.to_csv(self.folder / "x.csv", index=False)

    def found(self, config: Mapping[str, Any]) -> tuple[Finding, ...]:
        staged = stage(config, self.folder / "cache")
        engine = open_engine("duckdb", threads=1, memory_limit="1GiB", temp_directory=str(self.folder / "spill"))
        return run_checks(Facts(staged, staged.open(engine), engine, config))


@pytest.fixture
def looked(tmp_path: Path) -> Looked:
    return Looked(tmp_path)


def merged(config: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    """Add a file's keys to those that it begins from, as Hydra does."""
    both = dict(config)
    for key, value in line.items():
        both[key] = merged(config[key], value) if isinstance(config.get(key), Mapping) else value
    return both


QUICK = ("a word for nobody", "a last day that is cut")


@pytest.mark.parametrize(
    ("check", "plant", "words"),
    [
        pytest.param(*oddity, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, oddity in ODDITIES.items()
    ],
)
def test_an_oddity_is_found_and_each_line_that_is_written_mends_it(
    looked: Looked, check: str, plant: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    looked.write(plant(sound()))
    (finding,) = looked.found(looked.config)
    assert finding.check == check
    assert words in finding.text
    assert len(finding.lines) == (1 if check == "nobody_comes_back" else 2)  # another column, which no line can name
    for line in finding.lines:
        assert looked.found(merged(looked.config, yaml.safe_load(line))) == ()


def test_every_check_has_an_oddity() -> None:
    assert {check for check, _, _ in ODDITIES.values()} == CHECKS.keys()


@pytest.mark.slow
def test_several_oddities_are_mended_together(looked: Looked) -> None:
    lines = with_rows(with_rows(sound(), 9, customer="Guest", product="POST"), 60, total=0.0)
    looked.write(at_work(lines.assign(order=[f"C{n}" for n in range(len(lines))])))
    config: dict[str, Any] = looked.config
    for _ in range(9):
        findings = looked.found(config)
        if not findings:
            break
        config = merged(config, yaml.safe_load(findings[0].lines[0]))
    assert config["non_customer_ids"] == ["Guest", "1777"]
    assert looked.found(config) == ()


def test_a_sound_shop_is_quiet(looked: Looked) -> None:
    looked.write(sound())
    assert looked.found(looked.config) == ()


def test_the_end_of_a_season_is_no_jump_of_level_and_a_new_level_is_one() -> None:
    """Two years of 140 orders a week: one with two busy months before Christmas, one with half as many from May on."""
    weeks = pd.date_range("2023-01-02", periods=104, freq="7D")
    noise = np.random.default_rng(0).normal(1, 0.03, 104)
    busy = pd.Series(140.0 * noise, weeks).where(weeks.month < 11, lambda level: 2.6 * level)
    assert _jump(busy, busy) is None
    lower = pd.Series(140.0 * noise, weeks).where(weeks < "2024-05-01", lambda level: 0.5 * level)
    found = _jump(lower, lower)
    assert found is not None
    assert found[0] == date(2024, 5, 6)


@pytest.mark.slow
def test_seasonal_shops_that_are_sound_are_quiet(looked: Looked) -> None:
    found = []
    for seed in range(16):
        simulated = seasonal_shop(seed)
        simulated.write(looked.folder)
        found += looked.found(simulated.config(looked.folder))
    assert found == []


def test_a_check_that_there_is_not_cannot_be_accepted(looked: Looked) -> None:
    looked.write(sound())
    with pytest.raises(InputError, match=r"no check 'tils'(.|\n)*did you mean 'tills'"):
        looked.found(looked.config | {"accepted": ["tils"]})
