"""Tables of a database: read in batches, newer rows alone where that gives the same, and never written."""

import logging
import random
import re
import sqlite3
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pytest
import yaml

from features.errors import InputError
from features.sources import stage, stage_before
from features.sources.database import Database, batches, connections
from features.sources.database.address import address
from features.sources.database.statements import one_query
from features.sources.pseudonyms import KEY
from features.sources.shop_config import shop_config
from online_retail import CONF, data_config
from shop_database import COLUMNS, ROWS, database_config, incrementally, insert, line, read_anew, script

CHANGED = 5


class Shop:
    """A database file, and the config that stages it."""

    def __init__(self, backend, folder):
        self.backend, self.folder = backend, folder
        self.file = folder / f"shop.{backend}"
        self.run(*script())
        self.config = database_config(f"{backend}:///{self.file}")
        self.table = self.config["tables"]["transactions"]

    def run(self, *statements):
        connect = {"sqlite": sqlite3.connect, "duckdb": duckdb.connect}[self.backend]
        with closing(connect(str(self.file))) as connection:
            for statement in statements:
                connection.execute(statement)
            if self.backend == "sqlite":
                connection.commit()

    def stage(self, cache="cache"):
        return stage(self.config, self.folder / cache)

    def stage_anew(self, cache="cache"):
        return stage(read_anew(self.config), self.folder / cache)

    def read(self, cache):
        """Read what is newer than the reading in a cache; return the digest of its rows."""
        config = read_anew(self.config)
        options = dict.fromkeys((*Database.required, *Database.optional)) | config
        return Database(shop_config(config), options).content(self.folder / cache / "s")

    def refused(self, *words):
        with pytest.raises(InputError) as caught:
            self.stage()
        missing = [word for word in words if word not in str(caught.value)]
        assert not missing, f"{missing} not in:\n{caught.value}"
        return caught.value

    @property
    def store(self):
        (found,) = (self.folder / "cache" / "s" / "database").iterdir()
        return found


def rows(staged, order="order_id, line_number"):
    return duckdb.sql(f"FROM '{staged.folder}/transactions.parquet' ORDER BY {order}").fetchall()


@pytest.fixture(params=["sqlite", pytest.param("duckdb", marks=pytest.mark.slow)])
def shop(request, tmp_path):
    return Shop(request.param, tmp_path)


@pytest.fixture
def sqlite(tmp_path):
    return Shop("sqlite", tmp_path)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(connections, "BATCH_ROWS", 7)


def test_a_table_is_staged_as_its_export_is(shop, tmp_path, small_batches):
    columns = ", ".join(COLUMNS.values())
    exported = tmp_path / "lines.csv"
    with closing(duckdb.connect()) as connection:
        connection.execute(script()[0])
        connection.execute(script()[1])
        connection.execute(f"COPY (SELECT id, {columns} FROM lines) TO '{exported}'")
    files = data_config("files", shop="s", currency="EUR", timezone="Europe/Berlin", max_dropped=1)
    files["tables"]["transactions"] |= {"path": str(exported), "columns": dict(COLUMNS)}
    expected = rows(stage(files, tmp_path / "of_files"))
    assert len(expected) == ROWS
    assert rows(shop.stage()) == expected


def test_a_query_is_read_as_a_table_is(shop):
    expected = [row for row in rows(shop.stage()) if row[0] < "3"]
    shop.table |= {"table": None, "sql": "SELECT * FROM lines -- all;\nWHERE CAST(order_id AS VARCHAR) < '3';"}
    shop.config["order_spans_days"] = False
    assert [row[:1] + row[2:] for row in rows(shop.stage())] == [row[:1] + row[2:] for row in expected]


