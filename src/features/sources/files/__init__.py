"""The user's own tables: text files, workbooks, Parquet or a query, by a mapping of columns.

conf/data/files.yaml explains the keys. Each module here is one question: what the config says (`config`), how the
files are written (`records`), how values are (`values`, `times`), what an order is (`orders`), and what came back
(`returns`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from features.engines import DuckDB, staging_engine
from features.errors import InputError, did_you_mean, listing
from features.sources.files import config as checked
from features.sources.files.config import (
    DAY,
    LINE_DISCOUNT_PERCENT,
    LINE_DISCOUNT_RATE,
    OF_LINES,
    ORDER_DISCOUNT,
    ORIGINAL,
    RETURNED_AT,
    RETURNS,
    RULES,
    STATUS,
    UNIT_PRICE,
    TableConfig,
    column_type,
    is_money,
    table_config,
)
from features.sources.files.cuts import Cut, rows_before
from features.sources.files.identities import (
    CUSTOMER,
    IDENTITIES,
    LINK,
    customers_of,
    effect,
    is_doubled,
    linked,
    with_customers,
)
from features.sources.files.name_groups import with_name_groups
from features.sources.files.orders import carried, discounted, joined, kinds, of_order, reduced, without
from features.sources.files.records import Read, converted_query, read_records, with_joined, without_totals
from features.sources.files.returns import RETURNED, matched, of_lines, of_refunds, of_status, with_orders
from features.sources.files.times import has_zone, moments, outside
from features.sources.files.trials import distinct_texts, fitting_formats, fitting_styles, gives_days, reads_all
from features.sources.files.values import (
    factor,
    is_address_in_capitals,
    is_missing,
    is_whole_number,
    normal_id,
    number,
    product,
    trimmed,
)
from features.sources.meanings import ZONES
from features.sources.raw import RAW_PREFIX, Doubt, Drop, OrderKey, Raw, Rule
from features.sources.reading import hash_files, literal_path, query, readable, rows_digest, sql_literal
from features.sources.rules import conform, counted, ruled, write_canonical
from features.sources.shop_config import ShopConfig, check_keys, shell_value
from features.sources.spelling import SPELLINGS, spelled
from features.tables import MOMENT, RECORDED_AT, SPECS
from features.tables.returns import CANCELLATION, EXCLUDE, RETURN

SAME = ("same.1", "same.2")  # rows that agree in both are equal in all columns of the file
SUGGESTED = 3
CURRENCY_NAME = r"(?i)curren[ct]|^(ccy|cur)$|w[äa]e?hrung|moneda|moeda|devise|valut|валют|통화|货币|通貨"
UNLIMITED = ("outside_period", "empty_return")  # rules that may drop any share
ISO_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S")
PLANNED = ("starts_at", "ends_at")  # moments that may lie in the future

SHORTENED = r"^[0-9]([.,][0-9]+)?[eE]\+[0-9]{2,3}$"  # 4.00123E+12
WHOLE_IDS = "all digits: make the column text before the spreadsheet reads it, or export it again"
LARGEST = {LINE_DISCOUNT_RATE: 1, LINE_DISCOUNT_PERCENT: 100}


class Files:
    """Tables as the user has them.

    Parameters
    ----------
    shop : ShopConfig
        Its time zone is the one that timestamps are converted to.
    options : mapping
        The keys of conf/data/files.yaml.

    Raises
    ------
    InputError
        If the config is wrong or a file is missing.
    """

    required: ClassVar[tuple[str, ...]] = ("tables", "max_dropped", "spend")
    optional: ClassVar[tuple[str, ...]] = (
        "path",
        "rules",
        "confirmed_drops",
        "cancelled_order_prefix",
        "non_product_codes",
        "missing",
        "dates",
        "order_spans_days",
        "may_halve_orders",
        "spelling",
        "non_customer_ids",
        "test_orders",
        "period",
        "category_from_name",
        "contact_details",
        "recorded_by_hour",
    )

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        self.shop = shop
        self.root = Path(str(options["path"] or ".")).expanduser()
        self.actions = checked.actions(options["rules"] or {})
        self.limits = checked.limits(options["max_dropped"], options["confirmed_drops"] or {})
        self.may_halve = checked.halving(options["may_halve_orders"])
        self.cancelled_prefix = checked.prefix(options["cancelled_order_prefix"])
        self.non_product_codes = checked.codes(options["non_product_codes"], "data.non_product_codes", "[POST, M]")
        self.non_customer_ids = checked.codes(options["non_customer_ids"], "data.non_customer_ids", '["0", TILL]')
        self.test_orders = checked.codes(options["test_orders"], "data.test_orders", "[TEST-1]")
        self.period = checked.period(options["period"])
        self.missing = checked.missing_words(options["missing"])
        self.first_day, self.last_day = checked.days(options["dates"])
        self.may_span_days = checked.flag(options["order_spans_days"], "data.order_spans_days")
        self.recorded_by_hour = checked.hour(options["recorded_by_hour"], "data.recorded_by_hour")
        self.has_name_groups = checked.flag(options["category_from_name"], "data.category_from_name")
        self.spelling = checked.spellings(options["spelling"] or {})
        self.cutoff: date | None = None
        self.whole: tuple[str, ...] = ()
        declared = options["tables"]
        check_keys(declared, SPECS, required=["transactions"], where="data.tables")
        self.contact = checked.contact_config(options["contact_details"], declared.get("customers"))
        self.configs = [table_config(name, entry, self.root) for name, entry in declared.items() if entry is not None]
        if self.has_name_groups and not any(c.name == "products" and "name" in c.columns for c in self.configs):
            raise InputError(
                "products have no names to be grouped by",
                where="data.category_from_name",
                expected="tables.products, with the column name",
                hint="map data.tables.products.columns.name, or leave category_from_name at false",
            )

    def content(self, cache: Path) -> str:
        """Hash the bytes of files; of queries the rows, as the files behind them are not known."""
        return "\n".join(hash_files(c.paths) if c.sql is None else self._hash_query(c) for c in self.configs)

    def before(self, cutoff: date) -> Files:
        part = copy.copy(self)
        part.cutoff = cutoff
        part.limits = dict.fromkeys(self.limits, 1.0)  # shares of other days were not confirmed
        return part

    def tables(self, engine: DuckDB, scratch: Path) -> dict[str, Raw]:
        _search_from(self.root, engine)
        configs = {config.name: config for config in self.configs}
        refunds = configs.pop(RETURNED, None)
        found: dict[str, Raw] = {}
        customers = None
        for name in sorted(configs, key=lambda name: name != IDENTITIES):  # the others have its customers
            found[name] = self._raw(configs[name], engine, scratch, customers)
            if name == IDENTITIES and self.actions["undated_identity"] != "drop":
                customers = customers_of(found[name].table)
        raws = {name: found[name] for name in configs}
        lines = raws["transactions"]
        if any(rule.kept_in for rule in lines.rules):
            with readable(lines.where):
                raws["transactions"] = replace(lines, counts=counted("transactions", lines, engine))
        returns = self._returns(configs["transactions"], raws["transactions"], refunds, customers, engine, scratch)
        return raws | ({RETURNED: returns} if returns else {})

    def contact_details(self) -> pd.DataFrame | None:
        """Read the columns of customers that lists show; None where the config names none.

        Nothing of it is kept: what has to be written on the way is in a folder that goes.

        Returns
        -------
        DataFrame
            customer_id as the table has it, in the spelling of all tables, and the columns as texts.
        """
        if self.contact is None:
            return None
        with TemporaryDirectory() as folder, readable(checked.CONTACT):
            scratch = Path(folder)
            config = self._contact_table(scratch)
            engine = staging_engine(scratch)
            try:
                _search_from(self.root, engine)
                wanted = {CUSTOMER: config.columns[CUSTOMER], **self.contact.columns}
                table, _ = self._texts(self._read(config, engine, scratch), config, wanted)
                texts = {
                    name: table[RAW_PREFIX + source].cast("string") for name, source in self.contact.columns.items()
                }
                ids = self._typed(config, CUSTOMER, table[RAW_PREFIX + config.columns[CUSTOMER]])
                return engine.frame(table.select(**{CUSTOMER: ids}, **texts).filter(ids.notnull()))
            finally:
                engine.connection.disconnect()

    def _contact_table(self, scratch: Path) -> TableConfig:
        """Return the config of the table that has contact details."""
        assert self.contact is not None
        return table_config("customers", self.contact.entry, self.root)

    def _hash_query(self, config: TableConfig) -> str:
        with TemporaryDirectory() as folder, readable(config.where):
            sql = converted_query(config, str(config.sql), Path(folder), self.root)
            engine = staging_engine(Path(folder))
            _search_from(self.root, engine)
            result = rows_digest(engine, sql)
            engine.connection.disconnect()
        return result

    def _read(self, config: TableConfig, engine: DuckDB, scratch: Path) -> Read:
        """Read the raw rows, with columns that are joined from several and without rows that sum up others."""
        read = without_totals(with_joined(self._read_raw(config, engine, scratch), config), config)
        if self.cutoff is None or config.sql is not None:
            return read
        return rows_before(self.cutoff, read, config, self.shop.timezone, self.missing, self.recorded_by_hour)

    def _read_raw(self, config: TableConfig, engine: DuckDB, scratch: Path) -> Read:
        if config.sql is not None:
            sql = converted_query(config, config.sql, scratch, self.root)
            if self.cutoff is not None:
                cut = Cut(self.cutoff, self.configs, self.root, self.shop.timezone, engine)
                sql, whole = cut.query(config, sql)
                self.whole += whole
            return as_read(query(engine, config.name, sql))
        if config.format != "parquet":
            return read_records(config, engine, scratch)
        table = engine.connection.read_parquet(
            [literal_path(path) for path in config.paths],
            table_name=f"raw_{config.name}",
            hive_partitioning=False,
            union_by_name=True,
        )
        return as_read(table)

    def _raw(
        self,
        config: TableConfig,
        engine: DuckDB,
        scratch: Path,
        customers: ir.Table | None,
        lines: ir.Table | None = None,
    ) -> Raw:
        """Return one table; of refunds, with what the lines of their orders say."""
        with readable(config.where):
            with engine.progress(f"reading {config.name}"):
                read = self._read(config, engine, scratch)
            typed, changed = self._typed_table(config, read)
            if config.name == IDENTITIES:
                typed = linked(typed, engine)
            elif customers is not None and CUSTOMER in config.columns:
                typed = with_customers(typed, customers)
            table = self._with_repeats(config, self._stored(typed, config.name, engine, scratch))
            if lines is not None:
                table = with_orders(table, lines)
            if config.name == "products" and self.has_name_groups:
                table = with_name_groups(table)
        counted = {what: table[_change(number)] for number, what in enumerate(changed)}
        if config.name == "transactions":
            table, of_lines = self._lines(config, table)
            counted |= of_lines
        return Raw(
            table,
            where=config.where,
            rules=tuple(self._rules(config, table)),
            texts={
                column: RAW_PREFIX + source
                for column, source in config.columns.items()
                if not column_type(config.name, column).is_string()
            },
            expected={column: _expected(config, column) for column in config.columns},
            advice={
                column: self._advice(config, column, RAW_PREFIX + source, engine)
                for column, source in config.columns.items()
            },
            doubts=tuple(self._doubts(config, table)),
            records=read.records,
            notes=(*read.notes, *effect(config.name, table)),
            counted=counted,
            order=self._order_key(config) if config.name == "transactions" else None,
            spelling="data.spelling",
            currency=next((RAW_PREFIX + name for name in _currency_columns(config, read.names)), None),
        )

    def _typed_table(self, config: TableConfig, read: Read) -> tuple[ir.Table, list[str]]:
        """Return canonical columns beside raw ones, and what was changed, of which each row has a flag."""
        further = (*config.order_key, *config.only, *config.credits, *_currency_columns(config, read.names))
        wanted = {**config.columns, **{part: part for part in further if part != DAY}}
        table, sources = self._texts(read, config, wanted)
        typed = {
            column: self._typed(config, column, table[RAW_PREFIX + source]) for column, source in config.columns.items()
        }
        for column in _counted(config.name):
            typed.setdefault(column, ibis.row_number() + 1)  # in the order of the files
        changed = dict(self._changed(config, table, sources))
        flags = {_change(number): met.fill_null(False) for number, met in enumerate(changed.values())}
        table = table.mutate(**typed, **flags)
        if config.order_key:
            parts = [
                table.timestamp.date() if part == DAY else normal_id(trimmed(table[RAW_PREFIX + part]))
                for part in config.order_key
            ]
            table = table.mutate(order_id=joined(parts))
        if UNIT_PRICE in config.columns:
            table = table.mutate(amount=product(table.quantity, table.unit_price))
        # two hashes of 64 bits in place of all columns, which take three times as long to sort
        columns = {column: read.table[column] for column in read.table.columns}
        same = {SAME[0]: ibis.struct(columns).hash(), SAME[1]: ibis.struct(dict(reversed(columns.items()))).hash()}
        return without(table.mutate(**same), columns), list(changed)

    def _stored(self, table: ir.Table, name: str, engine: DuckDB, scratch: Path) -> ir.Table:
        """Write a table as it was read, so that its texts are read once, and in bounded memory."""
        path = scratch / f"typed_{name}.parquet"
        engine.write(table, path)
        return engine.read(path, f"typed_{name}")

    def _order_key(self, config: TableConfig) -> OrderKey:
        named = {
            column: source
            for column, source in config.columns.items()
            if column in ("order_id", "store_id", "customer_id")
        }
        if config.order_key:
            named["order_id"] = ",".join(config.order_key)
        return OrderKey(self.may_span_days, f"{config.key}.order_key", named)

    def _texts(
        self, read: Read, config: TableConfig, wanted: Mapping[str, str]
    ) -> tuple[ir.Table, dict[str, ir.StringColumn]]:
        """Add the mapped raw columns under prefixed names; texts trimmed, null where they are words for nothing.

        Return the table and, by raw column, the trimmed texts with those words.
        """
        available = read.columns
        added, sources = {}, {}
        for column, source in wanted.items():
            if source not in available:
                raise self._no_column(config, column, source, available)
            if [name.strip() for name in read.names].count(source) > 1:
                raise InputError(
                    f"two columns are called {source!r}",
                    where=config.where,
                    hint="give one another name, or map a query: sql",
                )
            values = available[source]
            if values.type().is_floating() and not _is_text(config, column):
                values = ibis.ifelse(values.isnan(), ibis.null(values.type()), values)
            elif values.type().is_string() or (_is_text(config, column) and not values.type().is_nested()):
                sources[source] = trimmed(values)
                values = ibis.ifelse(is_missing(sources[source], self.missing), ibis.null("string"), sources[source])
            added[RAW_PREFIX + source] = values
        return read.table.mutate(**added), sources

    def _no_column(self, config: TableConfig, column: str, source: str, available: Collection[str]) -> InputError:
        hint = did_you_mean(source, available)
        if config.format == "csv" and len(available) == 1:
            hint = f"the file seems to have one column only: declare {config.key}.delimiter"
        return InputError(
            f"there is no column {source!r} to map to {config.name}.{column}",
            where=config.where,
            found=listing(available, limit=30),
            hint=hint,
        )

    def _typed(self, config: TableConfig, column: str, values: ir.Column) -> ir.Column:
        """Read a raw column as its canonical type; null where it cannot be read."""
        wanted = column_type(config.name, column)
        kind = values.type()
        if not _can_read(kind, wanted, config):
            raise InputError(
                f"{config.name}.{column} has the wrong type",
                where=f"{config.where}, column {config.columns[column]}",
                expected=_expected(config, column),
                found=str(kind),
            )
        if kind.is_null():
            return values.cast(wanted)
        if wanted.is_timestamp():
            read = moments(values, config.date_format, config.timezone or self.shop.timezone, self.shop.timezone)
            hours = self.recorded_by_hour if column == RECORDED_AT else 0
            return read - ibis.interval(hours=hours) if hours else read
        if wanted.is_string():
            texts = normal_id(values) if _is_id(column) else values.cast("string")
            return spelled(texts, self._spelling(column))
        style = config.numbers if is_money(config.name, column) else replace(config.numbers, cents=False)
        if config.name == "transactions" and UNIT_PRICE in config.columns and column in ("quantity", UNIT_PRICE):
            return factor(values, style)
        if column == LINE_DISCOUNT_PERCENT and kind.is_string():
            values = values.re_replace(r"\s*%$", "")
        return number(values, wanted, style)

    def _spelling(self, column: str) -> tuple[str, ...]:
        return self.spelling.get("order_id" if column == ORIGINAL else column, ())

    def _changed(
        self, config: TableConfig, table: ir.Table, sources: Mapping[str, ir.StringColumn]
    ) -> Iterator[tuple[str, ir.BooleanColumn]]:
        """Yield what reading changes, and the rows."""
        for column, source in config.columns.items():
            text = table[RAW_PREFIX + source]
            if source in sources:
                words = (sources[source] != "") & is_missing(sources[source], self.missing)
                yield f"{column} is a word for nothing (data.missing)", words
            if not text.type().is_string():
                continue
            if _is_id(column):
                yield f"{column} such as 12345.0 is read as 12345", is_whole_number(text)
                yield f"{column} with capitals in an e-mail address is read without", is_address_in_capitals(text)
            for spelling in self._spelling(column):
                yield f"{column} is read {SPELLINGS[spelling].meaning}", text != spelled(text, [spelling])
            if column_type(config.name, column).is_timestamp() and config.date_format is None:
                yield f"{column} has its own distance from UTC", has_zone(text)

    def _with_repeats(self, config: TableConfig, table: ir.Table) -> ir.Table:
        """Mark the rows that repeat an earlier one; none where such rows are kept, as windows take long."""
        if self.actions["duplicate_rows"] == "keep":
            return table.mutate(is_repeated=ibis.literal(False))
        order = [table[column] for column in _counted(config.name)]
        return table.mutate(is_repeated=ibis.row_number().over(group_by=list(SAME), order_by=order) > 0)

    def _lines(self, config: TableConfig, table: ir.Table) -> tuple[ir.Table, dict[str, ir.BooleanColumn]]:
        """Finish the lines of orders: values that the order has once, and what its status says."""
        is_by_line = self.actions["mixed_status"] == "keep"
        columns = of_order(config.columns, config.status, is_by_line=is_by_line)
        if DAY in config.order_key:
            columns.remove("timestamp")
        columns = self._with_gaps(table, columns)
        table = carried(table, columns)
        changed = {_as_others(column): table[f"{column}_carried"] for column in columns}
        if config.credits:
            marks = (table[RAW_PREFIX + name].isin(words) for name, words in config.credits.items())
            is_credit = _any(mark.fill_null(False) for mark in marks)
            taken = [name for name in ("amount", "quantity") if name in table.columns]
            table = table.mutate(**{name: ibis.ifelse(is_credit, -table[name].abs(), table[name]) for name in taken})
            changed["amount is read with a minus (credits)"] = is_credit
        for discount in OF_LINES:
            if discount in config.columns:
                table = table.mutate(amount=reduced(table, discount))
                changed["amount is reduced by the line's discount"] = table[discount] != 0
        if ORDER_DISCOUNT in config.columns:
            table = discounted(table)
            changed["amount is reduced by a share of the order's discount"] = table[ORDER_DISCOUNT] != 0
        if config.status or RETURNED_AT in config.columns:
            table = kinds(table, config.status)
        if config.status and RETURNED_AT in config.columns:
            changed[_as_others(RETURNED_AT)] = table[f"{RETURNED_AT}_carried"]
        if ORIGINAL in config.columns:
            table = self._with_originals(config, table)
            said = f"customer_id is that of the order that {ORIGINAL} names"
            changed[said] = table[ORIGINAL].notnull() & ~table.customer_id.identical_to(table.own_customer)
        met = {name: meets.fill_null(False) for name, (meets, _) in self._conditions(config, table).items()}
        left = [met[name] for name in met if name in RETURNS and self.actions[name] == "drop"]
        if left:
            gross = "returns are left out, and amounts are gross: no sale is reduced by them"
            changed[gross] = _any(left) & ~_any(met[name] for name in met if self.actions[name] == "return")
        return table, changed

    def _with_originals(self, config: TableConfig, table: ir.Table) -> ir.Table:
        """Give rows that take money back, and name the order that it was paid for, the customer of that order."""
        met = {name: meets.fill_null(False) for name, (meets, _) in self._conditions(config, table).items()}
        is_back = _any(met[name] for name in RETURNS if name in met)
        table = table.mutate(
            **{ORIGINAL: ibis.ifelse(is_back, table[ORIGINAL], ibis.null("string"))},
            is_sold=~_any(met[name] for name in met if self.actions[name] != "keep"),
            came_back=_came_back(config, table),
            own_customer=table.customer_id,
        )
        table = table.mutate(is_sold=table.is_sold & ~table.came_back)
        return without(with_orders(table, table.view(), ORIGINAL), ("is_sold", "came_back"))

    def _with_gaps(self, table: ir.Table, columns: Sequence[str]) -> list[str]:
        """Return the columns in which a line lacks a value: most tables have none, and windows take long."""
        if not columns:
            return []
        gaps = (
            table.aggregate(**{column: table[column].isnull().sum() for column in columns}).to_pyarrow().to_pylist()[0]
        )
        return [column for column in columns if gaps[column]]

    def _returns(
        self,
        config: TableConfig,
        lines: Raw,
        refunds: TableConfig | None,
        customers: ir.Table | None,
        engine: DuckDB,
        scratch: Path,
    ) -> Raw | None:
        """Gather what came back: lines that rules take for returns, orders by their status, and a table of refunds."""
        table = ruled(lines)
        is_kept = table.staging_rule == ""
        table = table.mutate(came_back=is_kept & _came_back(config, table))
        table = table.mutate(is_sold=is_kept & ~table.came_back)
        sales = table.filter(table.is_sold)
        parts: list[ir.Table] = []
        notes: tuple[str, ...] = ()
        drops: tuple[Drop, ...] = ()
        moved = [rule.name for rule in lines.rules if rule.kept_in and rule.name in (lines.counts or ())]
        if moved:
            parts.append(of_lines(table.filter(table.staging_rule.isin(moved))))
        if RETURNED_AT in config.columns:
            parts.append(of_status(table.filter(table.came_back)))
        if refunds:
            raw = self._raw(refunds, engine, scratch, customers, table)
            written = write_canonical(RETURNED, raw, engine, scratch / "refunds.parquet")
            notes, drops = written.notes, written.drops
            parts.append(of_refunds(engine.read(scratch / "refunds.parquet", "refunds")))
        if not parts:
            return None
        returns = self._numbered(parts, engine, scratch)
        if not int(returns.count().execute()):
            return None
        returns = matched(returns, sales, engine, scratch / "pairs.parquet")
        notes += self._unmatched(returns)
        where = refunds.where if refunds else lines.where
        dated = replace(config, name=RETURNED, columns={RETURNED_AT: RETURNED_AT})
        return Raw(returns, where=where, doubts=tuple(self._doubts(dated, returns)), notes=notes, drops=drops)

    def _unmatched(self, returns: ir.Table) -> tuple[str, ...]:
        """Return a note on the returns whose sale was not found, in rows and money."""
        size = returns.amount.cast("float64").fill_null(0)
        is_alone = returns.sold_at.isnull()
        figures = returns.aggregate(
            rows=returns.count(), alone=is_alone.sum(), money=size.sum(), unpaired=size.sum(where=is_alone)
        )
        row = figures.to_pyarrow().to_pylist()[0]
        if not row["alone"]:
            return ()
        return (
            f"returns: no sale that they take back was found before them: {row['alone']:,} of {row['rows']:,} rows, "
            f"{row['unpaired']:,.2f} of {row['money']:,.2f} {self.shop.currency}",
        )

    def _numbered(self, parts: Sequence[ir.Table], engine: DuckDB, scratch: Path) -> ir.Table:
        """Write all returns with one number each, in the order of the files."""
        if any(RECORDED_AT in part.columns for part in parts):
            without = ibis.null(MOMENT)
            parts = [part if RECORDED_AT in part.columns else part.mutate(**{RECORDED_AT: without}) for part in parts]
        alike = [
            conform(part, SPECS[RETURNED], part=ibis.literal(n), is_paired=part.is_paired)
            for n, part in enumerate(parts)
        ]
        table = ibis.union(*alike) if len(alike) > 1 else alike[0]
        numbered = ibis.row_number().over(order_by=["part", "return_number"]) + 1
        return self._stored(table.mutate(return_number=numbered).drop("part"), RETURNED, engine, scratch)

    def _conditions(self, config: TableConfig, table: ir.Table) -> dict[str, tuple[ir.BooleanColumn, str]]:
        """Return rule -> condition, and the column that shows the rows; of the rules that concern a table."""
        key = SPECS[config.name].key[0]
        repeated = {"duplicate_rows": (table.is_repeated, key)}
        others = [~table[RAW_PREFIX + column].isin(values).fill_null(False) for column, values in config.only.items()]
        found = {"other_value": (_any(others), key)} if others else {}
        if config.name == IDENTITIES:
            flawed = {"conflicting_identity": table.is_conflicting, "circular_identity": table.is_circular}
            flawed["undated_identity"] = table.is_link
            return found | {name: (meets, LINK) for name, meets in flawed.items()} | repeated
        if config.name == RETURNED:
            shows = "return_id" if "return_id" in config.columns else "return_number"
            empty = {"empty_return": (table.amount == 0, shows), "refund_of_no_sale": (table.of_no_sale, shows)}
            return found | empty | {"missing_customer_id": (table.customer_id.isnull(), shows)} | repeated
        if config.name != "transactions":
            return found | repeated
        mapped = config.columns
        if any(self.period):
            found = {"outside_period": (outside(table.timestamp, *self.period), "order_id")} | found
        if config.status:
            found |= self._of_status(config, table)
        if self.cancelled_prefix:
            found["cancelled_order"] = table.order_id.startswith(self.cancelled_prefix), "order_id"
        if "of_no_sale" in table.columns:
            found["refund_of_no_sale"] = table.of_no_sale, "order_id"
        found["missing_customer_id"] = table.customer_id.isnull(), "order_id"
        if self.non_customer_ids:
            found["non_customer"] = table.customer_id.isin(self.non_customer_ids), "customer_id"
        if self.test_orders:
            found["test_order"] = table.order_id.isin(self.test_orders), "order_id"
        if self.non_product_codes and "product_id" in mapped:
            found["non_product_code"] = table.product_id.isin(self.non_product_codes), "product_id"
        if "quantity" in mapped:
            found["negative_quantity"] = table.quantity < 0, "quantity"
        found["negative_amount"] = table.amount < 0, "amount"
        found["zero_price"] = table.amount == 0, "order_id"
        return found | repeated

    def _of_status(self, config: TableConfig, table: ir.Table) -> dict[str, tuple[ir.BooleanColumn, str]]:
        """Return the conditions of the rules about an order's status."""
        came_back = table.status_kind.isin([RETURN, CANCELLATION])
        undated = table[RETURNED_AT].isnull() if RETURNED_AT in config.columns else ibis.literal(True)
        return {
            "mixed_status": (table.is_mixed, "order_id"),
            "unknown_status": (table.status_kind.isnull(), STATUS),
            "excluded_status": (table.status_kind == EXCLUDE, STATUS),
            "undated_return": (came_back & undated, "order_id"),
        }

    def _rules(self, config: TableConfig, table: ir.Table) -> Iterator[Rule]:
        """Yield the rules that concern a table as it is mapped, in order."""
        conditions = self._conditions(config, table)
        left_out = [
            meets.fill_null(False)
            for name, (meets, _) in conditions.items()
            if self.actions[name] == "drop" and name not in RETURNS
        ]
        for name, (meets, shows) in conditions.items():
            action = self.actions[name]
            if action != "keep":
                is_return = action == "return"
                yield Rule(
                    name,
                    meets & ~_any(left_out) if is_return else meets,
                    drop=action != "error",
                    meaning=RULES[name],
                    shows=shows,
                    limit=None if is_return or name in UNLIMITED else self.limits[name],
                    hint=_rule_advice(name),
                    kept_in=RETURNED if is_return else "",
                    halving=self._halving(name) if config.name == "transactions" and not is_return else "",
                )
        doubled = is_doubled(config.name, table)
        if doubled is not None:
            yield Rule("merged_identity", doubled, meaning="another row of the customer is kept", shows=CUSTOMER)

    def _halving(self, name: str) -> str:
        """Return the setting that lets a rule leave out some lines of an order; empty where it may."""
        if name in self.may_halve:
            return ""
        return f"data.may_halve_orders={shell_value([*self.may_halve, name])}"

    def _doubts(self, config: TableConfig, table: ir.Table) -> Iterator[Doubt]:
        """Yield the moments that no past of a shop has, discounts that leave less than nothing, and ids cut short."""
        for column in config.columns:
            if column in LARGEST:
                problem = f"{config.name}.{column} is more than the whole amount"
                yield Doubt(column, table[column].abs() > LARGEST[column], problem, f"0 to {LARGEST[column]}")
            if column.endswith("_id") and column_type(config.name, column).is_string():
                problem = f"{config.name}.{column} was shortened by a spreadsheet, which makes several ids one"
                yield Doubt(column, table[column].re_search(SHORTENED), problem, WHOLE_IDS)
            if not column_type(config.name, column).is_timestamp():
                continue
            last = None if column in PLANNED else self.last_day
            meets = outside(table[column], self.first_day, last)
            until = f"{self.first_day} to {last}" if last else f"{self.first_day} or later"
            problem = f"{config.name}.{column} has dates that cannot be right"
            yield Doubt(column, meets, problem, f"{until}; where others are right, data.dates=[from,to]")

    def _advice(self, config: TableConfig, column: str, text: str, engine: DuckDB) -> Callable[[ir.Table], str | None]:
        """Return the function that finds out what reads all values of a column."""
        wanted = column_type(config.name, column)

        def of_times(table: ir.Table) -> str | None:
            texts = distinct_texts(table[text], engine)
            fitting = list(islice(fitting_formats(texts, self.first_day, self.last_day, self.shop.timezone), SUGGESTED))
            if not fitting:
                return self._zone_advice(config, texts) or self._period_advice(config, column, table)
            said = " or ".join(f"{config.key}.date_format={shell_value(each)}" for each in fitting)
            return f"{said} {'reads' if len(fitting) == 1 else 'each reads'} all rows"

        def of_numbers(table: ir.Table) -> str | None:
            texts = distinct_texts(table[text], engine)
            fitting = list(fitting_styles([texts], config.numbers, wanted))
            if fitting:
                said = " or ".join(
                    " ".join(f"{config.key}.{key}={shell_value(value)}" for key, value in change.items())
                    for change in fitting[:SUGGESTED]
                )
                return f"{said} {'reads' if len(fitting) == 1 else 'each reads'} all rows"
            return _too_fine(texts, config.key, wanted)

        return of_times if wanted.is_timestamp() else of_numbers

    def _zone_advice(self, config: TableConfig, texts: ir.Table) -> str | None:
        """Return a format and zones for times that all end with the same word, which stands for several zones."""
        last = texts.select(word=texts.text.re_extract(r"\s([A-Za-z]{2,5})$", 1)).distinct().limit(2).to_pyarrow()
        words = last["word"].to_pylist()
        zones = ZONES.get(words[0].upper(), ()) if len(words) == 1 else ()
        if not zones:
            return None
        without = texts.select(text=texts.text.re_replace(r"\s[A-Za-z]{2,5}$", ""))
        for form in (*ISO_FORMATS, *fitting_formats(without, self.first_day, self.last_day, self.shop.timezone)):
            worded = f"{form} {words[0]}"
            if gives_days(texts, worded, self.first_day, self.last_day, self.shop.timezone):
                zone = " or ".join(f"++{config.key}.timezone={zone}" for zone in zones)
                return f"{config.key}.date_format={shell_value(worded)} {zone}, by what {words[0]} means here"
        return None

    def _period_advice(self, config: TableConfig, column: str, table: ir.Table) -> str | None:
        """Return the days to keep where a few others are not believed."""
        if config.name != "transactions" or column != "timestamp" or any(self.period):
            return None
        day = table[column].date()
        figures = table.filter(day.between(self.first_day, self.last_day)).aggregate(first=day.min(), last=day.max())
        found = figures.to_pyarrow().to_pylist()[0]
        if found["first"] is None:
            return None
        return f"data.period=[{found['first']},{found['last']}] leaves the other days out and counts them"


