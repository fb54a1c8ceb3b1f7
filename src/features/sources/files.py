"""The user's own tables: CSV, Parquet or a query, by a mapping of columns (conf/data/files.yaml explains the keys)."""

from __future__ import annotations

import codecs
import glob
import gzip
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.engines import DuckDB, staging_engine
from features.errors import InputError, did_you_mean, listing
from features.sources.raw import RAW_PREFIX, Raw, Rule
from features.sources.reading import hash_files, query, readable, sql_literal
from features.sources.shop_config import ShopConfig, check_keys, check_timezone
from features.tables import MOMENT, SPECS

FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".gz": "csv", ".parquet": "parquet", ".pq": "parquet"}
TABLE_KEYS = (
    "path",
    "sql",
    "format",
    "columns",
    "delimiter",
    "encoding",
    "date_format",
    "decimal",
    "timezone",
)
UNIT_PRICE = "unit_price"  # may be mapped in place of amount: amount = quantity x unit_price
UNIT_PRICE_TYPE = "decimal(18, 6)"

# rule -> what it is about; in the order in which they are applied
RULES = {
    "cancelled_order": "the order_id begins with data.cancelled_order_prefix",
    "missing_customer_id": "there is no customer_id",
    "non_product_code": "the product_id is one of data.non_product_codes",
    "negative_quantity": "the quantity is below 0",
    "zero_price": "the line costs nothing",
    "duplicate_rows": "all mapped columns repeat an earlier row",
}
KEEPABLE = ("zero_price", "non_product_code", "duplicate_rows")  # others would break the canonical table
ACTIONS = ("error", "drop", "keep")


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def _to_local(zone: str, instant: dt.Timestamp("UTC")) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """Convert an instant to what the clock of a zone shows."""


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def _to_instant(zone: str, local: dt.Timestamp(scale=6)) -> dt.Timestamp("UTC"):  # type: ignore[valid-type]
    """Convert what the clock of a zone shows to an instant."""


@ibis.udf.scalar.builtin(name="try_strptime")  # type: ignore[untyped-decorator]
def _try_strptime(text: str, date_format: str) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """Read a text by a strptime format; null where it does not fit."""


@ibis.udf.scalar.builtin(name="trim")  # type: ignore[untyped-decorator]
def _trim(text: str) -> str:  # type: ignore[empty-body]
    """Cut outer spaces; Ibis's own strip names the characters, which DuckDB does ten times slower."""


@dataclass(frozen=True)
class TableConfig:
    """The config of one canonical table: see conf/data/files.yaml."""

    name: str
    columns: Mapping[str, str]
    paths: tuple[Path, ...]
    sql: str | None
    format: str
    delimiter: str | None
    encoding: str
    date_format: str | None
    decimal: str
    timezone: str | None

    @property
    def where(self) -> str:
        """Return the raw files, for messages."""
        return listing(self.paths, limit=2) if self.paths else f"data.tables.{self.name}.sql"


