"""Distributions of the wait until the next purchase: P(day d) for d = 1 to `horizon_days`, and P(later or never).

`y` has the columns days and observed, as `features.outcomes.next_purchase` gives them. Day 1 is the cutoff's own date,
so day d is d days after the last included day. A distribution is held as its survival curve S(d) = P(wait > d).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import Model, canonical, finite_columns, row_sums
from experiments.models.buy_till_you_die import BuyTillYouDie, OfPurchases, probabilistic
from features.errors import InputError, UnsuitableDataError
from features.outcomes import QUANTILES, SINCE, check_waits, thresholds_of

HORIZON_DAYS = 56  # the task sets it; the default of a model that is built by hand
OWN_GAP = "gap_median_days"
ROUNDING = 1e-12


def kaplan_meier(days: np.ndarray, observed: np.ndarray, horizon_days: int) -> np.ndarray:
    """Estimate the survival curve of waits, censored or not: S(1), …, S(horizon_days).

    S(d) = product over k <= d of (1 - events on day k / rows still waiting on day k), the product-limit estimate.

    Parameters
    ----------
    days, observed : array of shape (n,)
        A row that is not observed is censored at the end of its day.

    References
    ----------
    Kaplan & Meier (1958), Nonparametric estimation from incomplete observations, JASA 53.

    Examples
    --------
    >>> kaplan_meier(np.array([1, 2, 2, 3]), np.array([1, 1, 0, 0]), 3).tolist()
    [0.75, 0.5, 0.5]
    """
    days = np.asarray(days, dtype=int)
    left = np.bincount(days, minlength=horizon_days + 1)[1:]
    events = np.bincount(days, weights=observed, minlength=horizon_days + 1)[1:]
    waiting = left[::-1].cumsum()[::-1]
    return np.cumprod(1 - events / np.maximum(waiting, 1))


def summaries(survival: np.ndarray) -> np.ndarray:
    """Return the outputs of distributions: median, 10% and 90% quantiles, mean, P(wait <= threshold), P(wait > H).

    A quantile is the first day d with P(wait <= d) of at least its level, and H + 1, later, where there is none. The
    mean is that of min(wait, H): 1 + S(1) + … + S(H - 1).

    Parameters
    ----------
    survival : array of shape (n, H)

    Returns
    -------
    array of shape (n, 4 + number of `thresholds_of(H)`)
    """
    horizon = survival.shape[1]
    quantiles = [1 + (1 - survival < level - ROUNDING).sum(axis=1) for level in QUANTILES]
    mean = 1 + row_sums(survival[:, :-1])
    at = np.array(thresholds_of(horizon)[:-1], dtype=int) - 1
    return np.column_stack([*quantiles, mean, 1 - survival[:, at], survival[:, -1]]).astype(float)


class WaitModel(Model):
    """Model of the wait until the next purchase, up to `horizon_days`.

    `predict` returns `summaries` of the predictive distributions, `law` the distributions themselves.
    """

    horizon_days: int

    def fit(self, X: pd.DataFrame, y: pd.DataFrame) -> Self:
        """Fit the distributions on the waits of `y`: days and observed."""
        check_training_waits(y, self.horizon_days)
        X, y = canonical_waits(X, y)
        self._fit(X, y["days"].to_numpy().astype(int), y["observed"].to_numpy() == 1)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the outputs of each row, as `summaries` describes them: array of shape (n_rows, n_outputs)."""
        return summaries(self.survival(X))

    def survival(self, X: pd.DataFrame) -> np.ndarray:
        """Return P(wait > d) for d = 1 to H: array of shape (n_rows, H), in [0, 1], falling."""
        check_is_fitted(self)
        S = np.clip(self._survival(X), 0.0, 1.0)
        return np.minimum.accumulate(S, axis=1)  # rounding must not let it rise

    def law(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return P(wait = d) for d = 1 to H, and P(wait > H), whose column is H + 1, "later or never".

        Returns
        -------
        DataFrame indexed as X, columns 1 to H + 1; each row adds up to 1
        """
        S = self.survival(X)
        days = pd.RangeIndex(1, self.horizon_days + 2, name="day")
        return pd.DataFrame(-np.diff(S, axis=1, prepend=1.0, append=0.0), index=X.index, columns=days)

    @abstractmethod
    def _fit(self, X: pd.DataFrame, days: np.ndarray, observed: np.ndarray) -> None:
        """Fit on rows in canonical order."""

    @abstractmethod
    def _survival(self, X: pd.DataFrame) -> np.ndarray: ...


def check_training_waits(y: pd.DataFrame, horizon_days: int) -> None:
    """Check the waits of the training rows: at least two, none beyond the horizon, at least one observed.

    Raises
    ------
    InputError
        If the horizon is shorter than a day.
    UnsuitableDataError
    """
    if horizon_days < 1:
        raise InputError("horizon_days is out of range", where="horizon_days", expected=">= 1", found=str(horizon_days))
    check_waits(y, horizon_days)
    check_rows(len(y))
    if not (y["observed"] == 1).any():
        raise UnsuitableDataError(
            "nobody bought in a training window",
            where="y, observed",
            expected="1 in some rows",
            hint="use a longer horizon_days, or more cutoffs",
        )


def check_rows(n: int, fewest: int = 2, of: str = "a training set") -> None:
    """Check that a set of training rows is large enough.

    Raises
    ------
    UnsuitableDataError
    """
    if n < fewest:
        raise UnsuitableDataError(
            f"{of} has too few rows",
            where="y",
            expected=f"at least {fewest}",
            found=str(n),
            hint="use more customers, or more cutoffs",
        )


def canonical_waits(X: pd.DataFrame, y: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sort rows by index and columns by name: see `base.canonical`, which takes one outcome."""
    position = pd.Series(np.arange(len(y)), index=y.index)
    X, position = canonical(X, position)
    return X, y.iloc[position.to_numpy()]


class SameWait(WaitModel):
    """Baseline with the same distribution for all customers: the Kaplan-Meier curve of the training rows.

    Parameters
    ----------
    horizon_days : int

    Attributes
    ----------
    curve_ : array of shape (horizon_days,)

    Examples
    --------
    >>> X = pd.DataFrame({"frequency": [0.0, 1.0, 2.0, 3.0]})
    >>> y = pd.DataFrame({"days": [1.0, 2.0, 3.0, 3.0], "observed": [1.0, 1.0, 1.0, 0.0]})
    >>> SameWait(horizon_days=3).fit(X, y).law(X).iloc[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(self, horizon_days: int = HORIZON_DAYS) -> None:
        self.horizon_days = horizon_days

    def _fit(self, X: pd.DataFrame, days: np.ndarray, observed: np.ndarray) -> None:
        self.curve_ = kaplan_meier(days, observed, self.horizon_days)

    def _survival(self, X: pd.DataFrame) -> np.ndarray:
        return np.tile(self.curve_, (len(X), 1))

    def get_state(self) -> dict[str, Any]:
        return {"curve": self.curve_.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.curve_ = np.array(state["curve"])
        return self


class WaitTable(WaitModel):
    """Table of distributions: the Kaplan-Meier curve of the training rows in each bin of one number.

    Bins hold about equally many training rows; equal numbers share a bin.

    Attributes
    ----------
    edges_ : array of shape (n_bins - 1,)
        Lowest number of each bin but the first.
    curves_ : array of shape (n_bins, horizon_days)
    """

    bins: int

    def _fit(self, X: pd.DataFrame, days: np.ndarray, observed: np.ndarray) -> None:
        self._fill(self._at(X), days, observed)

    def _fill(self, at: np.ndarray, days: np.ndarray, observed: np.ndarray) -> None:
        """Set the edges and the curves from the numbers of the training rows."""
        if self.bins < 1:
            raise InputError("bins is out of range", where="bins", expected=">= 1", found=str(self.bins))
        edges = np.unique(np.sort(at)[np.arange(1, self.bins) * len(at) // self.bins])
        self.edges_ = edges[edges > at.min()]
        bin_of = np.searchsorted(self.edges_, at, side="right")
        self.curves_ = np.stack(
            [kaplan_meier(days[bin_of == b], observed[bin_of == b], self.horizon_days) for b in np.unique(bin_of)]
        )

    def _survival(self, X: pd.DataFrame) -> np.ndarray:
        return self._look_up(self._at(X))

    def _look_up(self, at: np.ndarray) -> np.ndarray:
        return self.curves_[np.searchsorted(self.edges_, at, side="right")]

    @abstractmethod
    def _at(self, X: pd.DataFrame) -> np.ndarray:
        """Return the number that the bins are of: array of shape (n_rows,)."""

    def get_state(self) -> dict[str, Any]:
        return {"edges": self.edges_.tolist(), "curves": self.curves_.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.edges_ = np.array(state["edges"])
        self.curves_ = np.array(state["curves"])
        return self


class WaitByFeature(WaitTable):
    """Baseline that looks up the distribution of customers alike in one feature.

    Parameters
    ----------
    feature : str
        Feature of the bins.
    bins : int
        Number of bins.
    horizon_days : int

    Examples
    --------
    >>> X = pd.DataFrame({"days_since_last_purchase": [5.0, 5.0, 80.0, 80.0]})
    >>> y = pd.DataFrame({"days": [1.0, 2.0, 1.0, 2.0], "observed": [1.0, 1.0, 1.0, 0.0]})
    >>> WaitByFeature(bins=2, horizon_days=2).fit(X, y).survival(X)[:, -1].tolist()
    [0.0, 0.0, 0.5, 0.5]
    """

    def __init__(self, feature: str = SINCE, bins: int = 20, horizon_days: int = HORIZON_DAYS) -> None:
        self.feature = feature
        self.bins = bins
        self.horizon_days = horizon_days

    def _at(self, X: pd.DataFrame) -> np.ndarray:
        return finite_columns(X, [self.feature])[self.feature].to_numpy()


class OwnGapWait(WaitTable):
    """Baseline by the customer's own rhythm: the distribution of those whose median gap leaves as many days to go.

    Days to go are gap_median_days - days_since_last_purchase, below 0 for a customer who is overdue.

    Parameters
    ----------
    bins : int
        Number of bins of the days to go.
    horizon_days : int

    Examples
    --------
    >>> X = pd.DataFrame({"gap_median_days": [7.0, 7.0, 30.0, 30.0], "days_since_last_purchase": [6.0, 6.0, 1.0, 1.0]})
    >>> y = pd.DataFrame({"days": [1.0, 1.0, 3.0, 3.0], "observed": [1.0, 1.0, 1.0, 0.0]})
    >>> OwnGapWait(bins=2, horizon_days=3).fit(X, y).survival(X)[:, 0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, bins: int = 20, horizon_days: int = HORIZON_DAYS) -> None:
        self.bins = bins
        self.horizon_days = horizon_days

    def _at(self, X: pd.DataFrame) -> np.ndarray:
        read = finite_columns(X, [OWN_GAP, SINCE])
        return (read[OWN_GAP] - read[SINCE]).to_numpy()


class PurchaseWait(OfPurchases, WaitModel):
    """Distribution that a buy-till-you-die model implies, given a customer's history.

    S(d) = 1 - P(alive) P(a purchase within d days | alive), in closed form: see `BuyTillYouDie.p_purchase`. The part
    that has left never buys: S does not fall to 0.

    Parameters
    ----------
    purchases : {"bg_nbd", "mbg_nbd", "pareto_nbd"}
        Model of the purchases.
    penalizer_coef : float
        Penalty that keeps the purchase parameters from drifting, as in `BuyTillYouDie`.
    horizon_days : int

    Attributes
    ----------
    purchases_ : BuyTillYouDie
        Fitted on the purchases at the latest cutoff.

    Examples
    --------
    >>> weeks = np.tile([0.0, 10.0, 20.0, 30.0], 10)
    >>> X = pd.DataFrame({"frequency": np.tile([0, 1, 2, 5], 10), "recency": 7 * weeks, "T": 7 * 39.0})
    >>> y = pd.DataFrame({"days": 28.0, "observed": 1.0}, index=X.index)
    >>> model = PurchaseWait(horizon_days=28).fit(X, y)
    >>> np.allclose(1 - model.survival(X)[:, 13], model.purchases_.p_purchase(X, 14))
    True
    """

    def __init__(
        self, purchases: str = "mbg_nbd", penalizer_coef: float = 1e-6, horizon_days: int = HORIZON_DAYS
    ) -> None:
        self.purchases = purchases
        self.penalizer_coef = penalizer_coef
        self.horizon_days = horizon_days

    def _fit(self, X: pd.DataFrame, days: np.ndarray, observed: np.ndarray) -> None:
        self.purchases_ = self._untrained().fit_history(X)

    def _survival(self, X: pd.DataFrame) -> np.ndarray:
        return 1 - self.purchases_.p_purchases(X, range(1, self.horizon_days + 1))

    def _untrained(self) -> BuyTillYouDie:
        return probabilistic(self.purchases, "purchases")(penalizer_coef=self.penalizer_coef)


class WaitBlend(WaitModel):
    """Mean of two distributions, weight x one + (1 - weight) x other, day by day.

    Parameters
    ----------
    one, other : WaitModel
        Set their parameters with a double underscore: `one__num_leaves`.
    weight : float in [0, 1]
        Share of `one`.
    horizon_days : int
        Of both.

    Attributes
    ----------
    one_, other_ : WaitModel
        The fitted parts.

    Examples
    --------
    >>> X = pd.DataFrame({"days_since_last_purchase": [1.0, 9.0]})
    >>> y = pd.DataFrame({"days": [1.0, 2.0], "observed": [1.0, 0.0]})
    >>> blend = WaitBlend(SameWait(), WaitByFeature(bins=2), weight=0.5, horizon_days=2).fit(X, y)
    >>> blend.survival(X)[:, 0].tolist()
    [0.25, 0.75]
    """

    def __init__(self, one: WaitModel, other: WaitModel, weight: float = 0.5, horizon_days: int = HORIZON_DAYS) -> None:
        self.one = one
        self.other = other
        self.weight = weight
        self.horizon_days = horizon_days

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters without the horizons of the parts, which are the blend's."""
        hidden = {"one__horizon_days", "other__horizon_days"}
        return {name: value for name, value in super().get_params(deep).items() if name not in hidden}

    def _fit(self, X: pd.DataFrame, days: np.ndarray, observed: np.ndarray) -> None:
        if not 0 <= self.weight <= 1:
            raise InputError("weight is out of range", where="weight", expected="in [0, 1]", found=str(self.weight))
        y = pd.DataFrame({"days": days, "observed": observed}, index=X.index, dtype=float)
        self.one_, self.other_ = (part.fit(X, y) for part in self._parts())

    def _survival(self, X: pd.DataFrame) -> np.ndarray:
        return self.weight * self.one_.survival(X) + (1 - self.weight) * self.other_.survival(X)

    def _parts(self) -> tuple[WaitModel, WaitModel]:
        one, other = (clone(part).set_params(horizon_days=self.horizon_days) for part in (self.one, self.other))
        return one, other

    def get_state(self) -> dict[str, Any]:
        return {"one": self.one_.get_state(), "other": self.other_.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        one, other = self._parts()
        self.one_, self.other_ = one.set_state(state["one"]), other.set_state(state["other"])
        return self


def wait_blend(purchases: str = "mbg_nbd", **params: Any) -> WaitBlend:
    """Build a blend of hazards and a buy-till-you-die model; `part__parameter` sets a part's parameter."""
    from experiments.models.hazards import HazardTrees

    return WaitBlend(HazardTrees(), PurchaseWait(purchases)).set_params(**params)
