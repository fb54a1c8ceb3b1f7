"""Shares of amounts: of a whole, and of each row of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

FIRST = 0.2  # of the customers: those predicted highest, whose share is stated where amounts are unreliable


def row_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Divide each row by its sum; NaN if the sum is 0."""
    totals = counts.sum(axis=1)
    return counts.div(totals.where(totals > 0), axis=0)


def is_highest(values: pd.Series, part: float) -> pd.Series:
    """Mark the highest values, such as the fifth of customers predicted highest; of equal ones the first rows.

    >>> is_highest(pd.Series([3.0, 1.0, 2.0, 2.0, 0.0]), 0.4).tolist()
    [True, False, True, False, False]
    """
    return values.rank(ascending=False, method="first") <= max(1, round(part * len(values)))


def shares(amounts: pd.Series) -> pd.Series:
    """Divide each amount by the sum of all; NaN if that is 0."""
    total = float(amounts.sum())
    return amounts / (total or np.nan)