class Files:
    """Tables as the user has them.

    Parameters
    ----------
    shop : ShopConfig
        Its time zone is the one that timestamps are converted to.
    options : mapping
        `tables` (canonical name -> mapping), `path` (folder that relative paths start from), `rules`
        (rule -> error, drop or keep), `cancelled_order_prefix`, `non_product_codes`.

    Raises
    ------
    InputError
        If the config is wrong or a file is missing.
    """

    required: ClassVar[tuple[str, ...]] = ("tables",)
    optional: ClassVar[tuple[str, ...]] = ("path", "rules", "cancelled_order_prefix", "non_product_codes")

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        self.shop = shop
        self.root = Path(str(options["path"] or ".")).expanduser()
        self.actions = _actions(options["rules"] or {})
        prefix = options["cancelled_order_prefix"]
        self.cancelled_prefix = None if prefix is None else str(prefix)
        self.non_product_codes = _codes(options["non_product_codes"] or ())
        declared = options["tables"]
        check_keys(declared, SPECS, required=["transactions"], where="data.tables")
        self.configs = [_table_config(name, entry, self.root) for name, entry in declared.items() if entry is not None]

    def content(self) -> str:
        """Hash the bytes of files; of queries the rows, as the files behind them are not known."""
        return "\n".join(hash_files(c.paths) if c.sql is None else self._hash_query(c) for c in self.configs)

    def tables(self, engine: DuckDB, scratch: Path) -> dict[str, Raw]:
        _search_from(self.root, engine)
        return {config.name: self._raw(config, engine, scratch) for config in self.configs}

    def _hash_query(self, config: TableConfig) -> str:
        rows = f"SELECT count(*), sum(hash(r)), bit_xor(hash(r)) FROM ({config.sql}) AS r"
        with TemporaryDirectory() as scratch, readable(config.where):
            engine = staging_engine(Path(scratch))
            _search_from(self.root, engine)
            result = str(engine.connection.raw_sql(rows).fetchall())
            engine.connection.disconnect()
        return result

    def _raw(self, config: TableConfig, engine: DuckDB, scratch: Path) -> Raw:
        with readable(config.where):
            table = _pick(_read(config, engine, scratch), config)
        texts = {column: RAW_PREFIX + source for column, source in config.columns.items()}
        typed = {column: self._typed(config, column, table[text]) for column, text in texts.items()}
        for column in _counted(config.name):
            typed.setdefault(column, ibis.row_number() + 1)  # in the order of the files
        table = table.mutate(**typed)
        if UNIT_PRICE in typed:
            table = table.mutate(amount=table.quantity * table.unit_price)
        return Raw(
            table,
            where=config.where,
            rules=tuple(self._rules(config, table)),
            texts={column: text for column, text in texts.items() if not _type(config.name, column).is_string()},
            expected={column: _expected(config, column) for column in texts},
        )

    def _typed(self, config: TableConfig, column: str, values: ir.Column) -> ir.Column:
        """Cast a raw column to its canonical type; null where it cannot be read."""
        wanted = _type(config.name, column)
        kind = values.type()
        if not _can_read(kind, wanted, config):
            raise InputError(
                f"{config.name}.{column} has the wrong type",
                where=f"{config.where}, column {config.columns[column]}",
                expected=_expected(config, column),
                found=str(kind),
            )
        if wanted.is_timestamp():
            return self._moment(config, values)
        if kind.is_string() and wanted.is_numeric() and config.decimal == ",":
            # a point would group thousands: not guessed at, but reported
            values = ibis.ifelse(values.contains("."), ibis.null("string"), values.replace(",", "."))
        return values.try_cast(wanted)

    def _moment(self, config: TableConfig, values: ir.Column) -> ir.Column:
        """Read a raw column as naive timestamps of the shop's time zone; a text's own offset wins over the config's."""
        shop_zone, raw_zone = self.shop.timezone, config.timezone or self.shop.timezone
        kind = values.type()
        if kind.is_timestamp() and kind.timezone:
            return _to_local(shop_zone, values.cast(dt.Timestamp("UTC")))
        if config.date_format and not kind.is_temporal():
            naive = _try_strptime(values.cast("string"), config.date_format)
        else:
            naive = values.try_cast(MOMENT)
        local = naive if raw_zone == shop_zone else _to_local(shop_zone, _to_instant(raw_zone, naive))
        if config.date_format or not kind.is_string():
            return local
        has_offset = values.re_search(r":\d{2}.*([zZ]|[+-]\d{2}(:?\d{2})?)$")
        return ibis.ifelse(has_offset, _to_local(shop_zone, values.try_cast(dt.Timestamp("UTC"))), local)

    def _rules(self, config: TableConfig, table: ir.Table) -> Iterator[Rule]:
        """Yield the rules that concern a table as it is mapped, in order."""
        mapped = config.columns
        predicates: dict[str, tuple[ir.BooleanColumn, str]] = {}  # rule -> condition, column that shows the rows
        if config.name == "transactions":
            if self.cancelled_prefix:
                predicates["cancelled_order"] = table.order_id.startswith(self.cancelled_prefix), "order_id"
            predicates["missing_customer_id"] = table.customer_id.isnull(), "order_id"
            if self.non_product_codes and "product_id" in mapped:
                predicates["non_product_code"] = table.product_id.isin(self.non_product_codes), "product_id"
            if "quantity" in mapped:
                predicates["negative_quantity"] = table.quantity < 0, "quantity"
            predicates["zero_price"] = table.amount == 0, "order_id"
        order = [table[column] for column in _counted(config.name)]
        repeats = ibis.row_number().over(group_by=[table[column] for column in mapped], order_by=order)
        predicates["duplicate_rows"] = repeats > 0, SPECS[config.name].key[0]
        for name, (meets, shows) in predicates.items():
            action = self.actions[name]
            if action != "keep":
                yield Rule(name, meets, drop=action == "drop", meaning=RULES[name], shows=shows)


