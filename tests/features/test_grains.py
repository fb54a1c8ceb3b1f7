"""Grains: the rows that exist as of a cutoff, their features and outcomes, and the audit of each."""

from __future__ import annotations

from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from simulated import CUTOFF, END, engine, open_shop, simulate, with_another_future

from features import outcomes
from features.candidates import CANDIDATES
from features.errors import InputError, InsufficientDataError
from features.families import FAMILIES, Family, feature_families
from features.grains import (
    CATEGORY_WEEK,
    CHANNEL_DAY,
    CONTACT,
    CUSTOMER,
    CUSTOMER_PRODUCT,
    GRAINS,
    MESSAGE,
    PROSPECT,
    SESSION,
    Grain,
)
from features.leakage import audit_features, descriptive, grains_of
from features.open_baskets import BASKETS
from features.outcomes import Outcome
from features.shop import Shop
from features.snapshot import definition_hash, feature_rows, outcome, snapshot
from features.tampering import Tamperer

OF_CUSTOMERS = ["frequency", "T", "total_spend", "contacts", "age_band_start", "category_share.category_1"]
WITH_CUSTOMERS = [grain for grain in GRAINS.values() if "customer_id" in grain.key]


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    return engine(tmp_path_factory.mktemp("spill"))


@pytest.fixture(scope="module")
def frames():
    return simulate(seed=3)


@pytest.fixture(scope="module")
def shop(frames, on, tmp_path_factory):
    return open_shop(frames, tmp_path_factory.mktemp("grains"), on)


@pytest.fixture
def kept(tmp_path):
    return {"cache": tmp_path / "cache", "digest": "d"}


def keys(frame: pd.DataFrame, grain: Grain) -> set[tuple[str, ...]]:
    return set(frame[list(grain.key)].itertuples(index=False, name=None))


def as_known(frames, grain: Grain) -> set[tuple[str, ...]]:
    """The rows of a grain as of CUTOFF, in plain pandas."""
    before = {
        name: frame[frame[known_at] < pd.Timestamp(CUTOFF)]
        for name, known_at, frame in (
            ("transactions", "timestamp", frames["transactions"]),
            ("contacts", "contacted_at", frames["contacts"]),
            ("messages", "sent_at", frames["messages"]),
            ("events", "occurred_at", frames["events"]),
            ("marketing_spend", "spent_at", frames["marketing_spend"]),
        )
    }
    lines, bought = before["transactions"], set(before["transactions"]["customer_id"])
    if grain in (CUSTOMER, CUSTOMER_PRODUCT):
        return keys(lines.dropna(subset=list(grain.key)), grain)
    if grain == PROSPECT:
        known = pd.concat([before[name] for name in ("events", "messages", "contacts")])
        return {(who,) for who in known["customer_id"]} - {(who,) for who in bought}
    if grain == CATEGORY_WEEK:
        return keys(lines.merge(frames["products"], on="product_id").dropna(subset=["category"]), grain)
    table = {CONTACT: "contacts", MESSAGE: "messages", SESSION: "events", CHANNEL_DAY: "marketing_spend"}[grain]
    rows = before[table]
    return keys(rows[rows["amount"] > 0] if grain == CHANNEL_DAY else rows.dropna(subset=list(grain.key)), grain)


