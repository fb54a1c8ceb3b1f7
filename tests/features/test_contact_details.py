"""Contact details of customers: read for lists alone, and kept nowhere."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from features.engines import open_engine
from features.errors import InputError
from features.shop import Shop
from features.sources import contact_details, stage
from online_retail import OnlineRetail
from shop_database import database_config, script

PEOPLE = 'No;Full name;Tel\n17850.0;"Ada, née King";+44 20 7946 0001\n13047;Grace;-\n99999;Nobody;+44 20 7946 0003\n'
TOLD = ("née King", "7946", "Grace")
DETAILS = {"path": "people.csv", "customer_id": "No", "columns": {"name": "Full name", "phone": "Tel"}}


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture
def shop(tmp_path: Path) -> OnlineRetail:
    own = OnlineRetail(tmp_path)
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    return own


def opened(config: dict, cache: Path) -> Shop:
    return Shop.open(config, open_engine("duckdb", threads=1, memory_limit="1GiB", temp_directory=str(cache)), cache)


def test_they_are_read_under_the_ids_of_the_orders_and_are_in_no_table_or_cache(shop, tmp_path, caplog) -> None:
    cache = tmp_path / "cache"
    before = stage(shop.config, cache)
    config = shop.config | {"contact_details": DETAILS}
    with caplog.at_level(logging.DEBUG):
        found = opened(config, cache).contact_details(config)
    assert found.loc["17850"].to_dict() == {"name": "Ada, née King", "phone": "+44 20 7946 0001"}
    assert pd.isna(found.loc["13047", "phone"])  # a word for nothing
    again = stage(config, cache)
    assert again.digest == before.digest  # nothing is trained anew because of them
    assert list(again.rows) == ["transactions"]
    for text in TOLD:
        assert text.encode() not in everything(cache)
        assert text not in caplog.text


def test_they_may_be_columns_of_the_table_of_customers(shop, tmp_path) -> None:
    customers = {"path": "people.csv", "delimiter": ";", "columns": {"customer_id": "No"}}
    config = shop.config | {"contact_details": {"columns": ["Tel"]}}
    config["tables"] = config["tables"] | {"customers": customers}
    details = opened(config, tmp_path / "cache").contact_details(config)
    assert details.loc["17850"].to_dict() == {"Tel": "+44 20 7946 0001"}
    assert b"7946" not in everything(tmp_path / "cache")


def test_ids_that_lead_to_one_customer_give_one_row_that_of_the_own_id_first(shop, tmp_path) -> None:
    (tmp_path / "links.csv").write_text("cookie,account\n00,99999\n99999,17850\n")
    (tmp_path / "people.csv").write_text(f"{PEOPLE}00;Old name;\n", encoding="utf-8")
    config = shop.config | {"contact_details": DETAILS}
    links = {"path": "links.csv", "columns": {"id": "cookie", "customer_id": "account"}}
    config |= {"rules": config["rules"] | {"undated_identity": "keep"}}
    config["tables"] = config["tables"] | {"identities": links}
    details = opened(config, tmp_path / "cache").contact_details(config)
    assert details["name"].to_dict() == {"13047": "Grace", "17850": "Ada, née King"}


def test_of_a_database_they_are_not_among_the_rows_that_are_kept(tmp_path) -> None:
    file, cache = tmp_path / "shop.sqlite", tmp_path / "cache"
    with closing(sqlite3.connect(file)) as connection:
        for statement in (*script(), "CREATE TABLE people (customer TEXT, tel TEXT)"):
            connection.execute(statement)
        connection.execute("INSERT INTO people VALUES ('03', '+49 30 901820')")
        connection.commit()
    own = {"table": "people", "customer_id": "customer", "columns": {"phone": "tel"}}
    config = database_config(f"sqlite:///{file}", contact_details=own)
    assert opened(config, cache).contact_details(config)["phone"].to_dict() == {"03": "+49 30 901820"}
    assert b"901820" not in everything(cache)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"columns": ["Tel"]}, "contact_details.path is not set"),
        ({"path": "people.csv", "columns": ["Tel"]}, "contact_details.customer_id is not set"),
        (DETAILS | {"columns": {"phone": "Telephone"}}, "no column 'Telephone'"),
        (DETAILS | {"column": ["Tel"]}, "did you mean 'columns'"),
        (DETAILS | {"path": "nobody.csv"}, "nobody.csv"),
        ({"path": "people.csv", "customer_id": "No"}, "contact_details.columns is not set"),
    ],
)
def test_wrong_ones_are_refused_without_showing_what_a_table_holds(shop, given, words) -> None:
    with pytest.raises(InputError) as caught:
        contact_details(shop.config | {"contact_details": given})
    assert words in str(caught.value)
    assert not any(text in str(caught.value) for text in TOLD)