def _actions(rules: Mapping[str, Any]) -> dict[str, str]:
    check_keys(rules, RULES, required=(), where="data.rules")
    actions = {name: str(rules.get(name) or "error") for name in RULES}
    for name, action in actions.items():
        allowed = ACTIONS if name in KEEPABLE else ACTIONS[:2]
        if action not in allowed:
            raise InputError(
                f"data.rules.{name}={action} is not a valid action",
                where=f"data.rules.{name}",
                expected=" or ".join(allowed),
                found=action,
            )
    return actions


def _codes(entry: Any) -> list[str]:
    if isinstance(entry, str) or not isinstance(entry, Sequence):
        raise InputError(
            "data.non_product_codes is not a valid list",
            where="data.non_product_codes",
            expected="such as [POST, M]",
            found=repr(entry),
        )
    return [str(code) for code in entry]


def _table_config(name: str, entry: Any, root: Path) -> TableConfig:
    where = f"data.tables.{name}"
    check_keys(entry, TABLE_KEYS, required=["columns"], where=where)
    given = {key: value for key, value in entry.items() if value is not None}
    if ("path" in given) == ("sql" in given):
        raise InputError(f"{where} needs either path or sql", where=where, found=listing(given))
    if "path" in given:
        check_keys(given, TABLE_KEYS, required=["path"], where=where)
        paths = tuple(_find(given["path"], root, f"{where}.path"))
    else:
        paths = ()
    if "timezone" in given:
        check_timezone(given["timezone"], f"{where}.timezone")
    return TableConfig(
        name=name,
        columns=_columns(name, given["columns"], f"{where}.columns"),
        paths=paths,
        sql=str(given["sql"]).strip().rstrip(";") if "sql" in given else None,
        format=_format(given.get("format"), paths, f"{where}.format"),
        delimiter=given.get("delimiter"),
        encoding=_encoding(str(given.get("encoding", "utf-8")), f"{where}.encoding"),
        date_format=_date_format(given.get("date_format"), f"{where}.date_format"),
        decimal=_decimal(given.get("decimal", "."), f"{where}.decimal"),
        timezone=given.get("timezone"),
    )


def _columns(name: str, entry: Any, where: str) -> dict[str, str]:
    known = list(SPECS[name].columns)
    required = [column for column, spec in SPECS[name].columns.items() if spec.required and not spec.counted]
    if name == "transactions":
        known.append(UNIT_PRICE)
    check_keys(entry, known, required=(), where=where)
    mapped = {str(column): str(source).strip() for column, source in entry.items() if source is not None}
    if UNIT_PRICE in mapped:
        required[required.index("amount")] = "quantity"
        if "amount" in mapped:
            raise InputError(
                f"{where} maps both amount and {UNIT_PRICE}",
                where=where,
                expected="one of them",
                hint=f"write {UNIT_PRICE}: null (a config that begins from files has it) or leave out amount",
            )
    check_keys(mapped, known, required, where)
    return mapped


def _counted(name: str) -> list[str]:
    """Return the columns of a table that number the source's rows."""
    return [column for column, spec in SPECS[name].columns.items() if spec.counted]


def _find(path: Any, root: Path, where: str) -> Iterator[Path]:
    """Yield the files that a path, a glob or a list of them names, sorted within each."""
    for entry in path if isinstance(path, Sequence) and not isinstance(path, str) else [path]:
        full = root / Path(str(entry)).expanduser()
        found = (
            sorted(Path(match) for match in glob.glob(str(full), recursive=True))
            if glob.has_magic(str(entry))
            else [full]
        )
        if not found:
            raise InputError(f"no file matches {full}", where=where, hint="check data.path and the pattern")
        for file in found:
            if file.is_dir():
                raise InputError(
                    f"{file} is a directory",
                    where=where,
                    expected="a file, a list of files or a pattern",
                    hint=f"name its files, such as {entry}/*.parquet",
                )
            if not file.exists():
                there = file.parent.iterdir() if file.parent.is_dir() else ()
                beside = [path.name for path in there if path.is_file() and not path.name.startswith(".")]
                raise InputError(
                    f"there is no file {file}",
                    where=where,
                    hint=did_you_mean(file.name, beside) if beside else f"there is no file in {file.parent}",
                )
            yield file


def _format(declared: Any, paths: Sequence[Path], where: str) -> str:
    if declared is None:
        guesses = {FORMATS.get(path.suffix.lower()) for path in paths}
        if len(guesses) > 1 or None in guesses:
            raise InputError(
                "cannot tell the format from the file names",
                where=where,
                expected="csv or parquet",
                found=listing(path.name for path in paths),
                hint=f"declare {where}=csv or parquet",
            )
        declared = guesses.pop() if guesses else "query"
    elif declared not in FORMATS.values():
        raise InputError(
            f"{where}={declared} is not a valid format", where=where, expected="csv or parquet", found=str(declared)
        )
    return str(declared)


