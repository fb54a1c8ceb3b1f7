"""The same weeks of the years before, in which a season is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import ArrayLike

CUTOFF_DAY = "cutoff_day"  # the feature that says when, as `days_since_epoch` of the cutoff
EPOCH = date(1970, 1, 1)
YEAR_DAYS = 364  # 52 weeks, so that the weekdays are the same
SETTLED_DAYS = 60  # a season is not read from windows that begin sooner after the first day that is known


def days_since_epoch(day: date) -> int:
    """Return the days from 1970-01-01 to a day, the unit of the feature `cutoff_day`."""
    return (day - EPOCH).days


def same_weeks(day: ArrayLike, days: Sequence[float], values: Sequence[float]) -> np.ndarray:
    """Interpolate the values of days 364, 728, … days before, and return their mean; NaN where there are none.

    Parameters
    ----------
    day : float or array
    days, values : sequence of float
        Ascending days, and the value of each. The first `SETTLED_DAYS` are left out: a shop without a past is unlike
        itself a year later.
    """
    at = np.asarray(day, dtype=float)
    total, found = np.zeros(at.shape), np.zeros(at.shape)
    first, last = days[0] + SETTLED_DAYS, days[-1]
    back = at - YEAR_DAYS
    while (back >= first).any():
        inside = (back >= first) & (back <= last)
        total += np.where(inside, np.interp(back, days, values), 0.0)
        found += inside
        back = back - YEAR_DAYS
    return np.divide(total, found, out=np.full(at.shape, np.nan), where=found > 0)
