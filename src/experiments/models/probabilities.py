"""Probabilities that a customer buys, or stays away, in the next `horizon_days`.

`y` is 1 where the event happened, else 0; `predict` returns the probability of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import HORIZON_DAYS, Model, canonical, check_events, finite_columns
from experiments.models.buy_till_you_die import PROBABILISTIC, BuyTillYouDie
from features.errors import InputError, did_you_mean

EVENTS = ("purchase", "inactivity")
EVENT = "purchase"  # set by the task, as HORIZON_DAYS is
RFM = (
    "frequency",
    "recency",
    "T",
    "monetary_value",
    "days_since_last_purchase",
    "purchase_days_last_28_days",
    "purchase_days_last_91_days",
)
UNDERFLOW = 1e-12  # smallest distance from 0 and 1 of a probability that a calibration map is fitted on


def check_event(event: str, where: str = "event") -> None:
    """Check that an event is one of `EVENTS`."""
    if event not in EVENTS:
        raise InputError(f"unknown event {event!r}", where=where, hint=did_you_mean(event, EVENTS))


class NaiveProbability(Model):
    """Baseline that looks up the share of customers with the event at a value of one feature.

    The table is the isotonic regression of `y` on the feature: values are pooled until the shares are monotone. It
    rises or falls with the sign of their rank correlation. Between the mean values of two pools it is interpolated, so
    the baseline ranks customers as the feature does.

    Parameters
    ----------
    feature : str
        Feature of the table.

    Attributes
    ----------
    values_, shares_ : array of shape (n_pools,)
        Mean of the feature, ascending, and share of events in each pool.

    References
    ----------
    Oron & Flournoy (2017), Centered isotonic regression, Statistics in Biopharmaceutical Research 9(3).

    Examples
    --------
    >>> X = pd.DataFrame({"days_since_last_purchase": [5.0, 5.0, 80.0, 80.0]})
    >>> NaiveProbability().fit(X, pd.Series([1.0, 1.0, 0.0, 1.0])).predict(X).tolist()
    [1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, feature: str = "days_since_last_purchase") -> None:
        self.feature = feature

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit the table: pool the training rows until the shares are monotone."""
        check_events(y)
        y = np.asarray(y, dtype=float)
        at = self._at(X)
        values, row_of = np.unique(at, return_inverse=True)
        customers = np.bincount(row_of).astype(float)
        shares = np.bincount(row_of, weights=y) / customers
        increasing = len(values) < 2 or spearmanr(at, y).statistic >= 0
        pooled = IsotonicRegression(increasing=increasing).fit_transform(values, shares, sample_weight=customers)
        pools = pd.DataFrame({"share": pooled, "customers": customers, "value": customers * values})
        # Neighbours with equal shares are one pool.
        pools = pools.groupby((pools["share"].diff() != 0).cumsum()).agg(
            {"share": "first", "customers": "sum", "value": "sum"}
        )
        self.values_, self.shares_ = (pools["value"] / pools["customers"]).to_numpy(), pools["share"].to_numpy()
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the probability of the event: array of shape (n_rows,)."""
        check_is_fitted(self)
        return np.interp(self._at(X), self.values_, self.shares_)

    def _at(self, X: pd.DataFrame) -> np.ndarray:
        return finite_columns(X, [self.feature])[self.feature].to_numpy()

    def get_state(self) -> dict[str, Any]:
        return {"values": self.values_.tolist(), "shares": self.shares_.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.values_, self.shares_ = np.array(state["values"]), np.array(state["shares"])
        return self


class PurchaseProbability(Model):
    """Probability of at least one purchase in the horizon by a buy-till-you-die model, or its complement.

    P(alive) x P(a purchase | alive): see `BuyTillYouDie.p_purchase`.

    Parameters
    ----------
    purchases : {"bg_nbd", "mbg_nbd", "pareto_nbd"}
        Model of the purchases.
    penalizer_coef : float
        Penalty that keeps the purchase parameters from drifting, as in `BuyTillYouDie`; 0 gives the published
        estimates.
    horizon_days : float
    event : {"purchase", "inactivity"}

    Attributes
    ----------
    purchases_ : BuyTillYouDie
        Fitted on the purchases at the latest cutoff.

    Examples
    --------
    >>> weeks = np.tile([0.0, 10.0, 20.0, 30.0], 10)
    >>> X = pd.DataFrame({"frequency": np.tile([0, 1, 2, 5], 10), "recency": 7 * weeks, "T": 7 * 39.0})
    >>> buys = PurchaseProbability().fit(X).predict(X)
    >>> stays_away = PurchaseProbability(event="inactivity").fit(X).predict(X)
    >>> np.allclose(buys + stays_away, 1)
    True
    """

    def __init__(
        self,
        purchases: str = "mbg_nbd",
        penalizer_coef: float = 1e-6,
        horizon_days: float = HORIZON_DAYS,
        event: str = EVENT,
    ) -> None:
        self.purchases = purchases
        self.penalizer_coef = penalizer_coef
        self.horizon_days = horizon_days
        self.event = event

    def fit(self, X: pd.DataFrame, y: pd.Series | None = None) -> Self:
        """Fit the purchases on the latest cutoff; `y` is ignored."""
        check_event(self.event)
        self.purchases_ = self._untrained().fit_history(X)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the probability of the event: array of shape (n_rows,)."""
        check_is_fitted(self)
        p = self.purchases_.p_purchase(X)
        return p if self.event == "purchase" else 1 - p

    def _untrained(self) -> BuyTillYouDie:
        if self.purchases not in PROBABILISTIC:
            raise InputError(
                f"unknown probabilistic model {self.purchases!r}",
                where="purchases",
                hint=did_you_mean(self.purchases, PROBABILISTIC),
            )
        return PROBABILISTIC[self.purchases](horizon_days=self.horizon_days, penalizer_coef=self.penalizer_coef)

    def get_state(self) -> dict[str, Any]:
        return self.purchases_.get_state()

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.purchases_ = self._untrained().set_state(state)
        return self


class LogisticRFM(Model):
    """Logistic regression on the logs of recency, frequency, money and time: log(1 + value), standardised.

    Parameters
    ----------
    C : float
        Inverse weight of the squared coefficients, as in scikit-learn's `LogisticRegression`.

    Attributes
    ----------
    means_, scales_, coefficients_ : array of shape (n_features,)
        In the order of `RFM`; a constant feature has scale 1.
    intercept_ : float

    Examples
    --------
    >>> X = pd.DataFrame({name: [0.0, 1.0, 4.0, 9.0] for name in RFM})
    >>> model = LogisticRFM().fit(X, pd.Series([0.0, 0.0, 1.0, 1.0]))
    >>> bool((np.diff(model.predict(X)) > 0).all())
    True
    """

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Standardise the features, and maximise the penalised likelihood."""
        if not self.C > 0:
            raise InputError("C is out of range", where="C", expected="> 0", found=str(self.C))
        check_events(y)
        X, y = canonical(X, y)
        Z = self._logs(X)
        self.means_, spread = Z.mean(axis=0), Z.std(axis=0)
        self.scales_ = np.where(spread > 0, spread, 1.0)
        fitted = LogisticRegression(C=self.C, max_iter=1000, tol=1e-8).fit((Z - self.means_) / self.scales_, y)
        self.coefficients_, self.intercept_ = fitted.coef_[0], float(fitted.intercept_[0])
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the probability of the event: array of shape (n_rows,)."""
        check_is_fitted(self)
        terms = (self._logs(X) - self.means_) / self.scales_ * self.coefficients_
        return expit(self.intercept_ + terms.sum(axis=1))

    def _logs(self, X: pd.DataFrame) -> np.ndarray:
        return np.log1p(np.ascontiguousarray(finite_columns(X, RFM)))

    def get_state(self) -> dict[str, Any]:
        return {
            "means": self.means_.tolist(),
            "scales": self.scales_.tolist(),
            "coefficients": self.coefficients_.tolist(),
            "intercept": self.intercept_,
        }

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.means_, self.scales_, self.coefficients_ = (
            np.array(state[name]) for name in ("means", "scales", "coefficients")
        )
        self.intercept_ = state["intercept"]
        return self


class Recalibrated(Model):
    """Model with recalibrated probabilities: p' = expit(intercept + slope x logit(p)).

    The slope is above 0, so customers keep their order. The map is fitted on predictions of rows that the model was not
    trained on, because a model is overconfident on its own training rows.

    Parameters
    ----------
    model : Model
    intercept, slope : float
        As `calibration_map` returns them.

    Attributes
    ----------
    model_ : Model
        The fitted model.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines; Cox (1958), Two further applications of
    a model for binary regression, Biometrika 45.

    Examples
    --------
    >>> X = pd.DataFrame({"days_since_last_purchase": [5.0, 5.0, 80.0, 80.0]})
    >>> model = Recalibrated(NaiveProbability(), intercept=-1.0).fit(X, pd.Series([0.0, 1.0, 0.0, 0.0]))
    >>> model.predict(X).round(3).tolist()
    [0.269, 0.269, 0.0, 0.0]
    """

    def __init__(self, model: Model, intercept: float = 0.0, slope: float = 1.0) -> None:
        self.model = model
        self.intercept = intercept
        self.slope = slope

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit the model; intercept and slope are given."""
        self.model_ = clone(self.model).fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the recalibrated probability of the event: array of shape (n_rows,)."""
        check_is_fitted(self)
        return recalibrated(self.model_.predict(X), self.intercept, self.slope)

    def get_state(self) -> dict[str, Any]:
        return {"model": self.model_.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.model_ = clone(self.model).set_state(state["model"])
        return self


def calibration_map(y: ArrayLike, p: ArrayLike) -> tuple[float, float]:
    """Fit intercept and slope of the map of logit(p) to outcomes, by maximum likelihood.

    A slope of 0 or less would reverse the order of customers. In that case the slope stays 1 and only the intercept
    is fitted.

    Parameters
    ----------
    y : array of shape (n_rows,)
        1 where the event happened, else 0; both must occur.
    p : array of shape (n_rows,)
        Probabilities predicted out of sample.

    Returns
    -------
    intercept, slope : float
    """
    check_events(y)
    y, z = np.asarray(y, dtype=float), logit(np.clip(np.asarray(p, dtype=float), UNDERFLOW, 1 - UNDERFLOW))
    if np.ptp(z) > 0:
        fitted = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(z[:, None], y)
        if fitted.coef_[0, 0] > 0:
            return float(fitted.intercept_[0]), float(fitted.coef_[0, 0])
    wanted = y.sum()
    intercept = brentq(lambda shift: expit(shift + z).sum() - wanted, -100, 100)
    return float(intercept), 1.0


def recalibrated(p: np.ndarray, intercept: float, slope: float) -> np.ndarray:
    """Compute expit(intercept + slope x logit(p)); 0 and 1 stay, and a slope above 0 keeps the order."""
    return expit(intercept + slope * logit(p))
