"""The contract of a source: raw tables with their columns renamed and typed, and rules for their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.shop_config import ShopConfig

RAW_PREFIX = "raw."  # of the columns that hold a source's own values beside the canonical ones


@dataclass(frozen=True)
class Rule:
    """Rows that do not belong in a canonical table.

    Attributes
    ----------
    name : str
        Name in the report of drops.
    meets : ibis boolean column
        Over `Raw.table`; null counts as false.
    drop : bool
        Leave the rows out and count them; or else refuse the file.
    meaning : str
        Meaning of such a row.
    shows : str
        Column of `Raw.table` whose values the refusal shows.
    """

    name: str
    meets: ir.BooleanColumn
    drop: bool = True
    meaning: str = ""
    shows: str = ""


@dataclass(frozen=True)
class Raw:
    """One canonical table before its rules: raw columns renamed and typed.

    Attributes
    ----------
    table : ibis table
        Canonical columns; those that the source lacks may be left out, and columns that only rules or
        `texts` read may be added.
    where : str
        The raw files, for messages.
    rules : tuple of Rule
        Applied in order: a row counts under the first rule that it meets.
    texts : mapping of str to str
        Typed column -> the column of `table` that it was read from: where the one is null and the other
        is not, the text could not be read, and staging says so.
    expected : mapping of str to str
        Typed column -> what a text should look like.
    """

    table: ir.Table
    where: str
    rules: tuple[Rule, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """One shop's raw files, and what they mean.

    Attributes
    ----------
    required, optional : tuple of str
        Keys of the data config beyond those of every shop.
    """

    required: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]]

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        """Take all required and optional keys, None where an optional one is not given."""

    def content(self) -> str:
        """Return a digest of all that the source reads."""

    def tables(self, engine: DuckDB, scratch: Path) -> Mapping[str, Raw]:
        """Return canonical name -> raw table; `scratch` is a folder for files that last as long as staging."""
