"""The config of the user's own tables, checked: conf/data/files.yaml explains the keys."""

from __future__ import annotations

import codecs
import encodings.aliases as aliases
import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt

from features.errors import InputError, did_you_mean, listing
from features.sources.meanings import MARKS, encoding_advice
from features.sources.reading import files_beside
from features.sources.shop_config import check_keys, check_timezone
from features.sources.spelling import SPELLINGS
from features.tables import MOMENT, MONEY, SPECS, parse_day
from features.tables.returns import CANCELLATION, EXCLUDE, RETURN, SALE

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".gz": "csv",
    ".bz2": "csv",
    ".xz": "csv",
    ".zip": "csv",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".parquet": "parquet",
    ".pq": "parquet",
}
OLD_EXCEL = (".xls", ".xlt")
OF_FILES = (
    "format",
    "sheet",
    "delimiter",
    "quote",
    "escape",
    "header",
    "skip",
    "footer",
)  # have no meaning for a query
TABLE_KEYS = (
    "path",
    "sql",
    *OF_FILES,
    "columns",
    "encoding",
    "date_format",
    "decimal",
    "thousands",
    "currency_sign",
    "accounting",
    "rounded",
    "cents",
    "timezone",
    "order_key",
    "only",
    "status",
    "credits",
    "totals",
)
UNIT_PRICE = "unit_price"  # may be mapped in place of amount: amount = quantity x unit_price
LINE_DISCOUNT = "line_discount"  # of one line, where its amount does not have it yet
UNIT_DISCOUNT = "unit_discount"  # likewise, of one unit
LINE_DISCOUNT_RATE = "line_discount_rate"  # likewise, as a share: 0.1 is 10%
LINE_DISCOUNT_PERCENT = "line_discount_percent"  # likewise: 10 is 10%, and so is 10%
ORDER_DISCOUNT = "order_discount"  # of all lines of an order together
RETURNED_AT = "returned_at"  # of transactions: the time at which an order came back, where a status says that it did
ORIGINAL = "original_order_id"  # of transactions: the order that a row with money back names beside its own number
STATUS = "status"
OF_LINES = (LINE_DISCOUNT, UNIT_DISCOUNT, LINE_DISCOUNT_RATE, LINE_DISCOUNT_PERCENT)
# columns of transactions from which others are made -> type
BESIDE = {
    UNIT_PRICE: "decimal(28, 9)",
    LINE_DISCOUNT: MONEY,
    UNIT_DISCOUNT: "decimal(28, 9)",
    LINE_DISCOUNT_RATE: "decimal(18, 9)",
    LINE_DISCOUNT_PERCENT: "decimal(18, 9)",
    ORDER_DISCOUNT: MONEY,
    RETURNED_AT: MOMENT,
    ORIGINAL: "string",
    STATUS: "string",
}
CONTACT = "data.contact_details"
CUSTOMER_ID = "customer_id"
OF_READING = ("columns", "incremental", "key")  # keys of data.tables.customers that contact details do not share
DAY = "day"  # of the timestamp, as a part of an order's key
FIRST_DAY = date(1990, 1, 1)
OF_NAMES = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "charmap")  # not codecs of files

