"""Ids of one customer, merged at staging: chains, circles, conflicts, and what becomes of the tables."""

import random

import duckdb
import ibis
import pandas as pd
import pytest

from features.data_profile import profile, profile_text
from features.errors import InputError
from features.sources import stage
from features.sources.files.identities import linked
from online_retail import data_config
from shop_database import database_config


class Shop:
    """Lines and identities in CSV files or in a database, and the config that stages them."""

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, folder
        self.database = folder / "shop.duckdb"
        url = f"duckdb:///{self.database}"
        files = data_config("files", shop="s", currency="EUR", timezone="UTC", path=str(folder), max_dropped=1)
        self.config = files if kind == "files" else database_config(url, timezone="UTC")
        self.config["tables"]["transactions"] = None

    def table(self, name, columns, *rows):
        """Write rows of texts as a table whose columns have the canonical names."""
        values = ", ".join(str(tuple(row)) for row in rows)
        query = f"SELECT * FROM (VALUES {values}) AS t({', '.join(columns)})"
        if self.kind == "files":
            duckdb.sql(f"COPY ({query}) TO '{self.folder}/{name}.csv'")
            place = {"path": f"{name}.csv"}
        else:
            with duckdb.connect(str(self.database)) as connection:
                connection.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")
            place = {"table": name}
        self.config["tables"][name] = place | {"columns": dict(zip(columns, columns, strict=True))}

    def lines(self, *customers):
        """Write an order for each of the customers, one a day."""
        rows = [(f"o{n}", customer, f"2024-01-{n + 1:02}", "10") for n, customer in enumerate(customers)]
        self.table("transactions", ("order_id", "customer_id", "timestamp", "amount"), *rows)

    def links(self, *links):
        self.table("identities", ("id", "customer_id"), *links)
        self.config["rules"]["undated_identity"] = "keep"

    def stage(self):
        return stage(self.config, self.folder / "cache")

    def refused(self, *words):
        with pytest.raises(InputError) as caught:
            self.stage()
        missing = [word for word in words if word not in str(caught.value)]
        assert not missing, f"{missing} not in:\n{caught.value}"


def column(staged, table, name, order):
    query = f"SELECT {name} FROM '{staged.folder}/{table}.parquet' ORDER BY {order}"
    return [value for (value,) in duckdb.sql(query).fetchall()]


@pytest.fixture(params=["files", pytest.param("database", marks=pytest.mark.slow)])
def shop(request, tmp_path):
    return Shop(request.param, tmp_path)


@pytest.fixture
def of_files(tmp_path):
    return Shop("files", tmp_path)


def test_chains_of_any_length_lead_to_their_last_customer(shop, engine):
    shop.lines("cookie", "card", "A", "B", "d7", "C")
    shop.links(("cookie", "card"), ("card", "A"), ("A", "A"), *((f"d{n}", f"d{n + 1}") for n in range(9)), ("d9", "C"))
    staged = shop.stage()
    assert column(staged, "transactions", "customer_id", "order_id") == ["A", "A", "A", "B", "C", "C"]
    assert set(column(staged, "identities", "customer_id", "id")) == {"A", "C"}
    assert staged.customers == 3
    text = profile_text(profile(staged, staged.open(engine), engine, shop.config))
    assert "transactions: 6 ids are 3 customers by identities; 3 rows went to another id, by links of unknown" in text


def test_links_without_a_date_stop_until_they_are_confirmed_or_merge_nothing(shop):
    shop.lines("cookie", "A", "B")
    shop.links(("cookie", "A"), ("B", "B"))
    shop.config["rules"]["undated_identity"] = "error"
    shop.refused(
        *("1 rows of identities meet the rule undated_identity", "has no date", "cookie -> A"),
        "data.rules.undated_identity=keep",
    )
    shop.config["rules"]["undated_identity"] = "drop"
    assert column(shop.stage(), "transactions", "customer_id", "order_id") == ["cookie", "A", "B"]
    shop.config["rules"]["undated_identity"] = "keep"
    assert column(shop.stage(), "transactions", "customer_id", "order_id") == ["A", "A", "B"]


def test_an_order_whose_lines_have_ids_of_one_customer_is_one_order(of_files):
    lines = [("1", "a", "2024-01-01", "5"), ("1", "A", "2024-01-01", "6"), ("2", "B", "2024-01-02", "5")]
    of_files.table("transactions", ("order_id", "customer_id", "timestamp", "amount"), *lines)
    of_files.refused("1 orders belong to several customers")
    of_files.links(("a", "A"))
    assert of_files.stage().customers == 2


