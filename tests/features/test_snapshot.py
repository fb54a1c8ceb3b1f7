"""Snapshots: their rows, their bits, their cache and the fingerprint of what they mean."""

from __future__ import annotations

from datetime import date
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from simulated import CUTOFF, END, START, engine, open_shop, simulate

from features import outcomes
from features.engines import Remembering
from features.errors import InputError
from features.families import FAMILIES, Family, feature_families
from features.grains import CUSTOMER
from features.outcomes import Outcome
from features.snapshot import FamilyQueries, computed, definition_hash, outcome, snapshot

ALL = [name for name, family in feature_families().items() if family.grain == CUSTOMER]
CUTOFFS = [date(2020, 4, 1), CUTOFF]
SPEND = Outcome("spend", ("y",), outcomes.spend)
PURCHASE_DAYS = Outcome("purchase_days", ("y",), outcomes.purchase_days)
DISCOUNTED = Outcome("spend", ("y",), partial(outcomes.spend, discount_rate=0.1))


@pytest.fixture
def shop(tmp_path):
    on = engine(tmp_path)
    return SimpleNamespace(
        engine=on, tables=open_shop(simulate(seed=1), tmp_path, on), kept={"cache": tmp_path / "cache", "digest": "d"}
    )


class ReadOnly:
    """An engine on which nothing may be built."""

    name = "duckdb"

    def write(self, expression, path):
        raise AssertionError(f"{path.name} was built again")


def test_rows_are_the_customers_who_bought_before_each_cutoff(shop):
    names = ["total_spend", "T", "age_band_start"]
    frame = snapshot(shop.tables, names, CUTOFFS[::-1], shop.engine, **shop.kept)
    assert list(frame.columns) == names
    assert (frame.dtypes == np.float64).all()
    assert frame.index.names == ["customer_id", "cutoff"]
    assert frame.index.is_monotonic_increasing
    assert frame.index.is_unique
    lines = shop.engine.frame(shop.tables.transactions)
    for cutoff in map(pd.Timestamp, CUTOFFS):
        bought = lines.loc[lines["timestamp"] < cutoff, "customer_id"]
        assert set(frame.xs(cutoff, level="cutoff").index) == set(bought)
    assert set(lines["customer_id"]) > set(frame.index.get_level_values("customer_id"))


def test_families_one_by_one_give_the_frame_of_one_query(shop, monkeypatch):
    """Also where a family has several rows of a customer."""
    names = [*ALL[::-1], "category_share.category_1"]
    asked = Remembering(shop.engine)
    frame = computed(shop.tables, names, CUTOFFS, asked)
    pd.testing.assert_frame_equal(
        frame, snapshot(shop.tables, names, CUTOFFS, shop.engine, **shop.kept), check_exact=True
    )
    few = ["recency", "frequency"]
    monkeypatch.setattr(shop.engine, "frame", None)  # whoever asks for other features of these families runs nothing
    pd.testing.assert_frame_equal(computed(shop.tables, few, CUTOFFS, asked), frame[few], check_exact=True)
    monkeypatch.undo()

    def doubled(past):
        rows = past.transactions.select("customer_id").distinct().mutate(doubled=1.0)
        return rows.union(rows.mutate(doubled=2.0))

    monkeypatch.setitem(FAMILIES, "doubled", Family("doubled", ("transactions",), {"doubled": "a mistake"}, doubled))
    queries = FamilyQueries.of(shop.tables.as_of(CUTOFF), ["recency", "doubled"])
    assert len(queries.frame(asked)) == 2 * len(frame.xs(pd.Timestamp(CUTOFF), level="cutoff"))


def test_an_outcome_has_the_rows_of_the_snapshot(shop):
    frame = snapshot(shop.tables, ["T"], CUTOFFS, shop.engine, **shop.kept)
    found = outcome(shop.tables, SPEND, CUTOFFS, 28, shop.engine, **shop.kept)
    assert list(found.columns) == ["y"]
    assert found.index.equals(frame.index)
    y = found["y"]
    assert y.dtype == np.float64
    assert (y > 0).any()
    assert (y == 0).any()


@pytest.mark.slow
def test_repeated_runs_on_two_threads_give_the_same_bits(tmp_path):
    """Threads that sum doubles do not; 300,000 lines are several row groups, which threads share."""
    frames = simulate(seed=2, customers=300, lines=300_000)
    on = engine(tmp_path)
    tables = open_shop(frames, tmp_path, on)
    runs = []
    for run in range(3):
        kept = {"cache": tmp_path / f"cache {run}", "digest": "d"}
        runs.append(
            snapshot(tables, ALL, [CUTOFF], on, **kept).to_numpy().tobytes()
            + outcome(tables, DISCOUNTED, [CUTOFF], 90, on, **kept).to_numpy().tobytes()
        )
    assert len(set(runs)) == 1


