"""A fitted model whose amounts are calibrated by what past windows showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import Model, require_columns
from features.errors import InputError, did_you_mean
from features.seasons import CUTOFF_DAY, same_weeks

LINKS = ("log", "logit")


class Calibrated(Model):
    """Model with calibrated amounts: the same shift for all rows of a cutoff, so that their order stays.

    link="log": p' = p x exp(shift). link="logit": p' = expit(slope x logit(p) + stretch x shift), a probability.
    shift = level + drift + weight x season, where the season is that of the same weeks of the years before: the mean
    of the shifts of the days 364, 728, … days before the cutoff. It is 0 where no day is early enough.

    Parameters
    ----------
    model : Model
    link : {"log", "logit"}
    constant : float
        level + drift.
    weight : float
    days : sequence of float
        Cutoffs whose shift is known, as days since 1970-01-01, ascending; empty without a season.
    shifts : sequence of float
        The shift of each.
    slope, stretch : float
        Of "logit" alone. A slope above 0 keeps the order; `stretch` turns the log of a total into a shift of log odds.

    Attributes
    ----------
    model_ : Model
        The fitted model.

    Examples
    --------
    >>> from experiments.models import NaiveSpend
    >>> X = pd.DataFrame({"lifetime_spend_rate": [1.0, 2.0]})
    >>> model = Calibrated(NaiveSpend(), constant=np.log(1.5)).fit(X, pd.Series([90.0, 180.0]))
    >>> model.predict(X).round(6).tolist()
    [135.0, 270.0]
    """

    def __init__(
        self,
        model: Model,
        link: str = "log",
        constant: float = 0.0,
        weight: float = 0.0,
        days: Sequence[float] = (),
        shifts: Sequence[float] = (),
        slope: float = 1.0,
        stretch: float = 1.0,
    ) -> None:
        self.model = model
        self.link = link
        self.constant = constant
        self.weight = weight
        self.days = days
        self.shifts = shifts
        self.slope = slope
        self.stretch = stretch

    @property
    def context(self) -> tuple[str, ...]:
        """The day of the cutoff, where the season is known."""
        return (CUTOFF_DAY,) if len(self.days) else ()

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those of the model."""
        return self.model.libraries

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit the model; the calibration is given."""
        self.model_ = clone(self.model).fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the calibrated amounts: array of shape (n_rows,)."""
        check_is_fitted(self)
        if self.link not in LINKS:
            raise InputError(f"unknown link {self.link!r}", where="link", hint=did_you_mean(self.link, LINKS))
        p, shift = np.asarray(self.model_.predict(self._inner(X))), self._shift(X)
        if self.link == "log":
            return p * np.exp(shift)
        return expit(self.slope * logit(p) + self.stretch * shift)

    def contributions(self, X: pd.DataFrame) -> pd.DataFrame | None:
        """Return those of the model: a shift is the same for all rows of a cutoff."""
        return self.model_.contributions(self._inner(X))

    def _inner(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.drop(columns=list(self.context)) if self.context else X

    def _shift(self, X: pd.DataFrame) -> np.ndarray | float:
        if not self.context:
            return self.constant
        day = require_columns(X, self.context)[CUTOFF_DAY].to_numpy(dtype=float)
        return self.constant + self.weight * np.nan_to_num(same_weeks(day, self.days, self.shifts))

    def get_state(self) -> dict[str, Any]:
        return {"model": self.model_.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.model_ = clone(self.model).set_state(state["model"])
        return self