def test_texts_with_marks_of_parameters_and_patterns_reach_the_database_as_they_are(shop):
    query = "SELECT *, '50% :off ?' AS offer FROM lines WHERE note IS NULL OR note <> '%x :y {z} ?'"
    incrementally(shop.config)
    shop.table |= {"table": None, "sql": query, "columns": {**COLUMNS, "store_id": "offer"}}
    for staged in (shop.stage(), shop.stage_anew()):
        assert duckdb.sql(f"SELECT DISTINCT store_id FROM '{staged.folder}/transactions.parquet'").fetchall() == [
            ("50% :off ?",)
        ]


def memory_of_reading(shop, number, folder):
    """Read so many rows in batches; return the most bytes that Python and Arrow held meanwhile."""
    held = []

    def watched(given):
        for each in given:
            held.append(pa.total_allocated_bytes())
            yield each

    folder.mkdir()
    with connections.connected(address(shop.config["url"], None), folder / "spilled") as connection:
        parts = batches.Parts(folder)
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        try:
            parts.write(watched(connection.batches(f"SELECT * FROM many WHERE i <= {number}")), "many")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert parts.rows == number
    assert parts.batches >= number / 2_100  # DuckDB's are a little larger
    return {"python": peak, "arrow": max(held) - before}


class TestBatches:
    def test_are_streamed_so_that_four_times_the_rows_take_no_more_memory(self, shop, tmp_path, monkeypatch):
        monkeypatch.setattr(connections, "BATCH_ROWS", 2_000)
        shop.run(
            "CREATE TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
            "SELECT i, 'a text of some length ' || i AS a, i * 1.5 AS b FROM n"
        )
        few, many = (memory_of_reading(shop, number, tmp_path / str(number)) for number in (15_000, 60_000))
        assert many["python"] < 1.5 * few["python"]
        assert many["arrow"] < 1.5 * few["arrow"]

    def test_whose_types_differ_are_joined(self, sqlite, monkeypatch):
        monkeypatch.setattr(connections, "BATCH_ROWS", 2)
        sqlite.run(
            "CREATE TABLE mixed (order_id, customer, sold_at TEXT, total, flag, never)",
            "INSERT INTO mixed VALUES (1, 7, '2024-01-01', 5, NULL, NULL), (2, 'A8', '2024-02-01', 2.25, NULL, NULL), "
            "(3, NULL, '2024-03-01 10:00', 3, NULL, NULL), ('x4', 'A8', '2024-03-01', '7.10', NULL, NULL), "
            "(5, 7, '2024-05-01', 1, 'late', NULL)",
        )
        columns = {"order_id": "order_id", "customer_id": "customer", "timestamp": "sold_at", "amount": "total"}
        sqlite.table |= {"table": "mixed", "columns": {**columns, "channel": "flag", "store_id": "never"}}
        staged = sqlite.stage()
        found = duckdb.sql(
            f"SELECT order_id, customer_id, amount::DOUBLE, channel, store_id "
            f"FROM '{staged.folder}/transactions.parquet' ORDER BY timestamp, order_id"
        ).fetchall()
        assert found == [
            *[("1", "7", 5.0, None, None), ("2", "A8", 2.25, None, None)],
            *[("x4", "A8", 7.1, None, None), ("5", "7", 1.0, "late", None)],
        ]


def changes(draw, step, next_id):
    """Statements that add rows and change others, with a row that came late in step 3 and one that goes in step 4."""
    now = f"2024-0{1 + step}-01 00:00:00"
    new = [line(next_id + each, updated=now) for each in range(draw.randrange(1, 20))]
    if step == 3:
        new.append(line(next_id + len(new), updated="2023-12-01 00:00:00"))
    changed = [
        f"UPDATE lines SET total = total + 100, updated_at = '{now}.5' WHERE id = {number}"
        for number in draw.sample(range(1, ROWS), CHANGED)
    ]
    gone = [f"DELETE FROM lines WHERE id = {draw.randrange(1, ROWS)}"] if step == 4 else []
    return new, [insert(*new), *changed, *gone]


