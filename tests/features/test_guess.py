"""Mappings that `experiments init` guesses: staged as they are, they give what is true of made-up shops."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import yaml
from layouts import LAYOUTS, Truth
from omegaconf import OmegaConf

from experiments.commands import main
from experiments.commands.compose import open_session
from experiments.commands.init import read_given
from experiments.workflow.init import Written, check_known, write_mapping
from features.errors import InputError
from features.sources.guess.mapping import Draft, Guess
from features.sources.staged import Staged

UNLIKE = ("shopify", "event_log")  # orders of several lines, and rows that are events
KNOWN = [  # instacart has neither days nor money
    pytest.param(name, marks=() if name in UNLIKE else pytest.mark.slow) for name in LAYOUTS if name != "instacart"
]
MONEY = ("amount", "quantity", "unit_price", "line_discount", "order_discount")
PLACE = ("currency=EUR", "timezone=Europe/Berlin")
ASKED = {"currency", "timezone", "rules.undated_return"}  # what no table says


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_composition: None) -> Path:
    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str, code: int = 0) -> None:
    assert main.run(["init", *arguments]) == code


def guessed(path: str, place: bool = True, **given: object) -> Written:
    """Write the mapping of a shop as `init` does, without staging it."""
    where = dict(zip(("currency", "timezone"), ("EUR", "Europe/Berlin"), strict=True)) if place else {}
    return write_mapping("shop", path, given=given, **where)


def unwrapped(shop: str = "shop") -> str:
    """Return the mapping with each comment on one line."""
    return re.sub(r"\n +# ", " ", Path(f"conf/data/{shop}.yaml").read_text())


def open_keys(shop: str) -> dict[str, str]:
    """Return the keys with `???`, and the guesses beside them."""
    keys: dict[str, str] = {}
    above: list[str] = []
    for line in unwrapped(shop).splitlines():
        said = re.match(r"( *)(\w+):(?: (\?\?\?))?(?: +# guess: ([^;]+))?", line)
        if said:
            above[len(said[1]) // 2 :] = [said[2]]
            keys |= {".".join(above): str(said[4])} if said[3] else {}
    return keys


def staged(shop: str) -> Staged:
    """Stage with the mapping as it stands, and the guesses beside what is open."""
    filled = [f"data.{key}={value}" for key, value in open_keys(shop).items()]
    return open_session(data=shop, overrides=filled, config_dir="conf").shop.staged


def found(shop: str) -> Truth:
    """Count what staging gives."""
    counts = "count(DISTINCT customer_id), count(DISTINCT order_id), count(DISTINCT timestamp::DATE), sum(amount)"
    row = duckdb.sql(f"SELECT {counts} FROM '{staged(shop).folder}/transactions.parquet'").fetchone()
    assert row is not None
    return Truth(*row)


def money_back(shop: str) -> tuple[Decimal, int]:
    """Return the money of the returns that staging gives, and how many have an order."""
    row = duckdb.sql(f"SELECT sum(amount), count(order_id) FROM '{staged(shop).folder}/returns.parquet'").fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("name", KNOWN)
def test_a_layout_is_staged_right_without_an_edit(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, truth = LAYOUTS[name](folder / "raw")
    init(name, f"path={os.path.relpath(path)}")
    printed = capsys.readouterr().out
    assert re.search(r"files +in +out +left out", printed)
    assert "the first 10 rows as they were read" in printed
    confirmed = {key for key in open_keys(name) if key.startswith("confirmed_drops.")}
    confirmed |= {"may_halve_orders"} if name == "shop_events" else set()  # views among purchases
    assert set(open_keys(name)) - confirmed <= ASKED
    assert confirmed <= set(open_keys(name))
    assert found(name) == truth


def rows(lines: int = 40, **columns: object) -> str:
    """Write a small shop as CSV: orders of 8 customers, and further columns by functions of the number of the row."""
    own = {
        "order": lambda n: 100 + n,
        "customer": lambda n: f"K{n % 8:02}",
        "date": lambda n: f"2023-{1 + n % 12:02}-{1 + n % 28:02}",
        "total": lambda n: 10 + n,
    }
    made = {**own, **columns}
    kept = {name: each for name, each in made.items() if each is not None}
    cells = [",".join(f'"{each(n)}"' for each in kept.values()) for n in range(lines)]
    return "\n".join([",".join(kept), *cells, ""])


def written(text: str) -> dict[str, Any]:
    Path("x.csv").write_text(text)
    return yaml.safe_load(write_mapping("shop", "x.csv").file.read_text())


def test_dates_that_can_be_read_in_two_ways_are_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = rows(date=lambda n: f"{1 + n % 12:02}/{1 + n // 12:02}/2023")
    (folder / "x.csv").write_text(text)
    init("shop", "path=x.csv")
    told = capsys.readouterr().out
    assert 'guess: "%d/%m/%Y"; each reads all rows' in told  # in this order the rows stand
    line = re.search(r"fill in tables.transactions.date_format: conf/data/shop.yaml, line (\d+);", told)
    assert line is not None
    assert (
        (folder / "conf/data/shop.yaml").read_text().splitlines()[int(line[1]) - 1].startswith("    date_format: ???")
    )


@pytest.mark.parametrize(
    ("date", "date_format"),
    [
        (lambda n: 44927 + n, "excel_days"),
        (lambda n: 1672531200 + 86400 * n, "epoch_seconds"),
        (lambda n: f"{1 + n % 28}.{1 + n % 12}.23", "%d.%m.%y"),
        (lambda n: f"{1 + n % 12}/{1 + n % 28}/2023 {1 + n % 12}:05 PM", "%m/%d/%Y %I:%M %p"),
        (lambda n: f"2023-01-{1 + n % 28:02} 08:00:00 UTC", None),
    ],
)
@pytest.mark.quick(2)
def test_dates_of_any_kind_are_recognised(date: Callable[[int], object], date_format: str | None, folder: Path) -> None:
    table = written(rows(date=date))["tables"]["transactions"]
    assert table.get("date_format") == date_format
    assert table["columns"]["timestamp"] == "date"


def test_a_column_for_each_month_is_refused_with_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.csv").write_text("customer,Jan 2023,Feb 2023,Mar 2023,Apr 2023\nA,1,2,3,4\nB,1,,3,4\nC,5,2,3,\n")
    init("shop", "path=x.csv", code=2)
    told = capsys.readouterr().err
    assert "a column for each month" in told
    query = re.search(r"sql: (UNPIVOT .*)", told)
    assert query is not None
    assert len(duckdb.sql(query[1]).fetchall()) == 10
    assert not (folder / "conf").exists()


def test_an_archive_of_several_tables_is_refused_with_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = LAYOUTS["olist"](folder / "raw")
    shutil.make_archive("olist", "zip", path)
    init("shop", "path=olist.zip", code=2)
    told = capsys.readouterr().err
    typed = re.search(r"folder: (unzip \S+ -d (\S+)), then path=(\S+)", told)
    assert typed is not None
    shutil.unpack_archive("olist.zip", typed[2])
    there = [sorted((file.name, file.read_bytes()) for file in Path(each).iterdir()) for each in (typed[3], path)]
    assert there[0] == there[1]  # as they lay in the folder, whose mapping is the layout olist


def test_what_no_table_says_is_named_with_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = LAYOUTS["instacart"](folder / "raw")
    init("shop", f"path={path.relative_to(folder)}", code=2)
    told = capsys.readouterr().err
    text = (folder / "conf" / "data" / "shop.yaml").read_text().splitlines()
    lines = {int(number): text[int(number) - 1] for number in re.findall(r"line (\d+):", told)}
    assert [line.split(":")[0].strip() for line in lines.values()] == ["timestamp", "amount"]
    assert all(": ???" in line for line in lines.values())
    assert "type the command again with what they lack, such as timestamp=COLUMN" in told


def test_one_argument_settles_a_column_and_replaces_a_mapping_that_nobody_changed(folder: Path) -> None:
    (folder / "x.csv").write_text(rows(total=None, zz=lambda n: 3 + n))
    with pytest.raises(InputError, match="amount"):
        check_known(guessed("x.csv"))
    init("shop", "path=x.csv", *PLACE, "amount=zz")
    assert (open_keys("shop"), found("shop").money) == ({}, sum(3 + n for n in range(40)))
    mapping = Path("conf/data/shop.yaml")
    mapping.write_text(mapping.read_text().replace("zz", "z"))
    init("shop", "path=x.csv", *PLACE, "amount=zz", code=2)


def test_columns_that_are_not_used_are_named_with_values(folder: Path) -> None:
    """A shop in a language that init does not know: nothing is left out without a word."""
    further = {f"zz{n}": lambda n: "x" for n in range(19)}
    (folder / "raw/x.csv").write_text(
        rows(
            Olek=lambda n: ["Makstud", "Ära öeldud"][n % 2], Kanal=lambda n: "veeb", mail=lambda n: "a@x.eu", **further
        )
    )
    guessed("raw/x.csv", channel="Kanal")
    note = re.sub(r"\n# ", " ", Path("conf/data/shop.yaml").read_text())
    assert "not used: Olek (Makstud, Ära öeldud); mail (e-mail addresses); zz0 (x); " in note
    assert "zz17 (x); zz18." in note
    assert "status=COLUMN, where it says that orders were cancelled or not paid; order_discount=COLUMN or " in note
    assert "product_id=COLUMN" in note
    assert "channel: Kanal" in note
    with pytest.raises(InputError) as refused:
        check_known(guessed("raw/x.csv", status="Olek", channel="Kanal"))
    assert "status='{column: Olek, sale: [Makstud, " in str(refused.value)
    assert "Olek (" not in Path("conf/data/shop.yaml").read_text()


def test_a_mapping_that_was_changed_is_never_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.csv").write_text(rows())
    mapping = folder / "conf" / "data" / "shop.yaml"
    mapping.parent.mkdir(parents=True)
    mapping.write_text("mine")
    init("shop", "path=x.csv", code=2)
    told = capsys.readouterr().err
    assert "conf/data/shop.yaml" in told
    command = re.search(r"first: (mv .*)", told)
    assert command is not None
    assert mapping.read_text() == "mine"
    subprocess.run(shlex.split(command[1]), check=True)
    assert guessed("x.csv").file.resolve() == mapping


def test_what_is_open_is_asked_for_at_a_terminal_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "CHF" if "currency" in question else ""

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    (folder / "x.csv").write_text(rows())
    init("shop", "path=x.csv")
    config = yaml.safe_load((folder / "conf/data/shop.yaml").read_text())
    assert (config["currency"], config["timezone"]) == ("CHF", "???")
    assert len(asked) == 2


def test_what_is_given_is_written(folder: Path) -> None:
    (folder / "x.csv").write_text(rows())
    init("shop", "path=x.csv", "currency=SEK", "timezone=Europe/Stockholm", "--config-dir=mine")
    config = yaml.safe_load((folder / "mine/data/shop.yaml").read_text())
    assert (config["currency"], config["timezone"]) == ("SEK", "Europe/Stockholm")


@pytest.mark.parametrize(
    ("columns", "mapped"),
    [
        # the total is after a discount that is a share
        (
            {
                "qty": lambda n: 1 + n % 3,
                "price": lambda n: 5 + n % 4,
                "discount": lambda n: n % 2 / 10,
                "total": lambda n: round((1 + n % 3) * (5 + n % 4) * (1 - n % 2 / 10), 2),
            },
            {"amount": "total", "quantity": "qty"},
        ),
        # a discount that no total has yet
        (
            {
                "qty": lambda n: 1 + n % 3,
                "price": lambda n: 5 + n % 4,
                "total": lambda n: (1 + n % 3) * (5 + n % 4),
                "discount": lambda n: 3 * (n % 4 == 0),
            },
            {"amount": "total", "quantity": "qty", "line_discount": "???"},
        ),
        # a total of the order, on its first line
        (
            {
                "order": lambda n: n // 2,
                "customer": lambda n: f"K{n // 2 % 7}",
                "date": lambda n: f"2023-03-{1 + n // 2:02}",
                "sku": lambda n: n % 5,
                "qty": lambda n: 2000 + n % 3,
                "price": lambda n: 5 + n % 5,
                "total": lambda n: (
                    "" if n % 2 else (2000 + n % 3) * (5 + n % 5) + (2000 + (n + 1) % 3) * (5 + (n + 1) % 5)
                ),
            },
            {"unit_price": "price", "quantity": "qty"},
        ),
        # a price that stays where more is bought, and one that grows
        (
            {"sku": lambda n: n % 5, "qty": lambda n: 1 + n % 3, "price": lambda n: 5 + n % 5, "total": None},
            {"unit_price": "price", "quantity": "qty"},
        ),
        (
            {
                "sku": lambda n: n % 5,
                "qty": lambda n: 1 + n % 3,
                "price": lambda n: (1 + n % 3) * (5 + n % 5),
                "total": None,
            },
            {"amount": "price", "quantity": "qty"},
        ),
    ],
)
@pytest.mark.quick(2)
def test_the_money_is_what_adds_up(columns: dict[str, Any], mapped: dict[str, str], folder: Path) -> None:
    found = written(rows(**columns))["tables"]["transactions"]["columns"]
    assert {name: found.get(name) for name in MONEY if name in found} == mapped


def test_a_number_that_most_rows_lack_is_not_taken_for_the_orders(folder: Path) -> None:
    sparse = {"order": None, "Reference Document #": lambda n: 100 + n if n % 20 == 0 else ""}
    table = written(rows(**sparse))["tables"]["transactions"]
    assert table["order_key"] == "???"
    assert "Reference Document # is empty in 95% of the rows" in unwrapped()
    Path("conf/data/shop.yaml").unlink()
    sparse["Billing Document"] = lambda n: 900 + n // 2
    sparse |= {"customer": lambda n: f"K{n // 2 % 8}", "date": lambda n: f"2023-03-{1 + n // 2:02}"}
    assert written(rows(**sparse))["tables"]["transactions"]["columns"]["order_id"] == "Billing Document"


def test_the_name_of_a_product_is_no_number_of_orders_and_a_bare_id_is_asked_for(folder: Path) -> None:
    columns = {"order": None, "id": lambda n: f"2015-{n // 2}", "name": lambda n: ("hawaiian", "bbq", "classic")[n % 3]}
    columns |= {"customer": lambda n: f"K{n // 2 % 8}", "date": lambda n: f"2023-03-{1 + n // 2:02}"}
    written(rows(**columns))
    said = r"order_id: \?\?\? +# guess: id; no column is called an order; values of this one stand on neighbouring"
    assert re.search(said, unwrapped())


def test_times_are_read_before_days_and_products_of_most_values(folder: Path) -> None:
    columns = {
        "date": None,
        "start_day": lambda n: f"2023-03-{1 + n % 28:02}",
        "time": lambda n: f"2023-03-{1 + n % 28:02}T10:{n:02}:00Z",
        "frame_material": lambda n: ("Carbon", "Steel")[n % 2],
        "model": lambda n: f"M{n % 7}",
    }
    columns_of = written(rows(**columns))["tables"]["transactions"]["columns"]
    assert (columns_of["timestamp"], columns_of["product_id"]) == ("time", "model")
    assert re.search(r"timestamp: time .*or: start_day", unwrapped())
    assert "or: frame_material" in unwrapped()


def test_currencies_are_read_from_a_column_and_several_are_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert written(rows(**{"Document Currency": lambda n: "CHF"}))["currency"] == "CHF"
    Path("conf/data/shop.yaml").unlink()
    (folder / "x.csv").write_text(rows(Currency=lambda n: "EUR" if n % 4 else "GBP"))
    init("shop", "path=x.csv", code=2)
    told = " ".join(capsys.readouterr().err.split())
    assert "Currency has EUR (75%), GBP (25%)" in told
    typed = re.search(r"Write (only: .*?) for the rows", told)
    assert typed is not None
    mapping = Path("conf/data/shop.yaml")
    filled = re.sub(r"only: \?\?\?", typed[1], mapping.read_text())
    mapping.write_text(f"{filled}\nconfirmed_drops: {{other_value: 0.25}}\n")
    assert found("shop").orders == 30


@pytest.mark.slow
def test_credit_notes_with_amounts_above_0_are_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.csv").write_text(rows(**{"Billing Type": lambda n: "G2" if n % 7 == 3 else "F2"}))
    init("shop", "path=x.csv", *PLACE, code=2)
    told = " ".join(capsys.readouterr().err.split())
    assert "6 of the rows with G2 have amounts above 0" in told
    ways = dict(shlex.split(way)[0].split("=", 1) for way in re.findall(r"(?:credits|status)='.*?'", told))
    guessed("x.csv", **read_given({"status": ways["status"]}))
    assert found("shop").money == sum(10 + n for n in range(40) if n % 7 != 3)
    guessed("x.csv", **read_given({"credits": ways["credits"]}))
    assert money_back("shop")[0] == sum(10 + n for n in range(40) if n % 7 == 3)
    assert found("shop").orders == 34


def test_tables_are_joined_by_an_id_that_is_called_after_a_table(folder: Path) -> None:
    orders = ["id,customer_id,ordered_at,status", *(f"{500 + n},{n % 8},2023-03-{1 + n:02},paid" for n in range(20))]
    header = "id,order_id,product_id,quantity,unit_price"
    lines = [header, *(f"{n},{500 + n // 2},{n % 5},2,{n % 5 + 1}" for n in range(40))]
    (folder / "raw/orders.csv").write_text("\n".join([*orders, ""]))
    (folder / "raw/order_lines.csv").write_text("\n".join([*lines, ""]))
    guessed("raw")
    assert found("shop") == Truth(8, 20, 20, Decimal(2 * 8 * (1 + 2 + 3 + 4 + 5)))


def test_orders_of_several_days_are_said_to_be_so(folder: Path) -> None:
    text = rows(
        order=lambda n: n // 2,
        customer=lambda n: f"K{n // 2 % 8}",
        date=lambda n: f"2023-03-{1 + n // 2 + n % 2 * (n == 9):02}",
    )
    assert written(text)["order_spans_days"] is True


def test_rows_that_repeat_another_stay_within_an_order_and_go_where_orders_are_there_twice(folder: Path) -> None:
    three = rows(
        30, order=lambda n: n // 3, customer=lambda n: f"K{n // 3 % 8}", date=lambda n: f"2023-03-{1 + n // 3:02}"
    )
    header, *lines = three.splitlines()
    config = written("\n".join([header, *lines, lines[0], lines[9], ""]))
    assert config["rules"] == {"duplicate_rows": "keep"}
    (folder / "conf" / "data" / "shop.yaml").unlink()
    config = written("\n".join([header, *lines, *lines[:6], ""]))
    assert config["rules"] == {"duplicate_rows": "drop"}


def test_rows_that_repeat_another_are_asked_for_where_nothing_tells_two_pieces_from_two_copies(folder: Path) -> None:
    """Orders without a number of two rows that are alike: once read twice, or bought twice."""
    columns = {"order": None, "customer": lambda n: f"K{n // 2 % 8}", "total": lambda n: 7 + n // 2}
    assert written(rows(**columns, date=lambda n: f"2023-03-{1 + n // 2:02}"))["rules"] == {"duplicate_rows": "???"}
    assert "or: drop" in unwrapped()


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "file"), [("", "refunds.csv"), ("-", "Returns 2023.csv")])
def test_files_of_refunds_are_no_sales_although_their_columns_are_alike(sign: str, file: str, folder: Path) -> None:
    """A minus says what their rows are, as in one file of both."""
    lines = [f"R{n},K{n % 8:02},2023-12-{10 + n},{sign}5" for n in range(9)]
    (folder / "raw/sales.csv").write_text(rows())
    (folder / "raw" / file).write_text("\n".join(["order,customer,date,total", *lines, ""]))
    config = yaml.safe_load(write_mapping("shop", "raw").file.read_text())
    read = config["tables"]["returns" if not sign else "transactions"]["path"]
    assert read == (f"raw/{file}" if not sign else [f"raw/{file}", "raw/sales.csv"])
    assert {*config.get("rules", {}).values()} == ({"return"} if sign else set())


def test_files_of_which_one_has_a_further_column_are_one_table_and_other_orders_are_asked_for(folder: Path) -> None:
    (folder / "raw/2022.csv").write_text(rows(further=None, order=lambda n: 900 + n, sku=lambda n: n % 5))
    (folder / "raw/2023.csv").write_text(rows(sku=lambda n: n % 5, channel=lambda n: "web"))
    (folder / "raw/till.csv").write_text(
        "Bon;Karte;Datum;Betrag\n" + "\n".join(f"{n};{n % 9};2023-05-01;7" for n in range(40))
    )
    draft = write_mapping("shop", "raw").draft
    read = draft["tables.transactions.path"]
    assert (read.value, read.is_open) == (["raw/2022.csv", "raw/2023.csv"], True)
    assert "orders stand in till.csv (40 rows), too, which are not read" in read.evidence
    (folder / "raw/till.csv").unlink()
    assert not write_mapping("shop", "raw").draft["tables.transactions.path"].is_open
    assert found("shop").money == 2 * sum(10 + n for n in range(40))


def test_a_file_of_json_is_made_a_table_as_the_refusal_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        f'{{"order_id": {n}, "customer_id": "K{n % 8}", "date": "2023-03-{1 + n % 28:02}", "total": 7}}'
        for n in range(40)
    ]
    (folder / "raw/x.jsonl").write_text("\n".join(lines))
    init("shop", "path=raw/x.jsonl", code=2)
    said = re.search(r"name that: (python -c .*), then path=(\S+)", capsys.readouterr().err)
    assert said is not None
    subprocess.run([sys.executable, *shlex.split(said[1])[1:]], check=True)
    assert write_mapping("shop", said[2]).draft["tables.transactions.columns.amount"].value == "total"


def test_rules_are_those_that_rows_call_for(folder: Path) -> None:
    assert "rules" not in written(rows())


def test_keys_of_one_mapping_stand_together(tmp_path: Path) -> None:
    draft = Draft()
    for key in (
        "rules.zero_price",
        "shop",
        "tables.a.path",
        "rules.duplicate_rows",
        "tables.b.path",
        "tables.a.columns.x",
    ):
        draft.add(key, Guess(key, "said " * 40))
    (tmp_path / "x.yaml").write_text(draft.text("a header\nof two lines"), encoding="utf-8")
    assert yaml.safe_load((tmp_path / "x.yaml").read_text()) == {"defaults": ["files", "_self_"], **draft.config()}
    lines = (tmp_path / "x.yaml").read_text().splitlines()
    for key in draft.guesses:
        line = lines[draft.line_of(".".join(key), "a header\nof two lines") - 1]
        assert line.strip().startswith(f"{key[-1]}: ")


@pytest.mark.parametrize(
    "value",
    ["No", "0123", "1e3", "null", "a: b", "it's", 'say "so"', "${oc.env:HOME}", "Ä ö", "12:30", "#5", " x", "-"],
)
def test_texts_are_read_from_the_file_as_they_are(value: str, tmp_path: Path) -> None:
    draft = Draft()
    draft.add("shop", Guess(value, "some evidence"))
    draft.add("tables.transactions.sql", Guess(f"SELECT '{value}'\nFROM x", "of two lines"))
    (tmp_path / "x.yaml").write_text(draft.text("a header"), encoding="utf-8")
    config = OmegaConf.load(tmp_path / "x.yaml")
    assert config.shop == value
    assert config.tables.transactions.sql == f"SELECT '{value}'\nFROM x"


@pytest.mark.slow
def test_tables_of_a_database_are_chosen_and_joined(folder: Path) -> None:
    path, truth = LAYOUTS["olist"](folder / "raw")
    with closing(sqlite3.connect("shop.db")) as database:
        for file in path.glob("*.csv"):
            pd.read_csv(file, dtype=str).to_sql(file.stem, database, index=False)
        pd.DataFrame({"setting": ["a"]}).to_sql("settings", database, index=False)
    notes = " ".join(guessed("sqlite:///shop.db", place=False).draft.notes)
    assert "not read: olist_order_payments_dataset, olist_products_dataset" in notes
    assert found("shop") == truth


def test_products_of_a_database_are_mapped_and_tables_that_are_passed_over_are_named(folder: Path) -> None:
    lines = pd.read_csv(io.StringIO(rows(product=lambda n: f"SKU-{n % 20}")), dtype={"customer": str})
    products = pd.DataFrame({"product": [f"SKU-{n}" for n in range(20)], "category": ["tea", "cups"] * 10})
    with closing(sqlite3.connect("shop.db")) as database:
        lines.to_sql("lines", database, index=False)
        products.to_sql("articles", database, index=False)
        pd.DataFrame({"setting": ["a"]}).to_sql("settings", database, index=False)
    notes = " ".join(guessed("sqlite:///shop.db").draft.notes)
    assert "not looked at, by the names of their columns: settings" in notes
    written = Path("conf/data/shop.yaml").read_text()
    assert "read_since: ${now:%Y-%m-%d}" in written
    assert yaml.safe_load(written)["tables"]["products"]["columns"] == {"product_id": "product", "category": "category"}


@pytest.mark.parametrize("url", ["duckdb:///shop.db", "sqlite:///shop.db"])
@pytest.mark.quick(1)
def test_a_table_that_cannot_be_read_is_named_and_others_are_mapped_with_their_schema(url: str, folder: Path) -> None:
    (folder / "x.csv").write_text(rows())
    frame = pd.read_csv("x.csv", dtype={"customer": str})
    is_duckdb = url.startswith("duckdb")
    table = "sales.order_lines" if is_duckdb else '"order.lines"'
    with closing((duckdb if is_duckdb else sqlite3).connect("shop.db")) as database:
        if is_duckdb:
            database.execute("CREATE SCHEMA sales")
            database.execute(f"CREATE TABLE {table} AS FROM frame")
        else:
            frame.to_sql("order.lines", database, index=False)
        for name in ("order_a", "order_z"):  # before and after it
            database.execute("CREATE TABLE gone (order_id INTEGER)")
            database.execute(f"CREATE VIEW {name} AS SELECT * FROM gone")
            database.execute("DROP TABLE gone")
    notes = " ".join(guessed(url).draft.notes)
    assert "not read: order_a, as the database refuses it" in notes
    assert "not read: order_z, as the database refuses it" in notes
    mapped = yaml.safe_load(Path("conf/data/shop.yaml").read_text())["tables"]["transactions"]
    assert (mapped.get("table") or mapped.get("sql")) in (table, f"SELECT * FROM {table}")
    assert found("shop") == Truth(8, 40, frame.date.nunique(), int(frame.total.sum()))


def stray(text: str) -> str:
    """Return a text without quotes, in which a mark of quotes stands before one order's customer."""
    return re.sub("K07", '"K07', count=1, string=re.sub('"(K..).*"', r"\1", text))


