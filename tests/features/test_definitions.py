"""Fingerprints of single features: they follow what a feature is computed from, and nothing beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import ibis
import ibis.expr.types as ir
import pytest

from features.definitions import feature_hashes
from features.families import FAMILIES, PARAMETRISED, Family
from features.grains import CUSTOMER
from features.snapshot import definition_hash
from features.tables import Tables
from workplace import printed_by_processes

VALUED = [f"{name}.{value}" for name in PARAMETRISED for value in ("B", "A_.26_O.27C", "음료/차")]
ALL = [feature for family in FAMILIES.values() if family.grain == CUSTOMER for feature in family.features]


def two_sided(past: Tables, *, more: bool = False, later: bool = False, swapped: bool = False) -> ir.Table:
    """Compute features of several aggregates that are joined, as families do; the options change one thing each."""
    lines = past.transactions
    if more:
        lines = lines.mutate(price=lines.amount / lines.quantity)
    added = {"dearest": lines.price.max()} if more else {}
    total = lines.group_by("customer_id").agg(spend=lines.amount.sum(), lines=lines.count(), **added)
    big = lines.filter(lines.amount > (20 if later else 10)).group_by("customer_id").agg(big=ibis._.count())
    joined = total.left_join(big, "customer_id").drop("customer_id_right")
    if more:
        shops = lines.group_by("customer_id").agg(shops=lines.store_id.nunique())
        joined = joined.left_join(shops, "customer_id").drop("customer_id_right")
    days = lines.group_by("customer_id", day=lines.timestamp.date()).agg(spent=lines.amount.sum())
    before, after = days.view(), days.view()
    apart = (before.day < after.day) if not swapped else (before.day > after.day)
    pairs = before.inner_join(after, [before.customer_id == after.customer_id, apart])
    pairs = pairs.select(before.customer_id, first=before.spent, second=after.spent)
    growth = pairs.group_by("customer_id").agg(growth=(pairs.second - pairs.first).sum())
    joined = joined.left_join(growth, "customer_id").drop("customer_id_right")
    columns = ["spend", "lines", "big", "growth", *(["dearest", "shops"] if more else [])]
    return joined.select("customer_id", *reversed(columns))


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    def computed(**options: bool) -> dict[str, str]:
        names = ["spend", "lines", "big", "growth", *(["dearest", "shops"] if options.get("more") else [])]
        family = Family("two", ("transactions",), dict.fromkeys(names, "…"), lambda past: two_sided(past, **options))
        monkeypatch.setitem(FAMILIES, "two", family)
        return feature_hashes(names)

    return computed


def test_new_columns_joins_and_another_order_leave_other_features_alone(hashes: Callable[..., dict[str, str]]) -> None:
    before, after = hashes(), hashes(more=True)
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == len(after)


def test_a_change_deep_below_reaches_what_reads_it_alone(hashes: Callable[..., dict[str, str]]) -> None:
    before = hashes()
    for options, changed in (({"later": True}, {"big"}), ({"swapped": True}, {"growth"})):
        after = hashes(**options)
        assert {name for name in before if after[name] != before[name]} == changed


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.quick(6)
def test_of_each_family_the_changed_feature_alone_changes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family, grain = FAMILIES[name], FAMILIES[name].grain
    names = list(family.features)
    before = feature_hashes(names, grain)
    assert len(set(before.values())) == len(names)
    for feature in names:
        alone = feature_hashes([feature], grain)
        assert alone == {feature: before[feature]}

        def a_bit_more(past: Tables, feature: str = feature) -> ir.Table:
            table = family.build(past)
            return table.mutate(**{feature: table[feature].cast("float64") + 1, "unread": 1})

        monkeypatch.setitem(FAMILIES, name, replace(family, build=a_bit_more))
        after = feature_hashes(names, grain)
        assert [other for other in names if after[other] != before[other]] == [feature]
    monkeypatch.setitem(FAMILIES, name, replace(family, fallbacks={**family.fallbacks, names[0]: 7.0}))
    after = feature_hashes(names, grain)
    assert [other for other in names if after[other] != before[other]] == names[:1]


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if "transactions" in family.needs])
def test_of_each_family_other_rows_change_every_feature(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = FAMILIES[name]
    names = [*family.features]
    before = feature_hashes(names, family.grain)

    def of_bought_lines(past: Tables) -> ir.Table:
        lines = past.transactions
        return family.build(past.with_tables(transactions=lines.filter(lines.amount > 0)))

    monkeypatch.setitem(FAMILIES, name, replace(family, build=of_bought_lines))
    after = feature_hashes(names, family.grain)
    assert not [other for other in names if after[other] == before[other]]


@pytest.mark.slow
def test_fingerprints_are_the_same_in_every_process_and_beside_other_features() -> None:
    """Ibis numbers the tables of a join, and keeps words and columns in sets: both differ from process to process."""
    names = [*ALL, *VALUED]
    script = "from features.definitions import feature_hashes; from features.snapshot import definition_hash; "
    script += f"print(definition_hash({names}), feature_hashes({names}))"
    assert printed_by_processes(script) == {f"{definition_hash(names)} {feature_hashes(names)}\n"}
    assert list(feature_hashes(names[::-1]).items()) == list(feature_hashes(names).items())[::-1]
    assert all(feature_hashes([name])[name] == feature_hashes(names)[name] for name in VALUED)
