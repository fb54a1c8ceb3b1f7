"""Rankings of customers in money: what those addressed are worth, less what it costs to address them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t

from experiments.evaluation.metrics import Metric
from experiments.evaluation.spend_metrics import CAPTURED, gain_area, sum_within
from experiments.evaluation.weighted import Values, checked, cumulative, value

SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))
NEAR = 0.05  # share of the customers on either side of the border that tell the mean spend there


def profit_curve(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    contact_cost: float,
    confidence: float = 0.95,
    shares: Sequence[float] = SHARES,
) -> pd.DataFrame:
    """Compute what the customers predicted highest are worth, less the cost of addressing them.

    profit(s) = sum of y over the share s with the highest predictions - contact_cost x s x n. A customer across the
    border, or a group of equal predictions, counts by the part within. It is what the addressed spend, whether the
    contact moved them or not: it compares rankings and lengths of lists, and says nothing of an effect.

    The interval is about n customers like these. A resample's profit is that of its own share s, so a customer moves it
    by y x inside - mean - (mean spend at the border) x (inside - s). With that influence's standard deviation sd, the
    interval is profit +- t x sqrt(n) x sd. t has (sum of influence^2)^2 / (sum of influence^4) - 1 degrees of freedom,
    the number of customers that sd is made of, which widens it where a few make most of the spend.

    Parameters
    ----------
    y_true : array of shape (n,)
        Worth of each customer, in currency: spend times the margin.
    y_pred : array of shape (n,)
    contact_cost : float
        Of one customer, in the same currency.
    confidence : float
        Coverage of the interval.
    shares : sequence of float in (0, 1]
        Of the customers.

    Returns
    -------
    DataFrame indexed by `customers_share`
        customers, profit, low, high. low and high are NaN for a single customer.

    References
    ----------
    Hampel (1974), The influence curve and its role in robust estimation, JASA 69.
    """
    y, p, w = checked(y_true, y_pred, None)
    n = len(y)
    customers, spend = (curve[0] for curve in cumulative(y, p, w))
    order = np.argsort(-p, kind="stable")
    rows = []
    for share in shares:
        reached = float(np.interp(share * n, customers, spend))
        low, high = (np.clip(share + step, 0, 1) * n for step in (-NEAR, NEAR))
        at_border = float(np.diff(np.interp([low, high], customers, spend))[0] / (high - low))
        inside = np.zeros(n)
        inside[order[: round(share * n)]] = 1.0
        influence = y * inside - at_border * (inside - share)
        rows.append((share, round(share * n), reached - contact_cost * share * n, _half(influence, confidence)))
    table = pd.DataFrame(rows, columns=["customers_share", "customers", "profit", "half"]).set_index("customers_share")
    half = table.pop("half")
    return table.assign(low=table["profit"] - half, high=table["profit"] + half)


def profit(
    y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None, share: float, contact_cost: float
) -> Values:
    """Compute what a share of the customers, those predicted highest, are worth, less the cost of addressing them.

    One point of `profit_curve`, in currency; a total, so it grows with the number of customers.
    """
    y, p, w = checked(y_true, y_pred, weights)
    return value(sum_within(y, p, w, share) - contact_cost * share * w.sum(axis=1))


def profit_metrics(contact_cost: float) -> dict[str, Metric]:
    """Return the profit at the shares of `CAPTURED` as metrics; they choose no model, as totals vary with customers."""
    return {
        (name := f"profit_{share:.0%}".removesuffix("%")): Metric(
            name,
            f"worth of the {share:.0%} of customers predicted highest, less {contact_cost:g} for each, in currency",
            partial(profit, share=share, contact_cost=contact_cost),
        )
        for share in CAPTURED
    }


def _half(influence: np.ndarray, confidence: float) -> float:
    """Return half the width of the interval of a sum, by the influence of each row on its mean."""
    n = len(influence)
    pulls = influence - influence.mean()
    if n < 2:
        return float("nan")
    if not pulls.any():
        return 0.0
    effective = np.square(pulls).sum() ** 2 / np.power(pulls, 4).sum()
    return float(t.ppf((1 + confidence) / 2, max(effective - 1, 1.0)) * np.sqrt(n) * pulls.std(ddof=1))


def worth_of_gini(y_true: ArrayLike) -> float:
    """Compute what a gain of 1 in Gini is worth: how much more the addressed spend, averaged over lengths of lists.

    Two rankings of the same customers differ in Gini by 2 (A - B) / (2 A* - 1); A - B is the distance of their gain
    curves, averaged over the shares of customers addressed. So a gain g is g x (2 A* - 1) / 2 of all spend.

    Parameters
    ----------
    y_true : array of shape (n,)
        Worth of each customer, in currency.

    Returns
    -------
    float
        In currency; 0 if all spent the same.
    """
    return float(gain_area(y_true, y_true)[0] / (2 * np.size(y_true)))
