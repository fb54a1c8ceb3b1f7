"""The looks of each column's values, counted over all rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import ibis.expr.types as ir

from features.sources.files.values import CURRENCY_SIGNS, western
from features.sources.guess.opened import Opened

SIGN = f"({'|'.join([re.escape(sign) for sign in CURRENCY_SIGNS])})?"
NUMBER = rf"^[(]?[-+]?[\s\p{{Z}}]*{SIGN}[\s\p{{Z}}]*[-+]?[0-9][0-9.,'\s\p{{Z}}]*{SIGN}[)]?-?$"
WHOLE = r"^-?[0-9]+(\.0+)?$"
CLOCK = r"^[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(\s?[AaPp][Mm])?$"
PERCENT = r"^[-+]?[0-9]+([.,][0-9]+)?\s*%$"
LETTER = r"[^0-9\s.,:;/()-]"  # a class of all letters is so large that patterns with it are slow
DATED = (
    r"^([0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(\b|T).*|(19|20)[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])([0-9]{6})?"
    rf"|[0-9]{{1,2}}[-/. ]{{1,2}}(de )?{LETTER}{{3,12}}\.?[-/. ](de )?[0-9]{{2,4}}\b.*"
    r"|(19|20)[0-9]{2}[년年] ?[0-9]{1,2}[월月] ?[0-9]{1,2}[일日].*|(19|20)[0-9]{2}\. [0-9]{1,2}\. [0-9]{1,2}\..*"
    rf"|({LETTER}{{3}},? )?({LETTER}{{3,9}} [0-9]{{1,2}}|[0-9]{{1,2}} {LETTER}{{3,9}}),? [0-9]{{4}}\b.*)$"
)
MAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
PATTERNS = {"number": NUMBER, "whole": WHOLE, "clock": CLOCK, "dated": DATED, "percent": PERCENT, "mail": MAIL}
MOST = 0.98  # of the values, as a few may be dirt


@dataclass(frozen=True)
class Facts:
    """Counts of one column.

    Attributes
    ----------
    filled, distinct : int
        Rows with a value, and different values.
    number, whole, clock, dated, percent, mail : float
        Share of the values that look like a number of any style, a whole number, a time of day, a date, 10%, an e-mail
        address.
    """

    name: str
    filled: int
    distinct: int
    number: float
    whole: float
    clock: float
    dated: float
    percent: float = 0.0
    mail: float = 0.0

    @property
    def is_number(self) -> bool:
        return self.filled > 0 and self.number >= MOST

    @property
    def is_share(self) -> bool:
        """Check for numbers of which some have a sign of percent."""
        return self.percent > 0 and self.number + self.percent >= MOST


def facts_of(opened: Opened) -> dict[str, Facts]:
    """Count all columns in one pass."""
    table = opened.table
    figures = dict(_figures(opened))
    if not figures:
        return {}
    row: Mapping[str, int] = table.aggregate(**figures).to_pyarrow().to_pylist()[0]
    found = {}
    for number, name in enumerate(opened.columns):
        filled = row[f"filled.{number}"] or 0
        shares = {what: (row[f"{what}.{number}"] or 0) / max(filled, 1) for what in PATTERNS}
        found[name] = Facts(name, filled, row[f"distinct.{number}"] or 0, **shares)
    return found


def _figures(opened: Opened) -> Iterator[tuple[str, ir.Value]]:
    for number, name in enumerate(opened.columns):
        values = opened.table[name]
        yield f"filled.{number}", values.count()
        yield f"distinct.{number}", values.nunique()
        texts = western(values)
        for what, pattern in PATTERNS.items():
            yield f"{what}.{number}", texts.re_search(pattern).cast("int64").sum()


def share_met(values: ir.Column, known: ir.Column) -> float:
    """Return the share of the different values of a column that a column of another table has."""
    different = values.name("value").as_table().filter(lambda rows: rows.value.notnull()).distinct()
    met = different.semi_join(known.name("value").as_table(), "value")
    return int(met.count().execute()) / max(int(different.count().execute()), 1)


def examples(opened: Opened, name: str, limit: int = 3) -> list[str]:
    """Return the most frequent values of a column."""
    return list(frequencies(opened, name, limit))


def frequencies(opened: Opened, name: str, limit: int) -> dict[str, int]:
    """Return the most frequent values of a column, with their rows."""
    values = opened.table.select(value=opened.table[name]).filter(lambda rows: rows.value.notnull())
    counted = values.group_by("value").aggregate(rows=values.count())
    top = counted.order_by([counted.rows.desc(), counted.value]).limit(limit).to_pyarrow().to_pylist()
    return {row["value"]: row["rows"] for row in top}
