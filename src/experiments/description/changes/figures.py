"""Figures of one report, and how they compare with those of the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

KEY = ["kind", "name", "measure"]
NOW = "now"
FEWEST = 5  # customers by which a group has changed, for it to be named


@dataclass(frozen=True)
class Report:
    """Content of a report that the next one compares itself with.

    Attributes
    ----------
    as_of : datetime.date
    figures : Series indexed (kind, name, measure)
        Such as the customers of a tier, a stage or a list.
    models : mapping of question to str
        The version in use: "cdnow-clv version 2".
    """

    as_of: date
    figures: pd.Series
    models: Mapping[str, str]


def count(kind: str, groups: pd.Series) -> pd.Series:
    """Count the customers of each group, those of an ordered categorical in its order."""
    sizes = groups.value_counts(sort=not isinstance(groups.dtype, pd.CategoricalDtype)).astype(float)
    names = [(kind, str(name), "customers") for name in sizes.index]
    return pd.Series(sizes.to_numpy(), pd.MultiIndex.from_tuples(names, names=KEY), name=NOW)


def of_list(title: str, customers: int, value: float, currency: str) -> pd.Series:
    """Return the figures of a list of customers: how many are on it, and what is at stake."""
    names = [("list", title, "customers"), ("list", title, f"at stake, {currency}")]
    return pd.Series([float(customers), value], pd.MultiIndex.from_tuples(names, names=KEY), name=NOW)


def joined(figures: Sequence[pd.Series]) -> pd.Series:
    """Join figures."""
    if not figures:
        return pd.Series([], pd.MultiIndex.from_arrays([[]] * len(KEY), names=KEY), dtype=float, name=NOW)
    return pd.concat(figures)


def read(table: pd.DataFrame) -> pd.Series:
    """Read the figures of today from the table of a report."""
    return pd.to_numeric(table.set_index(KEY)[NOW], errors="coerce").dropna()


def compare(now: pd.Series, then: pd.Series) -> pd.DataFrame:
    """Compare figures: `now`, `then` and their difference, in the order of today's; those that are gone come last.

    A figure that one of both does not have is missing there, and so is the difference.

    Returns
    -------
    DataFrame indexed (kind, name, measure)
        now, then, change.
    """
    index = now.index.append(then.index.difference(now.index, sort=False))
    table = pd.DataFrame({NOW: now.reindex(index), "then": then.reindex(index)})
    return table.assign(change=table[NOW] - table["then"])


def largest(changes: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the groups whose number of customers changed most for their size, of those by at least `FEWEST`.

    Size is the square root of the mean of both numbers: by chance, numbers differ in proportion to it.
    """
    counted = changes[changes.index.get_level_values("measure") == "customers"]
    counted = counted[counted["change"].abs() >= FEWEST]
    weight = counted["change"].abs() / np.sqrt((counted[NOW] + counted["then"]) / 2)
    return counted.loc[weight.sort_values(ascending=False, kind="stable").index[:most]]
