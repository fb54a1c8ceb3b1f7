"""Lines of orders as the shop's own file has them, sent without the file: the mapping that stages it, as one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.files import Files, as_read
from features.sources.files.config import DAY, RULES, TableConfig
from features.sources.files.identities import IDENTITIES
from features.sources.files.records import Read, with_joined
from features.sources.raw import Raw
from features.sources.rules import conform, ruled
from features.tables import REQUIRED, SPECS

SENT = "sent"  # name of the table of texts that the query reads
RULE, UNREAD = "staging_rule", "unread."  # columns of the query beside the canonical ones


@dataclass(frozen=True)
class Reading:
    """Reading of lines in the shop's own columns as canonical ones.

    Attributes
    ----------
    columns : sequence of str
        Columns of the file that are read, all as texts.
    sources : mapping of str to str
        Canonical column -> column of the file.
    expected : mapping of str to str
        Canonical column -> what its texts look like.
    decimal : str
        Decimal mark of numbers.
    rules : mapping of str to sequence of str
        Rule -> what becomes of its lines ("drop", "error" or "return"), and its meaning.
    query : str
        Over the table `sent` of these texts, in the order of the lines: canonical columns, the rule that a line meets
        (empty for none), and for each column of `expected` whether its text cannot be read.
    """

    columns: Sequence[str]
    sources: Mapping[str, str]
    expected: Mapping[str, str]
    decimal: str
    rules: Mapping[str, Sequence[str]]
    query: str

    @classmethod
    def of(cls, source: Files) -> Reading | None:
        """Return the reading of a source's lines of orders; None where ids lead to other customers.

        Raises
        ------
        InputError
            If the source's config is wrong.
        """
        configs = {config.name: config for config in source.configs}
        if IDENTITIES in configs:
            return None
        config = configs[REQUIRED]
        parts = {name for names in config.joined.values() for name in names}
        further = {*config.order_key, *config.only, *config.credits} - {DAY}
        columns = sorted(({*config.columns.values(), *further} - {*config.joined}) | parts)
        raw = _Sent(source, columns).raw(config)
        unread = {
            f"{UNREAD}{column}": (raw.table[text].notnull() & raw.table[column].isnull()).fill_null(False)
            for column, text in raw.texts.items()
        }
        rules = {
            rule.name: (_outcome(rule.drop, rule.kept_in), rule.meaning or RULES.get(rule.name, ""))
            for rule in raw.rules
        }
        table = ruled(replace(raw, table=raw.table.mutate(**unread)))
        canonical = conform(table, SPECS[REQUIRED], **{name: table[name] for name in (RULE, *unread)})
        query = str(ibis.to_sql(canonical.order_by("line_number"), dialect="duckdb"))
        return cls(columns, dict(config.columns), dict(raw.expected), config.numbers.decimal, rules, query)


def _outcome(drop: bool, kept_in: str) -> str:
    return "return" if kept_in else "drop" if drop else "error"


class _Sent(Files):
    """A source in which nobody has sent the lines yet: expressions over a table of texts, which nothing runs."""

    def __init__(self, source: Files, columns: Sequence[str]) -> None:
        self.__dict__.update(source.__dict__)
        self._columns = columns

    def raw(self, config: TableConfig) -> Raw:
        """Return the lines of orders before their rules."""
        return self._raw(config, cast(DuckDB, _Unused()), Path(), None)

    def _read(self, config: TableConfig, engine: DuckDB, scratch: Path) -> Read:
        texts = ibis.table(dict.fromkeys(self._columns, "string"), name=SENT)
        return with_joined(as_read(texts), config)

    def _stored(self, table: ir.Table, name: str, engine: DuckDB, scratch: Path) -> ir.Table:
        return table

    def _with_gaps(self, table: ir.Table, columns: Sequence[str]) -> list[str]:
        return list(columns)  # any line may lack a value


class _Unused:
    """An engine that runs nothing."""

    def progress(self, what: str) -> AbstractContextManager[None]:
        return nullcontext()
