"""Google's merchandise store in 2019: 1,468 customers, five files with English or Korean headers, CSV or Excel.

Published on Kaggle as "Marketing Insights for E-Commerce Company" and for Dacon's e-commerce segmentation
competition. Discounts are known by month and category, delivery by transaction, tax by category; days have no hours.
"""

from __future__ import annotations

import copy
import logging
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from features.engines import DuckDB
from features.errors import InputError, listing
from features.sources.raw import RAW_PREFIX, Raw
from features.sources.reading import DAMAGED_WORKBOOK, hash_files, query, readable, sql_name
from features.sources.shop_config import ShopConfig
from features.tables import MONEY, QUANTITY

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".xlsx")
ENCODINGS = ("utf-8", "cp949")  # of CSV; cp949 is what Excel saves in Korea
PUBLISHED = (
    'download them from Kaggle ("Marketing Insights for E-Commerce Company") or from Dacon\'s e-commerce segmentation '
    "competition, and give their folder: data.path=…"
)


@dataclass(frozen=True)
class RawFile:
    """One of the five files.

    Attributes
    ----------
    names : tuple of str
        File names without suffix, the English one first.
    columns : mapping of str to tuple of str
        Our name of a column -> its headers.
    optional : tuple of str
        Columns that a file may lack.
    """

    names: tuple[str, str]
    columns: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...] = ()


CATEGORY = ("Product_Category", "제품카테고리")
# canonical table that a file holds -> the file; products are read from the sales
FILES: Mapping[str, RawFile] = {
    "transactions": RawFile(
        names=("Online_Sales", "Onlinesales_info"),
        columns={
            "customer_id": ("CustomerID", "고객ID"),
            "transaction_id": ("Transaction_ID", "거래ID"),
            "timestamp": ("Transaction_Date", "거래날짜"),
            "product_id": ("Product_SKU", "제품ID"),
            "name": ("Product_Description",),
            "category": CATEGORY,
            "quantity": ("Quantity", "수량"),
            "unit_price": ("Avg_Price", "평균금액"),
            "delivery": ("Delivery_Charges", "배송료"),
            "coupon_status": ("Coupon_Status", "쿠폰상태"),
        },
        optional=("name",),
    ),
    "customers": RawFile(
        names=("CustomersData", "Customer_info"),
        columns={
            "customer_id": ("CustomerID", "고객ID"),
            "gender": ("Gender", "성별"),
            "region": ("Location", "고객지역"),
            "tenure_months": ("Tenure_Months", "가입기간"),
        },
    ),
    "discounts": RawFile(
        names=("Discount_Coupon", "Discount_info"),
        columns={
            "month": ("Month", "월"),
            "category": CATEGORY,
            "discount_id": ("Coupon_Code", "쿠폰코드"),
            "percent": ("Discount_pct", "할인율"),
        },
    ),
    "marketing_spend": RawFile(
        names=("Marketing_Spend", "Marketing_info"),
        columns={
            "spent_at": ("Date", "날짜"),
            "offline": ("Offline_Spend", "오프라인비용"),
            "online": ("Online_Spend", "온라인비용"),
        },
    ),
    "taxes": RawFile(names=("Tax_amount", "Tax_info"), columns={"category": CATEGORY, "tax_rate": ("GST",)}),
}

