"""Test of months whose rates are above those of the others."""

from __future__ import annotations

import calendar
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.description.hypotheses.claims import TOGETHER, Claim
from experiments.description.hypotheses.rate_ratio import daily_counts, rate_ratios
from experiments.description.purchasing.window import LEAST_DAYS_OF_A_MONTH, Window
from features.errors import InputError, listing


@dataclass(frozen=True)
class Season:
    """Test of a daily rate that is higher in some months than in the others, in every tier. Weeks are resampled.

    The ratio is that of rates a day, of all orders (units, spend, customers) of a tier. With `against_trend` a steady
    growth or decline of the tier is allowed for, by a Poisson regression log rate = a + b day + c [in those months], of
    which the ratio is exp(c): customers who were chosen by what they did before fall back to what is usual for them,
    and that would pass for a season. Weeks are resampled, as days of one week go together. One year holds each season
    once: these data do not show whether it comes again.
    """

    months: Sequence[int]
    measure: str
    against_trend: bool

    is_correlation = False

    def __post_init__(self) -> None:
        numbers = all(type(month) is int for month in self.months)
        if not numbers or not 1 <= len(set(self.months)) <= 11 or not set(self.months) <= set(range(1, 13)):
            raise InputError(
                "months is not a valid season",
                where="parameters.months",
                expected="1 to 11 of 1 … 12",
                found=str(self.months),
            )

    def parts(self, window: Window) -> tuple[list[Claim], list[str]]:
        counts, notes = daily_counts(window, self.measure)
        inside = np.asarray(counts.index.month.isin(list(self.months)))
        names = [calendar.month_name[month] for month in sorted(self.months)]
        parts = rate_ratios(window, counts, inside, self.against_trend, " and ".join(names))
        months = counts.assign(**{TOGETHER: counts.sum(axis=1)}).groupby(counts.index.month).agg(["mean", "size"])
        parts = [
            dataclasses.replace(part, details={**part.details, "peak": _peak(months[part.name])}) for part in parts
        ]
        peaks = {part.details["peak"] for part in parts[:-1]}
        notes += [
            f"All tiers peak in {peaks.pop()}."
            if len(peaks) == 1
            else "The month with the highest rate: "
            + ", ".join(f"{part.details['peak']} ({part.name})" for part in parts[:-1])
            + ".",
            f"{listing(names, limit=12)}: {inside.sum()} of {len(inside)} days.",
        ]
        return parts, notes


def _peak(rates: pd.DataFrame) -> str:
    whole = rates[rates["size"] >= LEAST_DAYS_OF_A_MONTH]
    return calendar.month_name[int((whole if len(whole) else rates)["mean"].idxmax())]
