"""The canonical tables: what every source is staged to and every feature reads.

Each module here that defines `TABLE` is a canonical table of the module's name. To add a table is to add its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from importlib import import_module
from pkgutil import iter_modules

import ibis
import ibis.expr.types as ir

from features.errors import InputError
from features.tables.base import MOMENT, MONEY, QUANTITY, RECORDED_AT, Column, TableSpec

__all__ = [
    "GROSS",
    "MOMENT",
    "MONEY",
    "NET",
    "QUANTITY",
    "RECORDED_AT",
    "REQUIRED",
    "SPECS",
    "Column",
    "TableSpec",
    "Tables",
    "blank_tables",
    "midnight",
    "parse_day",
]

REQUIRED = "transactions"  # the one table that every shop has
NET, GROSS = "net", "gross"  # spend with or without what was given back


def _specs() -> dict[str, TableSpec]:
    """Find the canonical tables: the required one first, the others by name."""
    modules = {info.name: import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__)}
    specs: dict[str, TableSpec] = {
        name: module.TABLE for name, module in sorted(modules.items()) if hasattr(module, "TABLE")
    }
    return {REQUIRED: specs.pop(REQUIRED), **specs}


SPECS: Mapping[str, TableSpec] = _specs()


def midnight(day: date) -> ir.Scalar:
    """Return the first moment of a day, as an expression that compares with canonical timestamps."""
    return ibis.literal(datetime.combine(day, time.min), type=MOMENT)


def parse_day(text: object, what: str = "cutoff") -> date:
    """Read a day written as YYYY-MM-DD.

    Raises
    ------
    InputError
        If the text is not such a day.
    """
    if isinstance(text, datetime):
        return text.date()
    if isinstance(text, date):
        return text
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise InputError(
            f"{what}={text} is not a valid day",
            expected="YYYY-MM-DD",
            found=str(text),
            hint=f"write it as {what}=2017-10-03",
        ) from None


class Tables(Mapping[str, ir.Table]):
    """A shop's canonical tables over the days [start, end).

    Features read customers' past from `as_of(cutoff)`, outcomes read their future from
    `between(start, end)`. As both only ever narrow the window, nothing that holds the past can reach
    what came later: leakage is ruled out by construction.

    It maps the names of the tables that the shop has to the tables. As an attribute, `tables.contacts`, a canonical
    table that the shop lacks is None.

    Parameters
    ----------
    start, end : datetime.date
        First day, and the first day after the last: the window that the rows cover.
    burn_in_days : int
        Customers first seen within so many days of `start` may have bought before it: their T is a
        lower bound, and they are marked left-truncated.
    spend : {"net", "gross"}
        Spend is what was sold, less what was given back by then (net), or what was sold (gross). As an attribute it is
        gross wherever the shop has no table of returns.
    **tables : ibis table or None
        By canonical name; transactions are required.
    """

    def __init__(
        self, *, start: date, end: date, burn_in_days: int = 0, spend: str = GROSS, **tables: ir.Table | None
    ) -> None:
        unknown = tables.keys() - SPECS.keys()
        if unknown:
            raise TypeError(f"not canonical tables: {', '.join(sorted(unknown))}")
        if tables.get(REQUIRED) is None:
            raise TypeError(f"the table {REQUIRED} is missing")
        self.start = start
        self.end = end
        self.burn_in_days = burn_in_days
        self._tables = {name: table for name in SPECS if (table := tables.get(name)) is not None}
        self.spend = spend if "returns" in self._tables else GROSS

    def __getitem__(self, name: str) -> ir.Table:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    # Equal means identical: to compare tables would build expressions.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def transactions(self) -> ir.Table:
        return self._tables[REQUIRED]

    def __getattr__(self, name: str) -> ir.Table | None:
        if name not in SPECS:
            raise AttributeError(f"{name} is not a canonical table")
        return self._tables.get(name)

    @property
    def nets_returns(self) -> bool:
        """Return True if returns are taken off spend."""
        return self.spend == NET

    def present(self) -> dict[str, ir.Table]:
        """Return the tables that this shop has, by name."""
        return dict(self._tables)

    def with_tables(self, **tables: ir.Table | None) -> Tables:
        """Return the same window with other tables in place of those named; None takes one away."""
        return self._over(self.start, self.end, {**self._tables, **tables})

    def later(self, by: timedelta) -> Tables:
        """Return the same rows with every moment later by whole days, over a window that is later by as many."""
        moved = {}
        for name, table in self.items():
            moments = [column for column, kind in table.schema().items() if kind.is_timestamp() or kind.is_date()]
            moved[name] = table.mutate(**{column: table[column] + ibis.interval(days=by.days) for column in moments})
        return self._over(self.start + by, self.end + by, moved)

    def as_of(self, cutoff: date) -> Tables:
        """Return what was known before the midnight that begins `cutoff`.

        Rows dated or recorded at or after the cutoff, and columns measured after the fact, are gone. Values that became
        known later than their row, at or after the cutoff, are null. Tables of undated facts stay whole; facts whose
        date the source knows go with it.

        Raises
        ------
        InputError
            If the cutoff is not in (start, end]: at most the last day + 1.
        """
        self.check_cutoff(cutoff)
        kept = {}
        for name, table in self.items():
            spec = SPECS[name]
            table = table.select(
                [c for c in table.columns if c not in spec.columns or not spec.columns[c].after_the_fact]
            )
            if (known := spec.known(table)) is not None:
                table = table.filter(known < midnight(cutoff))
            kept[name] = _without(table, spec, lambda moment: moment < midnight(cutoff))
        return self._over(self.start, cutoff, kept)

    def between(self, start: date, end: date) -> Tables:
        """Return what happened in [start, end), whenever it was recorded.

        A row stays if it, or a value that became known later than the row, became known in the window; of such values
        those of other days are null. So a message of the day before stays where it was opened in the window: count
        messages by `sent_at` and opens by `opened_at`. Facts, such as a product's category, stay if they were known by
        the end.

        Raises
        ------
        InputError
            If the window does not lie inside the data.
        """
        self.check_window(start, end)

        def within(moment: ir.Value) -> ir.BooleanValue:
            return (moment >= midnight(start)) & (moment < midnight(end))

        kept = {}
        for name, table in self.items():
            spec = SPECS[name]
            if spec.known_at:
                own = within(table[spec.known_at])
                later = [within(table[moment]).fill_null(False) for moment in dict.fromkeys(spec.known_later.values())]
                table = table.filter(ibis.or_(own, *later) if later else own)
            elif moment := spec.moment(table.columns):
                table = table.filter(table[moment] < midnight(end))
            kept[name] = _without(table, spec, within)
        return self._over(start, end, kept)

    def check_cutoff(self, cutoff: date) -> None:
        """Refuse a cutoff outside the data, as `as_of` does."""
        if not self.start < cutoff <= self.end:
            raise InputError(
                f"{cutoff} is outside the data",
                expected=f"a day from {self.start + timedelta(days=1)} to {self.end} (the last day of data + 1)",
                found=str(cutoff),
                hint="choose a cutoff in this range, or add the missing days to the source",
            )

    def check_window(self, start: date, end: date) -> None:
        """Refuse a window that does not lie inside the data, as `between` does."""
        if not self.start <= start < end <= self.end:
            raise InputError(
                f"the window {start} to {end} is not covered by the data",
                expected=f"days within {self.start} to {self.end} (end exclusive)",
                found=f"[{start}, {end})",
                hint="choose an earlier cutoff or a shorter horizon_days",
            )

    def _over(self, start: date, end: date, tables: Mapping[str, ir.Table | None]) -> Tables:
        return Tables(start=start, end=end, burn_in_days=self.burn_in_days, spend=self.spend, **tables)


def _without(table: ir.Table, spec: TableSpec, known: Callable[[ir.Value], ir.BooleanValue]) -> ir.Table:
    """Put null in place of values whose moment is not a known one."""
    later = {name: moment for name, moment in spec.known_later.items() if name in table.columns}
    if not later:
        return table
    return table.mutate(
        **{name: ibis.ifelse(known(table[moment]), table[name], ibis.null()) for name, moment in later.items()}
    )


def blank_tables(start: date, end: date, burn_in_days: int = 30, spend: str = GROSS) -> Tables:
    """Return a shop that has every canonical table and no data, for compiling definitions.

    Facts have no date there, and rows no moment of their record: a definition is the same for shops that know them and
    shops that do not.
    """
    tables = {name: ibis.table(spec.undated_schema, name=name) for name, spec in SPECS.items()}
    return Tables(start=start, end=end, burn_in_days=burn_in_days, spend=spend, **tables)
