"""Rules of a raw table: rows that stay out of the canonical one, counted, and rows that stop staging."""

from __future__ import annotations

import logging
from pathlib import Path

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.errors import SHOWN_VALUES, InputError
from features.sources.raw import RAW_PREFIX, Raw, Rule
from features.sources.staged import Drop
from features.tables import SPECS, TableSpec

logger = logging.getLogger(__name__)


def write_canonical(name: str, raw: Raw, engine: DuckDB, path: Path) -> tuple[int, list[Drop]]:
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
    """Count rows and unreadable values per rule; the rows that meet none are under the empty name."""
    unreadable = {
        column: (ruled[text].notnull() & ruled[column].isnull()).cast("int64").sum()
        for column, text in raw.texts.items()
    }
    counts = ruled.group_by("staging_rule").aggregate(rows=ruled.count(), **unreadable).to_pyarrow().to_pylist()
    return {row.pop("staging_rule"): row for row in counts}


def _conform(table: ir.Table, spec: TableSpec) -> ir.Table:
    """Select the canonical columns in their order; a null of the right type where the source has none.

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
    numbers = [column for column, spec in SPECS[name].columns.items() if spec.counted and column in met.columns]
    shown = list(dict.fromkeys([rule.shows, *numbers]))
    examples = met.select(*shown).order_by(shown[::-1]).limit(SHOWN_VALUES).to_pyarrow().to_pylist()
    values = [
        f"{row[rule.shows]} (row {row[shown[-1]]:,})" if len(shown) > 1 else str(row[rule.shows]) for row in examples
    ]
    return InputError(
        f"{rows:,} rows of {name} meet the rule {rule.name}: {rule.meaning}",
        where=where,
        found=f"{rule.shows} = {', '.join(values)}{', ...' if rows > len(values) else ''}",
        hint=f"data.rules.{rule.name}=drop leaves such rows out and counts them; or correct the source",
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
