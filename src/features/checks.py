"""Checks of a table's rows against its `TableSpec`: columns, types, nulls, ranges, key."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from features.errors import SHOWN_VALUES, InputError, did_you_mean, listing
from features.tables import SPECS, Column, TableSpec

REPEATED = "repeated"  # figure: keys on several rows
ABSENT, OUTSIDE = "absent.", "outside."  # figures of a column: rows without a value, and with one out of its range


def check(name: str, table: ir.Table, where: str) -> None:
    """Check one canonical table, and stop at the first promise that is broken.

    One query counts everything that can be wrong with rows.

    Parameters
    ----------
    name : str
        Canonical name, a key of `tables.SPECS`.
    table : ibis table
        The rows, with all canonical columns but those that may be missing (`TableSpec.optional`), and no other.
    where : str
        The file that the rows come from, for the message.

    Raises
    ------
    InputError
        If a column is missing, unknown or of another type, a required value is null or NaN, a value is
        out of its range, or a key occurs twice. It shows at most five offending values, and counts them.
    """
    spec = SPECS[name]
    _check_columns(name, spec, table, where)
    found = _count(spec, table)
    if found[REPEATED]:
        raise _repeated_keys(name, spec, table, where)
    for column, wanted in spec.columns.items():
        if found.get(ABSENT + column):
            raise _absent_values(name, spec, table, column, where)
        if found.get(OUTSIDE + column):
            raise _values_outside(name, wanted, table, column, where)


def _check_columns(name: str, spec: TableSpec, table: ir.Table, where: str) -> None:
    """Refuse unknown, missing and wrongly typed columns."""
    for unknown in table.columns:
        if unknown not in spec.columns:
            raise InputError(
                f"{name} has an unknown column {unknown}", where=where, hint=did_you_mean(unknown, spec.columns)
            )
    for column, wanted in spec.columns.items():
        if column not in table.columns:
            if column in spec.optional:
                continue
            raise InputError(
                f"{name} has no column {column}",
                where=where,
                expected=f"{column}: {wanted.meaning}",
                found=listing(table.columns, limit=len(spec.columns)),
                hint=did_you_mean(column, table.columns),
            )
        kind = table[column].type()
        if kind.copy(nullable=True) != ibis.dtype(wanted.type):
            raise InputError(
                f"{name}.{column} has the wrong type",
                where=where,
                expected=f"{wanted.type}: {wanted.meaning}",
                found=str(kind),
            )


def _count(spec: TableSpec, table: ir.Table) -> dict[str, int]:
    """Count what is wrong with a table's rows; 0 or None where nothing is."""
    figures: dict[str, ir.IntegerScalar] = {}
    for column in table.columns:
        wanted = spec.columns[column]
        if wanted.required:
            figures[ABSENT + column] = _absent(table[column]).sum()
        if wanted.minimum is not None or wanted.maximum is not None:
            figures[OUTSIDE + column] = _outside(table[column], wanted).sum()
    keys = _of_several_rows(spec, table)
    counted = keys.aggregate(**{REPEATED: keys.count()})
    if figures:
        counted = counted.cross_join(table.aggregate(**figures))
    found: dict[str, int] = counted.to_pyarrow().to_pylist()[0]
    return found


def _of_several_rows(spec: TableSpec, table: ir.Table) -> ir.Table:
    """Return the keys that occur on several rows."""
    counted = table.group_by([table[part] for part in spec.key]).aggregate(rows=lambda t: t.count())
    return counted.filter(counted.rows > 1)


def _repeated_keys(name: str, spec: TableSpec, table: ir.Table, where: str) -> InputError:
    repeated = _of_several_rows(spec, table)
    examples = repeated.order_by(spec.key).limit(SHOWN_VALUES).to_pyarrow().to_pylist()
    return InputError(
        f"{name} has the same key on several rows",
        where=where,
        expected=f"one row per {' + '.join(spec.key)}",
        found=_found([" / ".join(str(row[k]) for k in spec.key) for row in examples], repeated, "keys"),
        hint="remove the repeated rows, or map columns that together tell the rows apart",
    )


def _absent_values(name: str, spec: TableSpec, table: ir.Table, column: str, where: str) -> InputError:
    rows = table.filter(_absent(table[column]))
    examples = rows.select(*spec.key).limit(SHOWN_VALUES).to_pyarrow().to_pylist()
    return InputError(
        f"{name}.{column} lacks values",
        where=where,
        expected=f"a value in every row: {spec.columns[column].meaning}",
        found=_found([" / ".join(f"{k}={row[k]}" for k in spec.key) for row in examples], rows, "rows"),
        hint="correct the rows at the source, or leave them out there",
    )


def _values_outside(name: str, wanted: Column, table: ir.Table, column: str, where: str) -> InputError:
    outside = table.filter(_outside(table[column], wanted))
    values = outside.select(column).distinct().order_by(column).limit(SHOWN_VALUES).to_pyarrow()[column].to_pylist()
    return InputError(
        f"{name}.{column} is out of range",
        where=where,
        expected=f"{_bounds(wanted)}: {wanted.meaning}",
        found=_found(values, outside, "rows"),
        hint="correct the rows at the source, or declare a rule that leaves them out (see conf/data/files.yaml)",
    )


def _absent(values: Any) -> Any:
    return values.isnull() | values.isnan() if values.type().is_floating() else values.isnull()


def _outside(values: Any, column: Column) -> Any:
    outside = ibis.literal(False)
    if column.minimum is not None:
        outside = outside | (values < column.minimum)
    if column.maximum is not None:  # NaN sorts above every number, so that this refuses it too
        outside = outside | (values > column.maximum)
    return outside


def _bounds(column: Column) -> str:
    if column.maximum is None:
        return f"at least {column.minimum:g}"
    return f"{column.minimum:g} to {column.maximum:g}"


def _found(examples: list[Any], rows: ir.Table, what: str) -> str:
    return f"{', '.join(str(value) for value in examples)} ({rows.count().execute():,} {what} in all)"