@pytest.mark.parametrize("grain", GRAINS.values(), ids=GRAINS)
class TestEveryGrain:
    def test_its_rows_are_those_known_before_the_cutoff_each_once(self, grain, shop, frames, on):
        rows = on.frame(grain.rows(shop.as_of(CUTOFF)))
        assert list(rows.columns) == list(grain.key)
        assert not rows.duplicated().any()
        assert keys(rows, grain) == as_known(frames, grain)
        whole = keys(on.frame(grain.rows(shop)), grain)
        assert whole != keys(rows, grain) or grain in (CHANNEL_DAY, CATEGORY_WEEK)

    @pytest.mark.quick(3)
    def test_its_rows_and_features_do_not_change_with_what_comes_after_the_cutoff(
        self, grain, frames, shop, on, tmp_path, counting
    ):
        own = [name for name, family in feature_families().items() if family.grain == grain != CUSTOMER]
        names = [*own, counting(grain)]

        def found(tables):
            rows = on.frame(feature_rows(tables.as_of(CUTOFF), names, grain))
            return rows.sort_values(list(grain.key)).reset_index(drop=True)

        expected = found(shop)
        assert expected.iloc[:, -1].nunique() > 1 or grain in (PROSPECT, CONTACT)
        for change in ("drop", "append", "poison"):
            (tmp_path / change).mkdir()
            other = open_shop(with_another_future(frames, change), tmp_path / change, on)
            pd.testing.assert_frame_equal(expected, found(other), check_exact=True, obj=change)

    def test_its_features_are_frames_indexed_by_its_key_and_the_cutoff(self, grain, shop, on, kept, counting):
        cutoffs = [date(2020, 4, 1), CUTOFF]
        frame = snapshot(shop, [counting(grain)], cutoffs, on, grain=grain, **kept)
        assert frame.index.names == [*grain.key, "cutoff"] == grain.index
        assert frame.index.is_unique
        assert frame.index.is_monotonic_increasing
        assert (frame.dtypes == np.float64).all()
        assert set(frame.index.get_level_values("cutoff")) == set(map(pd.Timestamp, cutoffs))

    def test_the_definition_tells_the_grain_apart(self, grain, counting):
        name = counting(grain)
        finer = Grain("finer", (*grain.key, "order_id"), lambda past: past.transactions.select(), "customer_id")
        assert definition_hash([name], grain) == definition_hash([name], grain)
        if "customer_id" in grain.key and grain != CUSTOMER:
            assert definition_hash(["T"], grain) != definition_hash(["T"])
        assert finer.takes(grain)
        assert not grain.takes(finer)

    @pytest.mark.slow
    def test_the_audit_finds_a_leak_in_its_family_and_none_in_an_honest_one(
        self, grain, shop, on, tmp_path, counting, monkeypatch
    ):
        honest = counting(grain)
        table = counted_table(grain) if grain in (CATEGORY_WEEK, CHANNEL_DAY) else "transactions"
        own = ["customer_id"] if "customer_id" in grain.key else list(grain.key)

        def all_time(past):
            whole = _with_category(past, shop[table]) if grain == CATEGORY_WEEK else shop[table]
            counted = whole.group_by(own).agg(all_time=whole.amount.sum().cast("float64"))
            return grain.rows(past).inner_join(counted, own).select(*grain.key, "all_time")

        cheat = Family("all_time", (table,), {"all_time": "a cheat"}, all_time, grain=grain)
        monkeypatch.setitem(FAMILIES, "all_time", cheat)
        for name, family in list(FAMILIES.items()):
            if family.grain != grain or name not in (honest, "all_time"):
                monkeypatch.delitem(FAMILIES, name)
        monkeypatch.setattr("features.leakage.PARAMETRISED", {})
        findings = list(audit_features(Tamperer(shop, on, tmp_path), [CUTOFF]))
        guilty = {finding.subject for finding in findings if finding.finding in ("leaks", "descriptive")}
        assert guilty == {"feature all_time"}
        assert {finding.subject for finding in findings if finding.fails} == {"feature all_time"}
        assert descriptive([honest], grain) == {}


def counted_table(grain: Grain) -> str:
    """The table whose rows the tests count for each row of the grain."""
    return {
        CONTACT: "contacts",
        MESSAGE: "messages",
        PROSPECT: "events",
        SESSION: "events",
        CHANNEL_DAY: "marketing_spend",
    }.get(grain, "transactions")


def _measure(rows, grain: Grain):
    """Opens of a message, money of a channel, else rows."""
    if grain == MESSAGE:
        return rows.opened_at.count()
    return rows.amount.sum().cast("float64") if grain == CHANNEL_DAY else rows.count()


def _with_category(tables, rows):
    return rows.inner_join(tables["products"], "product_id")


@pytest.fixture
def counting(monkeypatch):
    """Register a family of the grain with one feature, by `_measure`; return the feature's name."""

    def register(grain: Grain) -> str:
        table = counted_table(grain)
        name = f"{grain.name}_count"

        def build(past):
            rows = _with_category(past, past[table]) if grain == CATEGORY_WEEK else past[table]
            return rows.group_by(list(grain.key)).agg(**{name: _measure(rows, grain)})

        monkeypatch.setitem(FAMILIES, name, Family(name, (table,), {name: "rows"}, build, grain=grain))
        return name

    return register


@pytest.mark.parametrize("grain", WITH_CUSTOMERS, ids=lambda grain: grain.name)
@pytest.mark.quick(3)
def test_a_finer_grain_gets_the_customers_own_features_and_fallbacks_where_there_is_none(grain, shop, on):
    past = shop.as_of(CUTOFF)
    own = on.frame(feature_rows(past, OF_CUSTOMERS)).set_index("customer_id")
    rows = on.frame(feature_rows(past, OF_CUSTOMERS, grain))
    assert keys(rows, grain) == keys(on.frame(grain.rows(past)), grain)
    bought = rows[rows["customer_id"].isin(own.index)].set_index("customer_id")[OF_CUSTOMERS]
    assert bought.empty == (grain == PROSPECT)
    pd.testing.assert_frame_equal(bought, own.loc[bought.index], check_exact=True)
    strangers = rows[~rows["customer_id"].isin(own.index)]
    assert (strangers[["frequency", "T", "total_spend"]] == 0).all(axis=None)
    if grain in (PROSPECT, CONTACT):
        assert (strangers["contacts"] > 0).any()  # contacts count without a purchase, too


