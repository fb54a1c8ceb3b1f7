"""Test of days of the week whose rates are above those of the others."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.description.hypotheses.checks import check_one_of
from experiments.description.hypotheses.claims import Claim
from experiments.description.hypotheses.rate_ratio import daily_counts, rate_ratios
from experiments.description.purchasing.window import Window
from features.errors import InputError
from features.families.habits import WEEKDAYS


@dataclass(frozen=True)
class Weekday:
    """Test of a daily rate that is higher on some days of the week, in every tier. Weeks are resampled."""

    days: Sequence[str]
    measure: str

    is_correlation = False

    def __post_init__(self) -> None:
        for day in self.days:
            check_one_of(str(day).lower(), WEEKDAYS, "parameters.days")
        if not 0 < len(set(self.days)) < 7:
            raise InputError(
                "no day is left to compare with", where="parameters.days", expected="1 to 6 days", found=str(self.days)
            )

    def numbers(self) -> list[int]:
        """Return the days as numbers, 0 for Monday."""
        return [WEEKDAYS.index(day.lower()) for day in self.days]

    def parts(self, window: Window) -> tuple[list[Claim], list[str]]:
        counts, notes = daily_counts(window, self.measure)
        inside = np.asarray(counts.index.day_of_week.isin(self.numbers()))
        parts = rate_ratios(window, counts, inside, False, " and ".join(day.capitalize() for day in self.days))
        total = counts.sum(axis=1).groupby(counts.index.day_of_week).mean()
        high, low = (calendar.day_name[int(day)] for day in (total.idxmax(), total.idxmin()))
        return parts, [*notes, f"{high} is the busiest day over all tiers, {low} the quietest."]