def _currency_columns(config: TableConfig, names: Sequence[str]) -> list[str]:
    """Return the columns of lines of orders that by their names hold a currency."""
    if config.name != "transactions":
        return []
    return [name.strip() for name in names if re.search(CURRENCY_NAME, name)][:1]


def _any(conditions: Iterable[ir.BooleanColumn]) -> ir.BooleanColumn:
    """Join conditions by or; false where there are none."""
    return ibis.or_(ibis.literal(False), *conditions)


def _came_back(config: TableConfig, table: ir.Table) -> ir.BooleanColumn:
    """Mark the lines of orders that came back by their status or their day."""
    if RETURNED_AT not in config.columns:
        return ibis.literal(False)
    return (table.status_kind.isin([RETURN, CANCELLATION]) & table[RETURNED_AT].notnull()).fill_null(False)


def _as_others(column: str) -> str:
    return f"{column} is that of the order's other lines"


def as_read(table: ir.Table) -> Read:
    """Give raw columns names that no canonical column has."""
    return Read(table.select(**{f"c{n}": table[name] for n, name in enumerate(table.columns)}), table.columns)


def _change(number: int) -> str:
    return f"changed.{number}"


def _too_fine(texts: ir.Table, key: str, wanted: dt.DataType) -> str | None:
    """Return how to round where there are more decimals than a column keeps: nobody does it unasked."""
    if not wanted.is_decimal() or not reads_all(texts, lambda values: values.try_cast("float64")):
        return None
    return f"more than {wanted.scale} decimals are not rounded unasked: {key}.rounded=true rounds them"


