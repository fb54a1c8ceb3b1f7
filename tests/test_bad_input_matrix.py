"""Bad input by way of the commands: exit code 2, words that name the thing, nothing half-written.

What each source refuses in its rows stands in tests/features; here every command meets every kind of mistake.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import cycle
from pathlib import Path
from typing import NoReturn

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments.commands.main import run
from experiments.tracking.store import connect
from merchandise_store import ROWS, Store
from online_retail import LINES, OnlineRetail

CDNOW = "data=cdnow experiment=clv_quick"
FILES = (
    "data=files data.shop=shop data.currency=GBP data.timezone=Europe/London "
    "data.path=raw data.tables.transactions.path=online_retail.csv"
)
STORE = "data=merchandise_store data.path=raw"
SOURCES = {"complete_journey": "data=complete_journey", "cdnow": "data=cdnow", "files": FILES, "store": STORE}
READS_DATA = ("data", "features", "train", "tune", "promote", "score", "run")

Refused = Callable[..., str]


# What a folder holds, and what of it is half-written

LOGGED = (
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
)


def registered(database: Path) -> tuple[object, ...]:
    """All that the registry says, and how many runs have not ended."""
    with closing(sqlite3.connect(database)) as connection:
        rows = [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in LOGGED]
        return (*rows, connection.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchone())


def content(path: Path) -> object:
    if path.name == "mlflow.db" and path.is_file() and path.read_bytes().startswith(b"SQLite format 3"):
        return registered(path)
    return path.read_bytes() if path.is_file() else None


def contents(folder: Path) -> dict[Path, object]:
    """Every file and folder but the locks beside the database."""
    return {path: content(path) for path in folder.rglob("*") if path.suffix != ".lock"}


def is_whole(path: Path, held: object) -> bool:
    """Whether what is new may stay: complete entries of the cache, runs' files, a journal of whole lines."""
    part = path.relative_to(Path.cwd()).parts[0]
    if part == "mlruns":
        return True
    if part == "optuna.journal":
        return isinstance(held, bytes) and all(json.loads(line) for line in held.splitlines())
    if part != ".cache":
        return False
    if path.suffix == ".parquet":
        return isinstance(held, bytes) and pq.read_metadata(io.BytesIO(held)).num_rows > 0
    return path.name == "manifest.json" or (path.is_dir() and any(file.is_file() for file in path.rglob("*")))


def half_written(before: dict[Path, object], after: dict[Path, object]) -> list[Path]:
    changed = [path for path, held in before.items() if path not in after or after[path] != held]
    return [*changed, *(path for path, held in after.items() if path not in before and not is_whole(path, held))]


# Where commands are typed


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as the first command makes it, which takes seconds."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{database}")
    return database


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, new_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with an empty MLflow store; no command may become another process."""
    shutil.copy(new_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")

    def started(*arguments: object) -> NoReturn:
        pytest.fail(f"started {arguments}")

    monkeypatch.setattr(os, "execv", started)
    return tmp_path


@pytest.fixture
def staged(working_folder: Path, finished_run: tuple[Path, str]) -> Path:
    """CDNOW's sample in the cache, with features and targets, and nothing registered."""
    shutil.copytree(finished_run[0] / ".cache", working_folder / ".cache")
    return working_folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """`refused("tune data=cdnow", "words", "of the message")` in the working folder."""

    def typed(command: str, *words: str, meanwhile: AbstractContextManager[object] | None = None) -> str:
        before = contents(Path.cwd())
        with meanwhile or nullcontext():
            code = run(shlex.split(command))
        printed = capsys.readouterr().err
        assert code == 2, printed
        missing = [word for word in words if word not in printed]
        assert not missing, f"{missing} not in:\n{printed}"
        assert "Traceback" not in printed
        assert len(printed.splitlines()) < 15, printed
        left = [str(path.relative_to(Path.cwd())) for path in half_written(before, contents(Path.cwd()))]
        assert not left, f"changed, gone or half-written: {left}"
        return printed

    return typed