# rule -> what it is about; in the order in which they are applied
RULES = {
    "outside_period": "the day is outside data.period",
    "other_value": "a column of data.tables.<table>.only has another value",
    "mixed_status": "lines of the order have statuses of several kinds",
    "unknown_status": "the status of the order is not listed in data.tables.transactions.status",
    "excluded_status": "the status of the order is listed under exclude",
    "undated_return": "the status says that the order came back, and there is no returned_at",
    "cancelled_order": "the order_id begins with data.cancelled_order_prefix",
    "refund_of_no_sale": "the order that it names was left out, or came back by its status or day already",
    "missing_customer_id": "there is no customer_id",
    "non_customer": "the customer_id is one of data.non_customer_ids",
    "test_order": "the order_id is one of data.test_orders",
    "non_product_code": "the product_id is one of data.non_product_codes",
    "negative_quantity": "the quantity is below 0",
    "negative_amount": "the amount is below 0",
    "zero_price": "the line costs nothing",
    "empty_return": "nothing was given back",
    "duplicate_rows": "all columns of the file repeat an earlier row",
    "conflicting_identity": "identities give one id to several customers",
    "circular_identity": "identities lead from one id to another and back",
    "undated_identity": "the link of two ids has no date: the past would have links that were made later",
}
RETURNS = ("cancelled_order", "negative_quantity", "negative_amount")  # rows that take a sale back
# others would break the canonical table, or what money means
KEEPABLE = ("zero_price", "non_product_code", "duplicate_rows", "mixed_status", "undated_return", "undated_identity")


@dataclass(frozen=True)
class NumberStyle:
    """The way in which numbers are written."""

    decimal: str = "."
    thousands: str | None = None
    currency_sign: str | None = None
    accounting: bool = False
    rounded: bool = False
    cents: bool = False


@dataclass(frozen=True)
class Statuses:
    """The words by which a column says what became of an order."""

    column: str
    words: Mapping[str, tuple[str, ...]]  # sale, return, cancellation, exclude -> words in lower case

    @property
    def known(self) -> list[str]:
        return [word for words in self.words.values() for word in words]


@dataclass(frozen=True)
class TableConfig:
    """The config of one canonical table."""

    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    sql: str | None = None
    format: str = "csv"
    sheets: tuple[str, ...] = ()
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    header: bool = True
    skip: int = 0
    footer: int = 0
    encoding: str | None = None
    date_format: str | None = None
    formats_of_files: Mapping[str, str] = field(default_factory=dict)  # name of a file -> its own date_format
    numbers: NumberStyle = NumberStyle()
    timezone: str | None = None
    order_key: tuple[str, ...] = ()
    status: Statuses | None = None
    credits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    totals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origin: str | None = None

    @property
    def raw_columns(self) -> list[str]:
        """Return the columns of the files that the config names."""
        mapped = [part for source in self.columns.values() for part in self.joined.get(source, (source,))]
        parts = [part for part in self.order_key if part != DAY]
        return list(dict.fromkeys([*mapped, *self.totals, *self.only, *self.credits, *parts]))

    @property
    def key(self) -> str:
        """Return the place of the config, for messages."""
        return f"data.tables.{self.name}"

    @property
    def where(self) -> str:
        """Return the raw files, or what they were read from, for messages."""
        if self.origin is not None:
            return self.origin
        return listing(self.paths, limit=2) if self.paths else f"{self.key}.sql"


def is_money(table: str, column: str) -> bool:
    """Check whether a column that may be mapped has money."""
    return column in (UNIT_PRICE, UNIT_DISCOUNT) or column_type(table, column) == ibis.dtype(MONEY)


def column_type(table: str, column: str) -> dt.DataType:
    """Return the type of a column that may be mapped."""
    beside = BESIDE if table == "transactions" else {}
    return ibis.dtype(beside[column] if column in beside else SPECS[table].columns[column].type)