def test_cache_is_read_and_never_rebuilt_whatever_the_order_of_names(shop):
    names = ["T", "recency", "contacts"]
    built = snapshot(shop.tables, names, CUTOFFS, shop.engine, **shop.kept)
    read = snapshot(shop.tables, names[::-1], CUTOFFS, ReadOnly(), **shop.kept)
    pd.testing.assert_frame_equal(read[names], built, check_exact=True)
    assert list(read.columns) == names[::-1]
    y = outcome(shop.tables, SPEND, CUTOFFS, 28, shop.engine, **shop.kept)
    again = outcome(shop.tables, SPEND, CUTOFFS, 28, ReadOnly(), **shop.kept)
    pd.testing.assert_frame_equal(y, again, check_exact=True)
    files = [path for path in shop.kept["cache"].rglob("*") if path.is_file()]
    assert {path.suffix or path.name for path in files} == {".parquet", "checksum"}


def test_rows_that_were_changed_since_are_built_anew_with_one_warning(shop, caplog):
    built = snapshot(shop.tables, ["T", "recency"], [CUTOFF], shop.engine, **shop.kept)
    y = outcome(shop.tables, SPEND, [CUTOFF], 28, shop.engine, **shop.kept)
    files = sorted(shop.kept["cache"].rglob("*.parquet"))
    changes = [
        lambda file: pd.read_parquet(file).assign(T=1.0, y=1.0).to_parquet(file),
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: file.unlink(),
        lambda file: file.with_name("checksum").unlink(),
        lambda file: file.with_name("checksum").write_bytes(b"\xff"),
    ]
    for change in changes:
        for file in files:
            change(file)
        caplog.clear()
        again = snapshot(shop.tables, ["T", "recency"], [CUTOFF], shop.engine, **shop.kept)
        pd.testing.assert_frame_equal(again, built, check_exact=True)
        pd.testing.assert_frame_equal(outcome(shop.tables, SPEND, [CUTOFF], 28, shop.engine, **shop.kept), y)
        warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert len(warned) == 2
        assert all("not as they were written; built anew" in message for message in warned)
    assert sorted(shop.kept["cache"].rglob("*.parquet")) == files


def test_cache_tells_apart_data_names_cutoffs_horizons_and_outcomes(shop):
    snapshot(shop.tables, ["T"], [CUTOFF], shop.engine, **shop.kept)
    outcome(shop.tables, SPEND, [CUTOFF], 28, shop.engine, **shop.kept)
    requests = [
        partial(snapshot, shop.tables, ["T"], [CUTOFF], ReadOnly(), cache=shop.kept["cache"], digest="other"),
        partial(snapshot, shop.tables, ["T", "recency"], [CUTOFF], ReadOnly(), **shop.kept),
        partial(snapshot, shop.tables, ["T"], [CUTOFFS[0]], ReadOnly(), **shop.kept),
        partial(outcome, shop.tables, SPEND, [CUTOFF], 29, ReadOnly(), **shop.kept),
        partial(outcome, shop.tables, DISCOUNTED, [CUTOFF], 28, ReadOnly(), **shop.kept),
        partial(outcome, shop.tables, PURCHASE_DAYS, [CUTOFF], 28, ReadOnly(), **shop.kept),
    ]
    for request in requests:
        with pytest.raises(AssertionError, match="built again"):
            request()


def test_windows_outside_the_data_are_refused_even_when_cached(shop):
    outcome(shop.tables, SPEND, [CUTOFF], 90, shop.engine, **shop.kept)
    with pytest.raises(InputError, match="not covered"):
        outcome(shop.tables.as_of(date(2020, 7, 1)), SPEND, [CUTOFF], 90, shop.engine, **shop.kept)
    with pytest.raises(InputError, match="outside the data"):
        snapshot(shop.tables, ["T"], [START], shop.engine, **shop.kept)
    with pytest.raises(InputError, match="no cutoff"):
        snapshot(shop.tables, ["T"], [], shop.engine, **shop.kept)
    with pytest.raises(InputError, match="horizon_days=0"):
        outcome(shop.tables, SPEND, [CUTOFF], 0, shop.engine, **shop.kept)
    assert len(snapshot(shop.tables, ["T"], [END], shop.engine, **shop.kept)) == 60


def test_a_cutoff_before_the_first_purchase_is_refused(shop, tmp_path):
    late = simulate(seed=1)["transactions"]
    late = late[late["timestamp"] >= "2020-02-01"]
    (tmp_path / "late").mkdir()
    tables = open_shop({"transactions": late}, tmp_path / "late", shop.engine)
    with pytest.raises(InputError, match="no customer bought before 2020-01-15"):
        snapshot(tables, ["T"], [date(2020, 1, 15)], shop.engine, **shop.kept)


def test_definition_hash_follows_expressions_and_nothing_else(monkeypatch):
    before, contacts = definition_hash(["T", "contacts"]), definition_hash(["contacts"])
    assert before == definition_hash(["contacts", "T"])
    assert before != definition_hash(["T"])
    family = FAMILIES["rfm"]

    def a_day_longer(past):
        table = family.build(past)
        return table.mutate(T=table["T"] + 1)

    monkeypatch.setitem(
        FAMILIES, "rfm", type(family)(family.name, family.needs, family.features, a_day_longer, family.fallbacks)
    )
    assert definition_hash(["T", "contacts"]) != before
    assert definition_hash(["contacts"]) == contacts
