"""A shop in PostgreSQL, read by both drivers: `make test-fleet`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import psycopg
import pytest

from experiments.commands.compose import open_session
from features.engines import staging_engine
from features.errors import InputError
from features.sources import stage
from features.sources.database import connections
from features.sources.database.address import address
from features.sources.guess.databases import open_database
from features.sources.staged import Staged
from fleet import postgresql
from shop_database import ROWS, database_config, incrementally, insert, line, read_anew, script
from workplace import experiments

pytestmark = pytest.mark.fleet
PASSWORD = "a:b/c@d %e"  # with marks that an address has itself
BATCH_ROWS = 100


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server with an empty database `shop` and a user of that name, without the password."""
    with TemporaryDirectory() as folder, postgresql(Path(folder) / "postgresql") as (root, password):
        with psycopg.connect(f"{root}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE USER shop PASSWORD '{PASSWORD}'")
            connection.execute("CREATE DATABASE shop OWNER shop")
        yield root.replace(f"fleet:{password}@", "shop@") + "/shop"


@pytest.fixture
def shop(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A connection that writes to the shop, which is new for each test."""
    monkeypatch.setattr(connections, "BATCH_ROWS", BATCH_ROWS)
    with psycopg.connect(server, password=PASSWORD, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS lines")
        for statement in script():
            connection.execute(statement)
        zoned = "ALTER TABLE lines ALTER {0} TYPE timestamptz USING {0} AT TIME ZONE '{1}'"
        connection.execute(zoned.format("sold_at", "Europe/Berlin"))
        connection.execute(zoned.format("updated_at", "UTC"))
        yield connection


@pytest.fixture(params=["postgresql", "postgresql+adbc"])
def url(request: pytest.FixtureRequest, server: str) -> str:
    return server.replace("postgresql", request.param)


def rows(staged: Staged) -> list[tuple[object, ...]]:
    return duckdb.sql(f"FROM '{staged.folder}/transactions.parquet' ORDER BY order_id, line_number").fetchall()


def test_a_table_is_staged_as_from_a_file_by_both_drivers(url: str, shop: psycopg.Connection, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as file:
        for statement in script():
            file.execute(statement)
    of_file = stage(database_config(f"duckdb:///{tmp_path}/shop.duckdb"), tmp_path / "of_file")
    of_server = stage(database_config(url, password=PASSWORD), tmp_path / "of_server")
    assert len(rows(of_file)) == ROWS
    assert rows(of_server) == rows(of_file)


def test_newer_rows_alone_give_what_a_full_staging_gives(
    url: str, shop: psycopg.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = incrementally(database_config(url, password=PASSWORD))
    stage(config, tmp_path / "cache")
    steps = [
        [insert(line(ROWS + 1, updated="2024-02-01 00:00:00"))],
        ["UPDATE lines SET total = 1, updated_at = '2024-02-02 00:00:00.5+00' WHERE id < 9"],
        ["DELETE FROM lines WHERE id = 20", insert(line(ROWS + 2, updated="2024-02-03 00:00:00"))],
    ]
    for number, statements in enumerate(steps):
        for statement in statements:
            shop.execute(statement)
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="features"):
            newer = stage(read_anew(config), tmp_path / "cache")
        assert newer.digest == stage(config, tmp_path / f"whole_{number}").digest
        assert ("all are read again" in caplog.text) == (number == 2)


def test_rows_stay_on_the_server_until_their_batch_and_all_tables_are_of_one_moment(
    server: str, shop: psycopg.Connection, tmp_path: Path
) -> None:
    with connections.connected(address(server, PASSWORD), tmp_path) as connection:
        streamed = connection.batches("SELECT * FROM lines")
        _, first = islice(streamed, 2)
        fetched = shop.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH FORWARD%'").fetchone()
        shop.execute(insert(line(ROWS + 1)))
        assert first.num_rows == BATCH_ROWS
        assert fetched == (1,)
        assert connection.count("SELECT * FROM lines") == ROWS


def test_a_query_that_writes_is_refused_by_its_words_or_by_the_server(
    url: str, shop: psycopg.Connection, tmp_path: Path
) -> None:
    """A function of the database may write, and its call does not show it: the transaction only reads."""
    shop.execute(
        "CREATE OR REPLACE FUNCTION emptied() RETURNS integer LANGUAGE plpgsql AS "
        "'BEGIN DELETE FROM lines; RETURN 1; END'"
    )
    config = database_config(url, password=PASSWORD)
    for writing, refused in {
        "WITH gone AS (DELETE FROM lines RETURNING *) SELECT * FROM gone": "is not a single query",
        "SELECT *, emptied() AS n FROM lines": "refuses the query",
    }.items():
        config["tables"]["transactions"] |= {"table": None, "sql": writing}
        with pytest.raises(InputError, match=refused):
            stage(config, tmp_path)
        assert shop.execute("SELECT count(*) FROM lines").fetchone() == (ROWS,)


def test_a_wrong_password_and_an_absent_table_are_named_without_the_password(
    url: str, shop: psycopg.Connection, tmp_path: Path
) -> None:
    wrong = database_config(url, password="tiger7")
    absent = database_config(url, password=PASSWORD)
    absent["tables"]["transactions"]["table"] = "public.line"
    for config, words in (
        (wrong, "refuses the user(.|\n)*shop@127.0.0.1(.|\n)*SHOP_DB_PASSWORD"),
        (database_config(url), "refuses the user(.|\n)*SHOP_DB_PASSWORD"),
        (absent, "does not give the table public.line(.|\n)*shop@127.0.0.1"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            stage(config, tmp_path)
        assert "tiger7" not in str(caught.value)
        assert PASSWORD not in str(caught.value)


def test_init_looks_at_all_schemas_and_goes_on_past_a_table_that_the_user_may_not_read(
    url: str, shop: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for statement in (
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.order_lines AS TABLE lines",
        "CREATE TABLE order_closed AS TABLE lines",
        "REVOKE SELECT ON order_closed FROM shop",
    ):
        shop.execute(statement)
    monkeypatch.setenv("SHOP_DB_PASSWORD", PASSWORD)
    engine = staging_engine(tmp_path)
    try:
        opened, keys = open_database(url, engine, tmp_path, [])
        assert {table.name: table.rows for table in opened} == {"lines": ROWS, "sales.order_lines": ROWS}
        (note,) = opened[0].notes
        assert "not read: order_closed, as the database refuses it" in note
        assert "permission denied" in note
        assert keys["url"].evidence == "3 tables"
    finally:
        engine.connection.disconnect()
        shop.execute("DROP SCHEMA sales CASCADE")
        shop.execute("DROP TABLE order_closed")


def test_the_password_is_in_no_file_text_or_artifact(
    server: str, shop: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "shop.yaml").write_text(
        "defaults: [database, _self_]\nshop: s\ncurrency: EUR\ntimezone: Europe/Berlin\nmax_dropped: 1\n"
        f"url: {server}\npassword: ${{oc.env:SHOP_DB_PASSWORD}}\n"
        "tables: {transactions: {table: lines, columns: {order_id: order_id, customer_id: customer, "
        "timestamp: sold_at, amount: total}}}\n"
    )
    chosen = ["--config-dir=conf", "data=shop"]
    monkeypatch.delenv("SHOP_DB_PASSWORD", raising=False)
    unset = experiments(tmp_path, "data", *chosen, code=2)
    assert "the environment variable SHOP_DB_PASSWORD is not set" in unset.stderr

    monkeypatch.setenv("SHOP_DB_PASSWORD", PASSWORD)
    done = experiments(tmp_path, "data", *chosen)
    assert f"{ROWS}" in done.stdout
    dumped = experiments(tmp_path, "data", *chosen, "--cfg", "job", "--resolve")
    assert "password: '***'" in dumped.stdout or "password: ***" in dumped.stdout
    session = open_session(data="shop", folder=tmp_path, config_dir=tmp_path / "conf")
    texts = [done.stdout, done.stderr, dumped.stdout, *session.texts.values(), session.again("tune")]
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert [text for text in texts if PASSWORD in text or PASSWORD[4:] in text] == []