# strptime alone reads 1/3/19 as the year 19, and seven digits as a day
DAY = r"\d{8}|\d{4}-\d{1,2}-\d{1,2}( 00:00:00)?|\d{1,2}/\d{1,2}/\d{4}"
DAY_FORMATS = ["%Y%m%d", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y"]
DAYS = "days such as 20190131, 2019-01-31 or 1/31/2019 (month first), or dates of Excel"
MONTH_FORMATS = ["%b", "%B", "%m", "%-m월"]
RATE = "decimal(9, 6)"
BRANDS = r"\b(Google|Android|YouTube|Nest|Waze)\b"


def _day(text: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, '{DAY}') THEN try_strptime({text}, {DAY_FORMATS}) END"


# Texts typed, in the order in which they build on each other; null where a text cannot be read.
VIEWS = {
    "lines": f"""
        SELECT
            *,
            text_customer_id AS customer_id,
            text_transaction_id AS transaction_id,
            text_product_id AS product_id,
            text_category AS category,
            {_day("text_timestamp")} AS "timestamp",
            try_cast(text_quantity AS {QUANTITY}) AS quantity,
            try_cast(text_unit_price AS {MONEY}) AS unit_price,
            try_cast(text_delivery AS {MONEY}) AS delivery,
            CASE lower(text_coupon_status)
                WHEN 'used' THEN 'Used' WHEN 'not used' THEN 'Not Used' WHEN 'clicked' THEN 'Clicked'
            END AS coupon_status
        FROM text_transactions
    """,
    "monthly_discounts": f"""
        SELECT
            *,
            text_category AS category,
            month(try_strptime(text_month, {MONTH_FORMATS})) AS month,
            try_cast(text_percent AS {RATE}) AS percent
        FROM text_discounts
    """,
    "tax_rates": f"SELECT *, text_category AS category, try_cast(text_tax_rate AS {RATE}) AS tax_rate FROM text_taxes",
    "priced_lines": f"""
        SELECT
            lines.*,
            tax_rate,
            (quantity * unit_price)::{MONEY} AS list_amount,
            CASE WHEN coupon_status = 'Used' THEN coalesce(percent, 0) * 0.01 ELSE 0 END AS discount_rate
        FROM lines
        LEFT JOIN monthly_discounts AS discounts
            ON discounts.category = lines.category AND discounts.month = month("timestamp")
        LEFT JOIN tax_rates AS taxes ON taxes.category = lines.category
    """,
}

QUERIES = {
    # `amount` is goods net of discount. Tax and delivery stay apart: the shop passes them on to the state and the
    # carrier, so that they are no revenue; and one delivery charge covers all lines of a transaction, whatever they
    # are worth, so that adding it to every line, as the formula that circulates does, counts it two or three times.
    # It stands on the first line of its transaction; where several customers share one (5.3%), the others' orders
    # have none, as nothing tells how they split it.
    "transactions": f"""
        SELECT
            * EXCLUDE (discount_rate),
            customer_id || '-' || transaction_id AS order_id,
            (list_amount * (1 - discount_rate))::{MONEY} AS amount,
            list_amount - amount AS coupon_discount,
            (amount * tax_rate)::{MONEY} AS tax_amount,
            CASE WHEN row_number() OVER (PARTITION BY transaction_id ORDER BY line_number) = 1 THEN delivery END
                AS delivery_amount
        FROM priced_lines
        ORDER BY line_number
    """,
    "customers": """
        SELECT
            *,
            text_customer_id AS customer_id,
            CASE
                WHEN lower(text_gender) IN ('f', 'female', '여', '여성', '여자') THEN 'F'
                WHEN lower(text_gender) IN ('m', 'male', '남', '남성', '남자') THEN 'M'
                ELSE text_gender
            END AS gender,
            text_region AS region,
            try_cast(text_tenure_months AS BIGINT) AS tenure_months
        FROM text_customers
    """,
    # Each product has one name and one category; staging refuses a second one. The brand is what the name, or else
    # the category, says outright; null where neither does.
    "products": f"""
        SELECT DISTINCT
            product_id,
            text_name AS name,
            category,
            nullif(regexp_extract(concat_ws(' ', text_name, category), '{BRANDS}'), '') AS brand
        FROM lines
        ORDER BY product_id
    """,
    "discounts": """
        SELECT
            *,
            text_discount_id AS discount_id,
            make_date(year, month, 1)::TIMESTAMP AS starts_at,
            starts_at + INTERVAL 1 MONTH AS ends_at,
            percent::DOUBLE / 100 AS discount_rate
        FROM monthly_discounts, (SELECT DISTINCT year("timestamp") AS year FROM lines)
    """,
    "marketing_spend": f"""
        WITH days AS (
            SELECT
                *,
                {_day("text_spent_at")} AS spent_at,
                try_cast(text_offline AS {MONEY}) AS offline,
                try_cast(text_online AS {MONEY}) AS online
            FROM text_marketing_spend
        )
        SELECT spent_at, text_spent_at, 'offline' AS channel, offline AS amount, offline, text_offline FROM days
        UNION ALL BY NAME
        SELECT spent_at, 'online' AS channel, online AS amount, online, text_online FROM days
    """,
    "taxes": "SELECT text_tax_rate, category, tax_rate::DOUBLE AS tax_rate FROM tax_rates",
}

KNOWN_AT = {"transactions": "text_timestamp", "marketing_spend": "text_spent_at"}  # months of discounts have no year

# canonical table -> typed column -> the raw column that it is read from, and what that should look like
NUMBERS = "numbers with a decimal point and nothing else"
READS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "transactions": {
        "timestamp": ("timestamp", DAYS),
        "quantity": ("quantity", NUMBERS),
        "unit_price": ("unit_price", NUMBERS),
        "delivery": ("delivery", NUMBERS),
    },
    "customers": {"tenure_months": ("tenure_months", "whole months")},
    "products": {},
    "discounts": {
        "starts_at": ("month", "Jan, Feb, … Dec, or 1 to 12"),
        "discount_rate": ("percent", "per cent without its sign: 10"),
    },
    "marketing_spend": {
        "spent_at": ("spent_at", DAYS),
        "offline": ("offline", NUMBERS),
        "online": ("online", NUMBERS),
    },
    "taxes": {"tax_rate": ("tax_rate", "a share of the price: 0.18")},
}


