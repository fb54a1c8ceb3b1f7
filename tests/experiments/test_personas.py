"""Personas: indices by hand, what chance alone names, and small cells that stay hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import ibis
import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from scipy.stats import norm

from experiments.commands.compose import CONF
from experiments.description.personas.over_index import over_index
from experiments.description.personas.personas import Persona, Personas, habits, make_personas
from experiments.description.personas.section import PERSONAS, comparison, persona_parts
from experiments.description.personas.wording import Wording
from experiments.reports.material import InUse
from experiments.reports.section import Heading, Table, Text
from features.errors import InputError
from features.group_totals import by_value
from features.occasions import OTHER
from features.shop import Shop
from merchandise_store import Store

GROUPS = ["Gold", "Silver", "Bronze", "At Risk", "VIP"]


def groups_of(*sizes: int) -> pd.Series:
    names = GROUPS[: len(sizes)]
    labels = np.repeat(names, sizes)
    return pd.Series(pd.Categorical(labels, names, ordered=True), index=[f"c{i}" for i in range(len(labels))])


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


def test_buying_twice_as_much_of_everything_is_no_habit() -> None:
    groups = groups_of(300, 300)
    once = {"tea": 2.0, "salt": 1.0, "rice": 3.0}
    counts = counts_of(groups, {"Gold": {value: 2 * rate for value, rate in once.items()}, "Silver": once}, seed=1)
    table = over_index(counts, groups, q=0.05, min_cell=10)
    assert table["index"].between(90, 110).all()


def test_a_few_customers_who_agree_are_not_certain_by_hand() -> None:
    """All 12 of a group are of a kind, and 73 of the other 88."""
    groups = groups_of(12, 88)
    counts = pd.DataFrame({"customer_id": groups.index, "value": np.repeat(["a", "b"], [85, 15]), "n": 1})
    gold = over_index(counts, groups, q=0.05, min_cell=10).set_index(["group", "value"]).loc[("Gold", "a")]
    z = norm.isf(0.05 / 4 / 2)  # two groups and two values are four comparisons, of which none finds anything
    binomial = 0.85 * 0.15
    variance = 12 * binomial * (1 / 12 - 1 / 100) ** 2 + (73 * 15 / 88) / 100**2
    assert gold["index"] == pytest.approx(100 / 0.85)
    assert gold["high"] == pytest.approx(100 / 0.85)
    assert gold["low"] == pytest.approx(100 / 0.85 / (1 + z**2 * variance / binomial))


def test_values_too_rare_to_be_shown_count_as_comparisons() -> None:
    groups = groups_of(30, 300)
    rare = pd.DataFrame({"customer_id": groups.index, "value": [f"v{i % 30}" for i in range(330)], "n": 1})
    counts = pd.concat([rare, pd.DataFrame({"customer_id": groups.index, "value": "tea", "n": 1})[15:65]])
    few, many = (
        over_index(c, groups, q=0.05, min_cell=12).iloc[0] for c in (counts.replace(r"v\d+", "v", regex=True), counts)
    )
    assert few["value"] == many["value"] == "tea"
    assert few["share"] == many["share"]
    assert many["low"] < few["low"]


def kinds(rng: np.random.Generator, group: np.ndarray) -> np.ndarray:
    """Of every customer one of two kinds."""
    return np.eye(2, dtype=int)[(rng.random(len(group)) < 0.15).astype(int)]


def months(rng: np.random.Generator, group: np.ndarray) -> np.ndarray:
    """Some two orders each, over the months."""
    return rng.poisson(rng.gamma(2.0, 1 / 12, size=(len(group), 1)), (len(group), 12))


def bundles(rng: np.random.Generator, group: np.ndarray) -> np.ndarray:
    """Orders of four lines of a category; some groups order often, some hardly."""
    volume = np.array([8.0, 3.0, 1.0, 0.5, 0.3])[group] * rng.gamma(2.0, 0.5, len(group))
    return 4 * rng.poisson(volume[:, None] * 3 / 20, (len(group), 20))


@pytest.mark.parametrize(
    ("sizes", "drawn"),
    [
        ((30,) * 5, kinds),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (((12, 1000), kinds), ((30,) * 5, months))),
        pytest.param((60,) * 5, bundles, marks=pytest.mark.slow),
    ],
)
def test_chance_alone_is_rarely_named_in_small_groups_either(
    sizes: tuple[int, ...], drawn: Callable[[np.random.Generator, np.ndarray], np.ndarray]
) -> None:
    groups, named = groups_of(*sizes), 0
    for seed in range(40):
        n = drawn(np.random.default_rng(seed), groups.cat.codes.to_numpy())
        wide = pd.DataFrame(n, index=groups.index).add_prefix("v").rename_axis("customer_id").reset_index()
        counts = wide.melt("customer_id", var_name="value", value_name="n").query("n > 0")
        named += bool((over_index(counts, groups, q=0.05, min_cell=10)["low"] > 100).any())
    assert named <= 4, "some 1 of 40 names anything above 100"


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


def test_personas_are_written_in_the_chosen_languages(wordings: dict[str, Wording]) -> None:
    gold = persona("Gold", [("category", "Tea & co"), ("month", "6"), ("weekday", "4"), ("gender", "F")])
    found = Personas([gold], {"Silver": 3, "Bronze": 0})
    strategy = {"Gold": {"en": "Give tea.", "ko": "차 증정"}}
    parts = persona_parts(found, wordings, ["en", "ko"], strategy, "EUR", "tier")
    texts = {(part.lang, i): part.text for i, part in enumerate(parts) if isinstance(part, Text)}
    said = {
        language: " ".join(text for (lang, _), text in texts.items() if lang == language) for language in ("en", "ko")
    }
    assert parts[0] == Heading("Gold")
    assert parts[1].text == (
        "1,234 customers, 50.0% of all, bring 70.0% of revenue: 3.21 orders each, 40.0 EUR an order. Categories "
        "bought more than by others: Tea & co. Months with a higher share of purchases: June. Days with a higher share "
        "of purchases: Fridays. Gender: more often F."
    )
    assert parts[2] == Text("→ Give tea.", lang="en")
    assert parts[-1].text.endswith("could be identified: Silver."), "of nobody there is nothing to hide"
    for word in ("1,234명", "6월", "금요일", "성별", "차 증정"):
        assert word in said["ko"]
    [table] = [part for part in parts if isinstance(part, Table)]
    assert list(table.frame) == ["aspect", "value", "index", "interval", "share", "share of all", "customers"]
    assert list(table.frame.iloc[0, -3:]) == ["30.0%", "1.2%", 20]
    english = persona_parts(found, wordings, ["en"], strategy, "EUR", "tier")
    assert [part.text for part in english if isinstance(part, Text)] == [
        part.text for part in parts if isinstance(part, Text) and part.lang != "ko"
    ]
    assert not [part for part in english if isinstance(part, Text) and part.lang]
    nothing = wordings["en"].sentences(persona("Gold", []), "EUR")
    assert len(nothing) == 2


def test_groups_are_compared_by_the_surest_habit_of_each_aspect(wordings: dict[str, Wording]) -> None:
    gold = persona(
        "Gold", [("category", "tea"), ("category", "salt"), ("month", "6"), ("weekday", "4"), ("coupon", "used")]
    )
    gold.stands_out["low"] = [150.0, 140.0, 130.0, 120.0, 110.0]
    table = comparison(Personas([gold, persona("Silver", [])], {}), wordings["en"], "EUR")
    assert table is not None
    assert [*table.index] == ["Gold", "Silver"]
    assert [*table["sets it apart (index)"]] == [
        "category tea (150); weekday Fridays (150); coupon used (150)",
        "nothing that is sure",
    ]
    assert comparison(Personas([], {"Gold": 3}), wordings["en"], "EUR") is None


def test_a_wrong_sentence_gets_the_names_of_placeholders(wordings: dict[str, Wording]) -> None:
    content = {**vars(wordings["en"]), "facts": "{n} customers"}
    wrong = Wording.from_config("en", content)
    with pytest.raises(InputError, match="customers, share, revenue_share"):
        wrong.sentences(persona("Gold", []), "EUR")
    with pytest.raises(InputError, match="did you mean 'facts'"):
        Wording.from_config("en", {**content, "fact": ""})
    with pytest.raises(InputError, match="lacks 'other'"):
        Wording.from_config("en", {key: value for key, value in content.items() if key != "other"})


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [
        ("values", None, "names with a text each"),
        ("habits", {"category": None}, "names with a text each"),
        ("months", list(range(12)), "a list of texts"),
        ("weekdays", ["Mon"], "are not 7"),
        ("nothing", None, "a text"),
    ],
)
def test_a_sentence_that_is_not_a_text_is_refused(
    wordings: dict[str, Wording], key: str, given: object, said: str
) -> None:
    with pytest.raises(InputError, match=rf"(?s)personas\.wording\.en\.{key}.*{said}"):
        Wording.from_config("en", {**vars(wordings["en"]), key: given})


# A shop


DAYS = date(2019, 3, 1), date(2019, 7, 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Of 41 customers 20 order twice, for 30, 20 four times, for 10, and one once. Two lines lie outside of the days.

    A coupon was used for 10 of the 40 lines of the first and 12 of the 80 of the next: maybe by chance.
    """
    lines = []
    for i in range(20):
        for month in (3, 4):
            lines.append((i, month, "Office", 30, "Used" if month == 3 and i < 10 else "Not Used"))
        for j, month in enumerate((5, 5, 6, 6)):
            used = "Used" if j == 0 and i < 12 else "Not Used"
            lines.append((20 + i, month, "Bags" if j < 3 else "Drinkware", 10, used))
    lines += [(40, 5, "Lifestyle", 500, "Clicked"), (40, 7, "Lifestyle", 900, "Used"), (0, 2, "Office", 900, "Used")]
    folder = tmp_path_factory.mktemp("personas")
    store = Store(folder)
    store.write(
        "sales",
        [f"{c},{n},2019{m:02}04,{name},Thing,{name},1,{price},0,{u}" for n, (c, m, name, price, u) in enumerate(lines)],
    )
    store.write("customers", [f"{i},{'F' if i < 20 else 'M'},Chicago,12" for i in range(41)])
    return store.open(folder)


