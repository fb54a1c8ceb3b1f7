"""Constants in definitions: values of this shop, days and measured numbers that an expression holds by itself.

A definition says how to count, for any shop and any day. What somebody learnt from all days and wrote into it (weights
of categories, the best products, the day of a sale) is not read from a table, so that no change of later rows moves it.
Three things show it:

- a definition that knows names gives other values where all names of the shop are replaced, in all tables alike;
- a day that is the same at every cutoff stands in the definition, or it gives other values where all days are 28 years
  later: weekdays and days of the year are then the same, so that only a day or a year that it holds can tell;
- so does a table of numbers, or several measured ones: few definitions need more than a dozen round numbers.

A family may declare where its constants come from (`Family.constants`); nobody can check that, and it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from numbers import Real
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.engines import Engine
from features.errors import listing
from features.families import Family, resolve
from features.grains import Grain
from features.held_numbers import held_numbers
from features.leakage import ROWS, Finding, all_features, changes, differences, grains_of
from features.learnt import Learnt
from features.progress import steps
from features.snapshot import frame_of
from features.tables import NET, Tables, blank_tables
from features.tampering import Tampered

CHECK = "constants"
NAMES = ("name", "department", "category", "subcategory", "brand", "manufacturer")
MARK = "~"  # stands before each character of another name: order, equality and case of names stay
FEWEST_MEASURED = 3
SIGNIFICANT = 3  # digits of a fraction from which on it counts as measured
MOST_NUMBERS = 20
CALENDAR = timedelta(days=28 * 365 + 7)  # 28 years: weekdays and leap years are the same, from 1901 to 2099
UNITS_OF_TIME = (365.25, 365.2425, 30.4375, 30.436875, 52.1775)
PERIODS = ((date(2000, 1, 1), date(2001, 1, 1), 30), (date(1990, 5, 7), date(2003, 8, 19), 53))  # with burn-in days


def audit_constants(tables: Tables, engine: Engine, cutoff: date) -> Iterator[Finding]:
    """Audit the definition of every grain and feature that the tables allow for constants.

    Those of ids leak. Others are unproven, and fail unless their family declares where they come from. Features that
    are named by a value, such as `category_share.TEA`, name it for everybody to see, and are not meant.
    """
    other = renamed(tables, engine)
    for grain, found in steps(_by_grain(tables, engine, other, cutoff), CHECK, len(grains_of(tables)), "grains"):
        names, bound, fixed, dated = found
        for what, (columns, figures) in bound.items():
            yield _finding(what, figures, is_leak=any(map(_is_id, columns)) or what not in names)
        for name, held in fixed.items():
            yield _finding(name, f"its definition holds {held}")
        for what, figures in dated.items():
            if what not in fixed:
                yield _finding(what, f"it knows days or years of this shop: {figures}")
        clean = len(names) - len((bound.keys() | fixed.keys() | dated.keys()) & set(names))
        said = "the same where all ids and names of goods are others, and 28 years later; no measured numbers"
        yield Finding(CHECK, f"{clean} features of {grain.name}", "clean", said, len(names))


def _finding(what: str, figures: str, *, is_leak: bool = False) -> Finding:
    """Return the finding of a feature, or of the rows of a grain, whose definition holds constants."""
    if what.startswith(ROWS):
        return Finding(CHECK, what, "leaks", figures, fails=True)
    (family,) = resolve([what])
    if is_leak:
        return Finding(CHECK, f"feature {what}", "leaks", figures, fails=True)
    if family.constants:
        return Finding(CHECK, f"feature {what}", "differs", f"{figures}; declared: {family.constants}")
    asked = "declare where they come from (constants=...), or count them from the past"
    return Finding(CHECK, f"feature {what}", "unproven", f"{figures}; {asked}", fails=True)


def _by_grain(
    tables: Tables, engine: Engine, other: Tampered, cutoff: date
) -> Iterator[tuple[Grain, tuple[list[str], dict[str, tuple[list[str], str]], dict[str, str], dict[str, str]]]]:
    past, later = tables.as_of(cutoff), tables.later(CALENDAR).as_of(cutoff + CALENDAR)
    for grain in grains_of(tables):
        names = [name for name in all_features(tables, cutoff, engine, grain) if "." not in name]
        before, after = (frame_of(past, names, grain, on) for on in (engine, other))
        found = dict(changes(before, _named_back(after), grain, "where names are replaced in all tables"))
        causes = _causes(tables, cutoff, engine, [what for what in found if what in names], before, grain)
        bound = {what: (causes.get(what, []), _with_causes(said, causes.get(what, []))) for what, said in found.items()}
        moved = _days_named_back(before, frame_of(later, names, grain, engine))
        dated = dict(changes(before, moved, grain, "where all days are 28 years later"))
        yield grain, (names, bound, fixed_constants(names), dated)


# Names of the shop


def renamed(tables: Tables, engine: Engine, columns: Iterable[str] | None = None) -> Tampered:
    """Return an engine on which all ids and names of goods are others, the same ones in all tables.

    Of other names, such as `~T~E~A` for `TEA`, none is the word that a definition may know, nor a number. Which names
    are equal, in upper and lower case too, and their order stay as they were.

    Parameters
    ----------
    tables : Tables
    engine : Engine
    columns : iterable of str, optional
        Those that are replaced; all ids and names when left out.
    """
    instead: dict[ir.Table, ir.Table] = {}
    for table in tables.values():
        chosen = [column for column in named_columns(table) if columns is None or column in set(columns)]
        if chosen:
            others = {column: table[column].re_replace("(?s)(.)", rf"{MARK}\1") for column in chosen}
            instead[table] = table.mutate(**others)
    return Tampered(engine, instead)


def named_columns(table: ir.Table) -> list[str]:
    """List the columns of ids and of names of goods."""
    return [
        column for column in table.columns if table[column].type().is_string() and (_is_id(column) or column in NAMES)
    ]


def _is_id(column: str) -> bool:
    return column.endswith("_id")


def _causes(
    tables: Tables, cutoff: date, engine: Engine, names: Sequence[str], before: pd.DataFrame, grain: Grain
) -> dict[str, list[str]]:
    """Return, for each feature, the columns whose names alone move it."""
    causes: dict[str, list[str]] = {}
    columns = {column for table in tables.values() for column in named_columns(table)} if names else set()
    for column in sorted(columns):
        after = _named_back(frame_of(tables.as_of(cutoff), names, grain, renamed(tables, engine, [column])))
        for what, _, _ in differences(before[list(names)].reindex(after.index), after):
            causes.setdefault(what, []).append(column)
    return causes


def _with_causes(figures: str, columns: Sequence[str]) -> str:
    return f"{figures}; moves with {listing(columns)}" if columns else figures


def _named_back(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows under the names of before."""
    keys = frame.index.to_frame(index=False)
    for column in keys.select_dtypes(include=["object", "string"]):
        keys[column] = keys[column].str.replace(rf"(?s){MARK}(.)", r"\1", regex=True)
    index = pd.MultiIndex.from_frame(keys) if keys.shape[1] > 1 else pd.Index(keys.iloc[:, 0])
    return frame.set_axis(index, axis=0).sort_index()


