"""Rules of a raw table: rows that stay out of the canonical one, counted, and rows that stop staging."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.errors import SHOWN_VALUES, EmptyTableError, InputError
from features.sources.pseudonyms import Pseudonyms
from features.sources.raw import RAW_PREFIX, Currency, Doubt, Drop, Raw, Rule
from features.tables import SPECS, TableSpec

logger = logging.getLogger(__name__)

WHOSE = {"customers": "customer_id", "orders": "order_id"}  # counted where a table keeps no row of them


@dataclass(frozen=True)
class Written:
    """The outcome of the rules of a raw table: rows kept and dropped, what reading changed, money by currency."""

    rows: int
    drops: tuple[Drop, ...]
    notes: tuple[str, ...]
    currencies: tuple[Currency, ...] = ()


class HalvedOrdersError(InputError):
    """Orders of which a rule leaves out some lines and keeps others; `rule` is its name."""

    def __init__(self, rule: str, problem: str, **details: str | None) -> None:
        super().__init__(problem, **details)
        self.rule = rule


def ruled(raw: Raw) -> ir.Table:
    """Add the name of the first rule that a row meets, `staging_rule`; empty for the rows that are kept."""
    rule = ibis.literal("")
    for declared in reversed(raw.rules):  # the first rule that a row meets is the outermost condition
        rule = ibis.ifelse(declared.meets.fill_null(False), declared.name, rule)
    return raw.table.mutate(staging_rule=rule)


def write_canonical(name: str, raw: Raw, engine: DuckDB, path: Path, pseudonyms: Pseudonyms | None = None) -> Written:
    """Apply the rules, refuse what could not be read or is not believed, write the rest, with pseudonyms if asked.

    Raises
    ------
    InputError
    """
    rows_of_rules = ruled(raw)
    counts = counted(name, raw, engine) if raw.counts is None else raw.counts
    rows_in = sum(counts[rule]["rows"] for rule in counts)
    _check_records(name, raw, rows_in)
    for declared in raw.rules:
        if not declared.drop and declared.name in counts:
            met = rows_of_rules.filter(rows_of_rules.staging_rule == declared.name)
            raise _refusal(name, declared, met, counts[declared.name], _total(counts), raw.where)
    kept = rows_of_rules.filter(rows_of_rules.staging_rule == "")
    for column, text in raw.texts.items():
        if "" in counts and counts[""][f"unread_{column}"]:
            raise _unreadable_values(name, column, text, kept, counts[""][f"unread_{column}"], raw)
    for number, doubt in enumerate(raw.doubts):
        if "" in counts and counts[""][f"doubt_{number}"]:
            raise _doubtful_values(doubt, kept.filter(doubt.meets), counts[""][f"doubt_{number}"], raw)
    for declared in raw.rules:
        if declared.limit is not None and declared.name in counts:
            _check_share(name, declared, counts[declared.name], _total(counts), raw.where)
    _check_halves([rule for rule in raw.rules if rule.halving and rule.name in counts], rows_of_rules, raw)
    if "" not in counts:
        raise InputError(
            f"no row of {name} is left after its rules",
            where=raw.where,
            found=", ".join(f"{rule}: {counts[rule]['rows']:,} rows" for rule in counts),
            hint="check the rules in the data config, and what they go by: cancelled_order_prefix, non_product_codes",
        )
    rows = conform(kept, SPECS[name])
    engine.write(rows if pseudonyms is None else pseudonyms.within(name, rows, engine), path)
    nothing = {"rows": 0, "amount": 0.0 if "amount" in raw.table.columns else None}
    drops = tuple(
        Drop(
            table=name,
            rule=declared.name,
            rows=count["rows"],
            amount=count["amount"],
            kept_in=declared.kept_in,
            **{each: count.get(each, 0) for each in WHOSE},
        )
        for declared in raw.rules
        for count in [counts.get(declared.name, nothing)]
    )
    dropped = ", ".join(f"{drop.rule} {drop.rows:,}" for drop in drops if drop.rows)
    n_rows = counts[""]["rows"]
    logger.info(
        "%s: %s rows of %s, dropped: %s, kept: %s", name, f"{rows_in:,}", raw.where, dropped or "none", f"{n_rows:,}"
    )
    return Written(
        n_rows,
        (*raw.drops, *drops),
        (*raw.notes, *_changes(name, raw, counts)),
        _currencies(kept, raw.currency),
    )


def counted(name: str, raw: Raw, engine: DuckDB) -> Mapping[str, Mapping[str, Any]]:
    """Count rows, money and what is wrong with them per rule; the rows that meet none are under the empty name."""
    with engine.progress(f"counting {name}"), engine.enough_memory():
        return _count(ruled(raw), raw)


def _count(ruled: ir.Table, raw: Raw) -> dict[str, dict[str, Any]]:
    figures = {
        f"unread_{column}": (ruled[text].notnull() & ruled[column].isnull()).cast("int64").sum()
        for column, text in raw.texts.items()
    }
    figures |= {f"doubt_{n}": doubt.meets.fill_null(False).cast("int64").sum() for n, doubt in enumerate(raw.doubts)}
    figures |= {f"counted_{n}": met.fill_null(False).cast("int64").sum() for n, met in enumerate(raw.counted.values())}
    has_money = "amount" in ruled.columns and ruled.amount.type().is_numeric()
    amount = ruled.amount.abs().cast("decimal(38, 4)").sum().cast("float64") if has_money else ibis.null("float64")
    by_rule = ruled.group_by("staging_rule").aggregate(rows=ruled.count(), money=amount, **figures)
    counts = {}
    for row in by_rule.to_pyarrow().to_pylist():
        counts[row.pop("staging_rule")] = row | {"amount": row.pop("money")}
    if len(counts) > 1 and {*WHOSE.values()} <= {*ruled.columns}:
        for what, column in WHOSE.items():
            for rule, number in _gone(ruled, column, raw):
                counts[rule][what] = number
    return counts


def _gone(ruled: ir.Table, column: str, raw: Raw) -> Iterator[tuple[str, int]]:
    """Yield the rules under which customers, or orders, of which no row stays are counted, and their number.

    It is the last that a row of theirs met, of those whose rows are kept elsewhere if there is one.
    """
    names = [rule.name for rule in sorted(raw.rules, key=lambda rule: bool(rule.kept_in))]
    place = ibis.cases(*((ruled.staging_rule == name, n) for n, name in enumerate(names)), else_=len(names))
    last = ruled.filter(ruled[column].notnull()).group_by(column).aggregate(last=place.max())
    gone = last.filter(last["last"] < len(names)).group_by("last").aggregate(number=lambda each: each.count())
    yield from ((names[row["last"]], row["number"]) for row in gone.to_pyarrow().to_pylist())


def _total(counts: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {key: float(sum(count[key] or 0 for count in counts.values())) for key in ("rows", "amount")}


def _check_records(name: str, raw: Raw, rows: int) -> None:
    """Refuse a table without rows, and one of which DuckDB does not find the records that were counted."""
    if raw.records is not None and raw.records != rows:
        raise InputError(
            f"{name} has other rows than its files have records",
            where=raw.where,
            expected=f"{raw.records:,} rows, as many as there are records",
            found=f"{rows:,} rows",
            hint=f"declare delimiter, quote and escape in data.tables.{name}",
        )
    if not rows:
        raise EmptyTableError(f"{name} is empty", where=raw.where, expected="at least one row", found="0 rows")


def shares_of(count: Mapping[str, Any], total: Mapping[str, float]) -> dict[str, float]:
    """Return the share of rows, and of money where there is any."""
    shares = {"rows": count["rows"] / total["rows"]}
    return shares | ({"money": (count["amount"] or 0.0) / total["amount"]} if total["amount"] else {})


def _check_share(name: str, rule: Rule, count: Mapping[str, Any], total: Mapping[str, float], where: str) -> None:
    """Refuse a rule that drops a larger share of rows or of money than it may."""
    shares = shares_of(count, total)
    if rule.limit is None or max(shares.values()) <= rule.limit:
        return
    raise InputError(
        f"the rule {rule.name} drops {' and '.join(f'{share:.1%} of {what}' for what, share in shares.items())}"
        f" of {name}: {rule.meaning}",
        where=where,
        expected=f"at most {rule.limit:.1%} of either",
        found=f"{count['rows']:,} of {total['rows']:,.0f} rows",
        hint=f"where that is right, confirm it: {_confirmation(rule, shares)}",
    )


def _check_halves(rules: Sequence[Rule], table: ir.Table, raw: Raw) -> None:
    """Refuse a rule that leaves out some lines of an order and keeps its others: what is left is no order any more."""
    if not rules:
        return
    lines = table.filter(table.order_id.notnull())
    figures = {"kept": (lines.staging_rule == "").sum()}
    for rule in rules:
        left = lines.staging_rule == rule.name
        figures |= {f"lines.{rule.name}": left.sum(), f"amount.{rule.name}": lines.amount.sum(where=left)}
    orders = lines.group_by("order_id").aggregate(**figures)
    half = {rule.name: (orders.kept > 0) & (orders[f"lines.{rule.name}"] > 0) for rule in rules}
    totals = {f"orders.{name}": orders.count(where=is_half) for name, is_half in half.items()}
    for name, is_half in half.items():
        totals |= {key: orders[key].sum(where=is_half) for key in (f"lines.{name}", f"amount.{name}")}
    found = orders.aggregate(**totals).to_pyarrow().to_pylist()[0]
    for rule in rules:
        of_rule = {key: found[f"{key}.{rule.name}"] for key in ("orders", "lines", "amount")}
        if of_rule["orders"]:
            raise _halved(rule, orders.filter(half[rule.name]), of_rule, raw)


def _halved(rule: Rule, halves: ir.Table, found: Mapping[str, Any], raw: Raw) -> HalvedOrdersError:
    examples = halves.order_by("order_id").limit(SHOWN_VALUES).to_pyarrow()["order_id"].to_pylist()
    return HalvedOrdersError(
        rule.name,
        f"the rule {rule.name} leaves {found['orders']:,} orders half: {rule.meaning}",
        where=raw.where,
        expected="all lines of an order, or none of them",
        found=f"{found['lines']:,} lines left out of orders whose others are kept, {_plain(found['amount'])} of money: "
        f"{', '.join(examples)}{', ...' if found['orders'] > len(examples) else ''}",
        hint=f"where that is right, {rule.halving}; {rule.hint or 'or correct the source'}",
    )


def _confirmation(rule: Rule, shares: Mapping[str, float]) -> str:
    return f"++data.confirmed_drops.{rule.name}={confirmed_share(shares):g}"


def confirmed_share(shares: Mapping[str, float]) -> float:
    """Return the share that confirms a drop: the larger one of rows and money, in whole percent."""
    return ceil(max(shares.values()) * 100) / 100


def _currencies(kept: ir.Table, column: str | None) -> tuple[Currency, ...]:
    """Return rows and money of each currency, the largest first."""
    if column is None:
        return ()
    by_code = kept.group_by(code=kept[column]).aggregate(
        rows=kept.count(), amount=kept.amount.cast("decimal(38, 4)").sum().cast("float64")
    )
    rows = by_code.order_by(by_code.rows.desc(), by_code.code).to_pyarrow().to_pylist()
    return tuple(Currency(column.removeprefix(RAW_PREFIX), **row) for row in rows)


def _changes(name: str, raw: Raw, counts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return notes on what was changed in reading, and in how many rows."""
    rows = [sum(count[f"counted_{n}"] for count in counts.values()) for n in range(len(raw.counted))]
    return [f"{name}: {what}: {n:,} rows" for what, n in zip(raw.counted, rows, strict=True) if n]