def test_features_of_rows_that_a_grain_does_not_know_are_refused(shop, counting):
    past = shop.as_of(CUTOFF)
    with pytest.raises(InputError, match="frequency cannot be a feature of the grain category_week"):
        feature_rows(past, ["frequency"], CATEGORY_WEEK)
    of_pairs = counting(CUSTOMER_PRODUCT)
    with pytest.raises(InputError, match="grain customer") as refused:
        feature_rows(past, ["T", of_pairs])
    assert refused.value.hint == f"leave out {of_pairs}"


def test_a_grain_whose_tables_the_shop_lacks_is_refused_by_name(frames, on, tmp_path, kept):
    bare = open_shop({"transactions": frames["transactions"]}, tmp_path, on)
    assert grains_of(bare) == [CUSTOMER, CUSTOMER_PRODUCT, CANDIDATES, BASKETS]
    for grain, tables in ((CONTACT, "contacts"), (SESSION, "events"), (PROSPECT, "events or messages or contacts")):
        with pytest.raises(InputError, match=f"the grain {grain.name} needs tables .*: {tables}"):
            snapshot(bare, ["T"], [CUTOFF], on, grain=grain, **kept)
        with pytest.raises(InputError, match=f"the grain {grain.name} needs tables"):
            outcome(bare, Outcome("spend", ("y",), outcomes.spend), [CUTOFF], 28, on, grain=grain, **kept)
    with pytest.raises(InsufficientDataError, match="need tables that this shop does not have: campaigns, contacts"):
        snapshot(bare, ["T", "contacts"], [CUTOFF], on, **kept)  # costs one task of a run, not the run


@pytest.mark.parametrize(
    "grain", [CUSTOMER, CUSTOMER_PRODUCT, CONTACT, MESSAGE, SESSION, PROSPECT], ids=lambda g: g.name
)
def test_outcomes_of_customers_are_those_of_each_row(grain, shop, frames, on, kept):
    horizon = 60
    spend = Outcome("spend", ("y",), outcomes.spend)
    found = outcome(shop, spend, [CUTOFF], horizon, on, grain=grain, **kept)["y"].droplevel("cutoff")
    end = pd.Timestamp(CUTOFF + timedelta(days=horizon))
    lines = frames["transactions"]
    lines = lines[(lines["timestamp"] >= pd.Timestamp(CUTOFF)) & (lines["timestamp"] < end)]
    by = [level for level in grain.key if level in ("customer_id", "product_id")]
    spent = lines.assign(amount=lines["amount"].astype(float)).groupby(by)["amount"].sum()
    rows = found.reset_index()
    expected = spent.reindex(rows.set_index(by).index).fillna(0.0)
    np.testing.assert_allclose(rows["y"], expected.to_numpy(), rtol=0, atol=1e-9)
    assert (found > 0).any()


def test_outcomes_of_customers_are_refused_for_rows_without_one(shop, on, kept):
    spend = Outcome("spend", ("y",), outcomes.spend)
    with pytest.raises(InputError, match="the outcome is of customers"):
        outcome(shop, spend, [CUTOFF], 7, on, grain=CATEGORY_WEEK, **kept)


def test_an_outcome_has_several_columns_where_it_says_so(shop, on, kept):
    """Days to the first line of the window, censored at its end."""

    def days(future, rows):
        firsts = future.transactions.group_by("customer_id").agg(first=lambda t: t.timestamp.min().date())
        both = rows.left_join(firsts, "customer_id")
        waited = both["first"].delta(ibis.literal(future.start), unit="day")
        return both.select("customer_id", days=waited.fill_null(60), observed=both["first"].notnull())

    found = outcome(shop, Outcome("days", ("days", "observed"), days), [CUTOFF], 60, on, **kept)
    assert list(found.columns) == ["days", "observed"]
    assert (found.dtypes == np.float64).all()
    assert set(found["observed"]) == {0.0, 1.0}
    assert (found.loc[found["observed"] == 0, "days"] == 60).all()


