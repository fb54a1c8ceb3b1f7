"""Sums, ranks and gain curves of weighted rows, for one set of weights or many.

Every metric of a whole sample is a function (y_true, y_pred, *, weights=None). Weights count rows: a row of weight 2 is
exactly two such rows, a row of weight 0 is absent. A matrix of weights of shape (n_resamples, n) gives an array of
shape (n_resamples,), at the cost of one sort; each value is that of its row of weights alone. One resample gives a
float. Rows with equal predictions have no order: results are averaged over all their orders, so the order of rows
never matters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from features.errors import InputError

Values = float | np.ndarray
CELLS_IN_CACHE = 100_000  # resamples x rows that are summed up at once


def checked(
    y_true: ArrayLike, y_pred: ArrayLike, weights: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y and p of shape (n,), and weights of shape (n_resamples, n), all as float64, after checking them."""
    y, p = pairs(y_true, y_pred)
    return y, p, rows_of_weights(weights, len(y)).astype(float, copy=False)


def pairs(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return y and p of shape (n,) as float64, after checking them."""
    y, p = np.asarray(y_true, dtype=float), np.asarray(y_pred, dtype=float)
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise InputError(
            "y_true and y_pred do not pair up",
            expected="two arrays of one length, at least 1",
            found=f"shapes {y.shape} and {p.shape}",
        )
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise InputError(
            "y_true or y_pred has values that are not finite numbers",
            expected="finite numbers",
            found=f"{(~np.isfinite(y)).sum():,} in y_true, {(~np.isfinite(p)).sum():,} in y_pred",
        )
    return y, p


def rows_of_weights(weights: ArrayLike | None, n: int) -> np.ndarray:
    """Return weights of shape (n_resamples, n), in their own type; 1 for each row by default."""
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
    """Sort rows by score, highest first, and find the end of each group of equal scores in that order."""
    order = np.argsort(-score, kind="stable")
    score = score[order]
    return order, np.flatnonzero(np.append(score[1:] != score[:-1], True))


def cumulative(y: np.ndarray, score: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute cumulative customers and spend from the highest score, starting at 0.

    Both arrays have the shape (n_resamples, n_groups + 1).
    """
    order, ends = _ordered(score)
    customers = np.take(w, order, axis=1)
    counted = (np.cumsum(values, axis=1)[:, ends] for values in (customers, customers * y[order]))
    customers, spend = (np.pad(values, ((0, 0), (1, 0))) for values in counted)
    return customers, spend


def area_above_diagonal(y: np.ndarray, score: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Compute 2 A - 1 of the gain curve by that score, before the division by total customers x total spend.

    Spend is counted in integer multiples of 2^-52 of the total, because integers add up four times as fast as doubles.
    """
    order, ends = _ordered(score)
    scale = np.abs(y).sum() / 2**52 or 1.0
    y, areas = np.rint(y[order] / scale).astype(int), np.empty(len(w))
    starts = np.append(0, ends[:-1] + 1)
    # Rows with equal scores and equal spend, such as all zeros in the perfect order, may be in any order.
    tied = bool((np.maximum.reduceat(y, starts) > np.minimum.reduceat(y, starts)).any())
    rows = max(1, CELLS_IN_CACHE // len(y))
    for start in range(0, len(w), rows):
        customers = np.take(w[start : start + rows], order, axis=1)
        spend = np.cumsum(customers * y, axis=1).astype(float)
        if tied:
            customers = np.diff(np.cumsum(customers, axis=1)[:, ends].astype(float), prepend=0.0)
            spend = spend[:, ends]
        # Twice the mean of the cumulative spend before a group and with it.
        trapezoids = np.einsum("ij,ij->i", customers, spend)
        trapezoids += np.einsum("ij,ij->i", customers[:, 1:], spend[:, :-1])
        total = customers.sum(axis=1) * spend[:, -1]
        area = trapezoids - total
        # A remainder of rounding counts as 0.
        areas[start : start + rows] = np.where(np.abs(area) > 1e-12 * np.abs(total), scale * area, 0.0)
    return areas


def ranks(values: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Compute ranks from 1, ties at their mean, of rows repeated `w` times: shape (n_resamples, n)."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    size = np.add.reduceat(np.take(w, order, axis=1), starts, axis=1)
    rank = np.cumsum(size, axis=1) - size + (size + 1) / 2
    return np.take(rank, group, axis=1)
