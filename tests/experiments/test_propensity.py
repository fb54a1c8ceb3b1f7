"""The task propensity: what it asks, what it refuses, and what the report says of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from baskets import sales_of_baskets
from experiments.evaluation.validation import Dataset
from experiments.gate.circularity import Limits, audit_task
from experiments.reports.material import InUse
from experiments.reports.section import Table, Text
from experiments.serving.scorer import CustomerScorer
from experiments.tasks.propensity import EVENTS, QUESTION, Propensity, propensity_parts, read_slug, slug
from features.errors import InputError
from features.shop import Shop
from features.tampering import Tamperer
from merchandise_store import shop_that_sold

DAY = date(2019, 10, 1)


def task(**options: object) -> Propensity:
    amounts = {"reliable": (0.8, 1.25), "rough": (0.5, 2.0)}
    asked = {"category": "Bakery", "product": None, "event": "purchase", "threshold": 0.5, **options}
    return Propensity(28, "roc_auc", min_effect=0.005, guards={}, minimum={}, amounts=amounts, **asked)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return shop_that_sold(tmp_path_factory.mktemp("baskets"), sales_of_baskets(40))


def test_an_upsell_equals_its_second_computation_and_is_judged_on_those_who_can_buy_dearer(shop: Shop) -> None:
    asked = task(category="garden", event="upsell")
    found = asked.dataset(asked.opened(shop), [*asked.history, "total_spend"], [DAY])
    lines = shop.engine.frame(shop.tables.transactions).merge(shop.engine.frame(shop.tables.products), "left")
    expected = asked.expected(lines, DAY)
    pd.testing.assert_frame_equal(found.y.droplevel("cutoff").sort_index(), expected.sort_index())
    judged = asked.judged_rows(found)
    assert 0 < judged.target.mean() < 1
    left_out = found.y.drop(judged.y.index)["y"]
    assert len(left_out)
    assert (left_out == 0).all()  # they bought none, or the dearest already


@pytest.mark.parametrize("category", ["garden", "Garden"])
def test_customers_who_cannot_buy_dearer_have_no_score(category: str, shop: Shop) -> None:
    asked = task(category=category, event="upsell")
    X = asked.dataset(shop, [*asked.history, "total_spend"], [DAY]).X.droplevel("cutoff")
    eligible = Propensity.eligible(asked.name + asked.suffix({}), X)
    assert 0 < eligible.sum() < len(X)
    judged = asked.judged_rows(asked.dataset(shop, list(asked.history), [DAY])).X
    assert set(X.index[eligible]) == set(judged.index.get_level_values("customer_id"))
    assert Propensity.eligible("propensity_garden_28d", X) is None
    version = SimpleNamespace(
        tags={"task": "upsell", "horizon_days": "28"},
        suffix=asked.suffix({}),
        scores=lambda X: pd.DataFrame({"p_upsell": 0.5}, index=X.index),
    )
    scorer = CustomerScorer(("customer_id",), {}, "USD", str(DAY), [], [], None, 28)
    p = scorer.columns(asked.name + asked.suffix({}), version, X)["p_upsell"]
    assert p.notna().tolist() == eligible.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("event", EVENTS)
def test_the_audit_finds_no_leak_in_the_features_and_the_outcome_of_a_category(
    event: str, shop: Shop, tmp_path: Path
) -> None:
    asked = task(category="garden", event=event)
    features = [*asked.own_features, "frequency", "total_spend"]
    tamperer = Tamperer(shop.tables, shop.engine, tmp_path)
    limits = Limits(max_r2=0.95, max_labels_known=0.9, min_rows=30, min_distinct=5, n_folds=3, seed=0)
    found = list(audit_task(asked, shop, features, tamperer, [DAY], limits))
    assert found
    assert not [finding for finding in found if finding.fails]


def test_an_unknown_category_is_refused_with_those_that_are_sold(shop: Shop) -> None:
    with pytest.raises(InputError, match=r"nobody bought from Bakry(.|\n)*Bakery \(\d+ customers\)") as refused:
        task(category="Bakry").opened(shop)
    assert "did you mean 'Bakery'" in refused.value.hint
    assert task(category="bakery").opened(shop) is shop


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"category": None}, "no category is asked for"),
        ({"product": "B1"}, "a category and a product are asked for"),
        ({"category": None, "product": "B1", "event": "upsell"}, "a product has no price bands"),
        ({"event": "upsel"}, "did you mean 'upsell'"),
    ],
)
def test_a_question_that_is_none_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        task(**options)


def test_without_a_category_those_with_most_spend_are_named() -> None:
    with pytest.raises(InputError, match=r"task.category=TEA; those with most spend are TEA, SOFT_DRINKS"):
        Propensity.configure({"category": None}, lambda names: ["category_share.TEA", "category_share.SOFT_DRINKS"])


def test_names_of_questions_give_back_the_category_and_never_meet() -> None:
    values = [
        "SOFT DRINKS",
        "FRZN MEAT/MEAT",
        "M&M's",
        "음료/차",
        "tea",
        "tea 28d",
        "product tea",
        "tea_56d 28d",
        "a.2fb",
    ]
    names = {}
    for value in values:
        for options in (
            {"category": value},
            {"category": value, "event": "upsell"},
            {"category": None, "product": value},
        ):
            asked = task(**options)
            name = asked.name + asked.suffix({})
            assert not set(name) & set("/: '\"%")
            match = QUESTION.fullmatch(name)
            assert match.group(1) == asked.name
            assert read_slug(match.group(2)) == value.lower().replace(" ", "_")
            assert names.setdefault(name, asked.target) == asked.target
    assert len(names) == 3 * len(values)
    assert slug("Soft_drinks") == slug("SOFT DRINKS")  # as features compare values


def test_own_history_is_read_beside_the_configured_features() -> None:
    own = task(category="SOFT DRINKS").own_features
    assert {"category_days_since.SOFT_DRINKS", "category_dearer_bands.SOFT_DRINKS"} <= set(own)
    of_product = task(category=None, product=1082185)
    assert "product_share.1082185" in of_product.own_features
    rows = pd.MultiIndex.from_product([["a", "b", "c"], [pd.Timestamp(DAY)]], names=["customer_id", "cutoff"])
    X = pd.DataFrame({name: [0.0, 20.0, 300.0] for name in own}, index=rows)
    X = X.set_axis(rows)
    y = pd.DataFrame({"y": [1.0, 1.0, 0.0]}, index=rows)
    data = Dataset(X, y)
    for name, build in task(category="SOFT DRINKS").baselines({}).items():
        predicted = build().fit(data.X, data.target).predict(data.X)
        assert (len(set(predicted)) == 1) == (name == "naive_constant"), name


def test_the_baselines_of_an_upsell_know_those_alone_who_can_buy_dearer() -> None:
    """Among all customers buyers of many days buy dearer less often here, as many of them have the dearest already."""
    asked = task(category="tea", event="upsell")
    days, bands = asked.feature("purchase_days"), asked.feature("dearer_bands")
    rng = np.random.default_rng(0)
    X = pd.DataFrame(0.0, index=range(400), columns=list(asked.own_features))
    X[days] = np.repeat([1.0, 9.0], 200)
    X[bands] = np.r_[np.ones(200), np.ones(20), np.zeros(180)]
    y = pd.Series(np.r_[rng.random(200) < 0.3, rng.random(20) < 0.8, np.zeros(180)].astype(float))
    assert y[200:].mean() < y[:200].mean()
    predicted = asked.baselines({})["naive_frequency_of_it"]().fit(X, y).predict(X)
    assert predicted[0] < 0.4 < 0.6 < predicted[-1]


IN_USE = InUse("LightGBM", "store-propensity_tea_28d, version 1", is_baseline=False, is_judged=True)


def parts_of(question: str = "propensity_tea_28d", p: object = None, left_out: int = 0, **how: object) -> list[object]:
    p = np.linspace(0.9, 0.0, 100) if p is None else p
    customers = pd.Index([f"c{n:02d}" for n in range(100)], name="customer_id")
    model = InUse(IN_USE.name, IN_USE.version, is_baseline=False, is_judged=True, **how)
    bought = pd.Series(np.arange(100) < 50, index=customers)
    return propensity_parts(pd.Series(p, index=customers), bought, question=question, left_out=left_out, model=model)


def test_the_section_says_how_many_to_address_and_how_many_buy() -> None:
    heading, lead, _, strangers, table, _ = parts_of()
    assert heading.text == "Buy from tea within 28 days"
    assert lead.text == (
        "Offer it first to the 10 customers of 100 with the highest chance to buy from tea within 28 days: about 9 of "
        "them (85.9%) are expected to, 1.91 times the share of all (45.0%). They are the customers with the highest "
        "p_propensity_tea_28d in customer_360."
    )
    assert strangers.text.startswith("50 customers never bought it. To win new ones, begin with the 5 of them")
    assert isinstance(table, Table)
    assert table.frame["customers"].tolist() == [5, 10, 20, 50, 100]
    assert table.frame["expected buyers"].tolist()[-1] == 45
    assert table.frame["never bought it before"].tolist() == [0, 0, 0, 0, 50]


def test_an_upsell_says_who_is_left_out() -> None:
    heading, lead, _, note, *_ = parts_of("upsell_tea_28d", left_out=7)
    assert lead.text.endswith("p_upsell_tea_28d in customer_360.")
    assert heading.text == "Buy dearer tea within 28 days"
    assert note.text.startswith("7 further customers bought from the dearest price band already")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"is_blind": True}, "Do not choose whom to address"),
        ({"is_unreliable": True}, "How many of them buy is not predicted"),
        ({"p": np.full(100, 0.3)}, "Do not choose whom to address"),
    ],
)
def test_numbers_that_are_not_shown_to_be_right_are_not_written(how: dict[str, object], said: str) -> None:
    parts = parts_of(**how)
    assert said in next(part.text for part in parts if isinstance(part, Text))
    if "p" not in how:
        assert not [part for part in parts if isinstance(part, Table)]