def table_config(name: str, entry: Any, root: Path) -> TableConfig:
    """Check the config of one table, and find its files.

    Raises
    ------
    InputError
    """
    where = f"data.tables.{name}"
    check_keys(entry, TABLE_KEYS, required=["columns"], where=where)
    given = {key: value for key, value in entry.items() if value is not None}
    _check_path_or_sql(given, where)
    paths = tuple(_find(given["path"], root, f"{where}.path")) if "path" in given else ()
    if "timezone" in given:
        check_timezone(given["timezone"], f"{where}.timezone")
    order_key = _texts(given.get("order_key", ()), f"{where}.order_key", such_as=f"[receipt, {DAY}]")
    status = _statuses(name, given["status"], f"{where}.status") if "status" in given else None
    columns, joined = _columns(name, given["columns"], bool(order_key), f"{where}.columns")
    form = given.get("date_format")
    formats = _formats_of_files(form, paths, joined, f"{where}.date_format") if isinstance(form, Mapping) else {}
    return TableConfig(
        name=name,
        columns=columns | ({STATUS: status.column} if status else {}),
        paths=paths,
        sql=str(given["sql"]).strip().rstrip(";") if "sql" in given else None,
        format=_format(given.get("format"), paths, f"{where}.format"),
        sheets=_one_or_more(given.get("sheet"), f"{where}.sheet", such_as="[2009, 2010]"),
        delimiter=_mark(given.get("delimiter"), f"{where}.delimiter"),
        quote=_mark(given.get("quote"), f"{where}.quote", may_be_empty=True),
        escape=_mark(given.get("escape"), f"{where}.escape", may_be_empty=True),
        header=_flag(given.get("header", True), f"{where}.header"),
        skip=_lines(given.get("skip", 0), f"{where}.skip"),
        footer=_lines(given.get("footer", 0), f"{where}.footer"),
        encoding=encoding(given.get("encoding"), f"{where}.encoding"),
        date_format=None if formats else _text(form, f"{where}.date_format"),
        formats_of_files=formats,
        numbers=NumberStyle(
            decimal=_decimal(given.get("decimal", "."), f"{where}.decimal"),
            thousands=_mark(given.get("thousands"), f"{where}.thousands"),
            currency_sign=_text(given.get("currency_sign"), f"{where}.currency_sign"),
            accounting=_flag(given.get("accounting", False), f"{where}.accounting"),
            rounded=_flag(given.get("rounded", False), f"{where}.rounded"),
            cents=_flag(given.get("cents", False), f"{where}.cents"),
        ),
        timezone=given.get("timezone"),
        order_key=order_key,
        status=status,
        only=_values(given.get("only", {}), f"{where}.only", "{Currency: [EUR]}"),
        credits=_values(given.get("credits", {}), f"{where}.credits", "{Type: [CN]}"),
        totals=_values(given.get("totals", {}), f"{where}.totals", "{Bon: [Summe]}"),
        joined=joined,
    )


@dataclass(frozen=True)
class ContactConfig:
    """Columns of a table of customers that lists show: names, phone numbers, e-mail addresses.

    Attributes
    ----------
    entry : mapping
        Config of the table, as of one of data.tables, with customer_id as its one column.
    columns : mapping of str to str
        What a list calls a column, and what the table does.
    """

    entry: Mapping[str, Any]
    columns: Mapping[str, str]


def contact_config(given: Any, customers: Any) -> ContactConfig | None:
    """Return which columns of which table lists show; None where the config names none.

    Parameters
    ----------
    given : mapping or None
        data.contact_details: `columns`, and what differs from data.tables.customers: where the table is, how it is
        written, `customer_id`.
    customers : mapping or None
        data.tables.customers.

    Raises
    ------
    InputError
    """
    if given is None:
        return None
    check_keys(given, (*TABLE_KEYS, "table", "customer_id"), required=["columns"], where=CONTACT)
    own = {name: value for name, value in given.items() if value is not None and name not in ("columns", "customer_id")}
    customers = customers or {}
    if not {"path", "sql", "table"} & own.keys():
        own = {name: value for name, value in customers.items() if name not in OF_READING} | own
    customer_id = given.get("customer_id") or (customers.get("columns") or {}).get("customer_id")
    for name, value in {"path": {"path", "sql", "table"} & own.keys(), "customer_id": customer_id}.items():
        if not value:
            raise InputError(
                f"{CONTACT}.{name} is not set, and data.tables.customers does not say it",
                where=CONTACT,
                expected="{path: people.csv, customer_id: id, columns: {name: Full name, phone: Tel}}",
                hint=f"add {CONTACT}.{name}=...",
            )
    columns = given["columns"]
    named = (
        columns if isinstance(columns, Mapping) else {column: column for column in _texts(columns, CONTACT, "[name]")}
    )
    return ContactConfig(
        {**own, "columns": {CUSTOMER_ID: str(customer_id)}}, {str(k): str(v) for k, v in named.items()}
    )


