"""Baselines of spend: rules that a marketer can apply without a model."""

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
    """Baseline that carries the past spending rate forward: rate x horizon_days x margin, discounted.

    Parameters
    ----------
    rate : {"lifetime_spend_rate", "last_91_days_spend_rate"}
        Feature that gives the rate, in currency per day.
    horizon_days : float
    margin : float
        Profit per unit of revenue.
    discount_rate : float
        Per year.

    Examples
    --------
    >>> X = pd.DataFrame({"lifetime_spend_rate": [0.5, 2.0]})
    >>> NaiveSpend(horizon_days=90).fit(X).predict(X).tolist()
    [45.0, 180.0]
    >>> NaiveSpend(horizon_days=90).fit(X).predict(-X).tolist()  # more came back than was sold
    [0.0, 0.0]
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
        """Check the parameters and the feature; there is nothing to learn."""
        if self.rate not in RATES:
            raise InputError(f"unknown rate {self.rate!r}", where="rate", hint=did_you_mean(self.rate, RATES))
        check_terms(self.horizon_days, self.margin, self.discount_rate)
        _spent(X, self.rate)
        return self.set_state({})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the value in the horizon, in currency: array of shape (n_rows,), >= 0."""
        rate = _spent(X, self.rate)
        ends, factors = discount_steps(self.horizon_days, self.discount_rate)
        return rate * (self.margin * float(np.diff(ends, prepend=0.0) @ factors))

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.is_fitted_ = True
        return self


class PastTotal(Model):
    """Baseline that ranks by past spend: prediction = share x total_spend.

    share = sum of y / sum of total_spend in training. The length of a customer's past varies. The predicted amount
    therefore holds only for customers with about as long a past as the training rows. The ranking is independent of
    the share.

    Attributes
    ----------
    share_ : float
        0 if the training customers had spent nothing.

    Examples
    --------
    >>> X = pd.DataFrame({"total_spend": [10.0, 30.0]})
    >>> PastTotal().fit(X, pd.Series([5.0, 15.0])).predict(X).tolist()
    [5.0, 15.0]
    >>> PastTotal().fit(X, pd.Series([5.0, 15.0])).predict(-X).tolist()  # more came back than was sold
    [0.0, 0.0]
    """

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Compute the share; 0 if nothing was spent so far."""
        X, y = canonical(X, y)
        total = float(_spent(X, "total_spend").sum())
        return self.set_state({"share": float(np.sum(y)) / total if total > 0 else 0.0})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the value in the horizon, in the unit of `y`: array of shape (n_rows,), >= 0."""
        check_is_fitted(self)
        return self.share_ * _spent(X, "total_spend")

    def get_state(self) -> dict[str, Any]:
        return {"share": self.share_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.share_ = state["share"]
        return self


def _spent(X: pd.DataFrame, feature: str) -> np.ndarray:
    """Return a feature of spend; net spend below 0, where more came back than was sold, as 0."""
    return finite_columns(X, [feature], below_zero=True)[feature].to_numpy().clip(min=0.0)


class Constant(Model):
    """Baseline that predicts the mean of the training targets for every customer.

    It uses no feature, so a metric of it shows what is reached without any knowledge of the customer.

    Attributes
    ----------
    mean_ : float

    Examples
    --------
    >>> X = pd.DataFrame({"frequency": [0.0, 4.0]})
    >>> Constant().fit(X, pd.Series([1.0, 3.0])).predict(X).tolist()
    [2.0, 2.0]
    """

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Compute the mean of `y`."""
        return self.set_state({"mean": float(np.mean(y))})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the mean, in the unit of `y`: array of shape (n_rows,)."""
        check_is_fitted(self)
        return np.full(len(X), self.mean_)

    def get_state(self) -> dict[str, Any]:
        return {"mean": self.mean_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.mean_ = state["mean"]
        return self
