"""The contract of a canonical table: columns with types, units and ranges, a key, and when a row became known.

Money is DECIMAL in the shop's own currency and becomes double once, in `snapshot`: two threads that
sum doubles do not give the same bits twice. Timestamps are naive, in the shop's time zone, to the
microsecond. Days are calendar days of the shop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

MONEY = "decimal(18, 4)"
QUANTITY = "decimal(18, 6)"
MOMENT = "timestamp(6)"
RECORDED_AT = "recorded_at"  # column that any table of dated rows may have


@dataclass(frozen=True)
class Column:
    """One canonical column.

    Attributes
    ----------
    type : str
        Ibis type.
    meaning : str
        Meaning of a value, with its unit.
    required : bool
        No value may be null; a source without the column cannot be staged.
    minimum, maximum : float, optional
        Inclusive range.
    after_the_fact : bool
        Measured at the end of the data, so that it encodes the future: `Tables.as_of` removes it.
    known_at : str, optional
        Column of the moment at which the value becomes known, where that is later than the row: `Tables.as_of` puts
        null in place of what came later. Of the moment itself, its own name.
    counted : bool
        Numbers the source's rows where the source has no such column.
    meets : tuple of str
        Tables whose column of the same name holds the values that these refer to: staging counts how many match.
    """

    type: str
    meaning: str
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    after_the_fact: bool = False
    known_at: str | None = None
    counted: bool = False
    meets: tuple[str, ...] = ()


RECORDED = Column(
    MOMENT, "moment at which the row was recorded, where that may be later; a row without one was recorded at once"
)


@dataclass(frozen=True)
class TableSpec:
    """One canonical table: its columns, its key, and the column of the moment at which a row became known.

    Attributes
    ----------
    columns : mapping of str to Column
        A table with `known_at` has the column `recorded_at` too, which a source may lack.
    known_at : str, optional
        Column of that moment: of the purchase, the return, the contact. A row that was recorded later became known
        then. A table without it holds facts of unknown date (a customer's region, a product's brand).
    facts_known_at : str, optional
        Column of facts which a source may have, and then their date is known. A row without a value there counts as
        never known: it might have been written down by those who stayed.
    """

    meaning: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    known_at: str | None = None
    facts_known_at: str | None = None

    def __post_init__(self) -> None:
        if self.known_at:
            object.__setattr__(self, "columns", {**self.columns, RECORDED_AT: RECORDED})

    @property
    def optional(self) -> set[str]:
        """Columns that a staged table lacks where its source does: nulls in them would mean something."""
        return self.columns.keys() & {self.facts_known_at, RECORDED_AT}

    @property
    def schema(self) -> ibis.Schema:
        return ibis.schema({name: column.type for name, column in self.columns.items()})

    @property
    def undated_schema(self) -> ibis.Schema:
        """Return the schema of a source that knows neither the date of facts nor when rows were recorded."""
        return ibis.schema({name: kind for name, kind in self.schema.items() if name not in self.optional})

    @property
    def known_later(self) -> dict[str, str]:
        """Return the columns that become known after their row, each with the column of that moment."""
        return {name: column.known_at for name, column in self.columns.items() if column.known_at}

    def moment(self, columns: Iterable[str]) -> str | None:
        """Return the column of the moment of a row, if a table with these columns has one."""
        return self.known_at or (self.facts_known_at if self.facts_known_at in set(columns) else None)

    def known(self, table: ir.Table) -> ir.TimestampColumn | None:
        """Return the moment at which each row became known: its own, or that of its record where that is later."""
        moment = self.moment(table.columns)
        if moment is None or RECORDED_AT not in table.columns:
            return None if moment is None else table[moment]
        return ibis.greatest(table[moment], table[RECORDED_AT].fill_null(table[moment]))

    @property
    def is_about_customers(self) -> bool:
        """Return True if a row belongs to a customer."""
        return "customer_id" in self.columns