def actions(rules: Mapping[str, Any]) -> dict[str, str]:
    """Return rule -> error, drop, keep or return."""
    check_keys(rules, RULES, required=(), where="data.rules")
    chosen = {name: str(rules.get(name) or "error") for name in RULES}
    for name, action in chosen.items():
        allowed = ["error", "drop"]
        allowed += ["keep"] if name in KEEPABLE else []
        allowed += ["return"] if name in RETURNS else []
        if action not in allowed:
            raise InputError(
                f"data.rules.{name}={action} is not a valid action",
                where=f"data.rules.{name}",
                expected=" or ".join(allowed),
                found=action,
            )
    return chosen


def halving(entry: Any) -> tuple[str, ...]:
    """Return the rules that may leave out some lines of an order and keep its others."""
    rules = _texts(entry or (), "data.may_halve_orders", such_as="[zero_price]")
    for name in rules:
        if name not in RULES:
            raise InputError(
                f"there is no rule {name!r}", where="data.may_halve_orders", hint=did_you_mean(name, RULES)
            )
    return rules


def limits(largest: Any, confirmed: Any) -> dict[str, float]:
    """Return rule -> largest share of rows or of money that it may drop."""
    check_keys(confirmed, RULES, required=(), where="data.confirmed_drops")
    shares = dict.fromkeys(RULES, largest) | {name: share for name, share in confirmed.items() if share is not None}
    for name, share in shares.items():
        key = f"data.confirmed_drops.{name}" if name in confirmed else "data.max_dropped"
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise InputError(f"{key}={share} is not a valid share", where=key, expected="0 to 1", found=repr(share))
    return {name: float(share) for name, share in shares.items()}


def spellings(entry: Any) -> dict[str, tuple[str, ...]]:
    """Return text column -> the spellings that its values are read in, in all tables."""
    texts = dict.fromkeys(
        name for spec in SPECS.values() for name, column in spec.columns.items() if column.type == "string"
    )
    check_keys(entry, texts, required=(), where="data.spelling")
    chosen = {}
    for column, names in entry.items():
        chosen[column] = (
            (names,) if isinstance(names, str) else _texts(names or (), f"data.spelling.{column}", "lower_case")
        )
        for name in chosen[column]:
            if name not in SPELLINGS:
                raise InputError(
                    f"there is no spelling {name!r}",
                    where=f"data.spelling.{column}",
                    expected=" or ".join(SPELLINGS),
                    found=name,
                    hint=did_you_mean(name, SPELLINGS),
                )
    return chosen


def days(entry: Any) -> tuple[date, date]:
    """Return the first and the last day that data may have; to tomorrow where the config does not say.

    A clock that runs ahead of this one may stand at tomorrow already.
    """
    if entry is None:
        return FIRST_DAY, date.today() + timedelta(days=1)
    first, last = (parse_day(str(day), "data.dates") for day in _pair(entry, "data.dates", "[1997-01-01, 1998-06-30]"))
    _check_order(first, last, "data.dates")
    return first, last


def period(entry: Any) -> tuple[date | None, date | None]:
    """Return the first and the last day that are used; None where all days on that side are."""
    if entry is None:
        return None, None
    pair = _pair(entry, "data.period", such_as="[2010-12-02, null]")
    first, last = (None if day is None else parse_day(str(day), "data.period") for day in pair)
    if first and last:
        _check_order(first, last, "data.period")
    return first, last


def missing_words(entry: Any) -> tuple[str, ...]:
    """Return the words for nothing in lower case."""
    return tuple(word.lower() for word in _texts(entry or (), "data.missing", such_as='["NULL", "N/A"]'))