@pytest.mark.slow
def test_a_return_under_another_id_takes_the_customers_sale_back(of_files):
    columns = ("order_id", "customer_id", "timestamp", "amount", "quantity", "product_id")
    of_files.table(
        "transactions",
        columns,
        *[("1", "card", "2024-01-01", "5", "1", "x"), ("2", "cookie", "2024-01-02", "-5", "-1", "x")],
        *[("3", "B", "2024-01-03", "5", "1", "x"), ("4", "A", "2024-01-04", "7", "1", "y")],
    )
    of_files.links(("cookie", "A"), ("card", "A"))
    of_files.config["rules"] |= {"negative_quantity": "return", "negative_amount": "return"}
    staged = of_files.stage()
    assert column(staged, "returns", "customer_id", "ALL") == ["A"]
    assert column(staged, "returns", "order_id", "ALL") == ["1"]


@pytest.mark.slow
def test_one_id_of_several_customers_stops_with_examples_or_stays_as_it_is(shop):
    shop.lines("shared", "A", "B", "own")
    shop.links(("shared", "A"), ("shared", "B"), ("own", "A"))
    shop.refused(
        *("2 rows of identities meet the rule conflicting_identity", "one id to several customers"),
        *("shared -> A, shared -> B", "data.rules.conflicting_identity=drop"),
    )
    shop.config["rules"]["conflicting_identity"] = "drop"
    staged = shop.stage()
    assert column(staged, "transactions", "customer_id", "order_id") == ["shared", "A", "B", "A"]
    assert {drop.rule: drop.rows for drop in staged.drops if drop.table == "identities"}["conflicting_identity"] == 2


@pytest.mark.slow
def test_a_circle_stops_with_examples_or_its_ids_stay_as_they_are(shop):
    shop.lines("a", "b", "c", "into", "own", "A")
    shop.links(("a", "b"), ("b", "c"), ("c", "a"), ("into", "a"), ("own", "A"))
    shop.refused("4 rows of identities meet the rule circular_identity", "a -> b, b -> c", "circular_identity=drop")
    shop.config["rules"]["circular_identity"] = "drop"
    staged = shop.stage()
    assert column(staged, "transactions", "customer_id", "order_id") == ["a", "b", "c", "into", "A", "A"]
    assert staged.rows["identities"] == 1


def test_rows_that_merging_makes_equal_in_their_key_are_one_and_counted(of_files):
    of_files.lines("cookie", "A", "card", "B")
    of_files.links(("cookie", "A"), ("card", "A"))
    regions = {"card": "north", "A": "south", "cookie": "east", "B": "west"}
    of_files.table("customers", ("customer_id", "region"), *regions.items())
    contacts = [("1", "cookie", "2024-01-02"), ("1", "card", "2024-01-01"), ("1", "B", "2024-01-01")]
    contacts.append(("2", "card", "2024-01-03"))
    of_files.table("contacts", ("campaign_id", "customer_id", "contacted_at"), *contacts)
    staged = of_files.stage()
    assert column(staged, "customers", "region", "customer_id") == ["south", "west"]
    assert column(staged, "contacts", "customer_id || campaign_id", "ALL") == ["A1", "A2", "B1"]
    dropped = {drop.table: drop.rows for drop in staged.drops if drop.rule == "merged_identity"}
    assert dropped == {"identities": 0, "customers": 2, "contacts": 1}


def test_a_key_that_occurred_twice_before_is_refused_as_without_identities(of_files):
    of_files.lines("A", "B")
    of_files.links(("a", "A"))
    of_files.table("customers", ("customer_id", "region"), ("A", "north"), ("A", "south"))
    of_files.refused("customers", "customer_id")


def followed(links):
    """Follow each id in plain Python: its last customer, or None in a circle."""
    ends = {}
    for start in links:
        seen, at = set(), start
        while at in links and at not in seen:
            seen.add(at)
            at = links[at]
        ends[start] = None if at in links else at
    return ends


@pytest.mark.parametrize("n_ids", [20, 150, 199])
def test_random_links_are_followed_as_plain_python_follows_them(n_ids, engine):
    """The more of 200 ids have a link, the longer are the chains, and the more of them end in circles."""
    draw = random.Random(n_ids)
    targets = {f"i{n}": f"i{draw.randrange(200)}" for n in range(n_ids)}
    links = {each: target for each, target in targets.items() if each != target}
    rows = ibis.memtable(pd.DataFrame({"id": list(links), "customer_id": list(links.values())}))
    found = engine.frame(linked(rows, engine)).set_index("id")
    expected = followed(links)
    assert {each for each in links if expected[each] is None} == set(found.index[found.is_circular])
    assert found.customer_id[~found.is_circular].to_dict() == {k: v for k, v in expected.items() if v is not None}
    assert found.customer_id[found.is_circular].to_dict() == {k: links[k] for k, v in expected.items() if v is None}
