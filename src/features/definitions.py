"""Fingerprints of single features: what each value is computed from, whatever else its family computes.

A family builds one table for all of its features. The fingerprint of a feature follows its column down through that
table: which columns it reads, which rows they are of, how they are joined and added up. Columns that are not met on the
way do not count, nor does the order of columns. Where an operation mixes all columns of a table, as `distinct` does,
all of them count: a fingerprint may change without need, but it never stays where the value could change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import ibis.expr.operations as ops
from ibis.common.graph import Node

from features.families import Family, resolve
from features.grains import CUSTOMER, Grain
from features.snapshot import blank_windows, feature_rows
from features.tables import GROSS

LENGTH = 8  # hexadecimal digits of a fingerprint: a change goes unnoticed once in four billion

_UNDERSTOOD = (ops.Filter, ops.DropColumns, ops.Project, ops.Aggregate, ops.JoinChain, ops.PhysicalTable, ops.Reference)
_OUTER = ("right", "outer")
Names = Mapping[ops.Relation, str]


def feature_hashes(names: Iterable[str], grain: Grain = CUSTOMER, spend: str = GROSS) -> dict[str, str]:
    """Compute a fingerprint of each named feature of the grain's rows, independent of the data and of each other.

    Parameters
    ----------
    names : iterable of str
    grain : Grain
    spend : {"gross", "net"}
        As `Tables.spend`: what is spent is part of a definition.

    Returns
    -------
    dict of feature to eight hexadecimal digits, in the order of the names

    Raises
    ------
    InputError
        If a feature is unknown, named twice, a wildcard, or of rows that the grain does not know.
    """
    names = list(names)
    found = {
        feature: code
        for family, chosen in resolve(names).items()
        for feature, code in _hashes(family, tuple(chosen), grain, spend).items()
    }
    return {name: found[name] for name in names}


@cache
def _hashes(family: Family, chosen: tuple[str, ...], grain: Grain, spend: str) -> dict[str, str]:
    past, _ = blank_windows(spend=spend)
    rows = feature_rows(past, chosen, grain).op()
    definitions = _Definitions()
    shared = [definitions.rows(rows), *(definitions.column(rows, level) for level in grain.key)]
    return {name: _hash(*shared, definitions.column(rows, name))[:LENGTH] for name in chosen}


class _Definitions:
    """Fingerprints of the relations of some expressions, each computed once."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], str] = {}

    def _once(self, key: tuple[object, ...], compute: Callable[[], str]) -> str:
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]

    def rows(self, relation: ops.Relation) -> str:
        """Return the fingerprint of which rows a relation has, whatever its columns."""
        return self._once(("rows", relation), lambda: self._rows(relation))

    def _rows(self, relation: Any) -> str:
        match relation:
            case ops.PhysicalTable():
                return _hash("table", relation.name)
            case ops.Project() | ops.DropColumns() | ops.Reference():
                return self.rows(relation.parent)
            case ops.Filter():
                return _hash("filter", self.rows(relation.parent), *map(self.value, relation.predicates))
            case ops.Aggregate():
                return _hash("aggregate", self.rows(relation.parent), *map(self.value, relation.groups.values()))
            case ops.JoinChain():
                names = self._names(relation)
                joined = [names[link.table] for link in relation.rest if _may_change_rows(link)]
                first = self.rows(relation.first)
                return _hash("join", first, *joined) if joined else first
        return self.whole(relation)

    def column(self, relation: ops.Relation, name: str) -> str:
        """Return the fingerprint of how a column of a relation is computed."""
        return self._once(("column", relation, name), lambda: self._column(relation, name))

    def _column(self, relation: Any, name: str) -> str:
        match relation:
            case ops.PhysicalTable():
                return _hash("column", relation.name, name, relation.schema[name])
            case ops.Filter() | ops.DropColumns() | ops.Reference():
                return self.column(relation.parent, name)
            case ops.Project() if isinstance(relation.values[name], ops.Field):
                return self.value(relation.values[name])
            case ops.Project():  # a window function reads other rows too
                return _hash("computed", self.rows(relation.parent), self.value(relation.values[name]))
            case ops.Aggregate():
                return _hash("aggregated", self.rows(relation), self.value(relation.values[name]))
            case ops.JoinChain():
                return self.value(relation.values[name], self._names(relation))
        return _hash(self.whole(relation), name)

    def whole(self, relation: ops.Relation) -> str:
        """Return the fingerprint of all rows and columns of a relation."""
        return self._once(("whole", relation), lambda: self._whole(relation))

    def _whole(self, relation: ops.Relation) -> str:
        if isinstance(relation, _UNDERSTOOD):
            columns = (part for name in relation.schema for part in (name, self.column(relation, name)))
            return _hash("whole", self.rows(relation), *columns)
        return _hash(type(relation).__name__, *(self._argument(argument, {}) for argument in relation.args))

    def value(self, value: Any, names: Names | None = None) -> str:
        """Return the fingerprint of a value; `names` are those of the tables of its join."""
        names = names or {}
        if isinstance(value, ops.Field):
            column, table = self.column(value.rel, value.name), names.get(value.rel)
            return column if table is None else _hash("joined", table, column)
        if isinstance(value, ops.CountStar):
            return _hash("count", self.rows(value.arg), self._argument(value.where, names))
        return _hash(type(value).__name__, *(self._argument(argument, names) for argument in value.args))

    def _argument(self, argument: Any, names: Names) -> str:
        match argument:
            case ops.Relation():
                return self.whole(argument)
            case Node():
                return self.value(argument, names)
            case Mapping():
                return _hash(*(_hash(key, self._argument(part, names)) for key, part in argument.items()))
            case frozenset():  # in an order that no process repeats
                return _hash(*sorted(self._argument(part, names) for part in argument))
            case tuple():
                return _hash(*(self._argument(part, names) for part in argument))
        return _hash(type(argument).__name__, argument)

    def _names(self, chain: ops.JoinChain) -> Names:
        """Name the tables of a join by their rows and how they are joined: their numbers differ in each process.

        The first table has no name, unless the join adds rows to it in which its columns are null.
        """
        names = {chain.first: self.rows(chain.first)} if any(link.how in _OUTER for link in chain.rest) else {}
        for link in chain.rest:
            own = _hash(link.how, self.rows(link.table))
            predicates = [self.value(predicate, {**names, link.table: own}) for predicate in link.predicates]
            names[link.table] = _hash(own, *predicates)
        return names