def test_habits_by_hand(shop: Shop) -> None:
    found = habits(shop, *DAYS, largest=2)
    assert set(found) == {"category", "price", "month", "weekday", "coupon", "gender"}, "all live in one region"
    sums = {aspect: counts.groupby("value")["n"].sum().to_dict() for aspect, counts in found.items()}
    assert sums["category"] == {"Bags": 60, "Office": 40, OTHER: 21}
    assert sums["coupon"] == {"used": 22, "not used": 99}
    assert sums["gender"] == {"F": 20, "M": 21}
    own = found["coupon"].set_index(["customer_id", "value"])["n"]
    assert own["20"].to_dict() == {"used": 1, "not used": 3}


def test_products_stand_in_where_they_have_no_category(shop: Shop) -> None:
    known = shop.tables.products
    bare = known.mutate(category=ibis.null("string"), name=(known.product_id + "!").nullif("Office!"))
    narrow = replace(shop, tables=shop.tables.with_tables(products=bare))
    assert (shop.level, narrow.level) == ("category", "product")
    found = habits(narrow, *DAYS, largest=2)
    assert found.keys() == {"product", "price", "month", "weekday", "coupon", "gender"}
    assert set(found["product"]["value"]) == {"Bags!", "Office", OTHER}, "names, and an id without one"
    by_id = habits(replace(shop, tables=shop.tables.with_tables(products=None)), *DAYS, largest=9)["product"]
    assert set(by_id["value"]) == {"Office", "Bags", "Drinkware", "Lifestyle"}, "their ids"


