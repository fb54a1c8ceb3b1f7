"""Facts of unknown date beside totals of all days: a rank or a band that somebody made of rows to come.

A file of products or customers that somebody else ranked has no day by which it could be cut. But such a rank is a
function of totals to the end of the data, which no fact of another origin is: what sells varies by chance, so that a
brand, a price or a planner's class puts many subjects on the wrong side of its bounds. So a fact leaks if totals of all
days misplace next to none of its subjects, and totals of the days before misplace many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd

from features.attrition import FEWEST, MOST_VALUES, SUBJECTS
from features.engines import Engine
from features.errors import listing
from features.families import resolve
from features.leakage import Finding
from features.tables import SPECS, Tables

CHECK = "hindsight"
HALFWAY = 0.5  # of the days: where the totals of the days before end
TIMES = 10  # as many subjects are misplaced by totals of the days before: by chance alone fewer than twice as many are
FEWEST_MISPLACED = 10
LEAST_MISPLACED = 0.01  # share of the subjects


@dataclass(frozen=True)
class Agreement:
    """Agreement of a fact with totals of its subjects, those that were seen before the middle day.

    Attributes
    ----------
    table, column : str
    total : str
        The total of which all days misplace fewest beside the days before: amount, lines, days or others (buyers of a
        product, products of a customer).
    subjects : int
    whole, before : int
        Subjects that are misplaced by that total, and by the same of the days before.
    middle : datetime.date
    """

    table: str
    column: str
    total: str
    subjects: int
    whole: int
    before: int
    middle: date

    @property
    def is_flagged(self) -> bool:
        many = max(FEWEST_MISPLACED, LEAST_MISPLACED * self.subjects)
        return self.before >= max(many, TIMES * self.whole)

    def __str__(self) -> str:
        return (
            f"{self.total} of all days misplace {self.whole:,} of {self.subjects:,} subjects, "
            f"those before {self.middle} {self.before:,}"
        )


def agreements(tables: Tables, engine: Engine) -> list[Agreement]:
    """Compare each fact about customers and products with their totals.

    Texts that are numbers count as numbers, more than 20 of them by twentieths. Other facts are compared if they have
    at most 20 values; values are ordered by the mean rank of their subjects, and those of fewer than 20 subjects left
    out. A fact that has a date is compared too: it may have been written over since.

    Returns
    -------
    list of Agreement
        One for each column that could be compared.
    """
    middle = tables.start + timedelta(days=round(HALFWAY * (tables.end - tables.start).days))
    found = []
    for name, table in tables.items():
        spec = SPECS[name]
        if len(spec.key) != 1 or spec.key[0] not in SUBJECTS:
            continue
        (key,) = spec.key
        texts = [c for c in spec.columns if c in table.columns and table[c].type().is_string() and c != key]
        facts = engine.frame(table.select(key, *texts)).set_index(key)
        before = _totals(tables, engine, key, middle)
        whole = _totals(tables, engine, key, tables.end).reindex(before.index)
        for column in texts:
            agreement = _agreement(facts[column].reindex(before.index), whole, before)
            if agreement:
                found.append(Agreement(name, column, *agreement, middle))
    return found


def _totals(tables: Tables, engine: Engine, key: str, end: date) -> pd.DataFrame:
    """Return the totals of each subject before a day."""
    lines = tables.transactions
    others = "customer_id" if key == "product_id" else "product_id"
    of = lines.filter(lines[key].notnull(), lines.timestamp < ibis.literal(pd.Timestamp(end)))
    totals = of.group_by(key).agg(
        amount=of.amount.sum().cast("float64"),
        lines=of.count(),
        days=of.timestamp.date().nunique(),
        others=of[others].nunique(),
    )
    return engine.frame(totals).set_index(key).sort_index().astype(float)


def _agreement(fact: pd.Series, whole: pd.DataFrame, before: pd.DataFrame) -> tuple[str, int, int, int] | None:
    """Return the best total, the number of subjects, and how many are misplaced; None where there is too little."""
    fact = fact.dropna()
    numbers = pd.to_numeric(fact, errors="coerce")
    is_number = bool(numbers.notna().all())
    if not is_number:
        sizes = fact.value_counts()
        fact = fact[fact.isin(sizes.index[sizes >= FEWEST])]
    elif numbers.nunique() > MOST_VALUES:
        numbers = (numbers.rank(pct=True) * MOST_VALUES).apply(np.ceil)
    if len(fact) < 2 * FEWEST or not 1 < fact.nunique() <= (len(fact) if is_number else MOST_VALUES):
        return None

    def of(totals: pd.DataFrame) -> dict[str, int]:
        known = numbers if is_number else None
        return {str(total): _misplaced_either_way(fact, known, values) for total, values in totals.items()}

    wholes, befores = (of(totals.loc[fact.index]) for totals in (whole, before))
    best = max(wholes, key=lambda total: befores[total] / max(wholes[total], 0.5))
    return best, len(fact), wholes[best], befores[best]


def _misplaced_either_way(fact: pd.Series, numbers: pd.Series | None, totals: pd.Series) -> int:
    """Count the subjects that a total misplaces: of numbers upwards or downwards, of words in the totals' order."""
    values = totals.to_numpy()
    if numbers is None:
        return misplaced(totals.rank().groupby(fact).transform("mean").to_numpy(), values)
    return min(misplaced(sign * numbers.to_numpy(), values) for sign in (1, -1))


def misplaced(bands: np.ndarray, totals: np.ndarray) -> int:
    """Count the subjects that are in another band than their place by a total says; equal totals excuse.

    >>> misplaced(np.array([1, 1, 2, 2]), np.array([5.0, 7.0, 6.0, 9.0]))
    2
    """
    return int((bands[np.lexsort((bands, totals))] != np.sort(bands)).sum())


def audit_hindsight(tables: Tables, engine: Engine, features: Sequence[str]) -> Iterator[Finding]:
    """Audit facts about customers and products for totals of all days.

    A fact that is made of them leaks, and fails if one of the features reads its table.

    Parameters
    ----------
    tables : Tables
    engine : Engine
    features : sequence of str
        Those that models are trained on.
    """
    families = resolve(features)
    compared = agreements(tables, engine)
    for each in compared:
        if each.is_flagged:
            readers = [name for family, own in families.items() if each.table in family.needs for name in own]
            used = f"{listing(readers)} read the table" if readers else "no feature in use reads the table"
            yield Finding(CHECK, f"{each.table}.{each.column}", "leaks", f"{each}; {used}", fails=bool(readers))
    clean = [each for each in compared if not each.is_flagged]
    if clean:
        nearest = min(clean, key=lambda each: each.whole / each.subjects)
        said = f"not made of totals of all days; nearest {nearest.table}.{nearest.column}: {nearest}"
        yield Finding(CHECK, f"{len(clean)} facts", "clean", said, len(clean))
