"""Metrics of predicted waits, under the conventions of `evaluation.weighted` for weights and ties.

A wait is the number of days to an event, censored for all rows at one horizon: `y` has the columns days (1 to H) and
observed (1 or 0). A row that is not observed waits longer than H, and counts as day H + 1, "later". As nothing is
censored before H, every figure here is fully observed: no weighting by the inverse probability of censoring is needed,
and Uno's C-index equals Harrell's.

A prediction is a frame of `columns_of(thresholds)`: three quantiles of the wait, the mean of min(wait, H), and the
probability of the event within each threshold day. H is the last threshold; its column holds the probability of none.

References
----------
Epstein (1969), A scoring system for probability forecasts of ranked categories, J. of Applied Meteorology 8.
Gneiting & Ranjan (2011), Comparing density forecasts using threshold- and quantile-weighted scoring rules, JBES 29.
Harrell, Lee & Mark (1996), Multivariable prognostic models, Statistics in Medicine 15.
Uno et al. (2011), On the C-statistics for evaluating overall adequacy of risk prediction, Statistics in Medicine 30.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from experiments.evaluation import probability_metrics
from experiments.evaluation.metrics import Metric
from experiments.evaluation.spend_metrics import mae, rmse
from experiments.evaluation.weighted import Values, checked, ranks, ratio, rows_of_weights, value
from features.errors import InputError, listing
from features.outcomes import QUANTILES, check_waits

MEDIAN, LOW = "next_purchase_days", "next_purchase_days_low"
HIGH, MEAN = "next_purchase_days_high", "next_purchase_days_mean"
LATER = "p_not_within_horizon"
LEVELS = dict(zip((MEDIAN, LOW, HIGH), QUANTILES, strict=True))
"""Quantiles of the wait, by their columns; the outer ones limit the 80% interval."""
COVERAGE = 0.8
NOBODY = "nobody had the event in the window"


def within(day: int) -> str:
    """Return the column of the probability of the event on day 1 to `day`."""
    return f"p_within_{day}"


def columns_of(thresholds: Sequence[int]) -> list[str]:
    """Return the columns of a prediction, in their order."""
    return [MEDIAN, LOW, HIGH, MEAN, *map(within, thresholds[:-1]), LATER]


def by_day(prediction: pd.DataFrame, thresholds: Sequence[int]) -> np.ndarray:
    """Return P(wait <= day) of each row and threshold: array of shape (n, n_thresholds)."""
    before = prediction[[*map(within, thresholds[:-1])]].to_numpy()
    return np.column_stack([before, 1 - prediction[LATER].to_numpy()])


def waits(y: pd.DataFrame, horizon_days: int) -> np.ndarray:
    """Return the day of the event, 1 to H, and H + 1 where it is later: float array of shape (n,).

    Raises
    ------
    InputError
        If values are not waits (`outcomes.check_waits`), or one is censored before the horizon.
    """
    check_waits(y, horizon_days)
    days, observed = y["days"].to_numpy(dtype=float), y["observed"].to_numpy(dtype=float)
    wrong = (observed == 0) & (days != horizon_days)
    if wrong.any():
        raise InputError(
            "y has values that are not waits",
            where="days, observed",
            expected=f"days of {horizon_days} where observed is 0",
            found=listing(days[wrong]),
        )
    return np.where(observed == 1, days, horizon_days + 1.0)


def ranked_probability_score(y: pd.DataFrame, prediction: pd.DataFrame, *, thresholds: Sequence[int]) -> np.ndarray:
    """Compute the ranked probability score of each row, in days: array of shape (n,), 0 is best.

    RPS = sum over thresholds k of width_k (P(wait <= k) - 1{wait <= k})^2, where width_k = k - the threshold before.
    It is a strictly proper score of the probabilities of the classes between thresholds.

    With a threshold at each day it is the continuous ranked probability score of min(wait, H + 1). A certain
    prediction then scores its absolute error in days, with later as day H + 1. With fewer thresholds it scores that
    error only up to the width of a class: day 29 against day 42 scores 0 where both lie in one class.
    """
    happened = _happened(waits(y, thresholds[-1]), thresholds)
    return (by_day(prediction, thresholds) - happened) ** 2 @ _widths(thresholds)


def ranked_probability_skill(
    y: pd.DataFrame, prediction: pd.DataFrame, *, thresholds: Sequence[int], weights: ArrayLike | None = None
) -> Values:
    """Compute 1 - mean RPS / RPS of the climatology: the share of the uncertainty about waits that is explained.

    The climatology is the Kaplan-Meier curve of the evaluated rows themselves. Without censoring before the horizon it
    is the share with the event by each day, G(k). Its mean score is the sum of width_k G(k) (1 - G(k)). No distribution
    that is the same for all rows has a lower score. So the baseline, the same distribution for all that was learnt
    before, has a skill of at most 0. The gain over it is the skill against it up to that remainder.

    Returns
    -------
    float in (-inf, 1]
        1 for certainty of the right day, 0 for the climatology. NaN if all waits fall into one class.

    See Also
    --------
    ranked_probability_score
    """
    score = ranked_probability_score(y, prediction, thresholds=thresholds)
    happened = _happened(waits(y, thresholds[-1]), thresholds)
    w = rows_of_weights(weights, len(score)).astype(float, copy=False)
    total = w.sum(axis=1)
    share = ratio(w @ happened, np.broadcast_to(total[:, None], (len(w), len(thresholds))))
    climatology = (share * (1 - share)) @ _widths(thresholds)
    # A remainder of rounding is no uncertainty.
    return value(1 - ratio(w @ score, np.where(climatology > 1e-12, climatology * total, 0.0)))


def concordance(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the C-index: how often, of two rows with different waits, the one that waits longer is predicted so.

    Pairs with equal waits, such as two that are both later than the horizon, are left out. Equal predictions count
    half. Pairs are counted bit by bit of the rank of the wait: n rows with L different waits take n log(L) steps.

    Parameters
    ----------
    y_true : array of shape (n,)
        Waits, as `waits` returns them.
    y_pred : array of shape (n,)
        Any number that is larger for a longer wait.

    Returns
    -------
    float in [0, 1]
        0.5 for equal predictions. NaN if all waits are equal.
    """
    wait, score, w = checked(y_true, y_pred, weights)
    rank = np.unique(wait, return_inverse=True)[1]
    by_score = np.argsort(score, kind="stable")
    rank, score, w = rank[by_score], score[by_score], w[:, by_score]
    right, pairs = np.zeros(len(w)), np.zeros(len(w))
    for bit in range(int(rank.max()).bit_length()):
        agreed, compared = _concordant(rank >> (bit + 1), (rank >> bit) & 1 == 1, score, w)
        right += agreed
        pairs += compared
    return value(ratio(right, pairs))


