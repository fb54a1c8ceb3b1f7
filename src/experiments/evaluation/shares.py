"""Shares of amounts: of a whole, and of each row of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd


def row_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Return each row over its sum; NaN where the sum is 0."""
    totals = counts.sum(axis=1)
    return counts.div(totals.where(totals > 0), axis=0)


def shares(amounts: pd.Series) -> pd.Series:
    """Return each amount over their sum; NaN where that is 0."""
    total = float(amounts.sum())
    return amounts / (total or np.nan)
