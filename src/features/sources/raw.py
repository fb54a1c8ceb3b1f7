"""The contract of a source: raw tables with their columns renamed and typed, and rules for their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.shop_config import ShopConfig

RAW_PREFIX = "raw."  # of the columns that hold a source's own values beside the canonical ones


@dataclass(frozen=True)
class Currency:
    """The rows and the money of one currency, by a column of the raw file; None is a row without one."""

    column: str
    code: str | None
    rows: int
    amount: float


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
    limit : float, optional
        Largest share of rows, or of money, that the rule may drop.
    hint : str
        Next thing to type where the file is refused.
    kept_in : str
        Canonical table that holds the rows in place of this one; empty where none does.
    halving : str
        Setting to type where the rule may leave out some lines of an order and keep its others; empty where it may.
    """

    name: str
    meets: ir.BooleanColumn
    drop: bool = True
    meaning: str = ""
    shows: str = ""
    limit: float | None = None
    hint: str = ""
    kept_in: str = ""
    halving: str = ""


@dataclass(frozen=True)
class Drop:
    """The number of rows of a raw table that one rule left out, and the money on them where they have amounts.

    `kept_in` names the canonical table that holds them instead. `customers` and `orders` are those of which the table
    keeps no row. Each is counted once: under the last rule that a row of it met, of those that keep rows elsewhere if
    there is one.
    """

    table: str
    rule: str
    rows: int
    amount: float | None = None
    kept_in: str = ""
    customers: int = 0
    orders: int = 0


@dataclass(frozen=True)
class Doubt:
    """Values that can be read, and are not believed.

    Attributes
    ----------
    column : str
        Canonical column.
    meets : ibis boolean column
        Over `Raw.table`; null counts as false.
    problem, expected : str
        For the message.
    """

    column: str
    meets: ir.BooleanColumn
    problem: str
    expected: str


@dataclass(frozen=True)
class OrderKey:
    """The columns of a source that tell its orders apart, for messages.

    Attributes
    ----------
    may_span_days : bool
        An order may have lines of several days.
    setting : str
        Configuration key that names the columns.
    columns : mapping of str to str
        Canonical column that could tell orders apart -> the source's name of it.
    """

    may_span_days: bool
    setting: str
    columns: Mapping[str, str]


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
    advice : mapping of str to callable
        Typed column -> function of the table that returns what to type where a text cannot be read or is not
        believed, after trying it on all texts; None where nothing helps.
    doubts : tuple of Doubt
        Values that stop staging though they can be read.
    records : int, optional
        Number of records that were counted in the files without DuckDB.
    notes : tuple of str
        What was decided in reading, for the profile.
    counted : mapping of str to ibis boolean column
        What was changed in reading -> the rows, for the profile.
    order : OrderKey, optional
        What tells orders apart, where the source's user decides that.
    drops : tuple of Drop
        Rows that were left out before.
    spelling : str, optional
        Configuration key that sets how texts are spelled in all tables, where the source has one.
    currency : str, optional
        Column of `table` with the currency of a row, where the raw files have one.
    counts : mapping, optional
        What `rules.counted` found in the rows, where it was asked before.
    """

    table: ir.Table
    where: str
    rules: tuple[Rule, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    advice: Mapping[str, Callable[[ir.Table], str | None]] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    records: int | None = None
    notes: tuple[str, ...] = ()
    counted: Mapping[str, ir.BooleanColumn] = field(default_factory=dict)
    order: OrderKey | None = None
    drops: tuple[Drop, ...] = ()
    spelling: str | None = None
    currency: str | None = None
    counts: Mapping[str, Mapping[str, Any]] | None = None


class Source(Protocol):
    """One shop's raw files, and what they mean.

    Attributes
    ----------
    required, optional : tuple of str
        Keys of the data config beyond those of every shop.
    whole : tuple of str
        What a source that was cut at a day did not cut, with the reason; known when its tables are.
    """

    required: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]]
    whole: tuple[str, ...]

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        """Take all required and optional keys, None where an optional one is not given."""

    def content(self, cache: Path) -> str:
        """Return a digest of all that the source reads; `cache` is the shop's folder for what is fetched first."""

    def before(self, cutoff: date) -> Source:
        """Return the source without the raw rows that became known at the midnight that begins `cutoff`, or later.

        Rows that nothing dates stay. The content of a source must have been asked for.
        """

    def tables(self, engine: DuckDB, scratch: Path) -> Mapping[str, Raw]:
        """Return canonical name -> raw table; `scratch` is a folder for files that last as long as staging."""


@runtime_checkable
class Fetched(Protocol):
    """A source whose `content` fetches the rows that `tables` maps, and that may not keep them."""

    @property
    def has_rows(self) -> bool:
        """True if `tables` can map what `content` fetched, or what it found fetched."""

    def read_anew(self) -> None:
        """Let `content` fetch the rows even where nothing else is due."""

    def release(self) -> None:
        """Remove the rows where they are not kept."""
