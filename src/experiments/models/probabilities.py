"""Probabilities that a customer buys, or stays away, in the next `horizon_days`.

`y` is 1 where the event happened, else 0; `predict` returns the probability of 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import HORIZON_DAYS, Model, canonical, check_events, finite_columns, row_sums
from experiments.models.buy_till_you_die import BuyTillYouDie, OfPurchases, probabilistic
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
    among : str or None
        Feature that is above 0 for the customers whom the table is made of; None for all of them.

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

    def __init__(self, feature: str = "days_since_last_purchase", among: str | None = None) -> None:
        self.feature = feature
        self.among = among

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit the table: pool the training rows until the shares are monotone."""
        if self.among is not None:
            is_meant = (finite_columns(X, [self.among])[self.among] > 0).to_numpy()
            X, y = X[is_meant], y[is_meant]
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


class PurchaseProbability(OfPurchases, Model):
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
        return probabilistic(self.purchases, "purchases")(
            horizon_days=self.horizon_days, penalizer_coef=self.penalizer_coef
        )


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
        return expit(self.intercept_ + row_sums(terms))

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


def lasting_slope(windows: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Fit the slope of logit(p) to outcomes: below 1 where probabilities are overconfident, 1 where none lasts.

    Each window has an intercept of its own, so that the slope says nothing of its total. The slope is used only if
    slopes of earlier windows lower the log loss in later ones; a single window cannot show that. A slope of 0 or less
    would reverse the order of customers, and counts as 1.

    Parameters
    ----------
    windows : sequence of (y, p)
        Outcomes of 0 and 1, and probabilities that were predicted out of sample, window after window.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines; Cox (1958), Two further applications of
    a model for binary regression, Biometrika 45.
    """
    told = [(y, _logits(p)) for y, p in windows if 0 < y.sum() < len(y)]
    before = sum(_loss(y, z, 1.0) for y, z in told[1:])
    after = sum(_loss(y, z, _slope(told[:step])) for step, (y, z) in enumerate(told) if step)
    return _slope(told) if after < before else 1.0


def _logits(p: np.ndarray) -> np.ndarray:
    return logit(np.clip(np.asarray(p, dtype=float), UNDERFLOW, 1 - UNDERFLOW))


def _slope(windows: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    y, z = (np.concatenate([window[part] for window in windows]) for part in (0, 1))
    if np.ptp(z) == 0:
        return 1.0
    of_window = np.repeat(np.eye(len(windows)), [len(window[0]) for window in windows], axis=0)
    fitted = LogisticRegression(C=np.inf, fit_intercept=False, max_iter=1000, tol=1e-8)
    slope = float(fitted.fit(np.column_stack([z, of_window]), y).coef_[0, 0])
    return slope if slope > 0 else 1.0


def _loss(y: np.ndarray, z: np.ndarray, slope: float) -> float:
    """Return the log loss of a slope, with the intercept that gives the actual total."""
    intercept = brentq(lambda shift: expit(shift + slope * z).sum() - y.sum(), -100, 100)
    return float(np.logaddexp(0, np.where(y == 1, -1, 1) * (intercept + slope * z)).sum())
