"""What a marketer reckons without a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import (
    DISCOUNT_RATE,
    HORIZON_DAYS,
    MARGIN,
    Model,
    canonical,
    check_terms,
    discount_steps,
    finite_columns,
)
from features.errors import InputError, did_you_mean

RATES = ("lifetime_spend_rate", "last_91_days_spend_rate")


class NaiveSpend(Model):
    """The past goes on: rate x horizon_days x margin, discounted.

    Parameters
    ----------
    rate : {"lifetime_spend_rate", "last_91_days_spend_rate"}
        Feature that is carried forward, in currency per day.
    horizon_days : float
    margin : float
        Profit per unit of revenue.
    discount_rate : float
        A year.
    """

    def __init__(
        self,
        rate: str = "lifetime_spend_rate",
        horizon_days: float = HORIZON_DAYS,
        margin: float = MARGIN,
        discount_rate: float = DISCOUNT_RATE,
    ) -> None:
        self.rate = rate
        self.horizon_days = horizon_days
        self.margin = margin
        self.discount_rate = discount_rate

    def fit(self, X: pd.DataFrame, y: pd.Series | None = None) -> Self:
        """Check the parameters and that the feature is there; nothing is learned."""
        if self.rate not in RATES:
            raise InputError(f"there is no rate {self.rate!r}", where="rate", hint=did_you_mean(self.rate, RATES))
        check_terms(self.horizon_days, self.margin, self.discount_rate)
        finite_columns(X, [self.rate])
        return self.set_state({})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Value in the horizon, in currency: array of shape (n_rows,), >= 0."""
        rate = finite_columns(X, [self.rate])[self.rate].to_numpy()
        ends, factors = discount_steps(self.horizon_days, self.discount_rate)
        return rate * (self.margin * float(np.diff(ends, prepend=0.0) @ factors))

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.is_fitted_ = True
        return self


class PastTotal(Model):
    """Who spent most so far: prediction = share x total_spend, share = sum of y / sum of total_spend in training.

    The past has no fixed length, so that what it says of the amount to come holds for customers who have been
    watched about as long as those of the training rows; their order needs no share.
    """

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Take the share; 0 where nothing was spent so far."""
        X, y = canonical(X, y)
        total = float(finite_columns(X, ["total_spend"]).to_numpy().sum())
        return self.set_state({"share": float(np.sum(y)) / total if total > 0 else 0.0})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Value in the horizon, in y's unit: array of shape (n_rows,), >= 0."""
        check_is_fitted(self)
        return self.share_ * finite_columns(X, ["total_spend"])["total_spend"].to_numpy()

    def get_state(self) -> dict[str, Any]:
        return {"share": self.share_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.share_ = state["share"]
        return self


class Constant(Model):
    """The mean of the training targets for everybody: what a figure is without any knowledge of the customer."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Take the mean."""
        return self.set_state({"mean": float(np.mean(y))})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The mean, in y's unit: array of shape (n_rows,)."""
        check_is_fitted(self)
        return np.full(len(X), self.mean_)

    def get_state(self) -> dict[str, Any]:
        return {"mean": self.mean_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.mean_ = state["mean"]
        return self