def _encoding(name: str, where: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise InputError(
            f"there is no encoding {name!r}", where=where, expected="a Python codec such as utf-8, cp1252 or cp949"
        ) from None


def _date_format(text: Any, where: str) -> str | None:
    if text is not None and "%z" in str(text).lower():
        raise InputError(
            f"{where}={text} reads an offset from UTC",
            where=where,
            expected="a format of local times",
            hint="leave date_format out where times are ISO 8601 (2017-10-03T14:05:00+02:00), or parse them in sql",
        )
    return None if text is None else str(text)


def _decimal(mark: Any, where: str) -> str:
    if mark not in (".", ","):
        raise InputError(
            f"{where}={mark} is not a valid decimal mark", where=where, expected="'.' or ','", found=repr(mark)
        )
    return str(mark)


def _search_from(root: Path, engine: DuckDB) -> None:
    """Let a query's relative paths start from `data.path`."""
    engine.connection.raw_sql(f"SET file_search_path = {sql_literal(root)}")


def _read(config: TableConfig, engine: DuckDB, scratch: Path) -> ir.Table:
    if config.sql is not None:
        return query(engine, config.name, config.sql)
    view = f"raw_{config.name}"
    if config.format == "parquet":
        return engine.connection.read_parquet([str(path) for path in config.paths], table_name=view)
    texts = [
        str(_utf8(path, config.encoding, scratch / f"{config.name}-{number}.csv"))
        for number, path in enumerate(config.paths)
    ]
    options = {"delim": config.delimiter} if config.delimiter else {}
    return engine.connection.read_csv(texts, table_name=view, all_varchar=True, header=True, **options)


def _utf8(path: Path, encoding: str, copy: Path) -> Path:
    """Return the file itself where it is UTF-8, which DuckDB reads without an extension; else a copy in UTF-8."""
    if encoding == "utf-8":
        return path
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with (
            opener(path, "rt", encoding=encoding, newline="") as raw,
            copy.open("w", encoding="utf-8", newline="") as text,
        ):
            shutil.copyfileobj(raw, text, 1 << 20)
    except UnicodeError as error:
        raise InputError(f"the file is not encoded in {encoding}", where=str(path), found=str(error)) from None
    return copy


def _pick(table: ir.Table, config: TableConfig) -> ir.Table:
    """Select the mapped raw columns under prefixed names; texts without outer blanks, null where nothing is left."""
    available = {name.strip(): name for name in table.columns}
    picked = {}
    for column, source in config.columns.items():
        if source not in available:
            hint = did_you_mean(source, available)
            if config.format == "csv" and len(available) == 1:
                hint = f"the file seems to have one column only: declare data.tables.{config.name}.delimiter"
            raise InputError(
                f"there is no column {source!r} to map to {config.name}.{column}",
                where=config.where,
                found=listing(available, limit=30),
                hint=hint,
            )
        values = table[available[source]]
        picked[RAW_PREFIX + source] = _trim(values).nullif("") if values.type().is_string() else values
    return table.select(**picked)


def _type(table: str, column: str) -> dt.DataType:
    return ibis.dtype(UNIT_PRICE_TYPE if column == UNIT_PRICE else SPECS[table].columns[column].type)


def _can_read(kind: dt.DataType, wanted: dt.DataType, config: TableConfig) -> bool:
    if kind.is_string() or kind.is_null():
        return True
    if wanted.is_string():
        return not (kind.is_nested() or kind.is_binary())
    if wanted.is_timestamp():
        return kind.is_timestamp() or kind.is_date() or (kind.is_integer() and config.date_format is not None)
    return kind.is_numeric() and not kind.is_boolean()


def _expected(config: TableConfig, column: str) -> str:
    wanted = _type(config.name, column)
    if wanted.is_timestamp() and config.date_format:
        return f"times written as date_format {config.date_format!r} says; ISO 8601 where it is null"
    if wanted.is_timestamp():
        return "times such as 2017-10-03 14:05:00; otherwise declare date_format, such as '%m/%d/%Y %H:%M'"
    if wanted.is_numeric():
        return f"numbers with the decimal mark {config.decimal!r} and nothing else"
    return SPECS[config.name].columns[column].meaning