class TestNewerRows:
    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.quick(1)
    def test_and_rows_that_changed_came_late_or_went_give_what_reading_all_gives(
        self, shop, seed, caplog, small_batches
    ):
        incrementally(shop.config)
        shop.read("cache")
        draw, next_id = random.Random(seed), ROWS + 1
        for step in range(1, 5):
            new, statements = changes(draw, step, next_id)
            next_id += len(new)
            shop.run(*statements)
            caplog.clear()
            with caplog.at_level(logging.INFO, logger="features"):
                newer = shop.read("cache")
            assert newer == shop.read(f"whole_{step}")
            assert ("all are read again" in caplog.text) == (step in (3, 4))
            if step < 3:  # those that were the newest before are read again
                read = int(re.search(r"transactions: (\d+) rows of .* from updated_at", caplog.text)[1])
                assert len(new) + CHANGED <= read <= len(new) + 2 * CHANGED
        newer, whole = shop.stage(), shop.stage("whole_4")
        assert newer.digest == whole.digest
        assert rows(newer) == rows(whole)

    def test_none_leave_the_reading_as_it_is(self, shop):
        incrementally(shop.config)
        assert shop.stage().digest == shop.stage_anew().digest

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                "UPDATE lines SET updated_at = NULL WHERE id < 4",
                ("3 rows", "have no updated_at, id", "incremental=null"),
            ),
            ("UPDATE lines SET product = 'P1'", (f"{ROWS} rows", "share their key product", "tell all rows apart")),
        ],
    )
    def test_that_could_not_be_told_from_known_ones_are_refused(self, shop, change, words):
        shop.run(change)
        incrementally(shop.config)
        if "product" in change:
            shop.table["key"] = "product"
        shop.refused(*words)
        shop.table["incremental"] = None
        assert shop.stage().rows == {"transactions": ROWS}

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ("UPDATE lines SET updated_at = NULL WHERE id < 4", ("3 rows", "have no updated_at, id")),
            ("UPDATE lines SET product = 'P1'", (f"{ROWS} rows", "share their key product")),
        ],
    )
    def test_are_refused_so_too_where_the_reading_before_was_not_checked(self, shop, change, words):
        shop.run(change)
        shop.stage()
        incrementally(shop.config)
        if "product" in change:
            shop.table["key"] = "product"
        shop.config = read_anew(shop.config)
        shop.refused(*words)

    @pytest.mark.slow
    def test_do_not_hide_that_a_row_without_a_place_in_time_has_one_by_now(self, shop, caplog):
        shop.run("UPDATE lines SET updated_at = NULL WHERE id = 3")
        shop.stage()
        shop.run("UPDATE lines SET updated_at = '2001-01-01 00:00:00', total = 999 WHERE id = 3")
        incrementally(shop.config)
        newer = shop.stage_anew()
        assert "all are read again" in caplog.text
        assert rows(newer) == rows(shop.stage("whole"))


