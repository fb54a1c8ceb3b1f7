"""Metrics of predicted probabilities, under the conventions of `evaluation.weighted` for weights and ties.

`y_true` is 1 where the event happened, else 0. Ranking metrics take any score; the others take probabilities in [0, 1].
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from experiments.evaluation.metrics import Metric
from experiments.evaluation.spend_metrics import POINTS, cumulative_gain, top_decile_lift
from experiments.evaluation.weighted import (
    Values,
    area_above_diagonal,
    checked,
    cumulative,
    ratio,
    rows_of_weights,
    value,
)
from features.errors import InputError, listing

BINS = 10
SMALLEST = np.finfo(float).eps  # smallest distance of a probability from 0 and 1 in the log loss


def roc_auc(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the area under the ROC curve: the chance that a customer with the event is ranked above one without.

    For y of 0 and 1 the normalised Gini coefficient is 2 AUC - 1.

    Returns
    -------
    float in [0, 1]
        0.5 for equal predictions. NaN if all customers had the event, or none.
    """
    y, p, _ = _events(y_true, y_pred, None)
    w = rows_of_weights(weights, len(y))
    positives = w @ y
    pairs = positives * (w.sum(axis=1) - positives)
    return value((1 + ratio(area_above_diagonal(y, p, w), pairs)) / 2)


def average_precision(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the average precision as scikit-learn does: the sum over distinct scores of (R_k - R_{k-1}) P_k.

    Returns
    -------
    float in [0, 1]
        The share of events for equal predictions. NaN if nobody had the event.
    """
    customers, found = cumulative(*_events(y_true, y_pred, weights))
    precision = found[:, 1:] / np.maximum(customers[:, 1:], 1e-300)  # no customer, no event: 0 / small
    return value(ratio(np.einsum("ij,ij->i", np.diff(found, axis=1), precision), found[:, -1]))


def accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, threshold: float, weights: ArrayLike | None = None) -> Values:
    """Compute the share of customers who are predicted correctly, with the event predicted if p >= threshold."""
    y, p, w = _probabilities(y_true, y_pred, weights)
    return value(ratio(w @ ((p >= threshold) == y), w.sum(axis=1)))


def brier(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the mean squared error of the probability, mean((p - y)^2): in [0, 1], 0 is best."""
    y, p, w = _probabilities(y_true, y_pred, weights)
    return value(ratio(w @ (p - y) ** 2, w.sum(axis=1)))


def log_loss(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute minus the mean log-likelihood, in nats: >= 0, 0 is best. p is clipped to [2.2e-16, 1 - 2.2e-16]."""
    y, p, w = _probabilities(y_true, y_pred, weights)
    p = np.clip(p, SMALLEST, 1 - SMALLEST)
    return value(ratio(w @ -np.log(np.where(y == 1, p, 1 - p)), w.sum(axis=1)))


def expected_calibration_error(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the mean over customers of |mean predicted - observed share| in their bin of the probability.

    There are ten bins of equal width, [0, 0.1), ..., [0.9, 1]. In small samples the error is above 0 even if all
    probabilities are right.

    Returns
    -------
    float in [0, 1]

    References
    ----------
    Naeini, Cooper & Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning, AAAI.
    """
    y, p, w = _probabilities(y_true, y_pred, weights)
    bin_of = _bins(p)
    excess = np.zeros((len(p), BINS))
    excess[np.arange(len(p)), bin_of] = p - y
    return value(ratio(np.abs(w @ excess).sum(axis=1), w.sum(axis=1)))


def probability_metrics(threshold: float, ranks: str) -> dict[str, Metric]:
    """Return all metrics of probabilities by name.

    Parameters
    ----------
    threshold : float
        Threshold of the accuracy.
    ranks : str
        Meaning of a better ranking to a marketer: "predicts who will come back".
    """
    no_event = "nobody had the event"
    metrics = (
        Metric(
            "roc_auc",
            "area under the ROC curve: how often a customer with the event is ranked above one without",
            roc_auc,
            gain=ranks,
            chance=0.5,
            undefined="all had the event or nobody had",
        ),
        Metric(
            "average_precision", "precision averaged over recall", average_precision, gain=ranks, undefined=no_event
        ),
        Metric("accuracy", "share of customers predicted right", partial(accuracy, threshold=threshold)),
        Metric("brier", "mean squared error of the probability", brier),
        Metric("log_loss", "minus the mean log-likelihood, in nats", log_loss),
        Metric(
            "expected_calibration_error",
            "mean distance of predicted probabilities from observed shares, in ten bins",
            expected_calibration_error,
        ),
        Metric(
            "top_decile_lift",
            "share of all events that the tenth of customers predicted highest had, divided by 0.1",
            top_decile_lift,
            undefined=no_event,
        ),
    )
    return {metric.name: metric for metric in metrics}


def reliability_table(y_true: ArrayLike, y_pred: ArrayLike, confidence: float = 0.95) -> pd.DataFrame:
    """Compare predicted probabilities with observed shares, in the bins of `expected_calibration_error`.

    Returns
    -------
    DataFrame indexed by `bin`, 1 (p < 0.1) to 10 (p >= 0.9), without bins that have no customers
        customers, mean_predicted, observed_share, and `low`, `high`: Wilson's interval of the share.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22(158).
    """
    y, p, _ = _probabilities(y_true, y_pred, None)
    groups = pd.DataFrame({"bin": 1 + _bins(p), "p": p, "y": y}).groupby("bin")
    table = groups.agg(customers=("y", "size"), mean_predicted=("p", "mean"), observed_share=("y", "mean"))
    low, high = wilson_interval(table["observed_share"].to_numpy(), table["customers"].to_numpy(), confidence)
    return table.assign(low=low, high=high)


def probability_tables(y: pd.Series, prediction: pd.Series, *, of: str) -> dict[str, pd.DataFrame]:
    """Return predicted probabilities beside observed shares, and the gain curves, for the charts of an evaluation.

    Parameters
    ----------
    y, prediction : Series
    of : str
        Customers with the event, in a word: "buyers".
    """
    return {
        "reliability": reliability_table(y, prediction),
        "cumulative_gain": cumulative_gain(y, prediction, of=of, points=POINTS),
        "perfect_gain": cumulative_gain(y, y, of=of, points=POINTS),
    }


def wilson_interval(share: np.ndarray, n: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute Wilson's score interval of a share among n: within [0, 1], with a width above 0 at 0 and 1 too."""
    from scipy.stats import norm

    z = norm.ppf((1 + confidence) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0)  # rounding must not exclude the share


def _bins(p: np.ndarray) -> np.ndarray:
    return np.minimum((p * BINS).astype(int), BINS - 1)


def _events(
    y_true: ArrayLike, y_pred: ArrayLike, weights: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, p, w = checked(y_true, y_pred, weights)
    wrong = y[(y != 0) & (y != 1)]
    if len(wrong):
        raise InputError("y_true has values other than 0 and 1", expected="0 or 1", found=listing(wrong))
    return y, p, w


def _probabilities(
    y_true: ArrayLike, y_pred: ArrayLike, weights: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, p, w = _events(y_true, y_pred, weights)
    wrong = p[(p < 0) | (p > 1)]
    if len(wrong):
        raise InputError(
            "y_pred has values that are not probabilities", expected="numbers in [0, 1]", found=listing(wrong)
        )
    return y, p, w