@dataclass(frozen=True)
class Contradiction:
    """A contradiction that makes amounts wrong although every value can be read.

    Attributes
    ----------
    file : str
        Key of `FILES`.
    query : str
        One text for each offending thing.
    problem, expected, hint : str
        As of `InputError`; the problem follows the number of things.
    """

    file: str
    query: str
    problem: str
    expected: str
    hint: str | None = None


CONTRADICTIONS = (
    Contradiction(
        "transactions",
        "SELECT DISTINCT coalesce(text_coupon_status, '(blank)') FROM lines WHERE coupon_status IS NULL",
        problem="coupon statuses are unknown",
        expected="Used, Not Used or Clicked: only a coupon that was used takes off its discount",
    ),
    Contradiction(
        "transactions",
        """
        SELECT transaction_id FROM lines GROUP BY transaction_id
        HAVING count(DISTINCT delivery) > 1 OR count(text_delivery) NOT IN (0, count(*))
        """,
        problem="transactions have a delivery charge that differs between their lines",
        expected="the same charge on each line of a transaction: it is counted once",
    ),
    Contradiction(
        "transactions",
        """
        SELECT concat_ws(' / ', customer_id, transaction_id, product_id) FROM lines
        GROUP BY customer_id, transaction_id, product_id HAVING count(*) > 1
        """,
        problem="products stand on several lines of one order",
        expected="one line per customer, transaction and product",
        hint="see whether rows were pasted twice; else add up the quantities",
    ),
    Contradiction(
        "discounts",
        """
        SELECT concat_ws(' ', coalesce(text_percent, '(blank)'), text_month, category) FROM monthly_discounts
        WHERE percent < 0 OR percent > 100 OR (percent > 0 AND percent < 1) OR text_percent IS NULL
        """,
        problem="discounts are not valid percentages",
        expected="0, or 1 to 100: 10 for a tenth off",
        hint="Excel shows 10% where it stores 0.1: format the column as a number, times 100",
    ),
    Contradiction(
        "discounts",
        """
        SELECT concat_ws(' ', any_value(text_month), category) FROM monthly_discounts
        WHERE month IS NOT NULL GROUP BY month, category HAVING count(*) > 1
        """,
        problem="months and categories have several discounts",
        expected="one row per month and category: sales do not say which coupon was used",
    ),
    Contradiction(
        "taxes",
        "SELECT category FROM tax_rates GROUP BY category HAVING count(*) > 1",
        problem="categories have several tax rates",
        expected="one row per category",
    ),
)