def case(command: str, *words: str) -> object:
    """A command and words of its refusal."""
    return pytest.param(command, words, id=command)


# Words that no command takes


@pytest.mark.parametrize("command", ["run", "ui"])
@pytest.mark.parametrize(
    ("override", "words"),
    [
        case("tunning.n_trials=3", "no key 'tunning.n_trials'", "did you mean tuning.n_trials"),
        case("tuning.n_trials=many", "tuning.n_trials has a value of the wrong type", "Integer"),
        case("evaluation.confidence=1.5", "evaluation.confidence is out of range", "between 0 and 1"),
        case("task=clvv", "no task=clvv", "did you mean 'clv'"),
    ],
)
def test_of_overrides_to_every_command(refused: Refused, command: str, override: str, words: list[str]) -> None:
    refused(f"{command} {override}", *words)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        case("tnue", "no command 'tnue'", "did you mean 'tune'"),
        case("tune data=cdwon", "did you mean 'cdnow'"),
        case("data engine=spark", "no engine=spark"),
        case("tune experiment=clv_quik", "did you mean 'clv_quick'"),
        case("train model=lihgtgbm", "did you mean 'lightgbm'"),
        case("features features=fulll", "did you mean 'full'"),
        case("run tuning.n_trails=3", "did you mean tuning.n_trials"),
        case("tune tuning.n_trials=0", "tuning.n_trials is out of range", "at least 1"),
        case("tune tuning.n_trials=[", "cannot be read", "n_trials=["),
        case("tune tuning.n_trials", "cannot be read", "tuning.n_trials"),
        case("tune tuning.n_trials=3.5", "tuning.n_trials", "Integer"),
        case("tune tuning.n_trials=???", "tuning.n_trials has no value"),
        case("tune tuning.storage=null", "tuning.storage"),
        case("run evaluation.seed=-1", "evaluation.seed is out of range"),
        case("promote rollback=maybe", "rollback", "bool"),
        case("promote version=newest", "version", "Integer"),
        case("train model.params=3", "model.params"),
        case("score data.shop=${nowhere}", "nowhere"),
        case("data cache=null", "cache"),
    ],
)
def test_of_command_words_and_overrides(refused: Refused, command: str, words: list[str]) -> None:
    refused(command, *words)


