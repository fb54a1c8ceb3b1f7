"""Lists of customers to contact: who is on them, why, and who is held back."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import lifetimes
import numpy as np
import pandas as pd
import pytest
import yaml

from experiments.campaigns.lists import CONTROL, Condition, ContactList, first_actions, parse
from experiments.campaigns.section import LISTS
from experiments.reports.section import Text
from experiments.workflow.lists import find_members, lists_text, write_list
from features.errors import InputError
from workplace import ROOT, experiments

CUSTOMERS = pd.DataFrame(
    {
        "tier": ["VIP", "VIP", "Gold", "Silver", None],
        "days": [10.0, 60.0, 119.0, 120.0, np.nan],
        "spend": [5.0, 4.0, 3.0, 2.0, 1.0],
    },
    index=pd.Index(["a", "b", "c", "d", "e"], name="customer_id"),
)
DECLARED = {"title": "t", "where": {"tier": ["VIP"]}, "value": "spend", "action": "call"}


@pytest.mark.parametrize(
    ("where", "members"),
    [
        ({"tier": ["VIP", "Gold"]}, "abc"),
        ({"days": [60, 119]}, "bc"),  # both ends
        ({"days": [None, 60]}, "ab"),  # never of a missing value
        ({"days": [120, None]}, "d"),
        ({"spend": {"top": 0.4}}, "ab"),
        ({"spend": {"bottom": 0.2}}, "e"),
        ({"tier": ["VIP"], "days": [60, None]}, "b"),
        ({"tier": ["Bronze"]}, ""),
        ({"days": {"min": 60, "max": 119}}, "bc"),
        ({"tier": ["VIP", "Gold"], "days": {"top": 0.4}}, "c"),  # of a, b and c, d being higher
        ({"days": {"bottom": 0.4}, "tier": ["Gold", "Silver"]}, "c"),  # of c and d, in either order of the keys
        ({"tier": ["VIP", "Gold"], "days": {"bottom": 0.7, "min": 20}}, "b"),  # share of all three, then the bound
        ({"tier": ["VIP", "Gold"], "days": {"bottom": 0.7}, "spend": {"bottom": 0.7}}, "b"),  # shares of the same three
    ],
)
def test_members_are_those_of_whom_all_conditions_hold_the_most_valuable_first(where, members) -> None:
    found = parse("one", DECLARED | {"where": where}).members(CUSTOMERS)
    assert list(found.index) == list(members)
    assert found["spend"].is_monotonic_decreasing


def test_a_pattern_makes_a_list_for_each_column_that_fits_it() -> None:
    content = yaml.safe_load((ROOT / "conf" / "lists" / "likely_buyers.yaml").read_text())
    declared = parse("likely_buyers", content, 0.5, {"p_propensity": "chance to buy from the category"})
    p = {"p_propensity_soft_drinks_28d": np.linspace(0, 1, 20), "p_propensity_tea_56d": np.linspace(1, 0, 20)}
    customers = pd.DataFrame({**p, "p_product_propensity_7_28d": 0.5, "propensity_tea_56d_model": "m", "clv": 1.0})
    customers.iloc[-1, 0] = np.nan  # without a score: on no list
    found, left_out = find_members([declared], customers.rename_axis("customer_id"), {})
    assert not left_out
    assert [(each.name, each.title) for each, _ in found] == [
        ("likely_buyers_soft_drinks_28d", "Likely buyers of soft drinks (28 days)"),
        ("likely_buyers_tea_56d", "Likely buyers of tea (56 days)"),
    ]
    assert [set(members.index) for _, members in found] == [{17, 18}, {0, 1}]
    assert found[0][0].rule.startswith("chance to buy from the category (soft drinks 28d): in the top 10% of all")
    assert {*found[0][1]["group"], *found[1][1]["group"]} <= {"contact", CONTROL}
    assert find_members([declared], customers[["clv"]], {}) == ([], [])  # no category was asked for
    found, left_out = find_members([declared], customers, {"p_propensity_tea_56d": "ROC AUC 0.5"})
    assert [each.name for each, _ in found] == ["likely_buyers_soft_drinks_28d"]
    assert "no better than chance" in left_out[0]


def test_equal_values_are_all_in_a_share_or_none() -> None:
    equal = pd.Series([1.0] * 10)
    everyone = equal == 1
    assert not Condition("x", part="top", share=0.5).holds(equal, everyone).any()
    assert Condition("x", part="top", share=0.51).holds(equal, everyone).all()


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        (
            {"p_alive": {"bottom": 0.2, "max": 0.9}, "tier": ["VIP", "Gold"]},
            "tier: VIP or Gold; chance to be a customer still: in the bottom 20% of these, at most 90%",
        ),
        ({"p": {"top": 0.125}}, "p: in the top 12.5% of all customers"),
        ({"days": {"bottom": 0.5, "min": 1, "max": 60}}, "days: in the bottom 50% of all customers, 1 to 60"),
        ({"days": [60, None], "frequency": [0, 0]}, "days: at least 60; purchase days: 1"),
    ],
)
def test_the_rule_says_of_whom_a_share_is_one(where, rule) -> None:
    assert parse("one", DECLARED | {"where": where}).rule == rule


def test_a_reason_has_the_customer_s_own_values() -> None:
    found = parse("one", DECLARED | {"where": {"tier": ["VIP"], "days": [60, None]}}).members(CUSTOMERS)
    assert found["reason"].tolist() == ["tier VIP; days 60"]
    silent = CUSTOMERS.assign(p_alive=[0.31234, 1e-5, 0.5, 0.6, 0.7], days_since_last_purchase=[64.0, 1.0, 0, 0, 0])
    found = parse("one", DECLARED | {"where": {"p_alive": {"bottom": 0.4}, "tier": ["VIP", "Gold"]}}).members(silent)
    assert found["reason"].tolist() == [
        "tier VIP; chance to be a customer still below 0.1% (bottom 40%); last purchase 1 day ago"
    ]
    once = parse("one", DECLARED | {"where": {"frequency": [0, 2]}}).members(silent.assign(frequency=[0.0, 2, 3, 4, 5]))
    assert once["reason"].tolist() == [
        "bought once; last purchase 64 days ago",
        "bought on 3 days; last purchase 1 day ago",
    ]


def test_a_list_is_written_with_its_columns_and_numbers_for_people(tmp_path) -> None:
    customers = CUSTOMERS.assign(
        spend=[5.005, 4.126, 3.0, 2.0, 1.0],
        p_alive=0.98765,
        total_spend=[10.456, 20.0, 0, 0, 0],
        orders=3.0,
        segment=2.0,
        tier_score=4.0,
    )
    declared = DECLARED | {"where": {"tier": ["VIP"], "p_alive": [0.5, None]}, "columns": ["segment", "as_of"]}
    one = parse("one", declared)
    write_list(one, one.members(customers), tmp_path / "one.csv", "USD", date(2020, 1, 1))
    head, *rows = (tmp_path / "one.csv").read_text().splitlines()
    assert head == (
        "customer_id,spend (USD at stake),tier,p_alive,total_spend,orders,segment,reason,group,action,currency,as_of"
    )
    assert [row.split(",")[1:7] for row in rows] == [
        ["5.0", "VIP", "0.988", "10.46", "3", "2"],
        ["4.13", "VIP", "0.988", "20.0", "3", "2"],
    ]
    nobody = parse("none", declared | {"where": {"tier": ["Bronze"]}})
    write_list(nobody, nobody.members(customers), tmp_path / "none.csv", "USD", date(2020, 1, 1))
    assert len((tmp_path / "none.csv").read_text().splitlines()) == 1


def test_the_report_counts_lists_that_have_customers() -> None:
    some = [("none", {"tier": ["Bronze"]}, 1), ("some", {"tier": ["Gold"]}, 2), ("more", {"tier": ["VIP"]}, 3)]
    lists = [parse(name, DECLARED | {"title": name, "where": where, "priority": n}) for name, where, n in some]

    def lead(of: list[ContactList]) -> str:
        material = SimpleNamespace(
            shop=SimpleNamespace(staged=SimpleNamespace(currency="USD")),
            contact_lists=([(each, each.members(CUSTOMERS), f"lists/{each.name}.csv") for each in of], []),
        )
        first = LISTS.write(material)[0]
        assert isinstance(first, Text)
        return str(first.text)

    assert lead(lists) == (
        "3 customers on 2 lists; 1 other list without customers. Begin with some, the first in priority: 1 customer, "
        "USD 3.00 of spend at stake. call"
    )
    assert lead(lists[:1]) == "No list has customers today."


def test_unreliable_amounts_order_a_list_and_are_not_added_up(tmp_path) -> None:
    trusted = CUSTOMERS.assign(clv=[1.0, 2.0, 3.0, 4.0, 5.0], total_spend=10.0, clv_amounts="rough (5% below)")
    one = parse("one", DECLARED | {"value": ["clv", "total_spend"]}, labels={"clv": "expected spend"})
    only_order = trusted.assign(clv_amounts="unreliable")
    for customers, worth, head in (
        (trusted, (3.0, "expected spend"), "expected spend (USD at stake)"),
        (only_order, (20.0, "spend so far"), "rank by expected spend"),
    ):
        members = one.members(customers)
        stake = one.stake(members)
        assert (stake.value, stake.label) == worth
        assert list(members.index) == ["b", "a"]  # by expected spend
        write_list(one, members, tmp_path / "one.csv", "USD", date(2020, 1, 1))
        header = (tmp_path / "one.csv").read_text().splitlines()[0]
        assert head in header
        assert "clv" not in header
    assert pd.read_csv(tmp_path / "one.csv")["rank by expected spend"].tolist() == [1, 2]  # no amount to mislead
    alone = parse("alone", DECLARED | {"value": "clv"})
    assert np.isnan(alone.stake(alone.members(only_order)).value)
    assert "amounts not known" in lists_text(
        [write_list(alone, alone.members(only_order), tmp_path / "alone.csv", "USD", date(2020, 1, 1))]
    )


def test_what_is_no_better_than_chance_chooses_nobody_and_orders_no_list() -> None:
    customers = CUSTOMERS.assign(clv=[1.0, 2.0, 3.0, 4.0, 5.0], p_repurchase=[0.1, 0.2, 0.3, 0.4, 0.5])
    blind = {name: "gini 0.010, 95% interval -0.05 to 0.07, where chance gives 0" for name in ("clv", "p_repurchase")}
    ordered = parse("ordered", DECLARED | {"value": ["clv", "spend"]})
    assert list(ordered.members(customers).index) == ["b", "a"]
    assert list(ordered.members(customers, blind).index) == ["a", "b"]  # by spend
    chosen = parse("chosen", DECLARED | {"where": {"p_repurchase": {"bottom": 0.4}}})
    assert len(chosen.members(customers)) == 2
    found, left_out = find_members([ordered, chosen], customers, blind)
    assert [each.name for each, _ in found] == ["ordered"]
    assert "no better than chance" in left_out[0]
    assert "gini 0.010" in left_out[0]


def test_contact_details_stand_in_a_list_but_not_for_those_who_are_held_back(tmp_path) -> None:
    details = pd.DataFrame({"name": ["Ada"], "phone": ["+44 20 7946 0001"]}, index=["a"])
    for share, told in ((0.0, "a,Ada,'+44 20 7946 0001,5,VIP,"), (0.999999, "a,,,5,VIP,")):
        one = parse("one", DECLARED, control_share=share)
        write_list(one, one.members(CUSTOMERS), tmp_path / "one.csv", "USD", date(2020, 1, 1), details)
        head, first, second = (tmp_path / "one.csv").read_text().splitlines()
        assert head.startswith("customer_id,name,phone,spend (USD at stake),tier,")
        assert first.startswith(told)
        assert second.startswith("b,,,4,VIP,")  # nobody knows the number


@pytest.mark.slow
def test_names_and_phone_numbers_are_in_the_files_of_lists_and_nowhere_else(tmp_path) -> None:
    file = Path(lifetimes.__file__).parent / "datasets" / "CDNOW_sample.txt"
    orders = pd.read_csv(file, sep=r"\s+", names=["of_master", "customer", "day", "units", "amount"], dtype=str)
    orders = orders.assign(order=np.arange(len(orders)), day=pd.to_datetime(orders["day"]).dt.strftime("%Y-%m-%d"))
    orders.to_csv(tmp_path / "orders.csv", index=False)
    people = pd.DataFrame({"id": orders["customer"].unique()})
    people.assign(name="Zoë Quux", tel=[f"0171 {n:07}" for n in people.index]).to_csv(
        tmp_path / "people.csv", index=False
    )
    columns = {name: name for name in ("amount",)} | {
        "order_id": "order",
        "customer_id": "customer",
        "timestamp": "day",
    }
    config = {
        "defaults": ["files", "_self_"],
        **{"shop": "own", "currency": "USD", "timezone": "America/New_York", "burn_in_days": 0},
        "tables": {"transactions": {"path": "orders.csv", "columns": columns}},
        "rules": {"zero_price": "keep", "duplicate_rows": "keep"},
        "order_spans_days": False,
        "contact_details": {"path": "people.csv", "customer_id": "id", "columns": {"name": "name", "phone": "tel"}},
    }
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/own.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    chosen = ["--config-dir", "conf", "data=own", "task=clv", "features=rfm"]
    said = [experiments(tmp_path, "train", *chosen, "model=bg_nbd")]
    said.append(experiments(tmp_path, "promote", *chosen, "version=1", "reason=test"))
    said.append(experiments(tmp_path, "score", *chosen, "campaign.control_share=0.5"))
    said.append(experiments(tmp_path, "report", *chosen, "report.sections=[lists, verdicts]"))
    listed = pd.read_csv(tmp_path / "outputs/own/lists/dormant_high_value.csv", dtype=str)
    is_called = listed["group"] == "contact"
    assert 0 < is_called.sum() < len(listed)
    assert listed.loc[is_called, "phone"].str.startswith("0171 ").all()
    assert listed.loc[~is_called, ["name", "phone"]].isna().all(axis=None)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if path.name == "mlflow.db"]
    for path in kept:
        if path.name != "people.csv" and path.parent.name != "lists":
            assert not any(told in path.read_bytes() for told in ("Zoë Quux".encode(), b"0171 000")), path
    assert not any("Quux" in done.stdout + done.stderr for done in said)


def test_the_control_group_is_a_share_by_chance_that_stays_the_same() -> None:
    many = pd.DataFrame({"tier": "VIP", "spend": 1.0}, index=pd.Index([f"c{n}" for n in range(5000)]))
    lists = [parse(name, DECLARED, control_share=0.2) for name in ("one", "other")]
    one, other = (each.members(many)["group"] == CONTROL for each in lists)
    assert one.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 5000))
    assert (one & other).mean() == pytest.approx(0.04, abs=4 * np.sqrt(0.04 * 0.96 / 5000))  # lists draw apart
    part = lists[0].members(many.sample(300, random_state=0))["group"] == CONTROL
    pd.testing.assert_series_equal(part, one[part.index])


def test_a_customer_has_the_action_of_the_first_list() -> None:
    first = parse("first", DECLARED | {"priority": 1, "action": "call", "where": {"days": [60, None]}})
    last = parse("last", DECLARED | {"priority": 2, "action": "write"})
    found = first_actions([(each, each.members(CUSTOMERS)) for each in (last, first)])
    assert found["action"].to_dict() == {"a": "write", "b": "call", "c": "call", "d": "call"}
    assert found.loc["b", "action_reason"] == "days 60"
    assert first_actions([]).empty


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"titel": "t"}, "did you mean 'title'"),
        ({"title": ""}, "has no title"),
        ({"where": ["tier"]}, "not a mapping"),
        ({"where": {"tier": "VIP"}}, "the condition on tier cannot be read"),
        ({"where": {"days": [60]}}, "range such as"),
        ({"where": {"days": [None, None]}}, "range such as"),
        ({"where": {"days": {"top": 2.0}}}, "{top: 0.2}"),
        ({"where": {"days": {"top": 0.2, "bottom": 0.2}}}, "{top: 0.2}"),
        ({"where": {"days": {"bottom": 0.2, "max": None}}}, "{bottom: 0.2, max: 0.9}"),
        ({"where": {"days": {"bottom": 0.2, "most": 3}}}, "cannot be read"),
        ({"where": {"days": {}}}, "cannot be read"),
        ({"columns": "segment"}, "not a list of names"),
        ({"control_share": 1.0}, "control_share is out of range"),
        ({"priority": "first"}, "priority"),
        ({"where": {"days": [60, 10]}}, "days: [10, 60]"),
        ({"where": {"days": {"top": 0.2, "min": 60, "max": 10}}}, "the range of days is empty"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(change, words) -> None:
    with pytest.raises(InputError) as caught:
        parse("mine", DECLARED | change)
    assert words in str(caught.value)
    assert "lists/mine.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"where": {"tierr": ["VIP"]}}, "did you mean 'tier'"),
        ({"value": ["clv"]}, "reads clv"),
        ({"columns": ["tier", "dayz"]}, "did you mean 'days'"),
        ({"where": {"days": ["long"]}}, "its values are numbers"),
        ({"where": {"tier": [1, 2]}}, "its values are words"),
    ],
)
def test_a_list_that_does_not_suit_the_columns_is_refused(change, words) -> None:
    with pytest.raises(InputError, match=words):
        parse("mine", DECLARED | change).members(CUSTOMERS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"where": {"p_*_*": {"top": 0.1}}}, r"more than one \*"),
        ({"where": {"p_a_*": {"top": 0.1}, "p_b_*": {"top": 0.1}}}, r"more than one \*"),
        ({"where": {"p_a_*": {"top": 0.1}}}, "would have one title"),
    ],
)
def test_a_pattern_that_leaves_a_list_open_is_refused(change, words) -> None:
    with pytest.raises(InputError, match=words):
        parse("one", DECLARED | change)


def test_every_list_of_the_project_can_be_read() -> None:
    files = sorted((ROOT / "conf" / "lists").glob("*.yaml"))
    lists: list[ContactList] = [parse(file.stem, yaml.safe_load(file.read_text())) for file in files]
    assert len({each.priority for each in lists}) == len(lists) >= 5
