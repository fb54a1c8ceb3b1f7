"""Regressions of the wait until the next purchase on a customer's history: Cox's, and Weibull's accelerated failure.

Both are linear in the standardised logs of `TERMS`. They are written here in a few lines, because the library that has
them for today's pandas, scikit-survival, is licensed under the GPL.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from experiments.models.base import finite_columns, row_sums
from experiments.models.scaling import location_and_scale, unrolled
from experiments.models.waits import HORIZON_DAYS, WaitModel
from features.errors import InputError, UnsuitableDataError

TERMS = (
    "frequency",
    "recency",
    "T",
    "days_since_last_purchase",
    "gap_median_days",
    "gap_latest_mean_days",
    "gap_mean_days",
    "gap_std_days",
    "overdue_ratio",
    "purchase_day_rate",
    "purchase_days_last_28_days",
    "purchase_days_last_91_days",
)
SCALING = "log_standard"
STEEPEST = 30.0  # a linear predictor beyond it is a certainty, and must not overflow
CONVERGED = 1e-9


class WaitRegression(WaitModel):
    """Linear regression of the wait on the standardised terms log(1 + value) of `TERMS`.

    Attributes
    ----------
    means_, scales_, coefficients_ : array of shape (n_terms,)
        In the order of `TERMS`; a constant term has scale 1.
    """

    _more: ClassVar[tuple[str, ...]]  # further fitted arrays

    def __init__(self, l2: float = 1e-4, horizon_days: int = HORIZON_DAYS) -> None:
        self.l2 = l2
        self.horizon_days = horizon_days

    def _fit(self, X: pd.DataFrame, days: np.ndarray, observed: np.ndarray) -> None:
        if not self.l2 >= 0:
            raise InputError("l2 is out of range", where="l2", expected=">= 0", found=str(self.l2))
        Z = _logs(X)
        self.means_, self.scales_ = location_and_scale(Z, SCALING)
        self._regress((Z - self.means_) / self.scales_, days, observed)

    @abstractmethod
    def _regress(self, Z: np.ndarray, days: np.ndarray, observed: np.ndarray) -> None: ...

    def _terms(self, X: pd.DataFrame) -> np.ndarray:
        return (_logs(X) - self.means_) / self.scales_

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in ("means_", "scales_", "coefficients_", *self._more)}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        for name in ("means_", "scales_", "coefficients_", *self._more):
            setattr(self, name, np.array(state[name]))
        return self


def _logs(X: pd.DataFrame) -> np.ndarray:
    return unrolled(np.ascontiguousarray(finite_columns(X, TERMS)), SCALING)


class CoxWait(WaitRegression):
    """Cox's proportional hazards: S(d | x) = exp(-H0(d) exp(z b)), with ties by Efron's method.

    b maximises the partial likelihood less l2 |b|^2 / 2 per row. H0 is Breslow's estimate of the cumulative hazard.

    Parameters
    ----------
    l2 : float
        Penalty of the squared coefficients, against the mean log-likelihood of a row.
    horizon_days : int

    Attributes
    ----------
    means_, scales_, coefficients_
        As in `WaitRegression`.
    hazard_ : array of shape (horizon_days,)
        H0(1), …, H0(horizon_days).

    References
    ----------
    Cox (1972), Regression models and life-tables, JRSS B 34; Efron (1977), The efficiency of Cox's likelihood function
    for censored data, JASA 72; Breslow (1974), Covariance analysis of censored survival data, Biometrics 30.

    Examples
    --------
    >>> X = pd.DataFrame({name: np.tile([1.0, 2.0, 3.0, 9.0], 25) for name in TERMS})
    >>> y = pd.DataFrame({"days": np.tile([1.0, 1.0, 2.0, 3.0], 25), "observed": np.tile([1.0, 1.0, 1.0, 0.0], 25)})
    >>> S = CoxWait(horizon_days=3).fit(X, y).survival(X)
    >>> bool((np.diff(S[:4, -1]) > 0).all())
    True
    """

    _more = ("hazard_",)

    def _regress(self, Z: np.ndarray, days: np.ndarray, observed: np.ndarray) -> None:
        self.coefficients_ = efron_fit(Z, days, observed, self.l2)
        risk = _risk(row_sums(Z * self.coefficients_))
        waiting = np.bincount(days, risk, self.horizon_days + 1)[1:][::-1].cumsum()[::-1]
        events = np.bincount(days, observed, self.horizon_days + 1)[1:]
        self.hazard_ = np.cumsum(np.divide(events, waiting, out=np.zeros_like(events), where=waiting > 0))

    def _survival(self, X: pd.DataFrame) -> np.ndarray:
        return np.exp(-np.outer(_risk(row_sums(self._terms(X) * self.coefficients_)), self.hazard_))


def _risk(predictor: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(predictor, -STEEPEST, STEEPEST))


def efron_fit(Z: np.ndarray, days: np.ndarray, observed: np.ndarray, l2: float = 0.0) -> np.ndarray:
    """Maximise Cox's partial likelihood with Efron's correction for ties, by Newton's method.

    log L(b) = sum over days of [sum of z b of the events
               - sum over l = 0, …, m - 1 of log(R - (l / m) D)] - n l2 |b|^2 / 2,
    with m events that day, D the sum of exp(z b) over them and R that over all rows who wait at least as long.

    Parameters
    ----------
    Z : array of shape (n, k)
    days : int array of shape (n,)
    observed : bool array of shape (n,)
    l2 : float

    Returns
    -------
    array of shape (k,)

    Raises
    ------
    UnsuitableDataError
        If the search does not converge: without a penalty, where a term tells all events apart.

    Examples
    --------
    Breslow's and Efron's answers differ where there are ties; this is Efron's of Therneau's first test data:

    >>> days, observed = np.array([1, 1, 6, 6, 8, 9]), np.array([1, 0, 1, 1, 0, 1]) == 1
    >>> float(round(efron_fit(np.array([[1.0, 1, 1, 0, 0, 0]]).T, days, observed)[0], 4))
    1.6769
    """
    n, k = Z.shape
    b, value = np.zeros(k), -np.inf
    step = np.zeros(k)
    for _ in range(100):
        loss, gradient, hessian = _efron(Z, days, observed, b + step, l2)
        if not loss > value - CONVERGED * n:  # the step was too long
            step = step / 2
            continue
        b, gained, value = b + step, loss - value, loss
        if gained < CONVERGED * n and np.abs(gradient).max() < 1e-6 * n:
            return b
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
    raise UnsuitableDataError(
        "the Cox model did not converge",
        where="cox",
        found=f"{observed.sum():,} events in {n:,} rows",
        hint="raise l2, or use another model for this shop",
    )


def _efron(
    Z: np.ndarray, days: np.ndarray, observed: np.ndarray, b: np.ndarray, l2: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the penalised log-likelihood, its gradient and minus its Hessian."""
    n, k = Z.shape
    risk = _risk(Z @ b)
    order = np.argsort(-days, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(days[order]) != 0, True))  # last row of each day, the latest day first
    of_day = [order[begin : end + 1] for begin, end in zip(np.append(0, ends[:-1] + 1), ends, strict=True)]
    R, R1, R2 = (np.cumsum(sums, axis=0) for sums in _moments(Z, risk, of_day))
    at_events = [rows[observed[rows]] for rows in of_day]
    D, D1, D2 = _moments(Z, risk, at_events)
    m = np.array([len(rows) for rows in at_events])
    loss = float((Z[observed] @ b).sum()) - n * l2 * float(b @ b) / 2
    gradient = Z[observed].sum(axis=0) - n * l2 * b
    hessian = n * l2 * np.eye(k)
    for day in np.flatnonzero(m):
        share = np.arange(m[day]) / m[day]
        left = R[day] - share * D[day]
        mean = (R1[day] - share[:, None] * D1[day]) / left[:, None]
        loss -= float(np.log(left).sum())
        gradient = gradient - mean.sum(axis=0)
        second = R2[day] * (1 / left).sum() - D2[day] * (share / left).sum()
        hessian = hessian + second - mean.T @ mean
    return loss, gradient, hessian


