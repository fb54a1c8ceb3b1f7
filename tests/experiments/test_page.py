"""A report's page holds all that it needs, escapes what it is given, and shows Hangul."""

from __future__ import annotations

import re
import warnings

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.reports.fonts import embedded, use_in_pictures
from experiments.reports.page import page
from experiments.reports.section import Heading, Picture, Section, Table, Text, between, number, percent


def section() -> Section:
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    frame = pd.DataFrame({"tier": ["<b>VIP</b>"], "customers": [12345], "share": [0.123456], "gap": [float("nan")]})
    return Section(
        "tiers",
        [
            Text("1 < 2", "lead"),
            Text("고객님", lang="ko"),
            Heading("A"),
            Table("t", frame),
            Picture("p", figure, 'a "b"'),
        ],
    )


def test_the_page_needs_no_network_and_escapes() -> None:
    html = page("Title", "about", [section()])
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", html)
    assert "http://" not in html
    assert "https://" not in html
    assert "default-src 'none'" in html
    assert "&lt;b&gt;VIP&lt;/b&gt;" in html
    assert "<b>VIP" not in html
    assert 'alt="a &quot;b&quot;"' in html
    assert "12,345" in html
    assert "0.123" in html
    assert '<p class="plain" lang="ko">고객님</p>' in html


def test_a_phone_shows_rows_of_long_texts_below_each_other() -> None:
    frame = pd.DataFrame({"list": ["VIPs"], "customers": [3], "what to do": ["Call or write in person; ask first."]})
    html = page("Title", "about", [Section("s", [Table("t", frame)])])
    assert "<table class=stacked>" in html
    assert '<td class=number data-head="customers">3</td>' in html
    assert "class=stacked" not in page("Title", "about", [Section("s", [Table("t", frame[["list", "customers"]])])])


def test_details_are_folded_behind_the_finding_and_languages_take_turns() -> None:
    frame = pd.DataFrame({"x": [1]})
    parts = [Text("finding", "lead"), Table("t", frame), Heading("More"), Text("en", lang="en"), Text("한", lang="ko")]
    html = page("Title", "about", [Section("s", parts)])
    shown, folded = html.split("<details>")
    assert "finding" in shown
    assert "<table>" in shown
    assert "More" in folded
    assert re.findall(r'<input type=radio name=lang value="(\w+)"( checked)?>', html) == [
        ("en", " checked"),
        ("ko", ""),
    ]
    assert "<details>" not in page("Title", "about", [Section("s", parts[:3])])
    assert "type=radio" not in page("Title", "about", [Section("s", parts[:4])])


def test_every_table_and_picture_has_a_file_of_its_own_in_its_section() -> None:
    names = ["At Risk", "at_risk", "../../VIP", "VIP/A", "골드"]
    tables = [Table(name, pd.DataFrame({"x": [place]})) for place, name in enumerate(names)]
    files = Section("personas", [*tables, Picture("at_risk", Figure(), "")]).files(Table)
    assert list(files) == [f"personas/{name}" for name in ("at_risk", "at_risk_2", "vip", "vip_a", "골드")]
    assert list(files.values()) == tables


def test_only_the_hangul_of_the_text_is_embedded() -> None:
    few, more = embedded("plain 고객"), embedded("plain 고객님 안녕하세요")
    assert embedded("plain") == ""
    assert few.startswith("@font-face")
    assert 500 < len(few) < len(more) < 100_000


def test_the_embedded_font_is_the_same_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = embedded("고객")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")  # fontTools takes this for the present
    assert embedded("고객") == before


def test_pictures_show_hangul() -> None:
    use_in_pictures()
    figure = Figure()
    figure.add_subplot().set_title("고객 등급", fontweight="bold")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Glyph missing from font"
        figure.canvas.draw()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3"), (3.0, "3.00"), (0.0, "0"), (-1234.5, "-1,234"), (1e-5, "0.0000100"), ("x", "x"), (float("inf"), "-")],
)
def test_numbers_are_read_easily(value: object, shown: str) -> None:
    assert number(value) == shown


def test_shares_and_intervals() -> None:
    assert percent(0.5) == "50.0%"
    assert percent(float("nan")) == "-"
    assert between(0.1, 0.2) == "0.100 to 0.200"