def _may_change_rows(link: ops.JoinLink) -> bool:
    """Return False if a joined table adds columns alone: a left join that finds one row at most."""
    key = _key(link.table)
    return link.how != "left" or key is None or not key <= _equated(link)


def _equated(link: ops.JoinLink) -> frozenset[str]:
    """Return the columns of a joined table that equal a column of the tables before it."""
    sides = [
        (one, other)
        for predicate in link.predicates
        if isinstance(predicate, ops.Equals)
        for one, other in ((predicate.left, predicate.right), (predicate.right, predicate.left))
    ]
    return frozenset(
        one.name
        for one, other in sides
        if isinstance(one, ops.Field) and one.rel == link.table and link.table not in other.relations
    )


def _key(relation: Any) -> frozenset[str] | None:
    """Return columns that differ in each row of a relation, or None if none are known."""
    match relation:
        case ops.Aggregate():
            return frozenset(relation.groups)
        case ops.Distinct():
            return frozenset(relation.schema)
        case ops.Filter() | ops.Reference():
            return _key(relation.parent)
        case ops.DropColumns():
            key = _key(relation.parent)
            return key if key is not None and not key & relation.columns_to_drop else None
        case ops.Project():
            return _renamed(_key(relation.parent), relation.parent, relation.values)
        case ops.JoinChain():
            first = None if any(map(_may_change_rows, relation.rest)) else _key(relation.first)
            return _renamed(first, relation.first, relation.values)
    return None


def _renamed(key: frozenset[str] | None, parent: ops.Relation, values: Mapping[str, Any]) -> frozenset[str] | None:
    """Return a key of a parent by its columns' names among the values that are taken from it."""
    taken = {value.name: name for name, value in values.items() if isinstance(value, ops.Field) and value.rel == parent}
    return frozenset(taken[name] for name in key) if key is not None and key <= taken.keys() else None


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()