class TestReading:
    def test_is_done_once_until_it_is_older_than_the_config_allows(self, shop):
        first = shop.stage()
        shop.run(insert(line(ROWS + 1)))
        shop.config["read_since"] = "2024-01-01"
        assert shop.stage().digest == first.digest
        assert shop.stage_anew().rows == {"transactions": ROWS + 1}
        shop.file.unlink()
        assert shop.stage().rows == {"transactions": ROWS + 1}

    def test_by_two_at_once_is_done_by_one(self, shop, caplog):
        with caplog.at_level(logging.INFO, logger="features"), ThreadPoolExecutor(2) as pool:
            one, other = pool.map(lambda _: shop.stage(), range(2))
        assert one.digest == other.digest
        assert caplog.text.count("rows of table lines of ") - caplog.text.count("dropped:") == 1

    @pytest.mark.slow
    def test_that_is_interrupted_leaves_the_one_before_in_use_and_the_next_goes_on(self, shop, monkeypatch):
        first = shop.stage()
        shop.run(insert(line(ROWS + 1)))
        (killed := shop.store / "20240101T000000-x.partial").mkdir()
        with monkeypatch.context() as broken:
            broken.setattr(connections, "BATCH_ROWS", 7)
            write = batches.Parts._write

            def interrupted(parts, each):
                if parts.batches == 3:
                    raise KeyboardInterrupt
                write(parts, each)

            broken.setattr(batches.Parts, "_write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                shop.stage_anew()
        assert not list(shop.store.glob("*.partial/transactions.parquet"))
        assert shop.stage().digest == first.digest
        assert shop.stage_anew().rows == {"transactions": ROWS + 1}
        assert not killed.exists()
        for _ in range(3):
            shop.stage_anew()
        assert len([path for path in shop.store.iterdir() if path.is_dir()]) == 2

    def test_leaves_the_database_as_it_was(self, shop):
        before = shop.file.read_bytes()
        shop.stage()
        assert shop.file.read_bytes() == before
        assert [path.name for path in shop.folder.iterdir() if path.name.startswith("shop.")] == [shop.file.name]

    def test_is_refused_to_a_query_that_writes(self, sqlite):
        opened = connections.connected(address(sqlite.config["url"], None), sqlite.folder)
        with opened as connection, pytest.raises(connections.SQLAlchemyError, match="readonly"):
            list(connection.batches("DELETE FROM lines RETURNING *"))


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM lines",
        "SELECT 1; DROP TABLE lines",
        "SELECT 1 /* ; */; SELECT 2;",
        "COPY lines TO 'x.csv'",
        "UPDATE lines SET id = 1",
        "SELECT * INTO stolen FROM lines",
        "SELECT * FROM lines INTO OUTFILE '/tmp/stolen.csv'",
        "WITH a AS (DELETE FROM lines RETURNING *) SELECT * FROM a",
        "WITH a AS (SELECT 1) INSERT INTO lines SELECT * FROM a",
        "WITH a AS (SELECT 1) UPDATE lines SET id = 1",
        "",
        ";",
        "SELECT 'unfinished",
    ],
)
def test_what_is_not_one_query_is_refused_before_the_database_is_opened(sql):
    with pytest.raises(InputError, match=r"single query|cannot be read"):
        one_query(sql, "postgresql", "data.tables.transactions.sql")


