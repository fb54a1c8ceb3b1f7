"""Late rows: how long after its day a row was recorded, where a table says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.engines import Engine
from features.tables import RECORDED_AT, SPECS, Tables

NIGHTLY = 0.5  # share of rows that are recorded on the day after their own, from which a nightly load is likely
MOST = 0.95


@dataclass(frozen=True)
class Lateness:
    """The rows of one table that were recorded after the midnight that ends their day.

    Attributes
    ----------
    table : str
        Canonical name.
    rows, late : int
        All rows, and those recorded on a later day than their own; a cutoff in between does not know them.
    half, most, last : int
        Days after their own by which 50%, 95% and all of the late rows were recorded.
    by_hour : int or None
        Hour by which 95% of the rows of a nightly load were recorded, where there seems to be one.
    """

    table: str
    rows: int
    late: int
    half: int
    most: int
    last: int
    by_hour: int | None


def lateness(tables: Tables, engine: Engine) -> tuple[Lateness, ...]:
    """Count the late rows of each table that has `recorded_at`."""
    return tuple(_of_tables(tables, engine))


def _of_tables(tables: Tables, engine: Engine) -> Iterator[Lateness]:
    for name, table in tables.items():
        if RECORDED_AT not in table.columns:
            continue
        after = _days_after(table, str(SPECS[name].known_at))
        frame = engine.frame(
            table.mutate(days=after, hour=table[RECORDED_AT].hour())
            .group_by("days", "hour")
            .aggregate(rows=lambda t: t.count())
        )
        by_day = frame.groupby("days")["rows"].sum().sort_index()
        late = by_day[by_day.index > 0]
        nightly = frame[frame["days"] == 1].groupby("hour")["rows"].sum().sort_index()
        has_load = nightly.sum() > NIGHTLY * by_day.sum()
        yield Lateness(
            table=name,
            rows=int(by_day.sum()),
            late=int(late.sum()),
            half=_reached(late, 0.5),
            most=_reached(late, MOST),
            last=_reached(late, 1.0),
            by_hour=_reached(nightly, MOST) + 1 if has_load else None,
        )


def _reached(counts: pd.Series, share: float) -> int:
    """Return the first label at which the sum so far is this share of all; 0 where nothing was counted."""
    so_far = counts.cumsum()
    return int(so_far[so_far >= share * counts.sum()].index[0]) if len(counts) else 0


def _days_after(table: ir.Table, moment: str) -> ir.IntegerColumn:
    """Return the days from a row's own to that of its record; 0 where no moment of the record is known."""
    recorded = table[RECORDED_AT].fill_null(table[moment])
    return ibis.greatest(recorded.date().delta(table[moment].date(), unit="day"), 0)


def lateness_lines(found: tuple[Lateness, ...]) -> list[str]:
    """Write it as lines of the profile."""
    if not found:
        return [
            f"  not known: no table has {RECORDED_AT}, so what was known on a past day may change with rows that come"
            " late or are corrected"
        ]
    lines = []
    for each in found:
        text = f"  {each.table:<16} {each.late:>12,}   of {each.rows:,} rows ({each.late / each.rows:.1%})"
        if each.late:
            text += (
                f"; half within {_days(each.half)}, 95% within {_days(each.most)}, the last after {_days(each.last)}"
            )
        lines.append(text)
        if each.by_hour is not None:
            lines.append(
                f"    {'write':<5} data.recorded_by_hour={each.by_hour}, if they are loaded each night: a cutoff then"
                " knows what was recorded by that hour"
            )
    return lines


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"