# Days and numbers


def _days_named_back(before: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Return the values of 28 years later, of features that are days themselves (`cutoff_day`) those of before."""
    if not before.index.equals(later.index):
        return later
    days = [str(name) for name in before if (later[name] == before[name] + CALENDAR.days).all()]
    return later.assign(**{name: before[name] for name in days})


def fixed_constants(names: Iterable[str]) -> dict[str, str]:
    """Return the named features whose definitions hold days or measured numbers, with these in words.

    Looks at expressions over empty tables: what stands in the definition at one cutoff and at another is a constant.
    What is said of one feature is said of all that its family computes with it.
    """
    families = resolve(names) if (names := list(names)) else {}
    said = {family: (features, _fixed(family)) for family, features in families.items()}
    return {feature: words for features, words in said.values() if words for feature in features}


@cache
def _fixed(family: Family) -> str | None:
    values, code = _constants(family.build), _in_code(family.build)
    days = sorted({str(value)[:10] for value in values if isinstance(value, date) or _is_day(value)})
    if days:
        return f"days that are the same at every cutoff: {listing(days)}"
    numbers = sorted({float(value) for value in values if _is_number(value)})
    measured = sorted({number for each in (numbers, *code) for number in each if is_measured(number)})
    if len(measured) >= FEWEST_MEASURED:
        return f"{len(measured)} numbers that somebody measured: {listing(map(str, measured))}"
    for table in (numbers, *code):
        if len(table) > MOST_NUMBERS:
            return f"a table of {len(table)} numbers: {listing(map(str, table))}"
    return None


def _in_code(build: Callable[[Tables], ir.Table]) -> list[list[float]]:
    """Return the numbers that the functions hold by which a definition learns its tables."""
    start, end, burn_in_days = PERIODS[0]
    read = build(blank_tables(start, end, burn_in_days, spend=NET).as_of(end)).op()
    functions = dict.fromkeys((node.learner, node.code) for node in read.find(Learnt))
    return [
        [number for number in held if np.isfinite(number)]
        for function, modules in functions
        for held in held_numbers(function, modules)
    ]


def is_measured(number: float) -> bool:
    """Return True for a fraction of at least three significant digits that is not a length of time.

    >>> [is_measured(number) for number in (0.374, 3.25, 0.05, 120, 365.25)]
    [True, True, False, False, False]
    """
    digits = len(Decimal(repr(float(number))).normalize().as_tuple().digits)
    return not float(number).is_integer() and digits >= SIGNIFICANT and number not in UNITS_OF_TIME


def _constants(build: Callable[[Tables], ir.Table]) -> set[Any]:
    """Return the values that stand in the definition at every cutoff."""
    held = []
    for start, end, burn_in_days in PERIODS:
        past = blank_tables(start, end, burn_in_days, spend=NET).as_of(end)
        expression = build(past).op()
        values = {value for literal in expression.find(ops.Literal) for value in _flat(literal.value)}
        if expression.find(ops.ExtractYear):
            values |= {date(int(value), 1, 1) for value in values if _is_year(value)}
        held.append(values)
    return set.intersection(*held)


def _flat(value: Any) -> Iterator[Any]:
    """Yield the values of a literal: those within a list or a mapping one by one."""
    if isinstance(value, Mapping):
        yield from (each for pair in value.items() for part in pair for each in _flat(part))
    elif isinstance(value, list | tuple | set | frozenset | np.ndarray):
        yield from (each for part in value for each in _flat(part))
    elif value is not None:
        yield value


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool) and bool(np.isfinite(float(value)))


def _is_year(value: Any) -> bool:
    return _is_number(value) and 1990 <= float(value) <= 2100


def _is_day(value: Any) -> bool:
    """Return True for the text of a day, such as 2017-11-24."""
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return "-" in value