def _concordant(group: np.ndarray, is_later: np.ndarray, score: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, ...]:
    """Count the pairs of an earlier and a later row in each group, and those in which the later one scores higher.

    Rows are sorted by score. Both results have the shape (n_resamples,).
    """
    order = np.argsort(group, kind="stable")
    group, is_later, score, w = group[order], is_later[order], score[order], w[:, order]
    new_group = np.diff(group, prepend=-1) != 0
    ties = np.flatnonzero(new_group | (np.diff(score, prepend=np.nan) != 0))
    of_group = np.cumsum(new_group[ties]) - 1
    earlier, later = (np.add.reduceat(w * rows, ties, axis=1) for rows in (~is_later, is_later))
    before = np.cumsum(earlier, axis=1) - earlier
    before_group = before[:, np.flatnonzero(new_group[ties])][:, of_group]
    total = np.add.reduceat(earlier, np.flatnonzero(new_group[ties]), axis=1)[:, of_group]
    agreed = (later * (before - before_group + earlier / 2)).sum(axis=1)
    return agreed, (later * total).sum(axis=1)


def pinball(
    y: pd.DataFrame, prediction: pd.DataFrame, *, horizon_days: int, weights: ArrayLike | None = None
) -> Values:
    """Compute the mean pinball loss of the three quantiles of min(wait, H), in days: >= 0, 0 is best.

    At level q it is max(q (t - p), (q - 1) (t - p)). The median's is half its absolute error.
    """
    t, w = _capped(y, horizon_days), rows_of_weights(weights, len(y)).astype(float, copy=False)
    losses = []
    for column, level in LEVELS.items():
        over = t - np.minimum(prediction[column].to_numpy(), horizon_days)
        losses.append(np.maximum(level * over, (level - 1) * over))
    return value(ratio(w @ np.mean(losses, axis=0), w.sum(axis=1)))