def test_a_query_of_a_duckdb_file_calls_no_function_that_writes():
    with pytest.raises(InputError, match="can do more than read"):
        one_query("FROM enable_logging('QueryLog', storage = 'file', storage_path = 'out')", "duckdb", "data.x.sql")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ';' AS a",
        "WITH a AS (SELECT 1) TABLE a",
        "(SELECT 1);;",
        "VALUES (1)",
        'SELECT count(delete) AS "into", update FROM (SELECT delete, update FROM lines)',
    ],
)
def test_one_query_is_taken_as_it_is(sql):
    assert one_query(sql, "postgresql", "x") == sql.rstrip(";")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "sqlite:///{folder}/shp.sqlite"}, ("there is no database file", "did you mean 'shop.sqlite'?")),
        ({"url": "duckdb:///{folder}/shop.sqlite"}, ("cannot be opened as a DuckDB database", "shop.sqlite")),
        ({"url": "lines.db"}, ("data.url is not a valid address", "sqlite:///shop.db")),
        ({"url": "nosuch://shop@host/shop"}, ("nosuch needs a package", "pip install")),
        (
            {"url": "oracle://shop:tiger7@host/shop"},
            ("oracle needs a package", "oracle://shop@host/shop", "pip install"),
        ),
        ({"url": "mysql://shop@host/shop"}, ("mysql needs a package", "driver pymysql", "pip install 'pymysql'")),
        ({"url": "mariadb://shop@host/shop"}, ("mariadb needs", "driver pymysql", "pip install 'pymysql'")),
        (
            {"url": "mysql+mysqldb://shop:tiger7@host/shop"},
            ("driver MySQLdb", "pip install 'mysqlclient', or write data.url without a driver: mysql://shop@host/shop"),
        ),
        (
            {"url": "postgresql+psycopg2://shop@host/shop"},
            ("driver psycopg2", "pip install 'psycopg2-binary', or write data.url without a driver: postgresql://"),
        ),
        (
            {"url": "postgresql+nosuch://shop:tiger7@host/shop"},
            ("knows no driver nosuch", "write data.url without it: postgresql://shop@host/shop"),
        ),
        ({"url": "nosuch+adbc://host"}, ("nosuch needs a package", "adbc_driver_nosuch", "pip install")),
        ({"password": "tiger7"}, ("data.password has no effect on a file", "write password: null")),
        ({"url": "postgresql://a:tiger7@host/b", "password": "tiger7"}, ("in data.url and in data.password",)),
        ({"url": "postgresql://shop@127.0.0.1:9/shop", "password": "tiger7"}, ("does not answer", "127.0.0.1:9/shop")),
        ({"path": "x.csv"}, ("data.path is about files", "remove it")),
        ({"read_since": "yesterday"}, ("not a valid moment", "2026-11-28")),
        ({"read_since": "2199-01-01"}, ("lies in the future",)),
        ({"table": "line"}, ("does not give the table line", "table line of sqlite://", "did you mean 'lines'?")),
        ({"table": "other.lines"}, ("does not give the table other.lines",)),
        ({"table": None}, ("needs either table or sql", "add data.tables.transactions.table=...")),
        ({"sql": "SELECT 1"}, ("needs either table or sql", "remove table or sql")),
        ({"delimiter": ";"}, ("delimiter is about files", "remove delimiter")),
        ({"table": None, "sql": "SELECT nothing FROM lines"}, ("refuses the query", "nothing", "transactions.sql of")),
        ({"table": None, "sql": "SELECT id, id FROM lines"}, ("two columns are called 'id'", "AS other_id")),
        ({"table": None, "sql": "SELECT * FROM lines WHERE 1 = 0"}, ("transactions is empty",)),
        ({"columns": {**COLUMNS, "amount": "totl"}}, ("no column 'totl' to map to", "table lines of", "'total'")),
        ({"columns": {**COLUMNS, "amont": "total"}}, ("unknown key data.tables.transactions.columns.amont",)),
        ({"incremental": "updated_at"}, ("needs a key", "key: [order_id, line_number]")),
        ({"incremental": "updated", "key": ["id"]}, ("no column 'updated' for", ".incremental", "'updated_at'")),
        ({"incremental": "updated_at", "key": ["idd"]}, ("no column 'idd' for", ".key", "'id'")),
        ({"key": 3}, ("key is not a valid list of columns",)),
    ],
)
def test_mistakes_are_named_with_what_to_type_and_without_the_password(sqlite, changes, words):
    of_shop = {"url", "password", "path", "read_since"}
    for key, value in changes.items():
        (sqlite.config if key in of_shop else sqlite.table)[key] = value
    sqlite.config["url"] = sqlite.config["url"].format(folder=sqlite.folder)
    error = sqlite.refused(*words)
    assert error.where
    assert "tiger7" not in str(error)
    assert not list(Path(sqlite.folder).glob("cache/s/*/transactions.parquet"))


def test_a_password_is_hidden_however_it_is_spelt():
    secret = "p@ss/w ord%&?"
    for given in (
        address("postgresql://shop@host/shop?sslpassword=other7", secret),
        address("postgres://shop:p%40ss%2Fw%20ord%25%26%3F@host/shop?sslpassword=other7", None),
    ):
        assert given.url.password == secret
        told = given.hidden(f"{secret} p%40ss%2Fw%20ord%25%26%3F p%40ss%2Fw+ord%25%26%3F other7")
        assert told == "*** *** *** ***"
        assert given.shown == "postgresql://shop@host/shop"
        assert not {"p@ss", "p%40ss", "other7"} & set(f"{given!r} {given.identity}".split("/"))
        assert "other7" not in given.identity + given.shown


