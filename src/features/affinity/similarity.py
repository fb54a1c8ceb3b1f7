"""Scorers by weights between items: association rules, and nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.affinity.pairs import BLOCK, pair_counts
from features.affinity.purchases import Floats, Per, Purchases, check_at_least, check_choice
from features.affinity.scorer import ItemScorer, known_items

By = Literal["confidence", "lift"]
Combined = Literal["sum", "max"]
Weigh = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], Floats]


class Rules(ItemScorer):
    """Association rules of one product to one: score(basket, p) = max, or sum, over i in the basket of w(i -> p).

    w is the rule's confidence n(i, p) / n(i), or its lift n(i, p) n / (n(i) n(p)), of n orders (or customers). A
    product says nothing of itself.

    Parameters
    ----------
    by : "confidence" or "lift"
    minimum_count : int
        Rules that fewer orders (customers) bear out are not used.
    per : "order" or "customer"
        What holds two products together.
    combined : "max" or "sum"
        Of several rules that lead to one product: the best one, as rules are usually read, or all of them.
    k : int, optional
        Rules of each antecedent, the highest first; all where it is None.

    References
    ----------
    Agrawal, R., Imielinski, T. & Swami, A. (1993). Mining association rules between sets of items. SIGMOD.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("ann", "tea", "o1", 3), ("ann", "milk", "o1", 3), ("bob", "tea", "o2", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> scorer = Rules(minimum_count=1).fit(past)
    >>> scorer.basket_scores(sparse.csr_matrix([[0, 1]])).tolist()  # tea is known; milk, tea
    [[0.5, 0.0]]
    """

    def __init__(
        self,
        by: By = "confidence",
        minimum_count: int = 2,
        per: Per = "order",
        combined: Combined = "max",
        k: int | None = None,
    ) -> None:
        self.by = by
        self.minimum_count = minimum_count
        self.per = per
        self.combined = combined
        self.k = k

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        check_choice("by", self.by, get_args(By))
        check_choice("combined", self.combined, get_args(Combined))
        counts = pair_counts(purchases, self.per, minimum=self.minimum_count)
        single = (purchases.popularity if self.per == "order" else purchases.buyers).astype(np.float64)
        n = purchases.n_orders if self.per == "order" else len(np.unique(purchases.customers))

        def weigh(together: NDArray[Any], left: NDArray[Any], right: NDArray[Any]) -> Floats:
            values: Floats = together / single[left]
            return values * (n / single[right]) if self.by == "lift" else values

        self.weights_ = _weights(counts, weigh, self.k, purchases.popularity)

    def basket_scores(self, baskets: sparse.csr_matrix) -> Floats:
        held = known_items(baskets)
        if self.combined == "sum":
            return np.asarray((held @ self.weights_).toarray())
        return _best_product(held, self.weights_)


class ItemNeighbours(ItemScorer):
    """Item-based nearest neighbours: score(basket, p) = sum over i in the basket of s(i, p).

    s(i, p) = n(i, p) / (sqrt(n(i) n(p)) + shrinkage): without shrinkage, the cosine of two columns of 0 and 1.
    Of each i, only the k most similar p count.

    Parameters
    ----------
    k : int, optional
        Neighbours of each product; all where it is None.
    shrinkage : float
        At least 0: takes weight from pairs of few customers.
    per : "order" or "customer"

    References
    ----------
    Deshpande, M. & Karypis, G. (2004). Item-based top-N recommendation algorithms. ACM TOIS 22(1), section 4.1.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("ann", "tea", "o1", 3), ("ann", "milk", "o1", 3), ("bob", "tea", "o2", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> ItemNeighbours().fit(past).basket_scores(sparse.csr_matrix([[0, 1]])).round(3).tolist()
    [[0.707, 0.0]]
    """

    def __init__(self, k: int | None = 100, shrinkage: float = 0.0, per: Per = "customer") -> None:
        self.k = k
        self.shrinkage = shrinkage
        self.per = per

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        check_at_least("shrinkage", self.shrinkage, 0)
        counts = pair_counts(purchases, self.per)
        single = counts.diagonal().astype(np.float64)

        def weigh(together: NDArray[Any], left: NDArray[Any], right: NDArray[Any]) -> Floats:
            return np.asarray(together / (np.sqrt(single[left] * single[right]) + self.shrinkage))

        self.weights_ = _weights(counts, weigh, self.k, purchases.popularity)

    def basket_scores(self, baskets: sparse.csr_matrix) -> Floats:
        return np.asarray((known_items(baskets) @ self.weights_).toarray())


def _weights(counts: sparse.csr_matrix, weigh: Weigh, k: int | None, popularity: NDArray[Any]) -> sparse.csr_matrix:
    """Return the k highest weights of each product, without its own: of a block of products at a time.

    Weights take three times the memory of the counts, and most of them are not among the k.

    Parameters
    ----------
    counts : csr_matrix, shape (n_products, n_products)
    weigh : callable
        `(counts of pairs, codes of their left, of their right) -> weights`, arrays of the same shape.
    k : int or None
    popularity : array, shape (n_products,)
    """
    n = max(counts.shape[0], 1)
    block = n if k is None else BLOCK
    parts = []
    for first in range(0, n, block):
        part = counts[first : first + block]
        left = np.repeat(np.arange(first, first + part.shape[0]), np.diff(part.indptr))
        values = weigh(part.data, left, part.indices)
        values[left == part.indices] = 0.0
        weights = sparse.csr_matrix((values, part.indices, part.indptr), part.shape)
        weights.eliminate_zeros()
        parts.append(_highest(weights, k, popularity))
    return parts[0] if len(parts) == 1 else sparse.csr_matrix(sparse.vstack(parts, format="csr"))


def _highest(weights: sparse.csr_matrix, k: int | None, popularity: NDArray[Any]) -> sparse.csr_matrix:
    """Keep the k highest entries of each row: by value, then by popularity, then by position."""
    if k is None:
        return weights
    check_at_least("k", k, 1)
    kept = np.ones(weights.nnz, dtype=bool)
    for row in np.flatnonzero(np.diff(weights.indptr) > k):
        entries = slice(weights.indptr[row], weights.indptr[row + 1])
        values, columns = weights.data[entries], weights.indices[entries]
        lowest = -np.partition(-values, k - 1)[k - 1]
        near = np.flatnonzero(values >= lowest)
        order = np.lexsort((columns[near], -popularity[columns[near]], -values[near]))
        chosen = np.zeros(len(values), dtype=bool)
        chosen[near[order[:k]]] = True
        kept[entries] = chosen
    ends = np.concatenate([[0], np.cumsum(kept)])[weights.indptr]
    return sparse.csr_matrix((weights.data[kept], weights.indices[kept], ends), weights.shape)


def _best_product(held: sparse.csr_matrix, weights: sparse.csr_matrix) -> Floats:
    """Return the maximum over the items of each basket of their rows of weights, 0 where there is none."""
    scores = np.zeros((held.shape[0], weights.shape[1]))
    lengths = np.diff(weights.indptr)
    for basket in range(held.shape[0]):
        items = held.indices[held.indptr[basket] : held.indptr[basket + 1]]
        if size := int(lengths[items].sum()):
            starts = np.repeat(
                weights.indptr[items] - np.concatenate([[0], np.cumsum(lengths[items])[:-1]]), lengths[items]
            )
            at = starts + np.arange(size)
            np.maximum.at(scores[basket], weights.indices[at], weights.data[at])
    return scores