def conform(table: ir.Table, spec: TableSpec, **further: ir.Value) -> ir.Table:
    """Select the canonical columns in their order, and further ones; a null of the right type where there is none.

    What `TableSpec.optional` names is left out where the source lacks it: without their date, no fact would ever be
    known. A missing required column stays missing, for the check to name.
    """
    columns = {}
    for name, column in spec.columns.items():
        if name in table.columns:
            columns[name] = table[name].cast(column.type)
        elif not column.required and name not in spec.optional:
            columns[name] = ibis.null(column.type)
    return table.select(**columns, **further)


def _refusal(
    name: str, rule: Rule, met: ir.Table, count: Mapping[str, Any], total: Mapping[str, float], where: str
) -> InputError:
    numbers = [column for column, spec in SPECS[name].columns.items() if spec.counted and column in met.columns]
    shown = list(dict.fromkeys([rule.shows, *numbers]))
    examples = met.select(*shown).order_by(shown[::-1]).limit(SHOWN_VALUES).to_pyarrow().to_pylist()
    values = [f"{_plain(row[rule.shows])}{f' (row {row[shown[-1]]:,})' if len(shown) > 1 else ''}" for row in examples]
    shares = shares_of(count, total)
    drop = f"data.rules.{rule.name}=drop"
    if rule.limit is not None and max(shares.values()) > rule.limit:
        drop += f" {_confirmation(rule, shares)}"
    return InputError(
        f"{count['rows']:,} rows of {name} meet the rule {rule.name}: {rule.meaning}",
        where=where,
        found=f"{rule.shows} = {', '.join(values)}{', ...' if count['rows'] > len(values) else ''}; "
        + " and ".join(f"{share:.1%} of all {what}" for what, share in shares.items()),
        hint=f"{drop} leaves such rows out and counts them; {rule.hint or 'or correct the source'}",
    )