def _moments(Z: np.ndarray, risk: np.ndarray, of_day: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Sum risk, risk z and risk z z' over the rows of each day: shapes (n_days,), (n_days, k) and (n_days, k, k).

    A day at a time: the products of all rows would take k times the memory of `Z`.
    """
    sums = [(risk[rows].sum(), risk[rows] @ Z[rows], (risk[rows, None] * Z[rows]).T @ Z[rows]) for rows in of_day]
    return tuple(np.array(each) for each in zip(*sums, strict=True))


class WeibullWait(WaitRegression):
    """Weibull's accelerated failure: S(t | x) = exp(-(t / exp(c + z b))^shape), of waits known to the day.

    A wait of day d lies between d - 1 and d, so that its likelihood is S(d - 1) - S(d); a censored one's is S(d). The
    mean log-likelihood of a row, less l2 |b|^2 / 2, is maximised by L-BFGS.

    Parameters
    ----------
    l2 : float
        Penalty of the squared coefficients, against the mean log-likelihood of a row.
    horizon_days : int

    Attributes
    ----------
    means_, scales_, coefficients_
        As in `WaitRegression`: a coefficient above 0 prolongs the wait.
    level_ : array of shape (2,)
        c, the log of the scale in days, and the log of the shape.

    References
    ----------
    Kalbfleisch & Prentice (2002), The statistical analysis of failure time data, chapter 3.

    Examples
    --------
    >>> X = pd.DataFrame({name: np.tile([1.0, 2.0, 3.0, 9.0], 25) for name in TERMS})
    >>> y = pd.DataFrame({"days": np.tile([1.0, 1.0, 2.0, 3.0], 25), "observed": np.tile([1.0, 1.0, 1.0, 0.0], 25)})
    >>> S = WeibullWait(horizon_days=3).fit(X, y).survival(X)
    >>> bool(S[0, -1] < S[3, -1])
    True
    """

    _more = ("level_",)

    def _regress(self, Z: np.ndarray, days: np.ndarray, observed: np.ndarray) -> None:
        start = np.zeros(Z.shape[1] + 2)
        start[0] = np.log(days.mean() / max(observed.mean(), 1 / len(days)))
        found = minimize(
            _weibull_loss,
            start,
            (Z, days, observed, self.l2),
            "L-BFGS-B",
            True,
            options={"maxiter": 1000, "ftol": 1e-12},
        )
        if not np.isfinite(found.fun):
            raise UnsuitableDataError(
                "the Weibull model did not converge",
                where="weibull_aft",
                found=str(found.message),
                hint="raise l2, or use another model for this shop",
            )
        self.level_, self.coefficients_ = found.x[:2], found.x[2:]

    def _survival(self, X: pd.DataFrame) -> np.ndarray:
        days = np.arange(1, self.horizon_days + 1)
        level, log_shape = self.level_
        log_scale = level + row_sums(self._terms(X) * self.coefficients_)
        return np.exp(-_risk(np.exp(log_shape) * (np.log(days) - log_scale[:, None])))


def _weibull_loss(
    params: np.ndarray, Z: np.ndarray, days: np.ndarray, observed: np.ndarray, l2: float
) -> tuple[float, np.ndarray]:
    """Return the penalised mean of minus the log-likelihood and its gradient, by (level, log shape, coefficients)."""
    (level, log_shape), b = params[:2], params[2:]
    shape, log_scale = np.exp(log_shape), level + Z @ b

    def hazard(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cumulative hazard at t, 0 at 0, and its derivative by the log of the shape."""
        with np.errstate(divide="ignore"):
            exponent = np.clip(shape * (np.log(t) - log_scale), -STEEPEST, STEEPEST)
        H = np.where(t > 0, np.exp(exponent), 0.0)
        return H, np.where(t > 0, H * exponent, 0.0)

    before, before_by_shape = hazard(np.where(observed, days - 1.0, days))
    after, after_by_shape = hazard(days.astype(float))
    # log(exp(-before) - exp(-after)) = -before + log(1 - exp(-(after - before)))
    between = np.where(observed, np.maximum(after - before, 1e-300), np.inf)
    log_likelihood = -before + np.log(-np.expm1(-between))
    pull = np.where(observed, 1 / np.expm1(np.minimum(between, 700.0)), 0.0)

    def slope(before_by: np.ndarray, after_by: np.ndarray) -> np.ndarray:
        return -before_by + pull * (after_by - before_by)

    by_shape = slope(before_by_shape, after_by_shape)
    by_scale = slope(-shape * before, -shape * after)
    gradient = np.concatenate([[by_scale.sum(), by_shape.sum()], by_scale @ Z]) / len(days)
    penalty = np.concatenate([[0.0, 0.0], l2 * b])
    return l2 * float(b @ b) / 2 - float(log_likelihood.mean()), penalty - gradient