def codes(entry: Any, where: str, such_as: str) -> list[str]:
    """Return ids as they are written."""
    return list(_texts(entry or (), where, such_as))


def prefix(entry: Any) -> str | None:
    return _text(entry, "data.cancelled_order_prefix")


def flag(entry: Any, where: str) -> bool:
    return _flag(False if entry is None else entry, where)


def hour(entry: Any, where: str) -> int:
    """Return an hour of the day; 0 where none is given."""
    found = 0 if entry is None else entry
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 24:
        raise InputError(
            f"{where} is not a valid hour", where=where, expected="a whole number, 0 to 23", found=repr(entry)
        )
    return found


def _pair(entry: Any, where: str, such_as: str) -> Sequence[Any]:
    if isinstance(entry, str) or not isinstance(entry, Sequence) or len(entry) != 2:
        raise InputError(
            f"{where} is not a valid pair of days",
            where=where,
            expected=f"[from, to], such as {such_as}",
            found=repr(entry),
        )
    return entry


def _check_order(first: date, last: date, where: str) -> None:
    if first > last:
        raise InputError(f"{where} ends before it begins", where=where, found=f"[{first}, {last}]")


def _check_path_or_sql(given: Mapping[str, Any], where: str) -> None:
    if "path" not in given and "sql" not in given:
        raise InputError(
            f"{where}.path is not set: a table needs either path or sql",
            where=where,
            found=listing(given),
            hint=f"add {where}.path=...",
        )
    if "path" in given and "sql" in given:
        raise InputError(f"{where} needs either path or sql, not both", where=where, found="path and sql")
    if "path" in given:
        check_keys(given, TABLE_KEYS, required=["path"], where=where)
    for key in OF_FILES if "sql" in given else ():
        if key in given:
            raise InputError(
                f"{where}.{key} is about files of path, and has no effect on a query",
                where=where,
                found=f"{key} beside sql",
                hint=f"remove {key}; what a query reads is said in it, such as FROM read_csv('x.csv', delim = ';')",
            )


def _statuses(name: str, entry: Any, where: str) -> Statuses:
    kinds = (SALE, RETURN, CANCELLATION, EXCLUDE)
    if name != "transactions":
        raise InputError(f"{where} has no meaning: only orders have a status", where=where, expected="transactions")
    check_keys(entry, ("column", *kinds), required=("column", SALE), where=where)
    words = {
        kind: tuple(
            word.lower() for word in _texts(entry.get(kind) or (), f"{where}.{kind}", such_as="[paid, shipped]")
        )
        for kind in kinds
    }
    statuses = Statuses(str(_text(entry["column"], f"{where}.column")).strip(), words)
    twice = [word for word, times in Counter(statuses.known).items() if times > 1]
    if twice:
        raise InputError(
            f"{where} lists a status more than once", where=where, expected="each in one list", found=listing(twice)
        )
    return statuses


def _values(entry: Any, where: str, such_as: str) -> dict[str, tuple[str, ...]]:
    """Return column -> values in it that tell rows apart."""
    if not isinstance(entry, Mapping):
        raise InputError(
            f"{where} is not a valid mapping", where=where, expected=f"such as {such_as}", found=repr(entry)
        )
    return {
        str(_text(column, where)): _one_or_more(values, f"{where}.{column}", such_as="[Summe]")
        for column, values in entry.items()
    }


def _formats_of_files(
    entry: Mapping[Any, Any], paths: Sequence[Path], joined: Mapping[str, Any], where: str
) -> dict[str, str]:
    """Return the name of each file -> its date_format, where files write dates in several ways."""
    names = [path.name for path in paths if FORMATS.get(path.suffix.lower()) in ("csv", "excel")]
    if sorted(map(str, entry)) != sorted(names) or joined:
        raise InputError(
            f"{where} does not give each file its format",
            where=where,
            expected=f"a format for each of {listing(names) or 'the files of path, which a query has none of'}"
            + (", and the time in one column" if joined else ""),
            found=listing(map(str, entry)),
            hint='such as {north.csv: "%m/%d/%Y", south.csv: "%d/%m/%Y"}',
        )
    return {str(name): str(_text(form, f"{where}.{name}")) for name, form in entry.items()}


