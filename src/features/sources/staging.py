"""Raw files to canonical Parquet: the part of staging that all shops share.

A source renames and types its raw columns and declares which rows it leaves out. `stage_source` applies
the rules, counts what they drop, checks what is left and puts the Parquet files in place, whole or not at
all. Staging is no feature, so that it may use what DuckDB alone offers.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import shutil
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from features import tables as canonical
from features.engines import DuckDB, Engine, staging_engine
from features.errors import SHOWN_VALUES, InputError, did_you_mean, listing
from features.tables import SPECS, Tables, TableSpec
from features.writing import named

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
LAST_YEAR = 2200
RAW_PREFIX = "raw."  # of the columns that hold a source's own values beside the canonical ones

# What the user can mend: a file that DuckDB cannot read, a query that it does not understand. Not: no memory left.
UNREADABLE = (duckdb.ProgrammingError, duckdb.DataError, duckdb.IOException, duckdb.NotSupportedError)


@dataclass(frozen=True)
class ShopConfig:
    """What the data config says of every shop.

    Attributes
    ----------
    name : str
        Names the registered models: lower-case letters, digits and _.
    currency : str
        ISO 4217 code of all money.
    timezone : str
        IANA name of the zone whose midnights begin the shop's days.
    burn_in_days : int
        See `Tables`.
    """

    name: str
    currency: str
    timezone: str
    burn_in_days: int


@dataclass(frozen=True)
class Rule:
    """Rows that do not belong in a canonical table.

    Attributes
    ----------
    name : str
        As the drops report it.
    meets : ibis boolean column
        Over `Raw.table`; null counts as false.
    drop : bool
        Leave the rows out and count them; or else refuse the file.
    meaning : str
        What such a row is.
    shows : str
        Column of `Raw.table` whose values the refusal shows.
    """

    name: str
    meets: ir.BooleanColumn
    drop: bool = True
    meaning: str = ""
    shows: str = ""


@dataclass(frozen=True)
class Raw:
    """One canonical table before its rules: raw columns renamed and typed.

    Attributes
    ----------
    table : ibis table
        Canonical columns; those that the source lacks may be left out, and columns that only rules or
        `texts` read may be added.
    where : str
        The raw files, for messages.
    rules : tuple of Rule
        Applied in order: a row counts under the first rule that it meets.
    texts : mapping of str to str
        Typed column -> the column of `table` that it was read from: where the one is null and the other
        is not, the text could not be read, and staging says so.
    expected : mapping of str to str
        Typed column -> what a text should look like.
    """

    table: ir.Table
    where: str
    rules: tuple[Rule, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """One shop's raw files, and what they mean.

    Attributes
    ----------
    required, optional : tuple of str
        Keys of the data config beyond those of every shop.
    """

    required: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]]

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        """`options` holds all required and optional keys, None where an optional one is not given."""

    def content(self) -> str:
        """Digest of all that the source reads."""

    def tables(self, engine: DuckDB, scratch: Path) -> Mapping[str, Raw]:
        """Canonical name -> raw table; `scratch` is a folder for files that last as long as staging."""


@dataclass(frozen=True)
class Drop:
    """How many rows of a raw table one rule left out."""

    table: str
    rule: str
    rows: int


@dataclass(frozen=True)
class Staged:
    """A shop's canonical tables on disk.

    Attributes
    ----------
    shop, currency : str
        Of the data config.
    digest : str
        Hexadecimal; of the raw files' content, the data config and the staging code.
    folder : pathlib.Path
        Holds <table>.parquet and manifest.json.
    start, end : datetime.date
        The days that the transactions cover, end exclusive.
    burn_in_days : int
        See `Tables`.
    rows : mapping of str to int
        Canonical name -> rows kept.
    customers : int
        Distinct customers in the transactions.
    drops : tuple of Drop
        Rows left out, per table and rule, rules that no row met included.
    """

    shop: str
    currency: str
    digest: str
    folder: Path
    start: date
    end: date
    burn_in_days: int
    rows: Mapping[str, int]
    customers: int
    drops: tuple[Drop, ...]

    def open(self, engine: Engine) -> Tables:
        """The canonical tables on an engine, under their canonical names: one shop per engine."""
        read = {name: engine.read(self.folder / f"{name}.parquet", table=name) for name in self.rows}
        return Tables(start=self.start, end=self.end, burn_in_days=self.burn_in_days, **read)


def check_keys(config: object, known: Iterable[str], required: Iterable[str], where: str) -> None:
    """Refuse what is no mapping, unknown keys, and missing values as Hydra leaves them (`???`) or as nulls.

    Raises
    ------
    InputError
        If there are no keys at all, a key is unknown, or a required one has no value.
    """
    known = list(known)
    if not isinstance(config, Mapping):
        raise InputError(
            f"{where} is no mapping", where=where, expected=f"keys such as {listing(known)}", found=repr(config)
        )
    for key in config:
        if key not in known:
            raise InputError(f"unknown key {where}.{key}", where=where, hint=did_you_mean(str(key), known))
    for key in required:
        if config.get(key) in (None, "???", ""):
            raise InputError(
                f"{where}.{key} is not set", where=where, expected=f"a value for {key}", hint=f"add {where}.{key}=..."
            )


def check_timezone(name: object, where: str) -> None:
    """Refuse a time zone that is not in the IANA database.

    Raises
    ------
    InputError
        If there is no such zone.
    """
    try:
        zoneinfo.ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        raise InputError(
            f"there is no time zone {name!r}",
            where=where,
            expected="an IANA name such as Europe/London",
            hint=did_you_mean(str(name), zoneinfo.available_timezones()),
        ) from None


def package_folder(name: str) -> Path:
    """Where an installed package keeps its files; it is not imported, as only its data are wanted."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {name} is not installed", hint="install the project with its dependencies")
    return Path(spec.submodule_search_locations[0])


