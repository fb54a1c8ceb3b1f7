"""Rows that were recorded late are no part of what was known before, and can be counted."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from simulated import CUTOFF, END, START, engine, open_shop, simulate

from features.errors import InputError
from features.families import FAMILIES, Family, feature_families
from features.grains import CUSTOMER
from features.lateness import Lateness, lateness, lateness_lines
from features.leakage import moving_features
from features.snapshot import feature_rows
from features.sources import stage
from features.tables import RECORDED_AT, SPECS, Tables
from features.tampering import Tamperer
from online_retail import data_config

DATED = [name for name, spec in SPECS.items() if spec.known_at]
DAY = pd.Timestamp(CUTOFF)


def recorded(frames, seed=1):
    """The frames of a shop in which a third of all dated rows was recorded up to 40 days late."""
    rng = np.random.default_rng(seed)
    late = {}
    for name in (name for name in frames if name in DATED):
        frame = frames[name].reset_index(drop=True)
        moved = frame[SPECS[name].known_at] + pd.to_timedelta(rng.integers(0, 40 * 24, len(frame)), unit="h")
        late[name] = frame.assign(**{RECORDED_AT: moved.where(rng.random(len(frame)) < 0.33)})
    return frames | late


def is_known(name, frame):
    """Tell which rows were known at the cutoff, in plain pandas."""
    own = frame[SPECS[name].known_at]
    return (own < DAY) & (frame[RECORDED_AT].isna() | (frame[RECORDED_AT] < DAY))


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    return engine(tmp_path_factory.mktemp("spill"))


@pytest.fixture(scope="module")
def frames():
    return recorded(simulate(seed=7))


@pytest.fixture(scope="module")
def shop(frames, on, tmp_path_factory):
    return open_shop(frames, tmp_path_factory.mktemp("late"), on)


def test_a_row_is_known_once_it_is_recorded_and_happened_on_its_own_day(frames, shop, on):
    dated = [name for name in DATED if name in frames]
    assert set(DATED) - set(dated) == {"discounts"}
    known, happened = (
        {name: int(rows(name).sum()) for name in dated}
        for rows in (lambda name: is_known(name, frames[name]), lambda name: frames[name][SPECS[name].known_at] < DAY)
    )
    assert sum(known[name] < happened[name] for name in dated) > 6
    past, during = shop.as_of(CUTOFF), shop.between(START, CUTOFF)
    for name in dated:
        assert on.frame(past[name].count().as_table()).iloc[0, 0] == known[name], name
        if not SPECS[name].known_later:
            assert on.frame(during[name].count().as_table()).iloc[0, 0] == happened[name], name


def test_features_are_those_of_a_shop_that_had_not_heard_of_late_rows(frames, shop, on, tmp_path):
    """The shop as its tables were on that day, bit for bit, for all families of customers."""
    then = {name: frame[is_known(name, frame)] if name in DATED else frame for name, frame in frames.items()}
    names = [name for name, family in feature_families().items() if family.grain == CUSTOMER]
    early = open_shop(then, tmp_path, on)
    late, unheard = (
        on.frame(feature_rows(tables.as_of(CUTOFF), names)).set_index("customer_id").sort_index()
        for tables in (shop, early)
    )
    pd.testing.assert_frame_equal(late, unheard, check_exact=True)


def test_the_audit_finds_a_feature_that_reads_rows_before_they_were_recorded(shop, on, tmp_path, monkeypatch):
    lines = shop.transactions

    def lines_by_their_day(past):
        seen = lines.filter(lines.timestamp < DAY.to_pydatetime())
        return seen.group_by("customer_id").agg(lines_by_their_day=seen.count())

    cheat = Family("lines_by_their_day", ("transactions",), {"lines_by_their_day": "a cheat"}, lines_by_their_day)
    monkeypatch.setitem(FAMILIES, "lines_by_their_day", cheat)
    tamperer = Tamperer(Tables(start=START, end=END, transactions=lines), on, tmp_path)
    names = ["lines_by_their_day", *FAMILIES["rfm"].features]
    moved = [m for _, found in moving_features(tamperer, names, [CUTOFF]) for m in found]
    assert {m.what for m in moved} == {"lines_by_their_day"}
    assert {m.how for m in moved} >= {"delete", "shuffle"}


def test_late_rows_are_counted_by_their_days(on, tmp_path):
    moments = pd.to_datetime(["2020-01-05 09:00", "2020-01-05 10:00", "2020-01-06 23:00", "2020-01-07 08:00"] * 5)
    after = pd.to_timedelta([0, 1, 3, 30] * 5, unit="h")
    after += pd.to_timedelta([0] * 19 + [24 * 10], unit="h")
    lines = pd.DataFrame(
        {
            "order_id": [f"o{n}" for n in range(20)],
            "line_number": range(20),
            "customer_id": "c",
            "timestamp": moments,
            "amount": 1,
            RECORDED_AT: moments + after,
        }
    )
    (found,) = lateness(open_shop({"transactions": lines}, tmp_path, on), on)
    assert found == Lateness("transactions", rows=20, late=10, half=1, most=11, last=11, by_hour=None)
    nightly = lines.assign(**{RECORDED_AT: lines["timestamp"].dt.normalize() + pd.Timedelta("1D 2h 30min")})
    (tmp_path / "nightly").mkdir()
    (found,) = lateness(open_shop({"transactions": nightly}, tmp_path / "nightly", on), on)
    assert found == Lateness("transactions", rows=20, late=20, half=1, most=1, last=1, by_hour=3)
    assert "data.recorded_by_hour=3" in lateness_lines((found,))[1]
    assert "no table has recorded_at" in lateness_lines(())[0]


@pytest.fixture
def ledger():
    """Sales and returns below zero over half a year, some of which came to be known weeks later."""
    rng = np.random.default_rng(3)
    size = 500
    time = pd.Timestamp(START) + pd.to_timedelta(np.sort(rng.integers(0, 180 * 24, size)), unit="h")
    quantity = np.where(rng.random(size) < 0.25, -1, 1) * rng.integers(1, 3, size)
    delay = np.where(rng.random(size) < 0.2, rng.integers(24, 30 * 24, size), 0)
    return pd.DataFrame(
        {
            "order": [f"o{n}" for n in range(size)],
            "customer": rng.choice([f"c{n}" for n in range(12)], size),
            "time": time,
            "product": rng.choice(["x", "y"], size),
            "quantity": quantity,
            "price": 2.5,
            "loaded": time + pd.to_timedelta(delay, unit="h"),
        }
    )


def staged(lines, folder, **changes):
    folder.mkdir()
    lines.to_csv(folder / "x.csv", index=False)
    config = data_config("files", shop="s", currency="EUR", timezone="UTC", path=str(folder), spend="net")
    columns = {"order_id": "order", "customer_id": "customer", "timestamp": "time", "product_id": "product"}
    columns |= {"quantity": "quantity", "unit_price": "price", RECORDED_AT: "loaded"}
    config["tables"]["transactions"] |= {"path": "x.csv", "columns": columns}
    config["rules"] |= {"negative_quantity": "return"}
    return stage(config | changes, folder / "cache")


@pytest.mark.slow
def test_files_that_were_corrected_later_give_the_features_of_that_day_again(ledger, tmp_path):
    """Returns too, which take back the sales that were known with them."""
    cutoff = date(2020, 4, 1)
    then = ledger[(ledger["time"] < pd.Timestamp(cutoff)) & (ledger["loaded"] < pd.Timestamp(cutoff))]
    assert (ledger["time"] < pd.Timestamp(cutoff)).sum() > len(then)
    names = [name for family in ("rfm", "value", "returns") for name in FAMILIES[family].features]
    found = []
    for name, lines in {"then": then, "now": ledger}.items():
        opened = staged(lines, tmp_path / name).open(engine(tmp_path / name))
        tables = Tables(start=START, end=END, burn_in_days=0, spend="net", **opened.present())
        rows = feature_rows(tables.as_of(cutoff), names).order_by("customer_id")
        found.append(rows.to_pandas().set_index("customer_id"))
    assert (found[0]["returned_value_share"] > 0).any()
    pd.testing.assert_frame_equal(*found, check_exact=True)


@pytest.mark.slow
def test_a_cutoff_knows_what_a_nightly_load_brought_by_its_hour(ledger, tmp_path):
    nightly = ledger.assign(loaded=ledger["time"].dt.normalize() + pd.Timedelta("1D 3h"))
    day = date(2020, 3, 1)
    counts = {}
    for hour in (0, 4):
        at = staged(nightly, tmp_path / str(hour), recorded_by_hour=hour)
        tables = at.open(engine(tmp_path / str(hour)))
        counts[hour] = {
            days: tables.as_of(day + timedelta(days=days)).transactions.count().execute() for days in (0, 1)
        }
    assert counts[4][0] == counts[0][1] > counts[0][0]
    with pytest.raises(InputError, match="recorded_by_hour is not a valid hour"):
        staged(nightly, tmp_path / "wrong", recorded_by_hour=24)
