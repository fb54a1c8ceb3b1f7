"""Rules as files: what is bought together in a small store, filtered, written as CSV and drawn."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from experiments.description.purchasing.rule_network import network_figure
from experiments.description.purchasing.rule_options import RuleOptions
from experiments.description.purchasing.rules import find_rules, pairs_of_rules
from experiments.reports.fonts import use_in_pictures
from experiments.workflow.rules import rules, rules_text
from features.errors import InputError
from features.shop import Shop
from merchandise_store import Store
from workplace import ROOT

OPTIONS = RuleOptions(
    level=None,
    per="order",
    days=None,
    goods=None,
    categories=None,
    min_support=0.0,
    min_count=1,
    min_confidence=0.0,
    min_lift=0.0,
    longest=1,
    n_drawn=30,
)
END = date(2019, 9, 11)
NAMES = {"C": '=CAM, "HD" 🍵', "D": "DOOR & BELL $5 $6", "P": "PEN", "M": "MUG"}
CATEGORIES = {"C": "Nest-USA", "D": "Nest-USA", "P": "Office", "M": "Google"}
ORDERS = [("1", 1, "CD"), ("1", 2, "CDP"), ("2", 1, "CD"), ("3", 5, "PM"), ("4", 5, "PM"), ("4", 9, "P"), ("2", 9, "M")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A store in which CAM and BELL are bought together, by names that are hard on files and pictures."""
    store, lines = Store(tmp_path_factory.mktemp("store")), []
    for number, (customer, month, items) in enumerate(ORDERS):
        for sku in items:
            name = '"' + NAMES[sku].replace('"', '""') + '"'
            lines.append(f"{customer},{number},2019{month:02d}10,{sku},{name},{CATEGORIES[sku]},1,5,0,Used")
    store.sell(lines)
    return store.open(tmp_path_factory.mktemp("work"))


