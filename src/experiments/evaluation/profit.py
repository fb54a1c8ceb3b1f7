"""Rankings of customers in money: what those addressed are worth, less what it costs to address them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from experiments.evaluation.metrics import Metric
from experiments.evaluation.skewed import skewed_interval
from experiments.evaluation.spend_metrics import CAPTURED, gain_area, sum_within
from experiments.evaluation.weighted import Values, checked, cumulative, value

COST = "contact_cost"  # figure: of addressing a customer
WORTH = "worth_of_gain"  # figure: money that a gain of 1 in the primary metric is worth
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

    The interval is that of `skewed_interval`, about n customers like these. Other customers have their own share s, so
    one of them moves the profit by y x inside - (mean spend at the border) x (inside - s).

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
        cost = contact_cost * share * n
        ends = (n * end - cost for end in skewed_interval(reached / n, influence, confidence))
        rows.append((share, round(share * n), reached - cost, *ends))
    columns = ["customers_share", "customers", "profit", "low", "high"]
    return pd.DataFrame(rows, columns=columns).set_index("customers_share")


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