def sql_literal(text: object) -> str:
    """A path or name as a string of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def query(engine: DuckDB, name: str, sql: str) -> ir.Table:
    """A query in DuckDB's own words as a table; as a view, so that nothing translates it on the way."""
    view = f"raw_{name}"
    engine.connection.raw_sql(f"CREATE TEMP VIEW {view} AS ({sql})")
    return engine.connection.table(view)


def hash_files(files: Iterable[Path]) -> str:
    """Digest of the files' names and content, in the order given.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    for path in files:
        digest.update(path.name.encode() + b"\0")
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            raise InputError(f"cannot read {path}", where=str(path), found=error.strerror) from None
    return digest.hexdigest()


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Say in the user's words what DuckDB refuses to read.

    Raises
    ------
    InputError
        In place of DuckDB's own error, where the user can mend the cause.
    """
    try:
        yield
    except UNREADABLE as error:
        raise _explain(str(error), where) from None


def _explain(message: str, where: str) -> InputError:
    if "not utf-8" in message or "Invalid unicode" in message:
        return InputError(
            "the file is not encoded in UTF-8",
            where=where,
            expected="UTF-8, or the encoding declared in the data config",
            found=next((line for line in message.splitlines() if "Line" in line), None),
            hint="declare it, such as encoding: cp1252 (Western Europe) or cp949 (Korea)",
        )
    if "No magic bytes" in message or "too small to be a Parquet" in message:
        return InputError(
            "the file is no complete Parquet file",
            where=where,
            expected="Parquet that ends with its footer",
            found=message.splitlines()[0],
            hint="it may be truncated: copy or write it again; a text file needs format: csv",
        )
    if "Overflow in multiplication" in message:  # the only one in staging: quantity x unit price
        return InputError(
            "transactions.amount is more than it can hold",
            where=where,
            expected=f"quantity x unit price within {canonical.MONEY}",
            found=message.splitlines()[0],
        )
    lines = [line for line in message.splitlines() if line.strip()]
    return InputError("DuckDB stops at this file or query", where=where, found=" ".join(lines[:3]))


def stage_source(shop: ShopConfig, source: Source, config: Mapping[str, Any], cache: Path) -> Staged:
    """Stage a source's tables under the digest of all that they depend on, unless that was done before.

    Parameters
    ----------
    shop : ShopConfig
        The part of the config that all shops share.
    source : Source
        The raw files.
    config : mapping
        All of the config that changes the outcome: part of the digest.
    cache : pathlib.Path
        The tables go to <cache>/<shop>/<first 16 digits of the digest>/.

    Raises
    ------
    InputError
        If the data are not what the source says they are. Nothing is left on disk then.
    """
    digest = _digest(source, config)
    folder = cache / shop.name / digest[:16]
    if _is_whole(folder):
        logger.info("%s: already staged in %s", shop.name, folder)
        return _read_manifest(folder)
    partial = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.partial")
    made = [parent for parent in partial.parents if not parent.exists()]  # deepest first
    partial.mkdir(parents=True)
    try:
        staged = _stage(shop, source, digest, partial)
        _publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:
            with suppress(OSError):  # not empty: staged
                parent.rmdir()
    logger.info(
        "%s: %s customers, %s to %s, in %s",
        shop.name,
        f"{staged.customers:,}",
        staged.start,
        staged.end - timedelta(days=1),
        folder,
    )
    return _read_manifest(folder)