def coverage(
    y: pd.DataFrame, prediction: pd.DataFrame, *, horizon_days: int, weights: ArrayLike | None = None
) -> Values:
    """Compute the share of rows whose wait lies in the 80% interval: in [0, 1].

    An interval that ends later than the horizon, at H + 1, covers all later waits. Days are whole numbers, so the
    interval of a right distribution covers at least 80%, and all rows where hardly anybody has the event.
    """
    wait, w = waits(y, horizon_days), rows_of_weights(weights, len(y)).astype(float, copy=False)
    inside = (prediction[LOW].to_numpy() <= wait) & (wait <= prediction[HIGH].to_numpy())
    return value(ratio(w @ inside.astype(float), w.sum(axis=1)))


def width(y: pd.DataFrame, prediction: pd.DataFrame, *, weights: ArrayLike | None = None) -> Values:
    """Compute the mean days of the 80% interval, later counted as day H + 1: >= 1 per row, narrow is sharp."""
    w = rows_of_weights(weights, len(y)).astype(float, copy=False)
    days = prediction[HIGH].to_numpy() - prediction[LOW].to_numpy() + 1
    return value(ratio(w @ days, w.sum(axis=1)))


def wait_metrics(thresholds: Sequence[int], reported: Sequence[int], ranks_by: str) -> dict[str, Metric]:
    """Return all metrics of waits by name.

    Parameters
    ----------
    thresholds : sequence of int
        Days of the probabilities, ascending; the last is the horizon.
    reported : sequence of int
        Those of them whose Brier score is reported.
    ranks_by : str
        Meaning of a better prediction to a marketer: "predicts when customers buy next".
    """
    horizon = thresholds[-1]
    metrics = [
        Metric(
            "ranked_probability_skill",
            "share of the uncertainty about the day that the predicted probabilities explain: 1 is certainty, 0 the "
            "same probabilities for all",
            partial(ranked_probability_skill, thresholds=thresholds),
            gain=ranks_by,
            chance=0.0,
            undefined="all waits fall into one class",
        ),
        Metric(
            "c_index",
            "how often the one of two customers who buys later is predicted to",
            partial(_c_index, horizon_days=horizon),
            gain="predicts who buys first",
            chance=0.5,
            undefined="all wait equally long",
        ),
        Metric(
            "rps",
            "ranked probability score, in days: the error of a whole distribution, as the mean absolute error is that "
            "of one number",
            partial(_mean_score, thresholds=thresholds),
        ),
        Metric("mae", "mean absolute error of the median, in days up to the horizon", _of_days(mae, MEDIAN, horizon)),
        Metric("rmse", "root mean squared error of the mean, in days up to the horizon", _of_days(rmse, MEAN, horizon)),
        Metric(
            "mae_of_buyers",
            "mean absolute error of the median among those with the event, in days",
            _of_days(mae, MEDIAN, horizon, observed_only=True),
            undefined=NOBODY,
        ),
        Metric(
            "rmse_of_buyers",
            "root mean squared error of the mean among those with the event, in days",
            _of_days(rmse, MEAN, horizon, observed_only=True),
            undefined=NOBODY,
        ),
        *(
            Metric(
                f"brier_{day}",
                f"mean squared error of the probability of the event within {day} days",
                partial(_brier, day=day, horizon_days=horizon),
            )
            for day in reported
        ),
        Metric(
            "coverage_80",
            "share of waits inside the 80% interval",
            partial(coverage, horizon_days=horizon),
        ),
        Metric("width_80", "mean days of the 80% interval", width),
        Metric(
            "pinball",
            "mean pinball loss of the quantiles 10%, 50% and 90%, in days",
            partial(pinball, horizon_days=horizon),
        ),
        Metric(
            "calibration_error_later",
            "mean distance of the probability of no event within the horizon from the observed share, in ten bins",
            _calibration_later,
        ),
    ]
    return {metric.name: metric for metric in metrics}


