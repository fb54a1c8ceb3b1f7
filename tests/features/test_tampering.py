"""The audit finds every way to the future that a feature could take, and none in the features there are."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import ibis
import pandas as pd
import pytest
from simulated import CUTOFF, END, engine, open_shop, simulate

from features.families import FAMILIES, PARAMETRISED, Family, feature_families
from features.grains import CUSTOMER
from features.leakage import ALL_TABLES, all_features, contradictions, descriptive, moving_features
from features.learnt import learnt
from features.tables import NET, SPECS, Tables, midnight
from features.tampering import TAMPERINGS, Tamperer

ALL = [name for name, family in feature_families().items() if family.grain == CUSTOMER]
VALUED = [f"{name}.{features.example}" for name, features in PARAMETRISED.items()]
FROM_CUTOFF = (CUTOFF, None)


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    return engine(tmp_path_factory.mktemp("spill"))


@pytest.fixture(scope="module")
def shop(on, tmp_path_factory):
    return open_shop(simulate(seed=3), tmp_path_factory.mktemp("shop"), on)


@pytest.fixture
def tamperer(shop, on, tmp_path: Path):
    return Tamperer(shop, on, tmp_path)


@pytest.fixture
def cheats(shop, monkeypatch):
    """Features that know more than the past, by every way there is; each registered as a family of its own."""
    lines, people = shop.transactions, shop.customers

    def all_time_spend(past):
        return lines.group_by("customer_id").agg(all_time_spend=lines.amount.sum())

    def dug_out_spend(past):
        whole = past.transactions.op().parent.to_expr()
        return whole.group_by("customer_id").agg(dug_out_spend=whole.amount.sum())

    def tenure_months(past):
        return people.select("customer_id", tenure_months=people.tenure_months)

    def lines_before_today(past):
        own = past.transactions
        return own.group_by("customer_id").agg(lines_before_today=(own.timestamp < ibis.now()).sum())

    def gender_in_secret(past):
        return past.customers.select("customer_id", gender_in_secret=past.customers.gender == "F")

    builds = (all_time_spend, dug_out_spend, tenure_months, lines_before_today, gender_in_secret)
    for build in builds:
        name = build.__name__
        monkeypatch.setitem(FAMILIES, name, Family(name, ("transactions", "customers"), {name: "a cheat"}, build))
    return [build.__name__ for build in builds]


@pytest.mark.slow
def test_no_feature_of_the_registry_moves_with_the_future_or_is_descriptive(on, tmp_path):
    """Net spend reads all that gross spend reads, and returns."""
    shop = open_shop(simulate(seed=3), tmp_path, on, NET)
    (tmp_path / "tampered").mkdir()
    tamperer = Tamperer(shop, on, tmp_path / "tampered")
    names = all_features(shop, CUTOFF, on)
    assert set(ALL) < set(names)
    found = list(moving_features(tamperer, names, [CUTOFF]))
    assert len(found) == len(tamperer.names) * len(TAMPERINGS)
    assert all(compared == len(names) for compared, _ in found)
    assert not [movement for _, movements in found for movement in movements]
    assert descriptive([*ALL, *VALUED, "category_share.*"]) == {}


@pytest.mark.quick(1)
def test_every_tampering_names_a_feature_that_reads_the_whole_tables_and_no_other(tamperer, cheats):
    honest = [*FAMILIES["rfm"].features, *FAMILIES["profile"].features, *FAMILIES["campaigns"].features]
    movements = [m for _, found in moving_features(tamperer, [*honest, *cheats], [CUTOFF]) for m in found]
    ways = {(m.what, m.table, m.how) for m in movements}
    assert ways == {
        *(("all_time_spend", "transactions", how) for how in TAMPERINGS),
        *(("dug_out_spend", "transactions", how) for how in TAMPERINGS),
        *(("tenure_months", "customers", how) for how in TAMPERINGS),
    }
    worst = next(m for m in movements if m.what == "all_time_spend" and m.how == "poison")
    assert 0 < worst.moved <= worst.customers
    assert "became" in worst.example


def test_a_feature_that_moves_with_no_table_alone_is_found(shop, on, tmp_path, monkeypatch):
    """It knows if anything is written down later: while one of two tables says so, nothing moves."""
    read = {name: shop[name] for name in ("transactions", "contacts", "responses")}
    tamperer = Tamperer(Tables(start=shop.start, end=shop.end, **read), on, tmp_path)

    def later(table):
        return table.filter(table[SPECS[table.get_name().rpartition("_")[2]].known_at] >= midnight(CUTOFF)).count()

    def anything_later(past):
        found = later(shop.contacts).as_scalar() + later(shop.responses).as_scalar() > 0
        return past.transactions.select("customer_id").distinct().mutate(anything_later=found)

    cheat = Family("anything_later", ("transactions",), {"anything_later": "a cheat"}, anything_later)
    monkeypatch.setitem(FAMILIES, "anything_later", cheat)
    movements = [m for _, found in moving_features(tamperer, ["anything_later"], [CUTOFF]) for m in found]
    assert [(m.table, m.how) for m in movements] == [(ALL_TABLES, "delete")]


def test_a_past_that_holds_later_rows_is_found_by_every_tampering(tamperer, monkeypatch):
    """An expression that reads the past alone is run again where the past is not the same."""
    as_of = Tables.as_of

    def a_week_too_long(tables, cutoff):
        late = as_of(tables, cutoff + timedelta(days=7))
        return Tables(start=late.start, end=cutoff, burn_in_days=late.burn_in_days, **late.present())

    names = [*FAMILIES["rfm"].features]
    found = {m.how for _, moved in moving_features(tamperer, names, [CUTOFF]) for m in moved}
    assert found == set()
    monkeypatch.setattr(Tables, "as_of", a_week_too_long)
    movements = [m for _, moved in moving_features(tamperer, names, [CUTOFF]) for m in moved]
    assert {(m.table, m.how) for m in movements} == {("transactions", how) for how in TAMPERINGS}
    assert "monetary_value" in {m.what for m in movements}


SEEN = {}


def most_lines_seen(lines):
    """Remember from call to call how many lines each customer had at any cutoff."""
    for customer, number in lines["customer_id"].value_counts().items():
        SEEN[customer] = max(SEEN.get(customer, 0), number)
    customers = lines["customer_id"].drop_duplicates()
    return pd.DataFrame({"customer_id": customers, "most_lines_seen": customers.map(SEEN).astype(float)})


@pytest.mark.parametrize("reusing", [False, True])
def test_a_function_that_remembers_later_cutoffs_is_found(reusing, tamperer, on, monkeypatch):
    def build(past):
        read = {"lines": past.transactions.select("customer_id")}
        return learnt(most_lines_seen, read, {"customer_id": "string", "most_lines_seen": "float64"})

    cheat = Family("most_lines_seen", ("transactions",), {"most_lines_seen": "a cheat"}, build)
    monkeypatch.setitem(FAMILIES, "most_lines_seen", cheat)
    cutoffs = [date(2020, 4, 1), CUTOFF]
    with on.learnt.reusing() if reusing else nullcontext():
        movements = [m for _, found in moving_features(tamperer, ["most_lines_seen"], cutoffs) for m in found]
    assert {m.cutoff for m in movements} == {date(2020, 4, 1)}


def test_what_a_feature_reads_is_told_without_data(cheats):
    reasons = descriptive([*ALL, *cheats])
    assert set(reasons) == set(cheats)
    assert "transactions by another way than as_of" in reasons["all_time_spend"]
    assert "transactions by another way than as_of" in reasons["dug_out_spend"]
    assert "customers by another way than as_of" in reasons["tenure_months"]
    assert "TimestampNow" in reasons["lines_before_today"]
    assert "undated" in reasons["gender_in_secret"]


class TestTampering:
    @pytest.fixture
    def changed(self, tamperer, shop, on):
        """The rows of a table before and after a tampering, split at the cutoff."""

        def rows(table, how, *periods):
            engine, count = tamperer.change([table], how, *periods)
            frames = [o.frame(shop.present()[table]).sort_values(list(SPECS[table].key)) for o in (on, engine)]
            return *frames, count

        return rows

    @pytest.mark.parametrize("how", TAMPERINGS)
    @pytest.mark.parametrize("table", ["transactions", "campaigns", "contacts", "responses"])
    def test_the_past_stays_and_the_future_does_not(self, changed, table, how):
        known_at = SPECS[table].known_at
        before, after, count = changed(table, how, FROM_CUTOFF)
        (old_past, old), (past, new) = (
            (frame[frame[known_at] < pd.Timestamp(CUTOFF)], frame[frame[known_at] >= pd.Timestamp(CUTOFF)])
            for frame in (before, after)
        )
        pd.testing.assert_frame_equal(past.reset_index(drop=True), old_past.reset_index(drop=True))
        assert count == len(old) > 0
        if how == "delete":
            assert new.empty
        elif how == "poison":
            assert not new.merge(old).shape[0]
        else:
            assert table != "transactions" or new.merge(old).shape[0] < len(old) / 10
            for column in old:
                assert sorted(map(str, new[column])) == sorted(map(str, old[column]))

    @pytest.mark.parametrize("how", TAMPERINGS)
    def test_of_undated_facts_those_measured_after_the_fact_change_alone(self, changed, how):
        before, after, count = changed("customers", how, FROM_CUTOFF)
        assert count == len(before)
        assert not (before.tenure_months.to_numpy() == after.tenure_months.to_numpy()).all()
        pd.testing.assert_frame_equal(*(frame.drop(columns="tenure_months") for frame in (before, after)))

    @pytest.mark.parametrize("how", TAMPERINGS)
    def test_of_messages_sent_before_only_what_became_known_later_changes(self, changed, how):
        before, after, count = changed("messages", how, FROM_CUTOFF)
        old, new = (frame[frame.sent_at < pd.Timestamp(CUTOFF)].set_index("message_id") for frame in (before, after))
        assert count > len(before) - len(old) > 0
        assert list(new.index) == list(old.index)
        moments = ["opened_at", "clicked_at"]
        fixed = old.columns.difference([*moments, "device"])
        pd.testing.assert_frame_equal(new[fixed], old[fixed])
        for moment in moments:
            is_known, is_late = old[moment] < pd.Timestamp(CUTOFF), old[moment] >= pd.Timestamp(CUTOFF)
            pd.testing.assert_series_equal(new.loc[~is_late, moment], old.loc[~is_late, moment])
            assert is_known.any()
            assert (new.loc[is_late, moment] != old.loc[is_late, moment]).any()
            assert not (new.loc[is_late, moment] < pd.Timestamp(CUTOFF)).any()

    @pytest.mark.parametrize("how", TAMPERINGS)
    def test_of_messages_opened_in_a_window_what_lies_outside_of_it_changes(self, changed, how):
        """An outcome of the window may read opens of messages that were sent before it."""
        end = date(2020, 7, 1)
        before, after, _ = changed("messages", how, (None, CUTOFF), (end, None))
        inside = (before.opened_at >= pd.Timestamp(CUTOFF)) & (before.opened_at < pd.Timestamp(end))
        old = before[inside].set_index(["customer_id", "message_id"]).opened_at
        assert (before[inside].sent_at < pd.Timestamp(CUTOFF)).any()
        new = after.set_index(["customer_id", "message_id"]).opened_at
        pd.testing.assert_series_equal(new.loc[old.index], old)

    @pytest.mark.parametrize("how", TAMPERINGS)
    def test_changing_the_past_leaves_who_is_eligible(self, tamperer, shop, on, how):
        eligible = shop.transactions.filter(shop.transactions.timestamp < midnight(CUTOFF)).select("customer_id")
        engine, _ = tamperer.change(["transactions"], how, (None, CUTOFF), (END, None))
        assert set(engine.frame(eligible).customer_id) == set(on.frame(eligible).customer_id)


def test_tenure_is_held_against_the_first_purchase(tmp_path, on):
    """The data end on 31 August: Ann's first purchase is 213 days before, Bob's 29."""
    lines = [("ann", "2020-01-31"), ("ann", "2020-08-02"), ("bob", "2020-08-02"), ("cat", "2020-01-01")]
    transactions = pd.DataFrame(lines, columns=["customer_id", "timestamp"]).assign(
        order_id=lambda t: t.index.astype(str), line_number=0, amount=Decimal(1)
    )
    transactions["timestamp"] = pd.to_datetime(transactions["timestamp"])
    (tmp_path / "shop").mkdir()
    for months, expected in ((5, 1), (6, 0), (7, 0)):  # six whole months are 182.6 days: less than seven are stated
        people = pd.DataFrame({"customer_id": ["ann", "bob", "cat"], "tenure_months": [months, 0, None]})
        shop = open_shop({"transactions": transactions, "customers": people}, tmp_path / "shop", on)
        (fact,) = contradictions(shop, on)
        assert (fact.column, fact.contradicted, fact.customers) == ("tenure_months", expected, 2)