def test_categories_that_are_no_goods_are_left_out_of_descriptions_and_kept_in_features(shop: Shop) -> None:
    marked = replace(shop, no_goods=("Bags",))
    assert set(habits(marked, *DAYS, largest=9)["category"]["value"]) == {"Office", "Drinkware", "Lifestyle"}
    sold = marked.behaviour(by_value, pd.Series("all", index=TIERS.index), *DAYS)
    assert set(sold["value"]) == {"Office", "Drinkware", "Lifestyle"}
    assert sum(habits(marked, *DAYS, largest=9)["month"]["n"]) == sum(habits(shop, *DAYS, largest=9)["month"]["n"])
    assert marked.features(["total_spend"], [DAYS[1]]).equals(shop.features(["total_spend"], [DAYS[1]]))
    with pytest.raises(InputError, match=r"no category 'bag'(.|\n)*did you mean 'Bags'"):
        habits(replace(shop, no_goods=("bag",)), *DAYS, largest=9)


def tiers_of(sizes: dict[str, int]) -> pd.Series:
    names = list(sizes)
    labels = np.repeat(names, list(sizes.values()))
    return pd.Series(pd.Categorical(labels, names, ordered=True), index=[str(i) for i in range(len(labels))])


TIERS = tiers_of({"VIP": 20, "Gold": 20, "Silver": 0, "Bronze": 1})


