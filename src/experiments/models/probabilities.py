"""Probabilities that a customer buys, or stays away, in the next `horizon_days`.

`y` is 1 where the event happened, else 0; `predict` gives the probability of 1.
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
UNDERFLOW = 1e-12  # from 0 and 1 to the nearest probability that a calibration map is learnt from


def check_event(event: str, where: str = "event") -> None:
    """Refuse an event that is none of `EVENTS`."""
    if event not in EVENTS:
        raise InputError(f"there is no event {event!r}", where=where, hint=did_you_mean(event, EVENTS))


class NaiveProbability(Model):
    """The share of customers with the event, at each value of one feature, as a marketer reads it off a table.

    The table is the isotonic regression of y on the feature, rising or falling as their rank correlation
    does: values are pooled until the shares are monotone. Between the mean values of two pools it is
    interpolated, which keeps the feature's own order of customers, so that it ranks as the feature does.

    Parameters
    ----------
    feature : str
        Feature that is tabulated.

    Attributes
    ----------
    values_, shares_ : array of shape (n_pools,)
        Mean of the feature, ascending, and share of events in each pool.

    References
    ----------
    Oron & Flournoy (2017), Centered isotonic regression, Statistics in Biopharmaceutical Research 9(3).
    """

    def __init__(self, feature: str = "days_since_last_purchase") -> None:
        self.feature = feature

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Pool the training rows."""
        check_events(y)
        y = np.asarray(y, dtype=float)
        at = self._at(X)
        values, row_of = np.unique(at, return_inverse=True)
        customers = np.bincount(row_of).astype(float)
        shares = np.bincount(row_of, weights=y) / customers
        increasing = len(values) < 2 or spearmanr(at, y).statistic >= 0
        pooled = IsotonicRegression(increasing=increasing).fit_transform(values, shares, sample_weight=customers)
        pools = pd.DataFrame({"share": pooled, "customers": customers, "value": customers * values})
        # Equal shares lie side by side: they are one pool.
        pools = pools.groupby((pools["share"].diff() != 0).cumsum()).agg(
            {"share": "first", "customers": "sum", "value": "sum"}
        )
        self.values_, self.shares_ = (pools["value"] / pools["customers"]).to_numpy(), pools["share"].to_numpy()
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probability of the event: array of shape (n_rows,)."""
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
    """P(at least one purchase in the horizon) of a buy-till-you-die model, or its complement.

    P(alive) x P(a purchase | alive): see `BuyTillYouDie.p_purchase`.

    Parameters
    ----------
    purchases : {"bg_nbd", "mbg_nbd", "pareto_nbd"}
        Model of the purchases.
    penalizer_coef : float
        Keeps the purchase parameters from drifting, as in `BuyTillYouDie`; 0 gives the published estimates.
    horizon_days : float
    event : {"purchase", "inactivity"}

    Attributes
    ----------
    purchases_ : BuyTillYouDie
        Fitted on the purchases at the latest cutoff.
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
        """Fit the purchases on the latest cutoff; `y` is not looked at."""
        check_event(self.event)
        self.purchases_ = self._untrained().fit_history(X)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probability of the event: array of shape (n_rows,)."""
        check_is_fitted(self)
        p = self.purchases_.p_purchase(X)
        return p if self.event == "purchase" else 1 - p

    def _untrained(self) -> BuyTillYouDie:
        if self.purchases not in PROBABILISTIC:
            raise InputError(
                f"there is no probabilistic model {self.purchases!r}",
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
        Inverse weight of the squared coefficients, as scikit-learn's `LogisticRegression`.

    Attributes
    ----------
    means_, scales_, coefficients_ : array of shape (n_features,)
        In the order of `RFM`; a feature that is the same for all has scale 1.
    intercept_ : float
    """

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Standardise, and maximise the penalised likelihood."""
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
        """Probability of the event: array of shape (n_rows,)."""
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
    """A model whose probabilities are moved to where outcomes were: p' = expit(intercept + slope x logit(p)).

    The slope is above 0, so that customers keep their order. The map is learnt from predictions of rows
    that the predicting model was not trained on: on its own training rows a model looks surer than it is.

    Parameters
    ----------
    model : Model
    intercept, slope : float
        As `calibration_map` finds them.

    Attributes
    ----------
    model_ : Model
        Fitted.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines; Cox (1958), Two further applications of
    a model for binary regression, Biometrika 45.
    """

    def __init__(self, model: Model, intercept: float = 0.0, slope: float = 1.0) -> None:
        self.model = model
        self.intercept = intercept
        self.slope = slope

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit the model; the map is given."""
        self.model_ = clone(self.model).fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probability of the event: array of shape (n_rows,)."""
        check_is_fitted(self)
        return recalibrated(self.model_.predict(X), self.intercept, self.slope)

    def get_state(self) -> dict[str, Any]:
        return {"model": self.model_.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.model_ = clone(self.model).set_state(state["model"])
        return self


def calibration_map(y: ArrayLike, p: ArrayLike) -> tuple[float, float]:
    """Intercept and slope of the likeliest map of logit(p) to outcomes.

    Where the likeliest slope is not above 0, which would turn the order of customers round, it is left at 1
    and the intercept alone is learnt.

    Parameters
    ----------
    y : array of shape (n_rows,)
        1 where the event happened, else 0; both must occur.
    p : array of shape (n_rows,)
        Probabilities that were predicted out of sample.

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
    """expit(intercept + slope x logit(p)): 0 and 1 stay, and with a slope above 0 so does the order."""
    return expit(intercept + slope * logit(p))