def _columns(
    name: str, entry: Any, has_order_key: bool, where: str
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return canonical column -> column of the file, and of those that are joined from several the parts."""
    known = list(SPECS[name].columns)
    required = [column for column, spec in SPECS[name].columns.items() if spec.required and not spec.counted]
    if name == "transactions":
        known += [column for column in BESIDE if column != STATUS]
    if name == "returns":  # staging finds the sale, and all rows of such a table are returns
        known = [column for column in known if column not in ("kind", "line_number", "sold_at")]
        required.remove("kind")
    check_keys(entry, known, required=(), where=where)
    sources = {
        str(column): _sources(name, column, source, f"{where}.{column}")
        for column, source in entry.items()
        if source is not None
    }
    mapped = {column: " ".join(parts) for column, parts in sources.items()}
    if has_order_key:
        mapped.pop("order_id", None)  # made of the key
        required.remove("order_id")
    if name == "returns" and "order_id" in mapped:
        required.remove("customer_id")  # the order tells it
    if UNIT_PRICE in mapped:
        required[required.index("amount")] = "quantity"
        if "amount" in mapped:
            raise InputError(
                f"{where} maps both amount and {UNIT_PRICE}",
                where=where,
                expected="one of them",
                hint=f"write {UNIT_PRICE}: null (a config that begins from another may have it) or leave out amount",
            )
    check_keys(mapped, known, required, where)
    _check_discounts(mapped, where)
    return mapped, {mapped[column]: parts for column, parts in sources.items() if column in mapped and len(parts) > 1}


def _check_discounts(mapped: Mapping[str, str], where: str) -> None:
    found = [column for column in OF_LINES if column in mapped]
    if len(found) > 1:
        raise InputError(
            f"{where} maps several discounts of a line",
            where=where,
            expected="one of them",
            found=listing(found),
            hint="take the others off in a query: sql",
        )
    if UNIT_DISCOUNT in mapped and "quantity" not in mapped:
        raise InputError(f"{where} maps {UNIT_DISCOUNT} and no quantity", where=where, expected="quantity, too")


def _sources(table: str, column: str, entry: Any, where: str) -> tuple[str, ...]:
    """Return the column of the file that is mapped; a time may be joined from several, such as [date, time]."""
    is_time = column_type(table, column).is_timestamp()
    parts = _one_or_more(entry, where, such_as="[date, time]") if is_time else (str(_text(entry, where)),)
    return tuple(part.strip() for part in parts)


def _text(value: Any, where: str) -> str | None:
    """Take a text as it is written; refuse what YAML reads as something else, as it may have been written otherwise."""
    if value is None or isinstance(value, str):
        return value
    read = "yes or no" if isinstance(value, bool) else f"the {type(value).__name__} {value}"
    raise InputError(
        f"{where} is not a text",
        where=where,
        expected="a text",
        found=f"YAML reads it as {read}",
        hint='quote it as your file has it, such as "No" or "0123"',
    )


def _texts(entry: Any, where: str, such_as: str) -> tuple[str, ...]:
    if isinstance(entry, str) or not isinstance(entry, Sequence):
        raise InputError(f"{where} is not a valid list", where=where, expected=f"such as {such_as}", found=repr(entry))
    return tuple(str(_text("" if item is None else item, where)) for item in entry)


def _one_or_more(entry: Any, where: str, such_as: str) -> tuple[str, ...]:
    """Take a text or a list of texts; none where there is none."""
    if entry is None:
        return ()
    single = isinstance(entry, str) or not isinstance(entry, Sequence)
    return (str(_text(entry, where)),) if single else _texts(entry, where, such_as)


def _mark(value: Any, where: str, may_be_empty: bool = False) -> str | None:
    text = _text(value, where)
    if text is None or (text == "" and may_be_empty):
        return text
    text = MARKS.get(text.lower(), text)
    if len(text) != 1:
        raise InputError(
            f"{where} is not one character",
            where=where,
            expected="one character, or its name",
            found=repr(text),
            hint=did_you_mean(text, MARKS),
        )
    return text


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{where} is neither true nor false", where=where, expected="true or false", found=repr(value))
    return value


def _lines(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(
            f"{where} is not a number of lines", where=where, expected="a whole number, at least 0", found=repr(value)
        )
    return value


def _find(path: Any, root: Path, where: str) -> Iterator[Path]:
    """Yield the files that a path, a glob or a list of them names, sorted within each."""
    for entry in path if isinstance(path, Sequence) and not isinstance(path, str) else [path]:
        pattern = Path(str(_text(entry, where))).expanduser()
        full = root / pattern
        if glob.has_magic(str(pattern)) and not full.exists():  # a name may have brackets
            found = [root / match for match in sorted(glob.glob(str(pattern), root_dir=root, recursive=True))]
        else:
            found = [full]
        if not found:
            raise InputError(f"no file matches {full}", where=where, hint="check data.path and the pattern")
        for file in found:
            _check_file(file, entry, where)
            yield file


def _check_file(file: Path, entry: Any, where: str) -> None:
    if file.is_dir():
        raise InputError(
            f"{file} is a directory",
            where=where,
            expected="a file, a list of files or a pattern",
            hint=f"name its files, such as {entry}/*.parquet",
        )
    if not file.exists():
        beside = files_beside(file)
        raise InputError(
            f"there is no file {file}",
            where=where,
            hint=did_you_mean(file.name, beside) if beside else f"there is no file in {file.parent}",
        )


def _format(declared: Any, paths: Sequence[Path], where: str) -> str:
    allowed = " or ".join(dict.fromkeys(FORMATS.values()))
    if declared is None:
        old = [path.name for path in paths if path.suffix.lower() in OLD_EXCEL]
        if old:
            raise InputError(
                f"workbooks of Excel before 2007 are not read: {listing(old)}",
                where=where,
                expected=allowed,
                found=listing(sorted({Path(name).suffix for name in old})),
                hint="open it in Excel or LibreOffice and save it as .xlsx; if it is a text in fact, as the exports of "
                f"many shops are, {where}=csv",
            )
        guesses = {FORMATS.get(path.suffix.lower()) for path in paths}
        if len(guesses) > 1 or None in guesses:
            raise InputError(
                "cannot tell the format from the file names",
                where=where,
                expected=allowed,
                found=listing(path.name for path in paths),
                hint=f"declare {where}=csv, parquet or excel",
            )
        declared = guesses.pop() if guesses else "query"
    elif declared not in FORMATS.values():
        raise InputError(
            f"{where}={declared} is not a valid format", where=where, expected=allowed, found=str(declared)
        )
    return str(declared)


def encoding(name: Any, where: str) -> str | None:
    """Return the codec's own name of an encoding."""
    text = _text(name, where)
    if text is None:
        return None
    try:
        codec = codecs.lookup(text)
        if codec.name in OF_NAMES or not codec._is_text_encoding:
            raise LookupError
        return codec.name
    except (LookupError, ValueError):  # the latter of a name that no codec may have
        raise InputError(
            f"there is no encoding {text!r}",
            where=where,
            expected="a Python codec such as utf-8, cp1252 or cp949",
            hint=encoding_advice(text, where, sorted({*aliases.aliases, *aliases.aliases.values()})),
        ) from None


def _decimal(mark: Any, where: str) -> str:
    mark = MARKS.get(mark, mark) if isinstance(mark, str) else mark
    if mark not in (".", ","):
        raise InputError(
            f"{where}={mark} is not a valid decimal mark", where=where, expected="'.' or ','", found=repr(mark)
        )
    return str(mark)
