"""Scorers that count: best-sellers, and what the customer bought before."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from features.affinity.purchases import Floats, Per, Purchases, check_at_least
from features.affinity.scorer import Scorer


class BestSellers(Scorer):
    """The same list for everybody: score(p) = number of orders with p in the last days.

    Parameters
    ----------
    days : int, optional
        Days before the cutoff that count, such as 28; all where it is None.
    per : "order" or "customer"
        What is counted.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("ann", "tea", "o1", 30), ("bob", "tea", "o2", 29), ("bob", "milk", "o3", 2)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> BestSellers().fit(past).scores(np.array([0])).tolist()  # milk, tea
    [[1.0, 2.0]]
    >>> BestSellers(days=28).fit(past).scores(np.array([0])).tolist()
    [[1.0, 0.0]]
    """

    def __init__(self, days: int | None = None, per: Per = "order") -> None:
        self.days = days
        self.per = per

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        if self.days is not None:
            check_at_least("days", self.days, 1)
        self.sold_ = np.asarray(purchases.last(self.days).baskets(self.per).sum(axis=0), dtype=np.float64).ravel()

    def scores_of(self, purchases: Purchases) -> Floats:
        return np.tile(self.sold_, (purchases.n_customers, 1))

    def basket_scores(self, baskets: sparse.csr_matrix) -> Floats:
        return np.tile(self.sold_, (baskets.shape[0], 1))


class OwnFrequency(Scorer):
    """The customer's own orders of a product, recent ones for more.

    score(c, p) = sum over orders of c with p of 0.5^((day - 1) / half_life_days), where day = 1 is the last day.
    Without a half-life it is the number of orders.

    Parameters
    ----------
    half_life_days : float, optional
        Above 0. An order so much older counts half.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("ann", "tea", "o1", 11), ("ann", "tea", "o2", 1), ("ann", "milk", "o2", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> OwnFrequency(half_life_days=10).fit(past).scores(np.array([0])).tolist()  # milk, tea
    [[1.0, 1.5]]
    """

    def __init__(self, half_life_days: float | None = None) -> None:
        self.half_life_days = half_life_days

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        if self.half_life_days is not None:
            check_at_least("half_life_days", self.half_life_days, np.finfo(float).tiny)

    def scores_of(self, purchases: Purchases) -> Floats:
        weights = None if self.half_life_days is None else 0.5 ** ((purchases.days - 1) / self.half_life_days)
        return np.asarray(purchases.counts(weights).toarray())