def _rule_advice(name: str) -> str:
    if name in RETURNS:
        return f"data.rules.{name}=return keeps them as returns, which data.spend=net takes off"
    if name == "unknown_status":
        where = f"data.tables.transactions.{STATUS}"
        return f'list the status ("" where there is none) in {where}: sale, return, cancellation or exclude'
    if name == "undated_return":
        return f"map {RETURNED_AT}; data.rules.{name}=keep where they count as sales"
    if name == "undated_identity":
        return f"data.rules.{name}=keep merges them all the same, into the past too"
    if name in checked.KEEPABLE:
        return f"data.rules.{name}=keep where they are right as they are"
    return "or correct the source"


def _counted(name: str) -> list[str]:
    """Return the columns of a table that number the source's rows."""
    return [column for column, spec in SPECS[name].columns.items() if spec.counted]


def _search_from(root: Path, engine: DuckDB) -> None:
    """Let a query's relative paths start from `data.path`."""
    engine.connection.raw_sql(f"SET file_search_path = {sql_literal(root)}")


def _is_id(column: str) -> bool:
    return column == "id" or column.endswith("_id")


def _is_text(config: TableConfig, column: str) -> bool:
    """Check whether a raw column is read as a text; parts of an order's key are."""
    return column not in config.columns or column_type(config.name, column).is_string()


def _can_read(kind: dt.DataType, wanted: dt.DataType, config: TableConfig) -> bool:
    if kind.is_string() or kind.is_null():
        return True
    if wanted.is_string():
        return not (kind.is_nested() or kind.is_binary())
    if wanted.is_timestamp():
        return kind.is_timestamp() or kind.is_date() or (kind.is_integer() and config.date_format is not None)
    return kind.is_numeric() and not kind.is_boolean()


def _expected(config: TableConfig, column: str) -> str:
    wanted = column_type(config.name, column)
    if wanted.is_timestamp() and config.date_format:
        return f"times written as date_format {config.date_format!r} says; ISO 8601 where it is null"
    if wanted.is_timestamp():
        return "times such as 2017-10-03 14:05:00, with or without Z, UTC or +01:00; otherwise declare date_format"
    if wanted.is_numeric():
        digits = f" and at most {wanted.scale} decimals" if wanted.is_decimal() else ""
        return f"numbers with the decimal mark {config.numbers.decimal!r}{digits}, and nothing else"
    if column in (STATUS, ORIGINAL):
        return f"a word of {config.key}.{STATUS}" if column == STATUS else "the number of an order"
    return SPECS[config.name].columns[column].meaning
