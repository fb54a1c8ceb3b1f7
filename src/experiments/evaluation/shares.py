"""Shares of amounts: of a whole, and of each row of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd


def row_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Divide each row by its sum; NaN if the sum is 0."""
    totals = counts.sum(axis=1)
    return counts.div(totals.where(totals > 0), axis=0)


def shares(amounts: pd.Series) -> pd.Series:
    """Divide each amount by the sum of all; NaN if that is 0."""
    total = float(amounts.sum())
    return amounts / (total or np.nan)