# Configuration files of the user's own


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("shop: [a, b", ["no YAML", "my_shop.yaml"], id="not closed"),
        pytest.param("shop:\tmine\n\tcurrency: GBP", ["no YAML", "my_shop.yaml"], id="tabs"),
        pytest.param("shop: a\nshop: b", ["no YAML", "my_shop.yaml", "duplicate key shop"], id="a key twice"),
        pytest.param("", ["data.source is not set"], id="empty"),
        pytest.param("defaults: [filse]", ["filse", "did you mean 'files'"], id="default that there is not"),
        pytest.param("defaults: [files, _self_]\nshop: s", ["no value", "data.currency"], id="??? left"),
        pytest.param(
            "defaults: [files, _self_]\nshop: s\ncurrency: GBP\ntimezone: UTC",
            ["no value", "data.tables.transactions.path"],
            id="??? left deep inside",
        ),
        pytest.param(
            "defaults: [cdnow, _self_]\nvaraint: master",
            ["unknown key data.varaint", "did you mean 'variant'"],
            id="unknown key",
        ),
        pytest.param("defaults: [cdnow, _self_]\nshop: ${nowhere}", ["nowhere"], id="reference to nothing"),
        pytest.param("defaults: [cdnow, _self_]\ncurrency: 7", ["data.currency=7", "ISO 4217"], id="wrong type"),
        pytest.param("defaults: [cdnow, _self_]\nburn_in_days: soon", ["data.burn_in_days"], id="no number"),
    ],
)
def test_of_a_data_config(refused: Refused, working_folder: Path, text: str | bytes, words: list[str]) -> None:
    folder = working_folder / "my_conf" / "data"
    folder.mkdir(parents=True)
    (folder / "my_shop.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused("data --config-dir my_conf data=my_shop", *words)


@pytest.mark.parametrize(
    ("command", "group", "text", "words"),
    [
        ("data", "task", "name: clv\nhorizon_dyas: 90", ["clv has no option 'horizon_dyas'", "'horizon_days'"]),
        ("data", "task", "horizon_days: 90", ["task.name"]),
        ("features", "features", "names: recency", ["features.names"]),
        ("train", "model", "params: {}", ["model.name"]),
        ("train", "model", "name: bg_nbd\nparams: {penaliser: 1}", ["bg_nbd has no parameter 'penaliser'"]),
        ("tune", "search", "models: [bg_nbd]\nspace: {bg_nbd: {penalizer_coef: [0, 1]}}", ["malformed range"]),
        ("tune", "search", "models: []\nspace: {}", ["the search names no model"]),
    ],
    ids=lambda value: value.splitlines()[-1] if isinstance(value, str) else "",
)
def test_of_other_configs(
    refused: Refused, staged: Path, command: str, group: str, text: str, words: list[str]
) -> None:
    folder = staged / "my_conf" / group
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(text)
    refused(f"{command} --config-dir my_conf {CDNOW} {group}=mine", *words)


def test_of_a_config_dir_that_there_is_not(refused: Refused) -> None:
    refused("data --config-dir my_cnof data=my_shop", "my_cnof")


# Data configs of every source


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("command", "override", "words"),
    [
        ("data", "data.timezone=Europe/Lodnon", ["no time zone 'Europe/Lodnon'", "did you mean 'Europe/London'"]),
        ("features", "data.currency=pounds", ["data.currency=pounds", "ISO 4217"]),
        ("score", "data.shop='My Shop'", ["data.shop=My Shop", "lower-case"]),
        ("tune", "data.burn_in_days=-1", ["data.burn_in_days=-1", "at least 0"]),
        ("run", "+data.sauce=x", ["unknown key data.sauce", "did you mean 'source'"]),
        ("train", "data.source=cdonw", ["no source 'cdonw'", "did you mean 'cdnow'"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_of_every_sources_config(
    refused: Refused, working_folder: Path, source: str, command: str, override: str, words: list[str]
) -> None:
    refused(f"{command} {SOURCES[source]} {shlex.quote(override.replace(chr(39), ''))}", *words)


# Raw files. Each mistake meets another command.


def parquet(shop: OnlineRetail, kept: float = 1.0, **columns: object) -> None:
    """The shop's lines as Parquet under the CSV's name, or the first part of that file."""
    frame = pd.read_csv(shop.file).assign(**columns)
    frame.to_parquet(shop.folder / "lines.parquet")
    whole = (shop.folder / "lines.parquet").read_bytes()
    (shop.folder / "lines.parquet").write_bytes(whole[: int(kept * len(whole))])


PARQUET = "data.tables.transactions.path=lines.parquet"
CHANGED_LINES = [
    # the file
    ("missing", lambda shop: shop.file.unlink(), "", ["there is no file", "online_retail.csv"]),
    ("a folder", lambda shop: None, "data.tables.transactions.path=.", ["is a directory", "*.parquet"]),
    ("no match", lambda shop: None, "data.tables.transactions.path=2011-*.csv", ["no file matches", "2011-*.csv"]),
    ("zero bytes", lambda shop: shop.file.write_bytes(b""), "", ["online_retail.csv"]),
    ("header only", lambda shop: shop.write([]), "", ["transactions is empty", "online_retail.csv"]),
    ("binary", lambda shop: shop.file.write_bytes(bytes(range(256)) * 9), "", ["online_retail.csv"]),
    ("half a Parquet", lambda shop: parquet(shop, 0.5), PARQUET, ["no complete Parquet file", "lines.parquet"]),
    ("Parquet of 0 bytes", lambda shop: parquet(shop, 0), PARQUET, ["no complete Parquet file", "lines.parquet"]),
    (
        "half a gzip",
        lambda shop: (shop.folder / "lines.csv.gz").write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xab\x56"),
        "data.tables.transactions.path=lines.csv.gz",
        ["lines.csv.gz"],
    ),
    ("unclosed quote", lambda shop: shop.write([*LINES, '536399,1,"x,1']), "", ["online_retail.csv"]),
    ("a field too many", lambda shop: shop.write([*LINES, f"{LINES[0]},x"]), "", ["online_retail.csv"]),
    # encodings
    ("latin-1", lambda shop: shop.write([*LINES, "CAFÉ"], encoding="latin-1"), "", ["not encoded in UTF-8", "cp1252"]),
    ("UTF-16", lambda shop: shop.write(LINES, encoding="utf-16"), "", ["online_retail.csv"]),
    (
        "wrongly declared",
        lambda shop: shop.write([*LINES, "CAFÉ"]),
        "data.tables.transactions.encoding=ascii",
        ["not encoded in ascii", "online_retail.csv"],
    ),
    ("no encoding", lambda shop: None, "data.tables.transactions.encoding=utf-9", ["no encoding 'utf-9'"]),
    # types and columns
    ("true as a price", lambda shop: parquet(shop, UnitPrice=True), PARQUET, ["wrong type", "UnitPrice", "boolean"]),
    (
        "no such column",
        lambda shop: None,
        "data.tables.transactions.columns.timestamp=InvoiceDtae",
        ["no column 'InvoiceDtae'", "did you mean 'InvoiceDate'"],
    ),
    (
        "no SQL",
        lambda shop: None,
        "data.tables.transactions.path=null data.tables.transactions.sql='SELEC 1'",
        ["data.tables.transactions.sql", "syntax error"],
    ),
    # dates
    (
        "day first",
        lambda shop: shop.write([*LINES, "536399,1,x,1,31/12/2010 9:01,1.85,17850,UK"]),
        "",
        ["transactions.timestamp", "'31/12/2010 9:01'", "%m/%d/%Y %H:%M"],
    ),
    (
        "the end of time",
        lambda shop: shop.write([*LINES, "536399,1,x,1,12/31/9999 9:01,1.85,17850,UK"]),
        "",
        ["9999-12-31"],
    ),
    (
        "date format with an offset",
        lambda shop: None,
        "data.tables.transactions.date_format='%d %z'",
        ["data.tables.transactions.date_format", "offset from UTC"],
    ),
    (
        "zone of the raw times",
        lambda shop: None,
        "data.tables.transactions.timezone=Mars",
        ["no time zone 'Mars'", "data.tables.transactions.timezone"],
    ),
    # keys
    (
        "an order of two customers",
        lambda shop: shop.write([*LINES, "536365,1,x,1,12/5/2010 9:01,1.85,13047,UK"]),
        "",
        ["1 orders belong to several customers", "536365"],
    ),
    ("a single customer", lambda shop: shop.write([x for x in LINES if "17850" in x]), "", ["a single customer"]),
    # prices
    (
        "a price with its sign",
        lambda shop: shop.write([*LINES, "536399,1,x,1,12/5/2010 9:01,£1.85,17850,UK"]),
        "",
        ["transactions.unit_price", "'£1.85'"],
    ),
    (
        "a negative price",
        lambda shop: shop.write([*LINES, "536399,1,x,1,12/5/2010 9:01,-1.85,17850,UK"]),
        "",
        ["transactions.amount is out of range", "-1.85"],
    ),
    (
        "more than an amount can hold",
        lambda shop: shop.write([*LINES, "536399,1,x,999999999999,12/5/2010 9:01,999999999999,17850,UK"]),
        "",
        ["transactions.amount", "online_retail.csv"],
    ),
    (
        "no rule for free goods",
        lambda shop: shop.write([*LINES, "536399,1,x,1,12/5/2010 9:01,0,17850,UK"]),
        "data.rules.zero_price=error",
        ["rule zero_price", "data.rules.zero_price=drop"],
    ),
]


@pytest.mark.parametrize(
    ("command", "change", "override", "words"),
    [
        pytest.param(command, *case[1:], id=f"{command}: {case[0]}")
        for command, case in zip(cycle(READS_DATA), CHANGED_LINES, strict=False)
    ],
)
def test_of_the_users_files(
    refused: Refused,
    online_retail: OnlineRetail,
    command: str,
    change: Callable[[OnlineRetail], object],
    override: str,
    words: list[str],
) -> None:
    change(online_retail)
    refused(f"{command} {FILES} {override}", *words)


def damage(store: Store, kept: float) -> None:
    """The tax file as the first part of an Excel workbook."""
    store.translate("taxes", korean=False, suffix=".xlsx")
    file = store.folder / "Tax_amount.xlsx"
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])


CHANGED_STORE = [
    ("a file missing", lambda store: (store.folder / "Tax_amount.csv").unlink(), ["Tax_amount or Tax_info", "Kaggle"]),
    ("all missing", lambda store: shutil.rmtree(store.folder), ["raw is no folder", "Kaggle", "Dacon"]),
    ("half a workbook", lambda store: damage(store, 0.5), ["no complete Excel workbook", "Tax_amount.xlsx"]),
    ("workbook of 0 bytes", lambda store: damage(store, 0), ["no complete Excel workbook", "Tax_amount.xlsx"]),
    ("zero bytes", lambda store: (store.folder / "Tax_amount.csv").write_bytes(b""), ["Tax_amount.csv"]),
    (
        "twice",
        lambda store: (store.folder / "Tax_info.csv").write_text("제품카테고리,GST\n"),
        ["Tax_amount.csv", "Tax_info.csv"],
    ),
    (
        "neither UTF-8 nor Korean",
        lambda store: store.write("customers", ["17850,M,Malmö,12"], encoding="latin-1"),
        ["neither utf-8 nor cp949", "CustomersData.csv"],
    ),
    (
        "header",
        lambda store: store.write("taxes", header="Product_Category,VAT"),
        ["Tax_amount.csv lacks columns: GST"],
    ),
    ("a tax of 18", lambda store: store.add("taxes", "Bags,18"), ["taxes.tax_rate is out of range", "18"]),
    ("a customer twice", lambda store: store.add("customers", ROWS["customers"][0]), ["same key", "17850"]),
    (
        "a 13th month",
        lambda store: store.add("sales", "1,1,20191305,A,A,Office,1,2,3,Used"),
        ["transactions.timestamp", "'20191305'", "Online_Sales.csv"],
    ),
    (
        "a price with a comma",
        lambda store: store.add("sales", '1,1,20190105,A,A,Office,1,"1,200",3,Used'),
        ["transactions.unit_price", "'1,200'", "Avg_Price"],
    ),
]


@pytest.mark.parametrize(
    ("command", "change", "words"),
    [
        pytest.param(command, *case[1:], id=f"{command}: {case[0]}")
        for command, case in zip(cycle(READS_DATA), CHANGED_STORE, strict=False)
    ],
)
def test_of_the_merchandise_stores_files(
    refused: Refused, store: Store, command: str, change: Callable[[Store], object], words: list[str]
) -> None:
    change(store)
    refused(f"{command} {STORE}", *words)


@pytest.mark.parametrize("command", READS_DATA)
def test_of_the_merchandise_store_without_its_files(refused: Refused, command: str) -> None:
    refused(f"{command} data=merchandise_store", "data.path is not set", "Kaggle", "Dacon", "Online_Sales")