def test_personas_by_hand(shop: Shop) -> None:
    options = {"q": 0.05, "min_cell": 10, "min_index": 110, "most": 1}
    counts = habits(shop, *DAYS, largest=30)
    found = make_personas(shop, TIERS, counts, *DAYS, **options)
    vip, gold = found.personas
    assert found.too_small == {"Silver": 0, "Bronze": 1}
    assert (vip.group, vip.customers, gold.group, gold.customers) == ("VIP", 20, "Gold", 20)
    assert vip.facts == pytest.approx(
        {"share": 20 / 41, "revenue_share": 0.48, "orders_per_customer": 2.0, "average_order_value": 30.0}
    )
    assert gold.facts["revenue_share"] == pytest.approx(800 / 2500)
    assert gold.facts["average_order_value"] == pytest.approx(10.0)
    named = dict(zip(vip.stands_out["aspect"], vip.stands_out["value"], strict=True))
    assert named["category"] == "Office"
    assert named["gender"] == "F"
    assert "coupon" not in named, "25% of lines against 18%, which chance may have made"
    office = vip.stands_out.set_index("aspect").loc["category"]
    assert office["index"] == pytest.approx(100 * 121 / 40)
    assert office["customers"] == 20
    assert len(vip.values("month")) == 1, "of March and April"
    all_named = make_personas(shop, TIERS, counts, *DAYS, **{**options, "most": 4})
    assert all_named.personas[0].values("month") == ["3", "4"]
    assert all_named.personas[1].values("category") == ["Bags", "Drinkware"]
    much = make_personas(shop, TIERS, counts, *DAYS, **{**options, "min_index": 200})
    assert "category" in set(much.personas[0].stands_out["aspect"])
    assert "category" not in set(much.personas[1].stands_out["aspect"]), "an index of 151"


def test_a_strategy_for_an_unknown_group_is_logged_and_the_day_of_groups_is_stated(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    options = OmegaConf.load(CONF / "personas" / "default.yaml")
    strategy = {"VIP": {"en": "Thank them."}, "Platnum": {"en": "Give a card."}}
    options = SimpleNamespace(**{**OmegaConf.to_object(options), "strategy": strategy})
    bins = InUse("equal-sized groups", "shop-segmentation, version 2", is_baseline=True, is_judged=True)
    one = pd.Series(pd.Categorical(["Segment 1"] * len(TIERS), ordered=True), TIERS.index, name="segment")
    material = SimpleNamespace(
        shop=shop,
        as_of=DAYS[1],
        tiers=SimpleNamespace(today=SimpleNamespace(tier=TIERS, notes=["clv is left out: the fit did not converge."])),
        about_groups="Tiers are as of 2019-07-01.",
        task_groups={"segmentation": one},
        in_use={"segmentation": bins}.get,
        persona_options=options,
        languages=["en"],
    )
    section = PERSONAS.section(material)
    texts = [part.text for part in section.parts if isinstance(part, Text)]
    assert texts[0] == (
        "VIP, 48.8% of customers, brought 59.6% of revenue with 2.05 orders per customer. Choose what to offer to each "
        "group by the habits below."
    )
    assert texts[1] == "Tiers are as of 2019-07-01. clv is left out: the fit did not converge."
    assert f"Made by {bins}; sizes have changed since it was trained." in texts
    assert "→ Thank them." in texts
    assert "Platnum is not a group of this report; groups are VIP, Gold, Silver, Bronze and Segment 1" in caplog.text
    assert "VIP is not a group" not in caplog.text


def test_the_case_studys_advice_names_its_source() -> None:
    strategy = OmegaConf.to_object(OmegaConf.load(CONF / "personas" / "default.yaml"))["proposals"]
    assert strategy
    for told in strategy.values():
        assert "case study" in told["en"]
        assert "사례 연구" in told["ko"]