@pytest.mark.parametrize(
    ("grain", "days"), [(CATEGORY_WEEK, 7), (CHANNEL_DAY, 1)], ids=lambda of: getattr(of, "name", of)
)
def test_a_series_has_a_row_per_step_that_begins_at_its_cutoff(grain, days, shop, frames, on, kept, counting):
    assert grain.step_days == days
    assert grain.resampled == "cutoff"
    steps = [CUTOFF + timedelta(days=days * n) for n in range(5)]
    name = counting(grain)
    X = snapshot(shop, [name], steps, on, grain=grain, **kept)

    def units(future, rows):
        table = future[counted_table(grain)]
        table = _with_category(future, table) if grain == CATEGORY_WEEK else table
        counted = table.group_by(list(grain.key)).agg(y=_measure(table, grain))
        joined = rows.left_join(counted, list(grain.key))
        return joined.select(*rows.columns, y=joined.y.fill_null(0))

    y = outcome(shop, Outcome("rows", ("y",), units), steps, days, on, grain=grain, **kept)["y"]
    assert y.index.equals(X.index)
    # What happens in a step is what the next step's features have more than this one's.
    by_step = X[name].unstack("cutoff")
    happened = y.unstack("cutoff").iloc[:, :-1]
    np.testing.assert_allclose(by_step.diff(axis=1).iloc[:, 1:], happened.to_numpy(), rtol=0, atol=1e-9)
    assert (happened > 0).any(axis=None)


def only(shop, *names):
    """The shop without its other tables, which the audit would change too."""
    return shop.with_tables(**{name: None for name in shop if name not in names})


def test_a_grain_whose_rows_read_the_future_is_found_by_the_audit(shop, on, tmp_path, monkeypatch):
    shop = only(shop, "transactions", "contacts")

    def ever_bought(past):
        return shop.transactions.select("customer_id", "store_id").filter(lambda t: t.store_id.notnull()).distinct()

    cheat = Grain("customer_store", ("customer_id", "store_id"), ever_bought, "customer_id")

    def lines(past):
        own = past.transactions
        return own.group_by("customer_id", "store_id").agg(lines_at_store=own.count())

    family = Family("lines_at_store", ("transactions",), {"lines_at_store": "lines"}, lines, grain=cheat)
    for name in list(FAMILIES):
        monkeypatch.delitem(FAMILIES, name)
    monkeypatch.setattr("features.leakage.PARAMETRISED", {})
    monkeypatch.setitem(FAMILIES, "lines_at_store", family)
    assert cheat in grains_of(shop)
    findings = list(audit_features(Tamperer(shop, on, tmp_path), [CUTOFF]))
    found = {(finding.subject, finding.finding) for finding in findings if finding.finding != "clean"}
    assert ("rows of customer_store", "leaks") in found
    assert ("rows of customer_store", "descriptive") in found
    assert {subject for subject, finding in found if finding == "leaks"} >= {"rows of customer_store"}
    assert "by another way than as_of" in descriptive(["lines_at_store"], cheat)["lines_at_store"]


def test_a_leak_through_a_value_that_became_known_later_than_its_row_is_found(shop, on, tmp_path, monkeypatch):
    """At the cutoff nobody knows whether a message sent before it will ever be opened."""
    shop = only(shop, "transactions", "messages")
    whole = shop["messages"]

    def ever_opened(past):
        return whole.semi_join(past["messages"], ["customer_id", "message_id"]).select(
            "customer_id", "message_id", ever_opened=lambda t: t.opened_at.notnull()
        )

    for name in list(FAMILIES):
        monkeypatch.delitem(FAMILIES, name)
    monkeypatch.setattr("features.leakage.PARAMETRISED", {})
    cheat = Family("ever_opened", ("messages",), {"ever_opened": "a cheat"}, ever_opened, grain=MESSAGE)
    monkeypatch.setitem(FAMILIES, "ever_opened", cheat)
    findings = list(audit_features(Tamperer(shop, on, tmp_path), [CUTOFF]))
    (leak,) = [finding for finding in findings if finding.finding == "leaks"]
    assert leak.subject == "feature ever_opened"
    assert "delete messages" in leak.figures


def test_shop_answers_for_every_grain(shop, on, tmp_path, counting):
    class Staging:
        digest = "d"

    whole = Shop(Staging(), shop, on, tmp_path)
    name = counting(MESSAGE)
    X = whole.features([name, "T"], [CUTOFF], MESSAGE)
    y = whole.outcome(Outcome("spend", ("y",), outcomes.spend), [CUTOFF], 28, MESSAGE)
    assert X.index.equals(y.index)
    path = whole.snapshot([name, "T"], CUTOFF, MESSAGE)
    assert list(pd.read_parquet(path).columns) == ["customer_id", "message_id", *sorted([name, "T"])]
    assert set(feature_families()[name].grain.key) == {"customer_id", "message_id"}
    with pytest.raises(InputError, match="not covered"):
        whole.outcome(Outcome("spend", ("y",), outcomes.spend), [END - timedelta(days=7)], 28, MESSAGE)