# Kept as it is, and reported: its meaning -> query of (thing, lines)
NOTES = {
    "customers have no row in the customer file; they stay, without gender and region": """
        SELECT customer_id, count(*) FROM lines
        WHERE customer_id NOT IN (SELECT text_customer_id FROM text_customers) GROUP BY customer_id
    """,
    "categories have no tax rate; the tax of their lines is unknown": """
        SELECT category, count(*) FROM lines
        WHERE category NOT IN (SELECT category FROM tax_rates) GROUP BY category
    """,
    "categories have used coupons but no discount; their lines stay at full price": """
        SELECT category, count(*) FROM lines
        WHERE coupon_status = 'Used' AND category NOT IN (SELECT category FROM monthly_discounts) GROUP BY category
    """,
}


class MerchandiseStore:
    """All five files, found in one folder by their names in either language and mixture.

    An order is one customer's part of a transaction, `<customer>-<transaction>`, as 5.3% of transaction ids span up
    to eight customers. Where the discount table has no row, the discount is 0; discounts hold in each year of the
    sales, as their months have none. Amounts are goods net of discount; tax and delivery have columns of their own.

    Parameters
    ----------
    options : mapping
        `path`: the folder. Optional in the config, so that an error can say where to get the files.

    Raises
    ------
    InputError
        If there is no such folder, a file is missing, or two files have one role.
    """

    required: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ("path",)

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        self.files = _find(options["path"])
        self.cutoff: date | None = None
        self.whole: tuple[str, ...] = ()

    def content(self, cache: Path) -> str:
        return hash_files(self.files.values())

    def before(self, cutoff: date) -> MerchandiseStore:
        part = copy.copy(self)
        part.cutoff = cutoff
        return part

    def tables(self, engine: DuckDB, scratch: Path) -> dict[str, Raw]:
        headers = {name: _read(name, path, engine, scratch) for name, path in self.files.items()}
        if self.cutoff:
            for name, column in KNOWN_AT.items():
                later = f"{_day(column)} >= TIMESTAMP '{self.cutoff}'"
                engine.connection.raw_sql(f"DELETE FROM text_{name} WHERE {later}")
        for name, text in VIEWS.items():
            engine.connection.raw_sql(f"CREATE TEMP VIEW {name} AS ({text})")
        for contradiction in CONTRADICTIONS:
            _refuse(contradiction, self.files[contradiction.file], engine)
        for meaning, text in NOTES.items() if self.cutoff is None else ():  # said when all was staged
            _report(meaning, text, engine)
        return {name: self._raw(name, headers.get(name, {}), engine) for name in QUERIES}

    def _raw(self, name: str, headers: Mapping[str, str], engine: DuckDB) -> Raw:
        reads = READS[name]
        texts = {column: RAW_PREFIX + headers[source] for column, (source, _) in reads.items()}
        table = query(engine, name, QUERIES[name])
        return Raw(
            table.rename({texts[column]: f"text_{source}" for column, (source, _) in reads.items()}),
            where=str(self.files.get(name, self.files["transactions"])),
            texts=texts,
            expected={column: expected for column, (_, expected) in reads.items()},
        )


def _find(path: object) -> dict[str, Path]:
    """Find the file of each role, in either language, with any suffix and case."""
    expected = f"{', '.join(' or '.join(raw.names) for raw in FILES.values())}; each {' or '.join(SUFFIXES)}"
    if path in (None, "", "???"):
        raise InputError(
            "data.path is not set: the files of the merchandise store are yours to bring",
            where="data.path",
            expected=f"a folder with {expected}",
            hint=PUBLISHED,
        )
    folder = Path(str(path)).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not a folder", where="data.path", expected=f"a folder with {expected}", hint=PUBLISHED
        )
    present = sorted(file for file in folder.iterdir() if file.is_file())
    candidates = {role: list(_candidates(raw, present)) for role, raw in FILES.items()}
    for role, files in candidates.items():
        if len(files) > 1:
            raise InputError(
                f"several files could be the one of {role}",
                where=str(folder),
                expected="one of them",
                found=listing(file.name for file in files),
                hint="leave one of them in the folder",
            )
    missing = [" or ".join(FILES[role].names) for role, files in candidates.items() if not files]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(FILES)} files are missing: {'; '.join(missing)}",
            where=str(folder),
            expected=expected,
            found=listing((file.name for file in present), limit=20) or "an empty folder",
            hint=PUBLISHED,
        )
    return {role: file for role, (file,) in candidates.items()}


