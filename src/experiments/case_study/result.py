"""Result of a part of the case study: figures in three columns, and tables to draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm

from features.errors import InputError, did_you_mean

NAN = float("nan")
COLUMNS = ("reported", "reproduced", "honest")


@dataclass(frozen=True)
class Figure:
    """One figure in three columns.

    Attributes
    ----------
    name : str
        As metrics name it.
    label : str
        As it is read.
    reproduced : float
        By the method as reported, on these data.
    honest : float
        Honest answer to the same question; NaN where there is none.
    why : str
        A sentence about the difference.
    kind : str
        "number", "share" (in [0, 1]) or "count".
    reported : float
        By the case study, of its own shop; NaN where it gives none, and for other shops.
    """

    name: str
    label: str
    reproduced: float
    honest: float
    why: str
    kind: str = "number"
    reported: float = NAN


@dataclass(frozen=True)
class Result:
    """One part of the case study, reproduced and questioned.

    Attributes
    ----------
    part : str
        "segments", "interval" or "products".
    title : str
    faults : mapping of str to str
        "circular" or "leaky" to the reason; empty where it is neither.
    verdict : str
        Finding and advice, in sentences.
    figures : sequence of Figure
    params : mapping
        Parameters of the analysis.
    tables : mapping of str to DataFrame
        Tables to draw and to show.
    notes : sequence of str
        Method, and what was left out.
    """

    part: str
    title: str
    faults: Mapping[str, str]
    verdict: str
    figures: Sequence[Figure]
    params: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of a run: reported/..., reproduced/... and honest/..., where they are finite."""
        return {
            f"{column}/{figure.name}": float(getattr(figure, column))
            for column in COLUMNS
            for figure in self.figures
            if math.isfinite(getattr(figure, column))
        }

    @property
    def tags(self) -> dict[str, str]:
        """Tags of a run: its part, its faults, and that it can never be promoted."""
        reasons = {f"{fault}_reason": reason for fault, reason in self.faults.items()}
        return {"case_study": self.part, **dict.fromkeys(self.faults, "true"), **reasons, "promotable": "false"}

    def compare_with(self, reported: Mapping[str, float]) -> Result:
        """Return the result with the figures that the case study reports.

        Raises
        ------
        InputError
            If a reported figure is unknown.
        """
        known = [figure.name for figure in self.figures]
        for name in reported:
            if name not in known:
                raise InputError(
                    f"{self.part} has no figure {name!r}", where="as_reported.reported", hint=did_you_mean(name, known)
                )
        figures = [replace(figure, reported=float(reported.get(figure.name, NAN))) for figure in self.figures]
        return replace(self, figures=figures)


@dataclass(frozen=True)
class Difference:
    """Mean difference of two methods on the same customers, with its 95% confidence interval.

    Attributes
    ----------
    mean, low, high : float
        mean +- 1.96 standard errors of the mean; the interval is of no width where all customers differ alike.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, one: ArrayLike, other: ArrayLike) -> Self:
        """Compute the difference of paired values, one for each customer: arrays of shape (n_customers,)."""
        each = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
        error = each.std(ddof=1) / math.sqrt(len(each)) if len(each) > 1 else math.inf
        width = norm.ppf(0.975) * error
        return cls(float(each.mean()), float(each.mean() - width), float(each.mean() + width))

    def say(self, more: str, less: str, neither: str) -> str:
        """Return the words for what is shown."""
        return more if self.low > 0 else less if self.high < 0 else neither


@dataclass(frozen=True)
class Skipped:
    """A part that these data do not allow."""

    part: str
    reason: str