ORDERS_AND_CUSTOMERS = [
    ("plain", lambda text: text.encode(), ".csv", 8),
    ("UTF-8 with a mark", lambda text: text.encode("utf-8-sig"), ".csv", 8),
    ("gzip", lambda text: gzip.compress(text.encode()), ".csv.gz", 8),
    ("bzip2", lambda text: bz2.compress(text.encode()), ".csv.bz2", 0),
    ("UTF-16 with a mark", lambda text: text.encode("utf-16"), ".csv", 0),
    ("a mark that quotes nothing", lambda text: stray(text).encode(), ".csv", 9),
]


@pytest.mark.parametrize(
    ("write", "suffix", "customers"),
    [
        pytest.param(*each[1:], id=each[0], marks=pytest.mark.slow if each[0] in ("plain", "gzip") else ())
        for each in ORDERS_AND_CUSTOMERS
    ],
)
def test_files_are_joined_as_they_were_checked_or_not_at_all(
    write: Callable[[str], bytes], suffix: str, customers: int, folder: Path
) -> None:
    lines = rows(customer=None, date=None, order=lambda n: f" {100 + n // 2} ", product=lambda n: f'5"" pipe, {n}')
    orders = ["order,customer,date", *(f'{100 + n},"K{n % 8:02} ""K""",2023-01-{1 + n:02}' for n in range(20)), ""]
    (folder / "raw/lines.csv").write_bytes(lines.encode())
    (folder / f"raw/orders{suffix}").write_bytes(write("\n".join(orders)))
    written = guessed("raw")
    if not customers:
        with pytest.raises(InputError, match="do not say all that a mapping needs"):
            check_known(written)
        return
    assert found("shop") == Truth(customers, 20, 20, sum(10 + n for n in range(40)))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://reader:geheim@db.example/shop",
        "postgresql://db.example/shop?user=reader&password=geheim",
        "mysql://reader@db.example/shop?passwd=geheim",
        "mssql+pyodbc:///?odbc_connect=UID%3Dreader%3BPWD%3Dgeheim",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(
    address: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init("other", f"path={address}", code=2)
    told = capsys.readouterr()
    assert "export SHOP_DB_PASSWORD" in told.err
    assert "geheim" not in told.err + told.out
    assert not Path("conf").exists()


@pytest.mark.slow
def test_a_table_of_refunds_is_mapped_to_returns(folder: Path) -> None:
    (folder / "raw/orders.csv").write_text(rows(date=lambda n: f"{1 + n % 28}.{1 + n // 12}.2023"))
    refunds = ["refund_id,order,refunded at,refund", *(f"R{n},{100 + 3 * n},{n + 1}.6.2023,4.5" for n in range(9)), ""]
    (folder / "raw/refunds.csv").write_text("\n".join(refunds))
    guessed("raw")
    assert money_back("shop") == (Decimal("40.5"), 9)


TWO_LINES: dict[str, Any] = {
    "order": lambda n: 100 + n // 2,
    "customer": lambda n: f"K{n // 2 % 8:02}",
    "date": lambda n: f"2023-03-{1 + n // 2:02}",
}


def test_refunds_that_are_rows_of_their_own_have_the_customer_of_the_sale_that_they_name(folder: Path) -> None:
    sales = rows(
        200, order=lambda n: f"{700 + n * 37:X}T", type=lambda n: "Express Checkout Payment", reference=lambda n: ""
    )
    back = [
        f'"{9000 + n}R","{"My shop" if n % 2 else ""}","2023-12-30","{-10 - n}","Payment Refund","{700 + n * 37:X}T"'
        for n in range(9)
    ]
    Path("x.csv").write_text(
        "\n".join([sales, *back, '"1W","My shop","2023-12-30","-500","General Withdrawal",""', ""])
    )
    init("shop", "path=x.csv", *PLACE)
    assert "original_order_id: reference" in unwrapped()
    assert not open_keys("shop")
    assert money_back("shop") == (sum(10 + n for n in range(9)), 9)
    assert found("shop").customers == 8


def test_a_total_of_the_order_on_each_line_is_asked_for_with_the_query_that_counts_it_once(folder: Path) -> None:
    (folder / "x.csv").write_text(rows(**TWO_LINES, total=lambda n: 10 + n // 2))
    guess = write_mapping("shop", "x.csv").draft["tables.transactions.columns.amount"]
    assert (guess.value, guess.is_open) == (None, True)
    query = re.search(r"sql: (SELECT .*)", guess.evidence)
    assert query is not None
    counted = duckdb.sql(f"SELECT sum(total::INTEGER), count(*) FROM ({query[1]})").fetchone()
    assert counted == (sum(range(10, 30)), 40)


@pytest.mark.parametrize(
    ("off", "asked"),
    [(lambda n: (1 + n) * (n in (10, 11)) / 4, "line_discount"), (lambda n: n // 2 % 4, "order_discount")],
    ids=["of the line", "of the order"],
)
@pytest.mark.quick(1)
def test_a_discount_by_its_name_is_asked_for(off: Callable[[int], float], asked: str, folder: Path) -> None:
    """No total shows whether prices are before it; of orders without one, nothing is to be learnt."""
    columns: dict[str, Any] = {"sku": lambda n: n % 5, "qty": lambda n: 1 + n % 3, "unit_price": lambda n: 5 + n % 5}
    found = written(rows(**TWO_LINES, **columns, total=None, discount_amount=off))["tables"]["transactions"]["columns"]
    assert {name: found[name] for name in MONEY if name.endswith("discount") and name in found} == {asked: "???"}


@pytest.mark.slow
def test_cents_and_money_given_back_are_settled_by_one_argument_each(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 40 charges of 1,000 to 1,390 cents two are given back, one of them in part."""
    charges: dict[str, Any] = {
        "amount": lambda n: 1000 + 10 * n,
        "amount_refunded": lambda n: {3: 1030, 9: 500}.get(n, 0),
        "currency": lambda n: "eur",
        "created": lambda n: 1_700_000_000 + 86_400 * n,
    }
    (folder / "x.csv").write_text(rows(date=None, total=None, **charges))
    init("shop", "path=x.csv", PLACE[1], code=2)
    told = capsys.readouterr().err
    assert "what they lack, such as cents=..., or" in told
    assert {"cents=true", "refund=amount_refunded"} <= set(re.findall(r"\w+=\w+", told))
    write_mapping("shop", "x.csv", timezone="Europe/Berlin", given={"cents": True, "refund": "amount_refunded"})
    assert (open_keys("shop"), found("shop").money) == ({}, sum(10 + Decimal(n) / 10 for n in range(40)))
    assert money_back("shop") == (Decimal("15.3"), 2)


@pytest.mark.parametrize(("free", "asked"), [(1, {}), (20, {"confirmed_drops.zero_price": "0.5"})])
def test_a_drop_is_confirmed_by_the_user_where_it_is_large(free: int, asked: dict[str, str], folder: Path) -> None:
    (folder / "x.csv").write_text(rows(date=lambda n: f"2023-03-{1 + n % 28:02}", total=lambda n: 9 * (n >= free)))
    guessed("x.csv")
    assert open_keys("shop") == asked


@pytest.mark.parametrize("sku", [lambda n: f"S{n % 10 or 99}", None], ids=["with a code", "by its name alone"])
@pytest.mark.quick(1)
def test_postage_is_known_by_the_name_of_a_product(sku: Callable[[int], str] | None, folder: Path) -> None:
    article = {"article": lambda n: f"Lámpara {n % 10}" if n % 10 else "Gastos de envío"}
    found = written(rows(**TWO_LINES, sku=sku, **article))
    assert found["non_product_codes"] == ["S99" if sku else "Gastos de envío"]
    assert "article calls them Gastos de envío: no goods" in unwrapped()


def test_lines_tell_names_and_categories_of_products(folder: Path) -> None:
    """A column that differs on lines of one product says nothing of it; a code that is written in two ways is one.

    The name that a product has on most lines is its name: a slip of the pen, first by the alphabet, is not.
    """
    columns = {
        "sku": lambda n: f"{n % 6}" if n < 20 else f" {n % 6}.0",
        "Product Name": lambda n: f"Größe {n % 6}" if n != 30 else "?",
        "Category": lambda n: ("light", "dark")[n % 2],
        "Colour Group": lambda n: ("red", "blue", "green")[n % 5 % 3],
    }
    header, *text = rows(lines=130, **columns).splitlines(keepends=True)
    for part, lines in (("a", text[:20]), ("b", text[20:])):
        (folder / f"raw/{part}.csv").write_bytes("".join([header, *lines]).encode("cp1252"))
    guessed("raw")
    products = yaml.safe_load((folder / "conf/data/shop.yaml").read_text())["tables"]["products"]
    assert products["columns"] == {"product_id": "sku", "name": "Product Name", "category": "Category"}
    known = duckdb.sql(f"SELECT product_id, name, category FROM '{staged('shop').folder}/products.parquet' ORDER BY 1")
    assert known.fetchall() == [(f"{n}", f"Größe {n}", ("light", "dark")[n % 2]) for n in range(6)]


def test_a_workbook_of_other_digits_has_products_on_a_sheet_and_sums_below(folder: Path) -> None:
    """The last row of orders has the sums of all columns, and no word says so."""
    digits = str.maketrans("0123456789.,", "٠١٢٣٤٥٦٧٨٩٫٬")
    columns = {"رقم الطلب": [f"{100 + n}" for n in range(40)], "رقم العميل": [f"K{n % 8}" for n in range(40)]}
    columns |= {"التاريخ": [f"2023-{1 + n % 12:02}-{1 + n % 28:02}".translate(digits) for n in range(40)]}
    columns |= {"sku": [f"S{n % 6}" for n in range(40)], "المبلغ": [f"{1000.25 + n:,.2f}" for n in range(40)]}
    columns = {name: [*values, values[-1]] for name, values in columns.items()}
    columns["المبلغ"] = [each.translate(digits) for each in (*columns["المبلغ"][:-1], f"{40 * 1019.75:,.2f}")]
    columns["رقم الطلب"][-1] = "40"
    products = {"sku": [f"S{n}" for n in range(6)], "Product name": list("abcdef"), "Category": list("xyxyxy")}
    with pd.ExcelWriter(folder / "x.xlsx") as book:
        pd.DataFrame(columns).to_excel(book, sheet_name="orders", index=False)
        pd.DataFrame(products).to_excel(book, sheet_name="products", index=False)
    guessed("x.xlsx")
    tables = yaml.safe_load((folder / "conf/data/shop.yaml").read_text())["tables"]
    assert tables["transactions"]["footer"] == 1
    assert tables["products"]["columns"] == {"product_id": "sku", "name": "Product name", "category": "Category"}
    assert found("shop") == Truth(customers=8, orders=40, days=40, money=Decimal("40790"))
    assert staged("shop").rows["products"] == 6


def test_each_file_has_its_own_dates_and_is_asked_for_where_order_alone_tells(folder: Path) -> None:
    """Days of the north stand after months, those of the south before; the west has no day after the twelfth."""
    days = [f"2023-{month:02}-{day:02}" for month in range(1, 13) for day in (3, 9, 11)]

    def write(name: str, written: str, first: int, late: int) -> None:
        dates = [f"{pd.Timestamp(day) + pd.Timedelta(days=late):{written}}" for day in days]
        date = {"date": lambda n: dates[n], "order": lambda n: first + n}
        (folder / f"raw/{name}.csv").write_text(rows(lines=len(days), **date))

    write("north", "%m/%d/%Y", 100, late=9)
    write("south", "%d/%m/%Y", 200, late=9)
    write("west", "%m/%d/%Y", 300, late=0)
    guessed("raw/north.csv,raw/south.csv")
    own = {"north.csv": "%m/%d/%Y", "south.csv": "%d/%m/%Y"}
    tables = yaml.safe_load((folder / "conf/data/shop.yaml").read_text())["tables"]
    assert tables["transactions"]["date_format"] == own
    assert duckdb.sql(
        f"SELECT min(timestamp)::DATE::VARCHAR, max(timestamp)::DATE::VARCHAR, count(DISTINCT timestamp) "
        f"FROM '{staged('shop').folder}/transactions.parquet'"
    ).fetchone() == ("2023-01-12", "2023-12-20", len(days))
    guessed("raw/south.csv,raw/west.csv")
    assert "tables.transactions.date_format" in open_keys("shop")


def statuses(*, with_day: bool) -> str:
    cancelled = {"order status": lambda n: "cancelled" if n % 4 == 1 else "shipped"}
    day = {"cancelled at": lambda n: f"2023-12-{1 + n // 2:02}" if n % 4 == 1 else ""} if with_day else {}
    return rows(date=lambda n: f"2023-03-{1 + n % 28:02}", **cancelled, **day)


def test_what_becomes_of_cancelled_orders_without_a_day_is_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x.csv").write_text(statuses(with_day=False))
    guessed("x.csv")
    assert open_keys("shop") == {"rules.undated_return": "drop"}  # whose rows stand beside it: one answer is enough
    assert "10 rows: 25.0% of rows" in unwrapped()
    assert re.search(r"^  undated_return: 0.25 ", unwrapped(), flags=re.M)  # confirmed_drops
    status = yaml.safe_load((folder / "conf/data/shop.yaml").read_text())["tables"]["transactions"]["status"]
    assert status["cancellation"] == ["cancelled"]
    file = Path("conf/data/shop.yaml")
    file.write_text(file.read_text().replace("undated_return: 0.25", "undated_return: ???"))
    assert main.run(["data", "--config-dir", "conf", "data=shop"]) != 0
    said = capsys.readouterr().err
    assert "data.confirmed_drops.undated_return has no value" in said
    assert "conf/data/shop.yaml" in said
    assert "fill in each ??? there (confirmed_drops.undated_return, rules.undated_return)" in said


@pytest.mark.parametrize("sales", [("Completed",), ("shipped", "delivered")])
def test_rows_without_a_number_have_a_status_each(sales: tuple[str, ...], folder: Path) -> None:
    """A cancelled row and a paid one of one customer and day are two orders, and the paid one counts.

    Two words for sales may stand on lines of one order: these are no reason to tell orders apart.
    """
    text = pd.read_csv(StringIO(rows(date=lambda n: f"2023-03-{1 + n % 8 + n // 20:02}"))).drop(columns="order")
    text["order status"] = ["Cancelled" if n % 3 == 1 else sales[n % len(sales)] for n in range(len(text))]
    text["loyalty member"] = ["no", "yes"] * 20
    text.to_csv(folder / "x.csv", index=False)
    guessed("x.csv")
    paid = text[text["order status"] != "Cancelled"]
    assert found("shop").money == int(paid["total"].sum())
    is_paid = text["order status"].ne("Cancelled").groupby([text["customer"], text["date"]])
    assert is_paid.nunique().max() == 2
    transactions = yaml.safe_load(Path("conf/data/shop.yaml").read_text())["tables"]["transactions"]
    assert transactions["order_key"] == ["customer", "day", *(["order status"] if len(sales) == 1 else [])]
    assert "loyalty" not in unwrapped().partition("not used")[0]
    settled = {"column": "order status", "sale": list(sales), "cancellation": ["Cancelled"]}
    guessed("x.csv", status=settled, amount="total")
    assert yaml.safe_load(Path("conf/data/shop.yaml").read_text())["tables"]["transactions"] == transactions
    assert "amount: total # total of the line, as given" in re.sub(" +", " ", unwrapped())
    text["quantity"], text["add-on total"] = [n % 3 + 1 for n in range(len(text))], 1.5
    text.assign(price=text["total"] / text["quantity"]).to_csv(folder / "x.csv", index=False)
    guessed("x.csv")
    adds_up = unwrapped().partition("amount: total")[2].partition("quantity: ")[0]
    assert "gives it in 100.0% of the rows" in adds_up
    assert "or:" not in adds_up  # the amount itself, split, or a pair that does not add up


@pytest.mark.parametrize(
    "first",
    [pytest.param(101, id="of the cancelled orders", marks=pytest.mark.slow), pytest.param(100, id="of others")],
)
def test_returns_are_told_in_one_way(first: int, folder: Path) -> None:
    """A dated status and a table of refunds: the status where it has the same orders, and else the table."""
    (folder / "raw/orders.csv").write_text(statuses(with_day=True))
    refunds = [f"R{n},{first + 4 * n},2024-01-{1 + n:02},4" for n in range(10)]
    (folder / "raw/refunds.csv").write_text("\n".join(["refund_id,order,refunded at,refund", *refunds, ""]))
    guessed("raw")
    config = yaml.safe_load((folder / "conf/data/shop.yaml").read_text())["tables"]
    assert ("returns" in config, "returned_at" in config["transactions"]["columns"]) == (first == 100, first == 101)
    money = f"(SELECT sum(amount) FROM '{staged('shop').folder}/{{}}.parquet')"
    net = duckdb.sql(f"SELECT {money.format('transactions')} - {money.format('returns')}").fetchone()
    sold = sum(10 + n for n in range(40) if n % 4 != 1)
    assert net == (sold - (40 if first == 100 else 0),)


def test_answers_at_a_terminal_are_read_as_the_mapping_reads_them_and_rules_follow(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"amount": "zz", "currency": "EUR", "timezone": "Europe/Berlin", "zero_price": "0.5"}
    monkeypatch.setattr("builtins.input", lambda question: answers[question.split(" ")[0].rpartition(".")[2]])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    (folder / "x.csv").write_text(rows(total=None, zz=lambda n: 3 * (n % 5 > 1)))
    init("shop", "path=x.csv")
    config = yaml.safe_load((folder / "conf/data/shop.yaml").read_text())
    assert (config["tables"]["transactions"]["columns"]["amount"], config["rules"]) == ("zz", {"zero_price": "drop"})
    assert config["confirmed_drops"] == {"zero_price": 0.5}


def test_the_ids_of_guests_give_way_to_addresses_that_know_them(folder: Path) -> None:
    mapped = written(rows(customer=lambda n: 0 if n % 4 == 3 else n % 8, email=lambda n: f"c{n % 8}@x.org"))
    assert mapped["tables"]["transactions"]["columns"]["customer_id"] == "email"


def test_a_number_that_no_name_explains_is_of_orders_where_each_row_is_one(folder: Path) -> None:
    when = dict(date=lambda n: f"2023-{1 + n % 12:02}-{1 + n % 28:02} 10:{n:02}")
    assert (
        written(rows(order=None, id=lambda n: f"ch_{n}", **when))["tables"]["transactions"]["columns"]["order_id"]
        == "id"
    )
    lines = rows(
        order=None,
        id=lambda n: f"ch_{n}",
        customer=lambda n: n // 2 % 8,
        date=lambda n: f"2023-01-{1 + n // 2:02} 10:00",
    )
    assert "order_key" in written(lines)["tables"]["transactions"]  # two lines at one time


def test_flags_are_no_money_and_bills_are_sales_before_they_are_paid(folder: Path) -> None:
    Path("x.csv").write_text(rows(**{"Refunded?": lambda n: int(n % 9 == 4)}))
    draft = guessed("x.csv").draft
    assert draft.unknown() == ["tables.transactions.status"]
    assert 'exclude: ["1"]' in str(draft["tables.transactions.status"].others)
    state = lambda n: "Awaiting Payment" if n % 9 == 4 else "Paid"  # noqa: E731
    Path("y.csv").write_text(rows(order=None, invoice_no=lambda n: n + 7, state=state).replace("state", "Status"))
    shutil.rmtree("conf")
    assert guessed("y.csv").draft.unknown() == ["tables.transactions.status"]


def test_a_part_that_was_refunded_counts_from_its_day(folder: Path) -> None:
    back = {
        "Amount refunded": lambda n: 5 if n % 9 == 4 else 0,
        "Refunded date (UTC)": lambda n: "2023-12-30" if n % 9 == 4 else "",
    }
    Path("x.csv").write_text(rows(**back))
    init("shop", "path=x.csv", *PLACE)
    assert money_back("shop") == (20, 4)
    assert not open_keys("shop")


def test_credits_above_0_that_name_their_sale_take_it_back(folder: Path) -> None:
    sales = rows(60, order=lambda n: f"ch_{n}", type=lambda n: "charge", charge=lambda n: "")
    back = [f'"re_{n}","","2023-12-30","{5 + n}","refund","ch_{n}"' for n in range(9)]
    Path("x.csv").write_text("\n".join([sales.rstrip(), *back, ""]))
    init("shop", "path=x.csv", *PLACE)
    assert money_back("shop") == (sum(5 + n for n in range(9)), 9)
    assert not open_keys("shop")


@pytest.mark.parametrize("minus", ["", "-"])
def test_money_on_two_sides_is_asked_for_with_the_query_that_makes_it_one(minus: str, folder: Path) -> None:
    sides = {
        "Gross debit": lambda n: f"{minus}{n}" if n % 9 == 4 else "",
        "Gross credit": lambda n: "" if n % 9 == 4 else n + 1,
    }
    Path("x.csv").write_text(rows(total=None, **sides))
    asked = guessed("x.csv").draft["tables.transactions.columns.amount"]
    assert asked.is_open
    sql = asked.evidence.partition("sql: ")[2]
    signed = sum(-n if n % 9 == 4 else n + 1 for n in range(40))
    assert duckdb.sql(f"SELECT sum(signed::INT) FROM ({sql})").fetchone() == (signed,)


def test_a_header_that_lacks_a_name_stops_with_its_line(folder: Path) -> None:
    Path("x.csv").write_text(rows().replace("order,customer,date,total", "order,customer,date", 1))
    with pytest.raises(InputError, match=r"4 values and 3 names(?s:.*)x.csv, line 1"):
        guessed("x.csv")


@pytest.mark.parametrize("key", ["phone", "email"])
def test_names_that_tell_more_customers_apart_than_a_phone_are_asked_for(key: str, folder: Path) -> None:
    """Two firms may have one phone; a person with one e-mail address may write a name in two ways."""
    contact = {"phone": lambda n: f"212-555-{n % 8 // 2:04}", "email": lambda n: f"a{n % 8 // 2}@x.eu"}[key]
    own = {key: contact, "customer_name": lambda n: "Firm 0" if n == 4 else f"Firm {n % 8}"}  # one has two numbers
    (folder / "x.csv").write_text(rows(customer=None, **own))
    init("shop", "path=x.csv", *PLACE)
    said = next(line for line in unwrapped("shop").splitlines() if line.strip().startswith("customer_id:"))
    assert "4 with several values of customer_name, which has 8; or: customer_name" in said
    assert open_keys("shop") == ({"tables.transactions.columns.customer_id": "phone"} if key == "phone" else {})
    init("shop", "path=x.csv", *PLACE, "customer_id=customer_name")
    assert (open_keys("shop"), found("shop").customers) == ({}, 8)


def test_names_of_one_customer_each_and_those_of_other_things_are_not_asked_for(folder: Path) -> None:
    (folder / "x.csv").write_text(
        rows(
            customer=None,
            phone=lambda n: f"212-555-{n % 8:04}",
            customer_name=lambda n: f"Firm {n % 4}",
            contact_name=lambda n: f"Person {n % 9}",
        )
    )
    init("shop", "path=x.csv", *PLACE)
    assert (open_keys("shop"), found("shop").customers) == ({}, 8)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_money_with_the_noise_of_short_floats_is_read_without_it(kind: str, folder: Path) -> None:
    lines = pd.read_csv(StringIO(rows()))
    lines["total"] = (lines["total"] + 0.1).astype("float32").astype(kind)
    lines.to_parquet("x.parquet")
    init("shop", "path=x.parquet", *PLACE)
    assert (open_keys("shop"), found("shop").money) == ({}, sum(Decimal(10 + n) + Decimal("0.1") for n in range(40)))
    assert ("rounded: true" in Path("conf/data/shop.yaml").read_text()) is (kind == "float64")  # it keeps the noise


def test_amounts_far_below_a_cent_are_not_rounded(folder: Path) -> None:
    (folder / "x.csv").write_text(rows(total=lambda n: f"0.000{10 + n}1"))
    init("coin", "path=x.csv", *PLACE, code=2)
    assert "rounded" not in Path("conf/data/coin.yaml").read_text()


def test_cancellations_of_a_status_that_is_given_are_asked_for_unless_a_column_has_their_day(folder: Path) -> None:
    state = {"state": lambda n: ("zz", "done")[n % 20 > 0]}
    given = "status={column: state, sale: [done], cancellation: [ZZ, unheard of]}"
    (folder / "x.csv").write_text(rows(**state))
    init("shop", "path=x.csv", *PLACE, given)
    assert (open_keys("shop"), found("shop").orders) == ({"rules.undated_return": "drop"}, 38)
    day = {"cancelled_at": lambda n: "" if n % 20 else "2024-02-01"}
    (folder / "x.csv").write_text(rows(**state, **day))
    init("shop", "path=x.csv", *PLACE, given)
    assert (open_keys("shop"), found("shop").orders) == ({}, 40)
    init("shop", "path=x.csv", *PLACE, "status={column: state, sale: [done, zz], cancellation: [unheard of]}")
    assert open_keys("shop") == {}


def test_orders_of_nobody_are_said_to_be_of_no_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.csv").write_text(rows(customer=None))
    init("shop", "path=x.csv", *PLACE, code=2)
    assert "no column is called a customer, and no other looks like one; orders without" in capsys.readouterr().err