def test_rules_of_a_shop_are_about_names_and_keep_to_the_filters(shop: Shop) -> None:
    table, level = find_rules(shop, END, OPTIONS)
    assert level == "product"
    found = table.set_index([table["antecedent"].str[0], "consequent"])
    cam, bell = NAMES["C"], NAMES["D"]
    assert found.loc[(cam, bell), ["count", "confidence", "lift", "baskets"]].tolist() == [3, 1.0, 7 / 3, 7]
    assert found.loc[("PEN", "MUG"), ["count", "confidence", "lift"]].tolist() == [2, 0.5, 0.5 / (3 / 7)]

    def pairs(day: date = END, **options: object) -> set[frozenset[str]]:
        table, _ = find_rules(shop, day, replace(OPTIONS, **options))
        return {frozenset((*items, last)) for items, last in zip(table["antecedent"], table["consequent"], strict=True)}

    of = {"CD": frozenset((cam, bell)), "PM": frozenset(("PEN", "MUG"))}
    with_pen = {frozenset((cam, "PEN")), frozenset((bell, "PEN"))}
    assert pairs() == {*of.values(), *with_pen}
    assert pairs(min_count=2) == set(of.values())
    assert pairs(days=124) == {of["PM"]}  # from 10 May on
    assert pairs(days=123) == set()
    assert pairs(date(2019, 3, 1)) == {of["CD"], *with_pen}
    assert pairs(goods=["MUG"]) == {of["PM"]}
    assert pairs(categories=["Nest-USA"]) == {of["CD"]}
    assert pairs(per="customer", min_count=2, level="category") == {frozenset(("Google", "Office"))}
    assert frozenset((cam, bell, "PEN")) in pairs(longest=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"goods": ["MUGS"]}, "did you mean 'MUG'"),
        ({"categories": ["Nest"]}, "rules.categories"),
        ({"level": "colour"}, "no level 'colour'"),
        ({"categories": ["Nest-USA"], "days": 100}, "nothing is known to be sold"),
    ],
)
def test_what_there_is_not_is_refused_by_name(shop: Shop, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_rules(shop, END, replace(OPTIONS, **options))


@pytest.mark.filterwarnings("ignore:Glyph")  # of the cup
def test_files_hold_names_as_they_are_and_the_text_names_them(shop: Shop, tmp_path: Path) -> None:
    session = SimpleNamespace(
        shop=shop,
        config=SimpleNamespace(rules=OPTIONS, as_of=None),
        outputs=tmp_path / "outputs",
        path=lambda given: tmp_path / given,
    )
    written = rules(session)
    assert written.path == tmp_path / "outputs" / "rules.csv"
    assert written.picture.read_bytes().startswith(b"\x89PNG")
    read = pd.read_csv(written.path)
    assert set(read["consequent"]) == {"'" + NAMES["C"], *list(NAMES.values())[1:]}  # no formula for a spreadsheet
    assert read["orders_with_both"].sum() == written.table["count"].sum()
    text = rules_text(written, "order")
    assert text.count(NAMES["C"]) == 2  # each pair once
    assert f"{len(read)} rules of product as of 2019-09-11" in text
    session.config.rules = replace(OPTIONS, min_count=50)
    with pytest.raises(InputError, match="no rule meets the limits"):
        rules(session, output="none.csv")
    assert not (tmp_path / "none.csv").exists()
    with pytest.raises(InputError, match="unknown suffix"):
        rules(session, output="rules.parquet")


EDGES = {
    "hub": [(0, node) for node in range(1, 30)],
    "couples": [(node, node + 1) for node in range(0, 40, 2)],
    "web": [(a, b) for a in range(12) for b in range(a) if (a * b) % 3 == 1 or a == b + 1],
    "one": [(0, 1)],
}


@pytest.mark.parametrize("kind", EDGES)
def test_no_name_in_the_picture_is_over_another_or_cut_off(kind: str) -> None:
    use_in_pictures()
    rng = np.random.default_rng(len(kind))
    words = ["TEA", "LONG NAME OF A PRODUCT", "상품 이름", "UNDER $10 & OVER $5", "W" * 60]
    names = [f"{words[number % 5]} {number}" for number in range(41)]
    pairs = pd.DataFrame(
        [(names[a], names[b], 20, 0.5 + 60 * rng.random() ** 4, 0.01, 1000) for a, b in EDGES[kind]],
        columns=["a", "b", "count", "lift", "leverage", "baskets"],
    )
    figure = network_figure(pairs, per="order")
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    texts = [text for text in axes.texts if text.get_gid() == "name"]
    assert len(texts) == len({*pairs["a"], *pairs["b"]})
    boxes = [text.get_window_extent() for text in texts]
    assert not [(a, b) for a in range(len(boxes)) for b in range(a) if boxes[a].overlaps(boxes[b])]
    (legend,) = figure.legends
    frame = figure.bbox
    for box in boxes:
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1
        assert legend.get_window_extent().y1 <= box.y0 <= box.y1 <= frame.y1


def test_pairs_of_the_picture_are_each_once_by_leverage() -> None:
    table = pd.DataFrame(
        {
            "antecedent": [("b",), ("a",), ("c",), ("a", "b")],
            "consequent": ["a", "b", "a", "c"],
            "count": [5, 5, 2, 1],
            "lift": [2.0, 2.0, 9.0, 9.0],
            "leverage": [0.2, 0.2, 0.1, 0.3],
            "baskets": 10,
        }
    )
    pairs = pairs_of_rules(table, 30)
    assert pairs[["a", "b", "lift"]].values.tolist() == [["a", "b", 2.0], ["a", "c", 9.0]]
    assert len(pairs_of_rules(table, 1)) == 1


def test_the_example_of_the_guide_for_own_arrays_runs(capsys: pytest.CaptureFixture[str]) -> None:
    *_, example = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "rules.md").read_text(), re.M | re.S)
    exec(example, {})
    assert "(milk,)" in capsys.readouterr().out