@pytest.mark.parametrize(
    "query",
    [
        *("passwd=other7", "PWD=other7", "private_key=other7", "credentials_base64=other7"),
        "odbc_connect=DRIVER%3D%7BODBC%7D%3BSERVER%3D{host}%3BUID%3Dshop%3BPWD%3D%7Bother7%7D",
    ],
)
def test_secrets_among_the_parameters_are_hidden_and_do_not_tell_databases_apart(query):
    given = address(f"mssql+pyodbc:///shop?{query.format(host='a')}", None)
    assert given.secrets == {"other7"}
    assert given.hidden("login other7 failed") == "login *** failed"
    assert "other7" not in given.shown + given.identity
    assert given.identity == address(str(given.url).replace("other7", "new8"), None).identity
    elsewhere = address(f"mssql+pyodbc:///shop?schema=b&{query.format(host='b')}", None)
    assert given.identity != elsewhere.identity


def test_paths_and_keys_of_tables_are_no_secrets():
    given = address("postgresql://shop@host/shop?sslkey=a.key&passfile=b&order_key=c&credentials_path=d", None)
    assert given.secrets == set()
    assert "order_key=c" in given.identity


def test_the_example_of_the_guide_is_staged(tmp_path):
    guide = (CONF.parents[1] / "docs" / "database.md").read_text(encoding="utf-8")
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)[1])
    example.pop("defaults")
    file = tmp_path / "shop.duckdb"
    with closing(duckdb.connect(str(file))) as connection:
        for statement in (
            "CREATE SCHEMA sales",
            "CREATE TABLE sales.order_lines AS SELECT * FROM (VALUES "
            "(1, 1, 'A', '2024-07-01 23:30:00'::TIMESTAMP, 9.5, 2, 'x', '2024-07-02'::TIMESTAMP), "
            "(2, 1, 'B', '2024-07-03 10:00:00', 3, 1, 'x', '2024-07-03'), "
            "(1, 2, 'A', '2024-07-01 23:30:00', 1, 1, 'y', '2024-07-02')) "
            "AS t(order_id, line_number, customer_id, ordered_at, line_total, quantity, sku, updated_at)",
            "CREATE TABLE sales.products AS SELECT 'x' AS sku, 'Lantern' AS name, 1 AS brand_id",
            "CREATE TABLE sales.brands AS SELECT 1 AS brand_id, 'Own' AS brand",
        ):
            connection.execute(statement)
    changes = {**example, "url": f"duckdb:///{file}", "password": None}
    staged = stage(database_config(**changes), tmp_path / "cache")
    assert staged.rows == {"transactions": 3, "products": 1}
    assert str(rows(staged)[0][3]) == "2024-07-02 00:30:00"  # from UTC to London's summer


def test_rows_with_ids_are_not_kept_where_the_shop_has_pseudonyms(sqlite, monkeypatch):
    plain = rows(sqlite.stage())
    monkeypatch.setenv(KEY, "a secret of the tests")
    sqlite.config["pseudonymise"] = True
    staged = sqlite.stage()
    assert [row[:2] + row[3:] for row in rows(staged)] == [row[:2] + row[3:] for row in plain]
    assert not list(sqlite.store.rglob("*.parquet"))
    sqlite.run(insert(line(ROWS + 1)))
    assert sqlite.stage().digest == staged.digest  # not read again
    with TemporaryDirectory() as folder:
        part, _ = stage_before(sqlite.config, staged.end, sqlite.folder / "cache", Path(folder) / "part")
        assert part.rows["transactions"] == ROWS + 1  # read again: what was read is gone
    newer = sqlite.stage()
    assert newer.rows["transactions"] == ROWS + 1
    assert sqlite.stage_anew().digest == newer.digest
    sqlite.config["rules"]["zero_price"] = "keep"  # staged anew, for which rows are read again
    assert sqlite.stage().rows["transactions"] == ROWS + 1
    assert not list(sqlite.store.rglob("*.parquet"))
    assert not list(sqlite.store.rglob("*.partial"))
    del sqlite.config["pseudonymise"]
    assert len(rows(sqlite.stage())) == ROWS + 1
