"""Personas: indices by hand, what chance alone names, and small cells that stay hidden."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from experiments.analysis.personas import Persona, Personas, over_index
from experiments.commands.config import CONF
from experiments.reports.personas import Pair, Wording, persona_parts
from experiments.reports.section import Heading, Table, Text
from features.errors import InputError

GROUPS = ["Gold", "Silver"]


def groups_of(*sizes: int) -> pd.Series:
    labels = np.repeat(GROUPS, sizes)
    return pd.Series(pd.Categorical(labels, GROUPS, ordered=True), index=[f"c{i}" for i in range(len(labels))])


def counts_of(groups: pd.Series, rates: dict[str, dict[str, float]], seed: int) -> pd.DataFrame:
    """Poisson counts of each value; customers differ by a gamma rate of their own."""
    rng = np.random.default_rng(seed)
    volume = rng.gamma(2.0, 0.5, size=len(groups))
    rows = [
        (customer, value, n)
        for (customer, group), v in zip(groups.items(), volume, strict=True)
        for value, rate in rates[group].items()
        if (n := rng.poisson(rate * v))
    ]
    return pd.DataFrame(rows, columns=["customer_id", "value", "n"])


def test_index_by_hand() -> None:
    groups = groups_of(2, 2)
    counts = pd.DataFrame(
        [(f"c{i}", value, n) for i, tea in enumerate((3, 3, 1, 1)) for value, n in (("tea", tea), ("salt", 4 - tea))],
        columns=["customer_id", "value", "n"],
    )
    table = over_index(counts, groups, q=0.05, min_cell=1).set_index(["group", "value"])
    assert table.loc[("Gold", "tea"), "share"] == 0.75
    assert table.loc[("Gold", "tea"), "index"] == 150
    assert table.loc[("Silver", "tea"), "index"] == 50
    assert (table["low"] <= table["index"]).all()


def test_whoever_buys_twice_as_much_of_everything_does_as_all_do() -> None:
    groups = groups_of(300, 300)
    once = {"tea": 2.0, "salt": 1.0, "rice": 3.0}
    counts = counts_of(groups, {"Gold": {value: 2 * rate for value, rate in once.items()}, "Silver": once}, seed=1)
    table = over_index(counts, groups, q=0.05, min_cell=10)
    assert table["index"].between(90, 110).all()


def test_chance_alone_is_rarely_named_and_a_planted_habit_always() -> None:
    groups = groups_of(200, 200)
    same = {f"v{i}": 0.8 for i in range(10)}
    named = planted = 0
    for seed in range(40):
        table = over_index(counts_of(groups, {"Gold": same, "Silver": same}, seed), groups, q=0.05, min_cell=10)
        named += bool((table["low"] > 100).any() or (table["high"] < 100).any())
        more = {**same, "v0": 1.6}
        table = over_index(counts_of(groups, {"Gold": more, "Silver": same}, seed), groups, q=0.05, min_cell=10)
        planted += bool(((table["group"] == "Gold") & (table["value"] == "v0") & (table["low"] > 100)).any())
    assert named <= 5, "by Benjamini and Hochberg's rule at 5% some 2 of 40 name anything"
    assert planted == 40


def test_cells_of_few_customers_are_not_shown() -> None:
    groups = groups_of(30, 30)
    counts = counts_of(groups, {"Gold": {"tea": 9.0}, "Silver": {"tea": 9.0}}, seed=0)
    rare = pd.DataFrame([(f"c{i}", "caviar", 5) for i in range(9)], columns=counts.columns)
    table = over_index(pd.concat([counts, rare]), groups, q=0.05, min_cell=10)
    assert "caviar" not in set(table["value"])


def persona(group: str, stands_out: list[tuple[str, str]]) -> Persona:
    table = pd.DataFrame(stands_out, columns=["aspect", "value"]).assign(
        customers=20, share=0.3, share_of_all=0.0119, index=150.0, low=120.0, high=180.0
    )
    facts = {"share": 0.5, "revenue_share": 0.7, "orders_per_customer": 3.21, "average_order_value": 40.0}
    return Persona(group, 1234, facts, table)


@pytest.fixture
def wordings() -> dict[str, Wording]:
    content = OmegaConf.to_object(OmegaConf.load(CONF / "personas" / "default.yaml"))
    return {language: Wording.from_config(language, given) for language, given in content["wording"].items()}


def test_personas_are_told_in_the_languages_asked_for(wordings: dict[str, Wording]) -> None:
    gold = persona("Gold", [("category", "Tea & co"), ("month", "6"), ("weekday", "4"), ("gender", "F")])
    found = Personas([gold], {"Silver": 3})
    pairs = {"Gold": Pair("tea", "cups", 2.52)}
    strategy = {"Gold": {"en": "Give tea.", "ko": "차 증정"}}
    parts = persona_parts(found, pairs, wordings, ["en", "ko"], strategy, "EUR", "tier")
    texts = {(part.lang, i): part.text for i, part in enumerate(parts) if isinstance(part, Text)}
    said = {
        language: " ".join(text for (lang, _), text in texts.items() if lang == language) for language in (None, "ko")
    }
    assert parts[0] == Heading("Gold")
    for word in ("1,234", "70%", "Tea & co", "June", "Fridays", "Gender", "2.52 times", "Give tea.", "Silver"):
        assert word in said[None]
    for word in ("1,234명", "6월", "금요일", "성별", "2.52배", "차 증정"):
        assert word in said["ko"]
    [table] = [part for part in parts if isinstance(part, Table)]
    assert list(table.frame) == ["aspect", "value", "index", "interval", "share", "share of all", "customers"]
    assert list(table.frame.iloc[0, -3:]) == ["30%", "1.2%", 20]
    english = persona_parts(found, pairs, wordings, ["en"], strategy, "EUR", "tier")
    assert [part for part in english if isinstance(part, Text)] == [
        part for part in parts if isinstance(part, Text) and part.lang is None
    ]
    nothing = wordings["en"].describe(persona("Gold", []), None, "EUR")
    assert len(nothing) == 2


def test_a_wrong_sentence_names_what_can_be_filled_in(wordings: dict[str, Wording]) -> None:
    content = {**vars(wordings["en"]), "pair": "{a} with {c}"}
    wrong = Wording.from_config("en", content)
    with pytest.raises(InputError, match="a, b, lift"):
        wrong.describe(persona("Gold", []), Pair("tea", "cups", 2.0), "EUR")
    with pytest.raises(InputError, match="did you mean 'pair'"):
        Wording.from_config("en", {**content, "pairs": ""})
    with pytest.raises(InputError, match="lacks 'pair'"):
        Wording.from_config("en", {key: value for key, value in content.items() if key != "pair"})
