"""Tables that a function learns from other tables: scores of neighbours, rules, factors.

What SQL cannot say (an inverse, a decomposition) is a function of frames. `learnt` puts it into an expression as a
relation of its own, which names the tables that it reads. Nothing runs until an engine runs the expression: it then
computes those tables, calls the function and goes on with the rows. So a function sees what its tables see. At a cutoff
that is the past alone, on a tampered engine it is the tampered past, and on Spark the same rows as on DuckDB.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis.common.collections import FrozenOrderedDict
from ibis.expr.schema import Schema

KEPT_BYTES = 2**28  # results that an engine keeps for further expressions, such as the outcomes of the same rows

Learner = Callable[..., pd.DataFrame]


class Learnt(ops.Relation):  # type: ignore[misc]
    """Relation whose rows a function computes from the rows of other relations.

    Attributes
    ----------
    function : str
        "module:name".
    definition : str
        Fingerprint of the code: see `code_hash`.
    code : tuple of str
        Modules of project code that the function calls.
    tables : mapping of str to relation
        Passed to the function as frames, by name.
    schema : Schema
        Of the rows that it returns.
    """

    function: str
    definition: str
    code: tuple[str, ...]
    tables: FrozenOrderedDict[str, ops.Relation]
    schema: Schema

    values = FrozenOrderedDict()

    @property
    def learner(self) -> Learner:
        """The function itself."""
        module, name = self.function.split(":")
        function: Learner = getattr(importlib.import_module(module), name)
        return function


def learnt(
    function: Learner, tables: Mapping[str, ir.Table], schema: Mapping[str, str], code: tuple[ModuleType, ...] = ()
) -> ir.Table:
    """Return the table that a function computes from other tables, as an expression.

    Parameters
    ----------
    function : callable
        Function of a module. It takes a frame for each table, by name, and returns a frame with the columns of the
        schema. It must depend on their rows alone, and not on the order of the rows.
    tables : mapping of str to ibis table
        Gathered in memory when the expression runs.
    schema : mapping of str to Ibis type
    code : tuple of modules or packages
        Project code that the function calls, beside its own module: a change of it is another definition.

    Raises
    ------
    ValueError
        If the function cannot be found by its name.
    """
    module = importlib.import_module(function.__module__)
    if getattr(module, function.__qualname__, None) is not function:
        raise ValueError(f"{function.__qualname__} is not a function of the module {function.__module__}")
    return Learnt(
        function=f"{function.__module__}:{function.__qualname__}",
        definition=code_hash(module, *code),
        code=tuple(called.__name__ for called in (module, *code)),
        tables={name: table.op() for name, table in tables.items()},
        schema=ibis.schema(schema),
    ).to_expr()


def has_learnt(expression: ir.Table) -> bool:
    """Return True if the expression reads a learnt table."""
    return bool(expression.op().find(Learnt))


def as_declared(expression: ir.Table) -> ir.Table:
    """Return the expression with empty tables in place of learnt ones, named by what they are learnt from and how.

    For a text of the definition, which needs no rows.
    """

    def declared(node: Learnt) -> ops.Relation:
        read = [
            f"{name} {ibis.to_sql(as_declared(of.to_expr()), dialect='duckdb')}" for name, of in node.tables.items()
        ]
        text = "\n".join([node.function, node.definition, *read])
        return ibis.table(node.schema, name=f"learnt_{hashlib.sha256(text.encode()).hexdigest()}").op()

    return _replaced(expression, declared)


def with_learnt_from(expression: ir.Table, table: str) -> ir.Table:
    """Return the expression with a table of this name in place of the learnt one that it reads."""
    return _replaced(expression, lambda node: ibis.table(node.schema, name=table).op())


@dataclass
class _Called:
    """Rows that a function gave in some round; `twice` if it gave the same ones in an earlier round."""

    rows: pd.DataFrame
    round: int
    twice: bool = False


class Results:
    """Learnt tables of one engine: computed when an expression reads them, the latest kept for further expressions.

    Parameters
    ----------
    frame : callable
        Runs an expression without learnt tables on the engine and gathers its rows.
    """

    def __init__(self, frame: Callable[[ir.Table], pd.DataFrame]) -> None:
        self._frame = frame
        self._kept: OrderedDict[Learnt, pd.DataFrame] = OrderedDict()
        self._called: OrderedDict[tuple[str, ...], _Called] | None = None
        self._round = 0
        self._names: set[str] = set()

    @contextmanager
    def reusing(self) -> Iterator[None]:
        """Call a function no third time with the same rows, whatever tables they are read from.

        Within a round a function is called once with the same rows. In another round it is called again, so that one
        that remembers other rows shows itself; if it gives the same, it is not called with these rows any more.
        """
        self._called = OrderedDict()
        try:
            yield
        finally:
            self._called = None

    def next_round(self) -> None:
        """Begin another round: see `reusing`."""
        self._round += 1

    def within(self, expression: ir.Table) -> ir.Table:
        """Return the expression with the rows of learnt tables in their places."""
        return _replaced(expression, self._rows) if has_learnt(expression) else expression

    def read(self, table: str) -> None:
        """Drop what is kept if a table of this name was read before: it may have other rows now."""
        if table in self._names:
            self._kept.clear()
        self._names.add(table)

    def _rows(self, node: Learnt) -> ops.Relation:
        if node not in self._kept:
            self._kept[node] = self._computed(node)
            while len(self._kept) > 1 and sum(map(size, self._kept.values())) > KEPT_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(node)
        return ibis.memtable(self._kept[node], schema=node.schema).op()

    def _computed(self, node: Learnt) -> pd.DataFrame:
        function = node.learner
        frames = {of: self._frame(self.within(table.to_expr())) for of, table in node.tables.items()}

        def call() -> pd.DataFrame:
            found = function(**frames)
            return found[list(node.schema)]

        if self._called is None:
            return call()
        key = (node.function, node.definition, str(node.schema), *(f"{of} {_rows_hash(frames[of])}" for of in frames))
        before = self._called.get(key)
        if before is None or not (before.twice or before.round == self._round):
            rows = call()
            before = _Called(rows, self._round, twice=before is not None and before.rows.equals(rows))
            self._called[key] = before
        self._called.move_to_end(key)
        while len(self._called) > 1 and sum(size(called.rows) for called in self._called.values()) > KEPT_BYTES:
            self._called.popitem(last=False)
        return before.rows


def _replaced(expression: ir.Table, instead: Callable[[Learnt], ops.Relation]) -> ir.Table:
    outer = expression.op()  # what is read by a learnt table alone is that one's matter
    return outer.replace({node: instead(node) for node in outer.find_topmost(Learnt)}).to_expr()


def size(frame: pd.DataFrame) -> int:
    """Return the bytes of a frame; of texts that are Python objects only the references count."""
    return int(frame.memory_usage(deep=False).sum())


def _rows_hash(frame: pd.DataFrame) -> str:
    """Compute a fingerprint of the rows in any order, with the names and types of the columns."""
    rows = np.sort(pd.util.hash_pandas_object(frame, index=False).to_numpy())
    columns = str(list(zip(frame.columns, map(str, frame.dtypes), strict=True)))
    return hashlib.sha256(columns.encode() + rows.tobytes()).hexdigest()


@cache
def code_hash(*modules: ModuleType) -> str:
    """Compute a fingerprint of the code of modules and packages; comments, docstrings and layout do not count."""
    files = [file for module in modules for file in _files(module)]
    return hashlib.sha256("\n".join(_bare(file) for file in files).encode()).hexdigest()[:16]


def _files(module: ModuleType) -> list[Path]:
    file = Path(str(module.__file__))
    return sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]


def _bare(file: Path) -> str:
    """Return the code of a file without comments and docstrings, written in one way."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body: Any = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)
