"""Tables that meet: how many keys of both sides of a join occur on the other, and a refusal where none does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import ibis.expr.types as ir

from features.engines import DuckDB
from features.errors import SHOWN_VALUES, InputError
from features.sources.raw import Raw
from features.sources.shop_config import shell_value
from features.sources.spelling import SPELLINGS, spelled
from features.tables import SPECS

FEW = 0.5  # of the keys of the smaller side: other spellings are tried


@dataclass(frozen=True)
class Side:
    """One side of a join: its keys and rows, and those whose key occurs on the other side."""

    table: str
    keys: int
    matched_keys: int
    rows: int
    matched_rows: int

    def __str__(self) -> str:
        return (
            f"{self.table}: {self.matched_keys:,} of {self.keys:,} keys ({self.matched_keys / self.keys:.1%}), "
            f"{self.matched_rows:,} of {self.rows:,} rows ({self.matched_rows / self.rows:.1%})"
        )


@dataclass(frozen=True)
class Join:
    """Two staged tables that meet in a column."""

    column: str
    left: Side
    right: Side

    def __str__(self) -> str:
        return f"{self.column} of {self.left} and {self.right}"


def count_joins(tables: Mapping[str, ir.Table], raw: Mapping[str, Raw], engine: DuckDB) -> Iterator[tuple[Join, str]]:
    """Yield every join between staged tables, and another spelling of its keys under which more match.

    Parameters
    ----------
    tables : mapping of str to ibis table
        Canonical name -> staged table.
    raw : mapping of str to Raw
        The tables before their rules, for messages.
    engine : DuckDB
        Holds the distinct keys, once for each column of a table.

    Raises
    ------
    InputError
        If no key of one side occurs on the other. It shows examples of both sides, and a spelling under which they
        match, after trying it.
    """
    kept: dict[tuple[str, str], ir.Table] = {}

    def keys(table: str, column: str) -> ir.Table:
        if (table, column) not in kept:
            rows = tables[table].filter(tables[table][column].notnull())
            counted = rows.group_by(key=rows[column]).aggregate(rows=rows.count())
            kept[table, column] = engine.connection.create_table(f"keys_{table}_{column}", counted, temp=True)
        return kept[table, column]

    for name in tables:
        for column, spec in SPECS[name].columns.items():
            for other in spec.meets:
                if other in tables:
                    left, right = keys(name, column), keys(other, column)
                    join = Join(column, _side(name, left, right), _side(other, right, left))
                    if join.left.keys and join.right.keys:
                        yield join, _advice(join, left, right, raw)


def _side(table: str, own: ir.Table, other: ir.Table) -> Side:
    matched = own.key.isin(other.key)
    figures = own.aggregate(
        keys=own.count(), rows=own.rows.sum(), matched_keys=matched.sum(), matched_rows=own.rows.sum(where=matched)
    )
    return Side(table, **{name: int(value or 0) for name, value in figures.to_pyarrow().to_pylist()[0].items()})


def _advice(join: Join, left: ir.Table, right: ir.Table, raw: Mapping[str, Raw]) -> str:
    """Return the spelling under which more keys match; refuse keys of which none does."""
    matched = join.left.matched_keys
    smaller = min(join.left.keys, join.right.keys)
    if matched >= FEW * smaller:
        return ""
    found = _spelling(left, right, matched)
    advice = ""
    if found:
        spelling, count = found
        what = " and ".join(SPELLINGS[each].meaning for each in spelling)
        setting = raw["transactions"].spelling
        value = spelling[0] if len(spelling) == 1 else shell_value(list(spelling))
        typed = f"++{setting}.{join.column}={value}" if setting else f"write {join.column} so in both"
        advice = f"{what}, {count:,} of {smaller:,} match: {typed}"
    if matched:
        return advice
    sides = (join.left.table, left), (join.right.table, right)
    raise InputError(
        f"no {join.column} of {join.left.table} occurs in {join.right.table}",
        where=" and ".join(dict.fromkeys(raw[table].where for table, _ in sides)),
        expected=f"the same {join.column} in both tables",
        found="; ".join(f"{table}: {_examples(keys)}" for table, keys in sides),
        hint=advice or _without_spelling(join, raw),
    )


def _without_spelling(join: Join, raw: Mapping[str, Raw]) -> str:
    """Return what to look at; returns that are rows of transactions have the column that is mapped there."""
    left, right = join.left.table, join.right.table
    if left != right and raw[left].where == raw[right].where:
        return (
            f"see whether {join.column} of transactions is the right column: {left} are lines of the same file, and "
            f"none of their values is on a sale. The number of a receipt is not a {join.column}"
        )
    return (
        f"see whether both columns hold the {join.column}; where they are of different customers or products, "
        f"leave {left} out of the mapping"
    )


def _spelling(left: ir.Table, right: ir.Table, matched: int) -> tuple[tuple[str, ...], int] | None:
    """Return the simplest spelling that makes most keys meet and joins none of one side, and how many meet."""
    best = None
    for spelling in (*((each,) for each in SPELLINGS), *combinations(SPELLINGS, 2)):
        own, other = (keys.select(key=spelled(keys.key, spelling), written=keys.key) for keys in (left, right))
        figures = own.aggregate(
            count=own.key.isin(other.key).sum(), joined=own.written.nunique() - own.key.nunique()
        ).cross_join(other.aggregate(joined_there=other.written.nunique() - other.key.nunique()))
        found = figures.to_pyarrow().to_pylist()[0]
        count = int(found["count"] or 0)
        if count > matched and not found["joined"] and not found["joined_there"]:
            best, matched = (spelling, count), count
    return best


def _examples(keys: ir.Table) -> str:
    values = keys.order_by(keys.key).limit(SHOWN_VALUES).to_pyarrow()["key"].to_pylist()
    return ", ".join(map(repr, values))
