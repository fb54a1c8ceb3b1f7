"""Metrics of predicted spend.

Every metric is a function (y_true, y_pred, *, weights=None). Weights count rows: a row of weight 2 is
exactly the row twice, a row of weight 0 is absent. A matrix of weights, of shape (n_resamples, n), gives
an array of shape (n_resamples,) (one resample: a float), each value as from that row alone, for one sort. Rows with
equal predictions have no order of their own: what would follow from their order is averaged over all
orders, so that the order of rows never matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from features.errors import InputError

Values = float | np.ndarray
TOP_SHARE = 0.1
CELLS_IN_CACHE = 100_000  # resamples x rows that are summed up at once


def gini(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Normalised Gini coefficient: how well predictions rank customers by what they spent.

    (2 A - 1) / (2 A* - 1), where A is the area under the gain curve (share of customers, best predicted
    first, against their share of spend, joined by straight lines) and A* that of the perfect order.

    Returns
    -------
    float in [-1, 1]
        1 for the perfect order, 0 on average for a random one and for equal predictions, -1 for the
        reverse. NaN where all spent the same: nothing, or a single row.
    """
    areas = (gain_area(y_true, prediction, weights=weights) for prediction in (y_pred, y_true))
    return value(ratio(*areas))


def rmse(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Root mean squared error, sqrt(mean((p - y)^2)), in currency: >= 0, dominated by the largest spenders."""
    y, p, w = checked(y_true, y_pred, weights)
    return value(np.sqrt(ratio(w @ (p - y) ** 2, w.sum(axis=-1))))


def mae(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Mean absolute error, mean(|p - y|), in currency: >= 0. Where most spend nothing, predicting zero wins it."""
    y, p, w = checked(y_true, y_pred, weights)
    return value(ratio(w @ np.abs(p - y), w.sum(axis=-1)))


def spearman(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Spearman's rank correlation: Pearson's correlation of the ranks, ties at their mean rank.

    Returns
    -------
    float in [-1, 1]
        NaN where all spent the same or all predictions are equal.
    """
    y, p, w = checked(y_true, y_pred, weights)
    middle = (w.sum(axis=-1, keepdims=True) + 1) / 2
    y_rank, p_rank = _ranks(y, w) - middle, _ranks(p, w) - middle
    covariance = (w * y_rank * p_rank).sum(axis=-1)
    spread = np.sqrt((w * y_rank**2).sum(axis=-1) * (w * p_rank**2).sum(axis=-1))
    return value(ratio(covariance, spread))


def top_decile_lift(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Share of all spend that the tenth of customers predicted highest made, divided by .1.

    The gain curve at .1, over .1: a customer (or a group of equal predictions) that lies across the
    border counts by the part that lies within.

    Returns
    -------
    float in [0, 10]
        1 for equal predictions, also with a single row. NaN where nobody spent anything.
    """
    y, p, w = checked(y_true, y_pred, weights)
    customers, spend = cumulative(y, p, w)
    border = TOP_SHARE * customers[:, -1:]
    after = np.argmax(customers >= border, axis=1)[:, None]
    x0, x1 = (np.take_along_axis(customers, at, axis=1) for at in (after - 1, after))
    y0, y1 = (np.take_along_axis(spend, at, axis=1) for at in (after - 1, after))
    within = (y0 + (y1 - y0) * (border - x0) / (x1 - x0))[:, 0]
    return value(ratio(within, spend[:, -1]) / TOP_SHARE)


def total_ratio(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Total predicted / total actual: 1 is right, below 1 too low. NaN where nobody spent anything."""
    y, p, w = checked(y_true, y_pred, weights)
    return value(ratio(w @ p, w @ y))


SPEND_METRICS: Mapping[str, Callable[..., Values]] = {
    "gini": gini,
    "rmse": rmse,
    "mae": mae,
    "spearman": spearman,
    "top_decile_lift": top_decile_lift,
    "total_ratio": total_ratio,
}


def gain_area(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> np.ndarray:
    """What `gini` divides by its value for the perfect order: shape (n_resamples,)."""
    y, p = pairs(y_true, y_pred)
    return area_above_diagonal(y, p, rows_of_weights(weights, len(y)))


# Metrics that are a figure of the predictions over the same figure of the truth, which all models share.
NORMALISED: Mapping[Callable[..., Values], Callable[..., np.ndarray]] = {gini: gain_area}


def calibration_table(y_true: ArrayLike, y_pred: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Mean predicted beside mean actual spend, by quantile of the prediction.

    Equal predictions share a quantile, so that quantiles may differ in size or be missing.

    Returns
    -------
    DataFrame indexed by `quantile`, 1 (lowest predictions) to `bins`
        customers, mean_predicted, mean_actual (currency), ratio = predicted / actual (NaN where actual is 0).
    """
    y, p, w = checked(y_true, y_pred, None)
    quantile = 1 + np.floor((_ranks(p, w)[0] - 0.5) / len(p) * bins).astype(int)
    groups = pd.DataFrame({"quantile": quantile, "predicted": p, "actual": y}).groupby("quantile")
    table = groups.agg(
        customers=("actual", "size"), mean_predicted=("predicted", "mean"), mean_actual=("actual", "mean")
    )
    return table.assign(ratio=ratio(table["mean_predicted"].to_numpy(), table["mean_actual"].to_numpy()))


def cumulative_gain(y_true: ArrayLike, y_pred: ArrayLike) -> pd.DataFrame:
    """The gain curve: spend of the customers predicted highest, as a share of all spend.

    Returns
    -------
    DataFrame
        customers_share and spend_share, both from 0 to 1, one row per distinct prediction and one for
        the origin. spend_share is NaN where nobody spent anything.
    """
    customers, spend = (curve[0] for curve in cumulative(*checked(y_true, y_pred, None)))
    return pd.DataFrame(
        {"customers_share": customers / customers[-1], "spend_share": ratio(spend, np.full_like(spend, spend[-1]))}
    )


def checked(
    y_true: ArrayLike, y_pred: ArrayLike, weights: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y and p of shape (n,), and weights of shape (n_resamples, n), all of float64."""
    y, p = pairs(y_true, y_pred)
    return y, p, rows_of_weights(weights, len(y)).astype(float, copy=False)


def pairs(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """y and p of shape (n,), of float64."""
    y, p = np.asarray(y_true, dtype=float), np.asarray(y_pred, dtype=float)
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise InputError(
            "y_true and y_pred do not pair up",
            expected="two arrays of one length, at least 1",
            found=f"shapes {y.shape} and {p.shape}",
        )
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise InputError(
            "y_true or y_pred has values that are no number",
            expected="finite numbers",
            found=f"{(~np.isfinite(y)).sum():,} in y_true, {(~np.isfinite(p)).sum():,} in y_pred",
        )
    return y, p


def rows_of_weights(weights: ArrayLike | None, n: int) -> np.ndarray:
    """Weights of shape (n_resamples, n), of the type that they have."""
    w = np.ones((1, n)) if weights is None else np.atleast_2d(np.asarray(weights))
    if w.shape[1] != n:
        raise InputError(
            "there must be one weight per row", expected=f"{n:,} columns", found=f"shape {np.shape(weights)}"
        )
    return w


def value(values: np.ndarray) -> Values:
    return float(values[0]) if len(values) == 1 else values


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator != 0)


def _ordered(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows by score, highest first, and where in that order each group of equal scores ends."""
    order = np.argsort(-score, kind="stable")
    score = score[order]
    return order, np.flatnonzero(np.append(score[1:] != score[:-1], True))


def cumulative(y: np.ndarray, score: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Customers and spend counted up from the highest score, from 0: shape (n_resamples, n_groups + 1)."""
    order, ends = _ordered(score)
    customers = np.take(w, order, axis=1)
    counted = (np.cumsum(values, axis=1)[:, ends] for values in (customers, customers * y[order]))
    customers, spend = (np.pad(values, ((0, 0), (1, 0))) for values in counted)
    return customers, spend


def area_above_diagonal(y: np.ndarray, score: np.ndarray, w: np.ndarray) -> np.ndarray:
    """2 A - 1 for the gain curve by that score, not yet divided by total customers x total spend.

    Spend is counted in whole parts of 2^-52 of the total: whole numbers add up four times as fast as doubles.
    """
    order, ends = _ordered(score)
    scale = np.abs(y).sum() / 2**52 or 1.0
    y, areas = np.rint(y[order] / scale).astype(int), np.empty(len(w))
    starts = np.append(0, ends[:-1] + 1)
    # Equal scores of equal spend, such as all the zeros in the perfect order, may stand in any order.
    tied = bool((np.maximum.reduceat(y, starts) > np.minimum.reduceat(y, starts)).any())
    rows = max(1, CELLS_IN_CACHE // len(y))
    for start in range(0, len(w), rows):
        customers = np.take(w[start : start + rows], order, axis=1)
        spend = np.cumsum(customers * y, axis=1).astype(float)
        if tied:
            customers = np.diff(np.cumsum(customers, axis=1)[:, ends].astype(float), prepend=0.0)
            spend = spend[:, ends]
        # Twice the spend half-way between what is counted up before a group and with it.
        trapezoids = np.einsum("ij,ij->i", customers, spend)
        trapezoids += np.einsum("ij,ij->i", customers[:, 1:], spend[:, :-1])
        total = customers.sum(axis=1) * spend[:, -1]
        area = trapezoids - total
        # What rounding leaves of nothing is nothing.
        areas[start : start + rows] = np.where(np.abs(area) > 1e-12 * np.abs(total), scale * area, 0.0)
    return areas


def _ranks(values: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties at their mean, of rows repeated `w` times: shape (n_resamples, n)."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    size = np.add.reduceat(np.take(w, order, axis=1), starts, axis=1)
    rank = np.cumsum(size, axis=1) - size + (size + 1) / 2
    return np.take(rank, group, axis=1)