def _digest(source: Source, config: Mapping[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=32)
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    digest.update(source.content().encode())
    contract = Path(canonical.__file__).parent
    checks = contract.with_name("checks.py")
    for code in (Path(inspect.getfile(type(source))), Path(__file__), checks, *sorted(contract.glob("*.py"))):
        digest.update(code.read_bytes())
    return digest.hexdigest()


def _stage(shop: ShopConfig, source: Source, digest: str, folder: Path) -> Staged:
    """Write all that a staged folder holds, the manifest last."""
    from features.checks import check  # takes half a second, which a shop staged before need not wait for

    scratch = folder / "scratch"
    scratch.mkdir()
    engine = staging_engine(scratch)
    rows: dict[str, int] = {}
    drops: list[Drop] = []
    try:
        with readable(f"the raw files of {shop.name}"):
            raw_tables = source.tables(engine, scratch)
        for name, raw in raw_tables.items():
            path = folder / f"{name}.parquet"
            with readable(raw.where):
                rows[name], dropped = _write(name, raw, engine, path)
            with engine.progress(f"checking {name}"):
                check(name, engine.read(path, table=name), raw.where)
            drops += dropped
        transactions = engine.read(folder / "transactions.parquet", table="transactions")
        with engine.progress("checking orders"):
            start, end, customers = _extent(transactions, raw_tables["transactions"].where)
    finally:
        engine.connection.disconnect()
    shutil.rmtree(scratch)
    staged = Staged(
        shop=shop.name,
        currency=shop.currency,
        digest=digest,
        folder=folder,
        start=start,
        end=end,
        burn_in_days=shop.burn_in_days,
        rows=rows,
        customers=customers,
        drops=tuple(drops),
    )
    manifest = {key: value for key, value in asdict(staged).items() if key != "folder"}
    with named(folder / MANIFEST):
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, default=str) + "\n", encoding="utf-8")
    return staged


def _write(name: str, raw: Raw, engine: DuckDB, path: Path) -> tuple[int, list[Drop]]:
    """Apply the rules, refuse what could not be read, write the rest; return rows kept and dropped."""
    rule = ibis.literal("")
    for declared in reversed(raw.rules):  # the first rule that a row meets is the outermost condition
        rule = ibis.ifelse(declared.meets.fill_null(False), declared.name, rule)
    ruled = raw.table.mutate(staging_rule=rule)
    with engine.progress(f"counting {name}"), engine.enough_memory():
        counts = _count(ruled, raw)
    rows_in = sum(counts[rule]["rows"] for rule in counts)
    if not rows_in:
        raise InputError(f"{name} is empty", where=raw.where, expected="at least one row", found="0 rows")
    for declared in raw.rules:
        if not declared.drop and declared.name in counts:
            met = ruled.filter(ruled.staging_rule == declared.name)
            raise _refusal(name, declared, met, counts[declared.name]["rows"], raw.where)
    kept = ruled.filter(ruled.staging_rule == "")
    if "" not in counts:
        raise InputError(
            f"no row of {name} is left after its rules",
            where=raw.where,
            found=", ".join(f"{rule}: {counts[rule]['rows']:,} rows" for rule in counts),
            hint="check the rules in the data config, and what they go by: cancelled_order_prefix, non_product_codes",
        )
    for column, text in raw.texts.items():
        if counts[""][column]:
            raise _unreadable_values(name, column, text, kept, counts[""][column], raw)
    engine.write(_conform(kept, SPECS[name]), path)
    drops = [Drop(name, declared.name, counts.get(declared.name, {"rows": 0})["rows"]) for declared in raw.rules]
    dropped = ", ".join(f"{drop.rule} {drop.rows:,}" for drop in drops if drop.rows)
    rows = counts[""]["rows"]
    logger.info(
        "%s: %s rows of %s, dropped: %s, kept: %s", name, f"{rows_in:,}", raw.where, dropped or "none", f"{rows:,}"
    )
    return rows, drops


def _count(ruled: ir.Table, raw: Raw) -> dict[str, dict[str, int]]:
    """Rows and unreadable values per rule; the rows that meet none are under the empty name."""
    unreadable = {
        column: (ruled[text].notnull() & ruled[column].isnull()).cast("int64").sum()
        for column, text in raw.texts.items()
    }
    counts = ruled.group_by("staging_rule").aggregate(rows=ruled.count(), **unreadable).to_pyarrow().to_pylist()
    return {row.pop("staging_rule"): row for row in counts}


def _conform(table: ir.Table, spec: TableSpec) -> ir.Table:
    """The canonical columns in their order; a null of the right type where the source has none.

    A missing required column stays missing, for the check to name.
    """
    columns = {}
    for name, column in spec.columns.items():
        if name in table.columns:
            columns[name] = table[name].cast(column.type)
        elif not column.required:
            columns[name] = ibis.null(column.type)
    return table.select(**columns)


