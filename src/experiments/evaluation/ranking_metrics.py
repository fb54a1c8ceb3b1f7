"""Metrics of ranked lists: what of the k products shown to a customer is bought.

`y` has a row for each candidate pair of a customer and a product: bought (1 or 0), and bought_products, the number of
products that the customer buys in all, so that a product that is bought and is no candidate counts as a miss. A
prediction is a score; a list holds the k candidates of the highest score, of equal scores the first by index. Customers
who buy nothing have no value.

References
----------
Järvelin & Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, ACM TOIS 20.
Manning, Raghavan & Schütze (2008), Introduction to Information Retrieval, chapter 8.
Castells, Hurley & Vargas (2015), Novelty and diversity in recommender systems, in: Recommender Systems Handbook.
Zhou et al. (2010), Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS 107.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from experiments.evaluation.metrics import Metric

BOUGHT, TOTAL = "bought", "bought_products"
NOBODY = "nobody bought a product of the catalogue in the window"
Figure = Callable[[np.ndarray, np.ndarray], np.ndarray]
Ordered = tuple[np.ndarray, pd.Index, np.ndarray]


def ndcg(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Compute the normalised discounted cumulative gain of each list, in [0, 1].

    DCG = sum over places i = 1..k of hit_i / log2(i + 1), divided by that of a list whose first min(k, relevant) places
    are hits.

    Parameters
    ----------
    hits : array of shape (n_lists, k)
        1 where the product at that place was bought.
    relevant : array of shape (n_lists,)
        Products that the customer bought, at least 1.

    Examples
    --------
    >>> ndcg(np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]), np.array([1, 2])).round(3).tolist()
    [1.0, 0.387]
    """
    discounts = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.cumsum(discounts)[np.minimum(relevant, hits.shape[1]).astype(int) - 1]
    return hits @ discounts / ideal


def hit_rate(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return 1 for each list with a product that was bought, else 0."""
    return hits.max(axis=1).astype(float)


def precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Compute the share of the k places that were bought; a list of fewer than k products has empty places."""
    return hits.mean(axis=1)


def recall(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Compute the share of the bought products that are in the list."""
    return hits.sum(axis=1) / relevant


def average_precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Compute the sum over hits of the precision up to their place, divided by min(k, relevant)."""
    places = np.arange(1, hits.shape[1] + 1)
    return (hits * hits.cumsum(axis=1) / places).sum(axis=1) / np.minimum(relevant, hits.shape[1])


def reciprocal_rank(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Compute 1 / place of the first hit, 0 without one."""
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


FIGURES: Mapping[str, tuple[Figure, str]] = {
    "ndcg": (ndcg, "normalised discounted cumulative gain of the first {k} products: a hit at the top counts most"),
    "hit_rate": (hit_rate, "share of buyers who buy at least one of the {k} products"),
    "recall": (recall, "mean share of what a customer buys that is among the {k} products"),
    "precision": (precision, "mean share of the {k} products that is bought"),
    "map": (average_precision, "mean average precision of the {k} products"),
    "mrr": (reciprocal_rank, "mean of 1 / place of the first product that is bought, 0 if none of the {k} is"),
}


def ranking_metrics(ks: Sequence[int], gain: str, *, hit: str = BOUGHT, total: str = TOTAL) -> dict[str, Metric]:
    """Return the metrics of lists of each length, by name: `ndcg_5`.

    Parameters
    ----------
    ks : sequence of int
    gain : str
        Meaning of a higher value to a marketer.
    hit, total : str
        Columns of the outcome.
    """
    ordered = _Latest()
    return {
        f"{name}_{k}": Metric(
            f"{name}_{k}",
            means.format(k=k),
            partial(by_customer, ordered=ordered, figure=figure, k=k, hit=hit, total=total),
            per_unit=True,
            gain=gain,
            undefined=NOBODY,
        )
        for k in ks
        for name, (figure, means) in FIGURES.items()
    }


def by_customer(
    y: pd.DataFrame,
    prediction: pd.Series,
    *,
    ordered: Callable[[pd.DataFrame, pd.Series], Ordered],
    figure: Figure,
    k: int,
    hit: str,
    total: str,
) -> pd.Series:
    """Compute a figure for each customer who bought something, indexed customer_id: the mean over the lists."""
    of_list, customers, shown = ordered(y, prediction)
    relevant = np.zeros(len(customers))
    np.maximum.at(relevant, of_list, y[total].to_numpy(dtype=float))
    is_shown = shown < k
    hits = np.zeros((len(customers), k))
    hits[of_list[is_shown], shown[is_shown]] = y[hit].to_numpy(dtype=float)[is_shown]
    relevant = np.maximum(relevant, hits.sum(axis=1))  # of permuted outcomes
    buys = relevant > 0
    values = pd.Series(figure(hits[buys], relevant[buys]), index=customers[buys], dtype=float)
    return values if values.index.is_unique else values.groupby(level=0).mean()


class _Latest:
    """Order of the lists of the frames that were asked for last: a dozen metrics measure one prediction in turn."""

    def __init__(self) -> None:
        self._latest: tuple[pd.DataFrame, pd.Series, Ordered] | None = None

    def __call__(self, y: pd.DataFrame, prediction: pd.Series) -> Ordered:
        """Return the list of each row, the customer of each list, and the place of each row in its list."""
        latest = self._latest
        if latest is None or latest[0] is not y or latest[1] is not prediction:
            of_list, customers = lists_of(y.index)
            place = places(of_list, prediction.to_numpy(dtype=float))
            latest = self._latest = y, prediction, (of_list, customers, place)
        return latest[2]


def lists_of(index: pd.MultiIndex) -> tuple[np.ndarray, pd.Index]:
    """Return the number of each row's list, of what the index names beside products, and the customer of each list."""
    levels = [name for name in index.names if name != "product_id"]
    code = np.zeros(len(index), dtype=np.int64)
    for name in levels:
        at = index.names.index(name)
        code = code * max(len(index.levels[at]), 1) + index.codes[at]
    _, first, of_list = np.unique(code, return_index=True, return_inverse=True)
    return of_list, index[first].get_level_values("customer_id").rename("customer_id")


def places(of_list: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return each row's place in its list, from 0: by score, of equal scores the first row first."""
    order = np.lexsort((-scores, of_list))
    ordered = of_list[order]
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return found


def coverage(shown: pd.Series, products: int) -> float:
    """Compute the share of products that are in at least one list.

    Parameters
    ----------
    shown : Series
        Product at each place of each list.
    products : int
        Number of products that could be shown.
    """
    return shown.nunique() / products if products else float("nan")


def novelty(buyer_shares: np.ndarray) -> float:
    """Compute the mean of -log2(share of customers who ever bought the product) over the places: 0 where all did."""
    known = buyer_shares[buyer_shares > 0]
    return float(-np.log2(known).mean()) if len(known) else float("nan")


def diversity(shown: pd.Series, n_lists: int, k: int) -> float:
    """Compute 1 - the mean over pairs of lists of the share of k places that both have: 0 for the same list for all.

    Examples
    --------
    >>> diversity(pd.Series(["tea", "milk", "tea", "rice"]), n_lists=2, k=2)
    0.5
    """
    if n_lists < 2:
        return float("nan")
    counts = shown.value_counts().to_numpy(dtype=float)
    return float(1 - (counts * (counts - 1)).sum() / (k * n_lists * (n_lists - 1)))