def _unreadable_values(name: str, column: str, text: str, kept: ir.Table, rows: int, raw: Raw) -> InputError:
    bad = kept.filter(kept[text].notnull() & kept[column].isnull())
    return InputError(
        f"{name}.{column} has values that cannot be read as {kept[column].type()}",
        where=f"{raw.where}, column {text.removeprefix(RAW_PREFIX)}",
        expected=raw.expected.get(column),
        found=f"{_shown(bad[text].cast('string'), bad)} ({rows:,} rows in all)",
        hint=raw.advice[column](kept) if column in raw.advice else None,
    )


def _doubtful_values(doubt: Doubt, bad: ir.Table, rows: int, raw: Raw) -> InputError:
    text = raw.texts.get(doubt.column)
    shown = bad[doubt.column].cast("string") if text is None else bad[text].cast("string")
    read = bad[doubt.column].cast("string")
    return InputError(
        doubt.problem,
        where=raw.where if text is None else f"{raw.where}, column {text.removeprefix(RAW_PREFIX)}",
        expected=doubt.expected,
        found=f"{_shown(shown, bad)} read as {_shown(read, bad)} ({rows:,} rows in all)",
        hint=raw.advice[doubt.column](raw.table) if text is not None and doubt.column in raw.advice else None,
    )


def _plain(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _shown(texts: ir.Column, rows: ir.Table) -> str:
    values = rows.select(text=texts).distinct().order_by("text").limit(SHOWN_VALUES)
    return ", ".join(repr(value) for value in values.to_pyarrow()["text"].to_pylist())