def _refusal(name: str, rule: Rule, met: ir.Table, rows: int, where: str) -> InputError:
    shown = [rule.shows, *(["line_number"] if "line_number" in met.columns and rule.shows != "line_number" else [])]
    examples = met.select(*shown).order_by(shown[::-1]).limit(SHOWN_VALUES).to_pyarrow().to_pylist()
    values = [
        f"{row[rule.shows]} (row {row['line_number']:,})" if len(shown) > 1 else str(row[rule.shows])
        for row in examples
    ]
    return InputError(
        f"{rows:,} rows of {name} meet the rule {rule.name}: {rule.meaning}",
        where=where,
        found=f"{rule.shows} = {', '.join(values)}{', ...' if rows > len(values) else ''}",
        hint=f"data.rules.{rule.name}=drop leaves such rows out and counts them; or mend the source",
    )


def _unreadable_values(name: str, column: str, text: str, kept: ir.Table, rows: int, raw: Raw) -> InputError:
    bad = kept.filter(kept[text].notnull() & kept[column].isnull())
    values = bad.select(text=bad[text].cast("string")).distinct().order_by("text").limit(SHOWN_VALUES)
    shown = ", ".join(repr(value) for value in values.to_pyarrow()["text"].to_pylist())
    wanted = SPECS[name].columns.get(column)
    return InputError(
        f"{name}.{column} has values that cannot be read" + (f" as {wanted.type}" if wanted else " as a number"),
        where=f"{raw.where}, column {text.removeprefix(RAW_PREFIX)}",
        expected=raw.expected.get(column),
        found=f"{shown} ({rows:,} rows in all)",
    )


def _extent(transactions: ir.Table, where: str) -> tuple[date, date, int]:
    """First day, day after the last, and customers; refuse what nothing can be learned from."""
    shared = (
        transactions.group_by("order_id")
        .aggregate(customers=transactions.customer_id.nunique())
        .filter(lambda orders: orders.customers > 1)
    )
    several = int(shared.count().execute())
    if several:
        examples = shared.order_by("order_id").limit(SHOWN_VALUES).to_pyarrow()["order_id"].to_pylist()
        raise InputError(
            f"{several:,} orders belong to several customers",
            where=where,
            expected="an order_id of one customer only",
            found=", ".join(examples) + (", ..." if several > len(examples) else ""),
            hint="where ids repeat across customers, join them in data.tables.transactions.sql: "
            "SELECT customer || '-' || id AS order_id, ...",
        )
    figures = transactions.aggregate(
        first=transactions.timestamp.min(),
        last=transactions.timestamp.max(),
        customers=transactions.customer_id.nunique(),
    )
    row = figures.to_pyarrow().to_pylist()[0]
    if row["last"].year >= LAST_YEAR:
        raise InputError(
            "transactions.timestamp lies in the far future",
            where=where,
            expected=f"years below {LAST_YEAR}",
            found=str(row["last"]),
            hint="a placeholder for an unknown day? mend the source",
        )
    start, end = row["first"].date(), row["last"].date() + timedelta(days=1)
    if row["customers"] == 1:
        raise InputError(
            "all transactions are of a single customer",
            where=where,
            expected="many customers: a model learns from the differences between them",
            found="1 customer",
            hint="check which column is mapped to customer_id",
        )
    if end - start == timedelta(days=1):
        raise InputError(
            "all transactions are of a single day",
            where=where,
            expected="a past to learn from and a later window to validate on",
            found=str(start),
            hint="check which column is mapped to timestamp, and its date_format",
        )
    return start, end, int(row["customers"])


def _read_manifest(folder: Path) -> Staged:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest |= {key: date.fromisoformat(manifest[key]) for key in ("start", "end")}
    manifest["drops"] = tuple(Drop(**drop) for drop in manifest["drops"])
    return Staged(folder=folder, **manifest)


def _is_whole(folder: Path) -> bool:
    """Whether a staged folder has its manifest and all the tables that it names, with as many rows."""
    try:
        staged = _read_manifest(folder)
        return all(pq.read_metadata(folder / f"{name}.parquet").num_rows == rows for name, rows in staged.rows.items())
    except (OSError, ValueError, KeyError, TypeError):  # ArrowInvalid is a ValueError
        return False


def _publish(partial: Path, folder: Path) -> None:
    """Put the finished folder in its place in one step."""
    if folder.exists() and not _is_whole(folder):
        shutil.rmtree(folder)  # somebody took a file away or damaged it: it is no staged folder any more
    try:
        partial.rename(folder)
    except OSError:
        if not _is_whole(folder):
            raise
        # another process staged the same content first: its files are as good as ours
