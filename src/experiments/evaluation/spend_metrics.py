"""Metrics of predicted spend, under the conventions of `evaluation.weighted`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from experiments.evaluation.metrics import Metric
from experiments.evaluation.skewed import skewed_interval
from experiments.evaluation.weighted import (
    Values,
    area_above_diagonal,
    checked,
    cumulative,
    pairs,
    ranks,
    ratio,
    rows_of_weights,
    value,
)

TOP_SHARE = 0.1
POINTS = 500  # of a gain curve that is kept and drawn
CAPTURED = (0.1, 0.2, 0.3)  # shares of the customers, whose spend is a metric


def gini(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the normalised Gini coefficient: the quality of the ranking of customers by actual spend.

    (2 A - 1) / (2 A* - 1), where A is the area under the gain curve and A* the area for the perfect order. The gain
    curve plots the share of spend against the share of customers, highest prediction first, joined by straight lines.

    Returns
    -------
    float in [-1, 1]
        1 for the perfect order, 0 on average for a random one and for equal predictions, -1 for the reverse. NaN if
        all spent the same, which includes a single row.
    """
    areas = (gain_area(y_true, prediction, weights=weights) for prediction in (y_pred, y_true))
    return value(ratio(*areas))


def rmse(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the root mean squared error, sqrt(mean((p - y)^2)), in currency: >= 0, dominated by large spenders."""
    y, p, w = checked(y_true, y_pred, weights)
    return value(np.sqrt(ratio(w @ (p - y) ** 2, w.sum(axis=-1))))


def mae(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the mean absolute error, mean(|p - y|), in currency: >= 0.

    If most customers spend nothing, a prediction of 0 has the lowest error.
    """
    y, p, w = checked(y_true, y_pred, weights)
    return value(ratio(w @ np.abs(p - y), w.sum(axis=-1)))


def spearman(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute Spearman's rank correlation: Pearson's correlation of the ranks, ties at their mean rank.

    Returns
    -------
    float in [-1, 1]
        NaN if all spent the same or all predictions are equal.
    """
    y, p, w = checked(y_true, y_pred, weights)
    middle = (w.sum(axis=-1, keepdims=True) + 1) / 2
    y_rank, p_rank = ranks(y, w) - middle, ranks(p, w) - middle
    covariance = (w * y_rank * p_rank).sum(axis=-1)
    spread = np.sqrt((w * y_rank**2).sum(axis=-1) * (w * p_rank**2).sum(axis=-1))
    return value(ratio(covariance, spread))


def top_decile_lift(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the share of all spend made by the 10% of customers with the highest predictions, divided by 0.1.

    This is the gain curve at 0.1, divided by 0.1. A customer across the border, or a group of equal predictions, counts
    by the part within.

    Returns
    -------
    float in [0, 10]
        1 for equal predictions, also for a single row. NaN if nobody spent anything.
    """
    return value(np.atleast_1d(captured_spend(y_true, y_pred, weights=weights, share=TOP_SHARE)) / TOP_SHARE)


def captured_spend(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None, share: float) -> Values:
    """Compute the share of all spend made by a share of the customers, those with the highest predictions.

    This is the gain curve at `share`. A customer across the border, or a group of equal predictions, counts by the part
    within.

    Parameters
    ----------
    share : float in (0, 1]
        Of the customers.

    Returns
    -------
    float in [0, 1]
        `share` for equal predictions, also for a single row. NaN if nobody spent anything.
    """
    y, p, w = checked(y_true, y_pred, weights)
    return value(ratio(sum_within(y, p, w, share), w @ y))


def total_ratio_interval(y_true: ArrayLike, y_pred: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the interval of `total_ratio` over customers like these, by the logarithm: see `skewed_interval`.

    A row moves the logarithm by p / mean p - y / mean y. NaN if a total is 0.
    """
    y, p, _ = checked(y_true, y_pred, None)
    if not (y.sum() > 0 and p.sum() > 0):
        return float("nan"), float("nan")
    low, high = skewed_interval(np.log(p.sum() / y.sum()), p / p.mean() - y / y.mean(), confidence)
    return float(np.exp(low)), float(np.exp(high))


def tenth_ratio(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None, lowest: bool) -> Values:
    """Compute total predicted / total actual of the tenth of customers predicted lowest, or highest.

    A total may be right while its parts are not. A customer across the border, or a group of equal predictions, counts
    by the part within.

    Parameters
    ----------
    lowest : bool
        The tenth with the lowest predictions; else that with the highest.

    Returns
    -------
    float
        1 is right, below 1 is too low. NaN if nobody in that tenth spent anything.
    """
    y, p, w = checked(y_true, y_pred, weights)
    score = -p if lowest else p
    return value(ratio(*(sum_within(values, score, w, TOP_SHARE) for values in (p, y))))


def sum_within(values: np.ndarray, score: np.ndarray, w: np.ndarray, share: float) -> np.ndarray:
    """Return the sum of values of the share of rows with the highest score: shape (n_resamples,)."""
    customers, sums = cumulative(values, score, w)
    border = share * customers[:, -1:]
    after = np.argmax(customers >= border, axis=1)[:, None]
    x0, x1 = (np.take_along_axis(customers, at, axis=1) for at in (after - 1, after))
    y0, y1 = (np.take_along_axis(sums, at, axis=1) for at in (after - 1, after))
    return np.asarray((y0 + (y1 - y0) * (border - x0) / (x1 - x0))[:, 0])


def total_ratio(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute total predicted / total actual: 1 is right, below 1 is too low. NaN if nobody spent anything."""
    y, p, w = checked(y_true, y_pred, weights)
    return value(ratio(w @ p, w @ y))


def gain_area(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> np.ndarray:
    """Compute the numerator of `gini`: shape (n_resamples,). Its value for the perfect order is the denominator."""
    y, p = pairs(y_true, y_pred)
    return area_above_diagonal(y, p, rows_of_weights(weights, len(y)))


NOBODY_SPENT = "nobody spent anything, or all spent the same"
SPEND_METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "gini",
            "how well customers are ranked by what they then spend: 1 is the perfect order, 0 a random one",
            gini,
            gain="ranks customers",
            chance=0.0,
            undefined=NOBODY_SPENT,
            figure=gain_area,
        ),
        Metric("rmse", "root mean squared error, in currency", rmse),
        Metric("mae", "mean absolute error, in currency", mae),
        Metric(
            "spearman",
            "rank correlation of predicted and actual spend",
            spearman,
            gain="ranks customers",
            chance=0.0,
            undefined="all spent the same, or all predictions are equal",
        ),
        Metric(
            "top_decile_lift",
            "share of spend made by the tenth of customers predicted highest, divided by 0.1",
            top_decile_lift,
            gain="finds the best customers",
            chance=1.0,
            undefined=NOBODY_SPENT,
        ),
        *(
            Metric(
                f"captured_spend_{share:.0%}".removesuffix("%"),
                f"share of spend made by the {share:.0%} of customers predicted highest",
                partial(captured_spend, share=share),
                gain="finds the best customers",
                chance=share,
                undefined=NOBODY_SPENT,
            )
            for share in CAPTURED
        ),
        Metric("total_ratio", "total predicted / total actual", total_ratio, undefined=NOBODY_SPENT),
        *(
            Metric(
                f"total_ratio_{which}_tenth",
                f"total predicted / total actual, of the tenth of customers predicted {which}",
                partial(tenth_ratio, lowest=which == "lowest"),
                undefined="nobody in that tenth spent anything",
            )
            for which in ("lowest", "highest")
        ),
    )
}


def calibration_table(y_true: ArrayLike, y_pred: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Compare mean predicted with mean actual spend, by quantile of the prediction.

    Equal predictions share a quantile, so quantiles may differ in size or be missing.

    Returns
    -------
    DataFrame indexed by `quantile`, 1 (lowest predictions) to `bins`
        customers, mean_predicted, mean_actual (currency), ratio = predicted / actual (NaN if actual is 0).
    """
    y, p, w = checked(y_true, y_pred, None)
    quantile = 1 + np.floor((ranks(p, w)[0] - 0.5) / len(p) * bins).astype(int)
    groups = pd.DataFrame({"quantile": quantile, "predicted": p, "actual": y}).groupby("quantile")
    table = groups.agg(
        customers=("actual", "size"), mean_predicted=("predicted", "mean"), mean_actual=("actual", "mean")
    )
    return table.assign(ratio=ratio(table["mean_predicted"].to_numpy(), table["mean_actual"].to_numpy()))


def cumulative_gain(
    y_true: ArrayLike, y_pred: ArrayLike, *, of: str = "spend", points: int | None = None
) -> pd.DataFrame:
    """Compute the gain curve: the share of all spend made by the customers with the highest predictions.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
    of : str
        What is shared, in the name of the column.
    points : int, optional
        Rows at most, at even distances along the curve; all when left out.

    Returns
    -------
    DataFrame
        customers_share and <of>_share, both from 0 to 1, with one row per distinct prediction and one for the origin.
        The share is NaN if nobody spent anything.
    """
    customers, spend = (curve[0] for curve in cumulative(*checked(y_true, y_pred, None)))
    table = pd.DataFrame(
        {"customers_share": customers / customers[-1], f"{of}_share": ratio(spend, np.full_like(spend, spend[-1]))}
    )
    if points is None or len(table) <= points:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, points).round().astype(int)].reset_index(drop=True)
