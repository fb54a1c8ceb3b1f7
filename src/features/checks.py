"""Checks of a table's rows against its `TableSpec`: columns, types, nulls, ranges, key."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.errors import SchemaError, SchemaErrorReason

from features.errors import SHOWN_VALUES, InputError, did_you_mean, listing
from features.tables import SPECS, Column, TableSpec


def check(name: str, table: ir.Table, where: str) -> None:
    """Check one canonical table, and stop at the first promise that is broken.

    Parameters
    ----------
    name : str
        Canonical name, a key of `tables.SPECS`.
    table : ibis table
        The rows, with all canonical columns, of which the date of facts may be missing, and no other.
    where : str
        The file that the rows come from, for the message.

    Raises
    ------
    InputError
        If a column is missing, unknown or of another type, a required value is null or NaN, a value is
        out of its range, or a key occurs twice. It shows at most five offending values, and counts them.
    """
    spec = SPECS[name]
    try:
        _schema(spec).validate(table)
    except SchemaError as error:
        raise _explain(error, name, table, where) from None


def _schema(spec: TableSpec) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(
        {
            name: pa.Column(
                ibis.dtype(column.type),
                nullable=not column.required,
                checks=_range(column),
                required=name != spec.facts_known_at,
            )
            for name, column in spec.columns.items()
        },
        strict=True,
        unique=list(spec.key),  # Column(unique=True) is ignored on Ibis tables
    )


def _range(column: Column) -> list[pa.Check]:
    checks = []
    if column.minimum is not None:
        checks.append(pa.Check.ge(column.minimum, n_failure_cases=SHOWN_VALUES))
    if column.maximum is not None:  # NaN sorts above every number, so that this refuses it too
        checks.append(pa.Check.le(column.maximum, n_failure_cases=SHOWN_VALUES))
    return checks


def _explain(error: SchemaError, name: str, table: ir.Table, where: str) -> InputError:
    """Explain in the user's words what pandera found."""
    spec = SPECS[name]
    reason = error.reason_code
    column = getattr(error.schema, "name", None)
    if reason is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        missing = str(error.failure_cases)
        return InputError(
            f"{name} has no column {missing}",
            where=where,
            expected=f"{missing}: {spec.columns[missing].meaning}",
            found=listing(table.columns, limit=len(spec.columns)),
            hint=did_you_mean(missing, table.columns),
        )
    if reason is SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
        unknown = str(error.failure_cases)
        return InputError(
            f"{name} has an unknown column {unknown}", where=where, hint=did_you_mean(unknown, spec.columns)
        )
    if reason is SchemaErrorReason.DUPLICATES:
        key = [table[k] for k in spec.key]
        repeated = table.group_by(key).aggregate(rows=lambda t: t.count()).filter(lambda t: t.rows > 1)
        examples = repeated.order_by(spec.key).limit(SHOWN_VALUES).to_pyarrow().to_pylist()
        return InputError(
            f"{name} has the same key on several rows",
            where=where,
            expected=f"one row per {' + '.join(spec.key)}",
            found=_found([" / ".join(str(row[k]) for k in spec.key) for row in examples], repeated, "keys"),
            hint="remove the repeated rows, or map columns that together tell the rows apart",
        )
    assert column is not None, error
    wanted = spec.columns[column]
    if reason is SchemaErrorReason.WRONG_DATATYPE:
        return InputError(
            f"{name}.{column} has the wrong type",
            where=where,
            expected=f"{wanted.type}: {wanted.meaning}",
            found=str(table[column].type()),
        )
    if reason is SchemaErrorReason.SERIES_CONTAINS_NULLS:
        rows = table.filter(_absent(table[column]))
        examples = rows.select(*spec.key).limit(SHOWN_VALUES).to_pyarrow().to_pylist()
        return InputError(
            f"{name}.{column} lacks values",
            where=where,
            expected=f"a value in every row: {wanted.meaning}",
            found=_found([" / ".join(f"{k}={row[k]}" for k in spec.key) for row in examples], rows, "rows"),
            hint="correct the rows at the source, or leave them out there",
        )
    if reason is SchemaErrorReason.DATAFRAME_CHECK:
        outside = table.filter(_outside(table[column], wanted))
        values = outside.select(column).distinct().order_by(column).limit(SHOWN_VALUES).to_pyarrow()[column].to_pylist()
        return InputError(
            f"{name}.{column} is out of range",
            where=where,
            expected=f"{_bounds(wanted)}: {wanted.meaning}",
            found=_found(values, outside, "rows"),
            hint="correct the rows at the source, or declare a rule that leaves them out (see conf/data/files.yaml)",
        )
    raise error


def _absent(values: Any) -> Any:
    return values.isnull() | values.isnan() if values.type().is_floating() else values.isnull()


def _outside(values: Any, column: Column) -> Any:
    outside = ibis.literal(False)
    if column.minimum is not None:
        outside = outside | (values < column.minimum)
    if column.maximum is not None:
        outside = outside | (values > column.maximum)
    return outside


def _bounds(column: Column) -> str:
    if column.maximum is None:
        return f"at least {column.minimum:g}"
    return f"{column.minimum:g} to {column.maximum:g}"


def _found(examples: list[Any], rows: ir.Table, what: str) -> str:
    return f"{', '.join(str(value) for value in examples)} ({rows.count().execute():,} {what} in all)"