def _candidates(raw: RawFile, present: Sequence[Path]) -> Iterator[Path]:
    names = {f"{name}{suffix}".lower() for name in raw.names for suffix in SUFFIXES}
    return (file for file in present if file.name.lower() in names)


def _read(name: str, path: Path, engine: DuckDB, scratch: Path) -> dict[str, str]:
    """Load a file's known columns as texts into text_<name>; return our column -> its header in the file."""
    source = _utf8_csv(path, scratch / f"{name}.csv")
    options = {"all_varchar": True, "header": True, "delim": ",", "quote": '"'}
    with readable(str(path)):
        raw = engine.connection.read_csv(str(source), table_name=f"file_{name}", **options)
    headers = _headers(FILES[name], raw.columns, path)
    texts = [
        f"nullif(trim({sql_name(headers[column])}), '')" if column in headers else "NULL::VARCHAR"
        for column in FILES[name].columns
    ]
    columns = ", ".join(f"{text} AS text_{column}" for column, text in zip(FILES[name].columns, texts, strict=True))
    with readable(str(path)):
        engine.connection.raw_sql(
            f"CREATE TEMP TABLE text_{name} AS SELECT row_number() OVER () AS line_number, {columns} FROM file_{name}"
        )
    return headers


def _headers(file: RawFile, present: Sequence[str], path: Path) -> dict[str, str]:
    """Return our column -> its header as the file has it: with a blank behind it, in another case."""
    found = {}
    for column, names in file.columns.items():
        wanted = {name.lower() for name in names}
        matches = [header for header in present if unicodedata.normalize("NFC", header).strip().lower() in wanted]
        if len(matches) > 1:
            raise InputError(
                f"several columns could be the one of {column}",
                where=str(path),
                expected="one of them",
                found=listing(repr(header) for header in matches),
            )
        if matches:
            found[column] = matches[0]
    missing = [" or ".join(file.columns[column]) for column in file.columns if column not in {*found, *file.optional}]
    if missing:
        raise InputError(
            f"{path.name} lacks columns: {'; '.join(missing)}",
            where=str(path),
            expected="the headers of the published file in its first line, in English or Korean, between commas",
            found=listing(present, limit=20),
        )
    return found


def _utf8_csv(path: Path, copy: Path) -> Path:
    """Return the file itself where it is UTF-8; else a copy: of an Excel file its first sheet."""
    if path.suffix.lower() == ".xlsx":
        try:
            cells = pd.read_excel(path, header=None, dtype=object, na_filter=False, engine="openpyxl")
        except DAMAGED_WORKBOOK as error:
            raise InputError(
                "the file is not a complete Excel workbook",
                where=str(path),
                expected="xlsx without a password, the table on its first sheet",
                found=str(error) or "a sudden end",
                hint="it may be truncated: copy it again, or save it as CSV",
            ) from None
        cells.map(_cell_text).to_csv(copy, header=False, index=False)
        return copy
    content = path.read_bytes()
    for encoding in ENCODINGS:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8":
            return path
        copy.write_text(text, encoding="utf-8", newline="")
        return copy
    raise InputError(
        f"the file is neither {' nor '.join(ENCODINGS)}", where=str(path), hint='save it as "CSV UTF-8" or as xlsx'
    )


def _cell_text(value: object) -> str:
    """Write a cell as a CSV file would have it."""
    if isinstance(value, datetime):
        return str(value.date() if value.time() == time() else value)
    return "" if value != value else str(value)  # NaN: a formula that failed


def _refuse(contradiction: Contradiction, path: Path, engine: DuckDB) -> None:
    values = sorted(str(value) for (value,) in engine.connection.raw_sql(contradiction.query).fetchall())
    if values:
        raise InputError(
            f"{len(values):,} {contradiction.problem}",
            where=str(path),
            expected=contradiction.expected,
            found=listing(values),
            hint=contradiction.hint,
        )


def _report(meaning: str, text: str, engine: DuckDB) -> None:
    found = sorted(engine.connection.raw_sql(text).fetchall())
    if found:
        lines = sum(count for _, count in found)
        logger.warning("%d %s: %s (%s lines)", len(found), meaning, listing(name for name, _ in found), f"{lines:,}")