def calibration_by_median(y: pd.DataFrame, prediction: pd.DataFrame, horizon_days: int, bins: int = 10) -> pd.DataFrame:
    """Compare predicted with actual waits, by decile of the predicted median, ties by the mean.

    Returns
    -------
    DataFrame indexed by `decile`, 1 (soonest) to `bins`
        customers; predicted and actual, the means of the predicted mean and of min(wait, H), in days; predicted_later
        and actual_later, the mean probability and the share of no event within the horizon.
    """
    order = np.lexsort((prediction[MEAN].to_numpy(), prediction[MEDIAN].to_numpy()))
    key = np.empty(len(order))
    key[order] = np.cumsum(np.append(0, np.any(np.diff(prediction[[MEDIAN, MEAN]].to_numpy()[order], axis=0), axis=1)))
    position = ranks(key, np.ones((1, len(key))))[0]
    rows = pd.DataFrame(
        {
            "decile": 1 + np.floor((position - 0.5) / len(key) * bins).astype(int),
            "predicted": prediction[MEAN].to_numpy(),
            "actual": _capped(y, horizon_days),
            "predicted_later": prediction[LATER].to_numpy(),
            "actual_later": 1 - y["observed"].to_numpy(),
        }
    ).groupby("decile")
    return rows.mean().assign(customers=rows.size())[
        ["customers", "predicted", "actual", "predicted_later", "actual_later"]
    ]


def _widths(thresholds: Sequence[int]) -> np.ndarray:
    return np.diff(np.asarray(thresholds, dtype=float), prepend=0.0)


def _happened(wait: np.ndarray, thresholds: Sequence[int]) -> np.ndarray:
    return (wait[:, None] <= np.asarray(thresholds)).astype(float)


def _capped(y: pd.DataFrame, horizon_days: int) -> np.ndarray:
    return np.minimum(waits(y, horizon_days), horizon_days)


def _mean_score(
    y: pd.DataFrame, prediction: pd.DataFrame, *, thresholds: Sequence[int], weights: ArrayLike | None = None
) -> Values:
    w = rows_of_weights(weights, len(y)).astype(float, copy=False)
    return value(ratio(w @ ranked_probability_score(y, prediction, thresholds=thresholds), w.sum(axis=1)))


def _brier(
    y: pd.DataFrame, prediction: pd.DataFrame, *, day: int, horizon_days: int, weights: ArrayLike | None = None
) -> Values:
    happened = (waits(y, horizon_days) <= day).astype(float)
    p = 1 - prediction[LATER] if day == horizon_days else prediction[within(day)]
    return probability_metrics.brier(happened, p, weights=weights)


def _calibration_later(y: pd.DataFrame, prediction: pd.DataFrame, *, weights: ArrayLike | None = None) -> Values:
    return probability_metrics.expected_calibration_error(1 - y["observed"], prediction[LATER], weights=weights)


def _c_index(
    y: pd.DataFrame, prediction: pd.DataFrame, *, horizon_days: int, weights: ArrayLike | None = None
) -> Values:
    """Rank rows by the mean of the wait with later as day H + 1, which is one day more where it is later."""
    score = prediction[MEAN].to_numpy() + prediction[LATER].to_numpy()
    return concordance(waits(y, horizon_days), score, weights=weights)


def _of_days(
    metric: Callable[..., Values], column: str, horizon_days: int, *, observed_only: bool = False
) -> Callable[..., Values]:
    """Return a metric of min(wait, H) against one column of the prediction, of all rows or of those with the event."""

    def fn(y: pd.DataFrame, prediction: pd.DataFrame, *, weights: ArrayLike | None = None) -> Values:
        used = y["observed"].to_numpy() == 1 if observed_only else np.ones(len(y), dtype=bool)
        w = rows_of_weights(weights, len(y))
        if not used.any():
            return value(np.full(len(w), np.nan))
        days = np.minimum(prediction[column].to_numpy()[used], horizon_days)
        return metric(_capped(y, horizon_days)[used], days, weights=w[:, used])

    return fn
