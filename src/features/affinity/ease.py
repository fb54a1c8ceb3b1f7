"""Linear autoencoder with a closed form: EASE."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from features.affinity.pairs import pair_counts
from features.affinity.purchases import Floats, Per, Purchases, check_at_least
from features.affinity.scorer import ItemScorer, known_items
from features.errors import InputError


class Ease(ItemScorer):
    """EASE: the weights B that best give back who bought what, min |X - X B|^2 + l2 |B|^2 with diag(B) = 0.

    With P = (X'X + l2 I)^-1, B(i, j) = -P(i, j) / P(j, j) and B(j, j) = 0; score(basket, p) = sum over i in the basket
    of B(i, p). P comes from a Cholesky factor in double precision: a third of the work of a plain inverse.

    Parameters
    ----------
    l2 : float
        Above 0. The larger, the more data a pair needs.
    per : "customer" or "order"
        Rows of X.
    most_products : int, optional
        Learn about the products on most orders only: time grows with the third power of their number, memory (8 bytes)
        with the second. All others have the score 0. All products where it is None.

    Attributes
    ----------
    items_ : int array
        Positions of the products that are learnt about.
    weights_ : array, shape (len(items_), len(items_))
        B.

    References
    ----------
    Steck, H. (2019). Embarrassingly shallow autoencoders for sparse data. WWW '19, equation 8.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("ann", "tea", "o1", 3), ("ann", "milk", "o1", 3), ("bob", "tea", "o2", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> Ease(l2=1.0).fit(past).weights_.round(3).tolist()  # milk to tea: 1 / (1 + 1); tea to milk: 1 / (2 + 1)
    [[0.0, 0.5], [0.333, 0.0]]
    """

    def __init__(self, l2: float = 500.0, per: Per = "customer", most_products: int | None = None) -> None:
        self.l2 = l2
        self.per = per
        self.most_products = most_products

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        check_at_least("l2", self.l2, np.finfo(float).tiny)
        self.items_ = most_bought(purchases, self.most_products)
        is_whole = len(self.items_) == purchases.n_products
        known = purchases if is_whole else purchases.where(np.isin(purchases.products, self.items_))
        gram = pair_counts(known, self.per)
        gram = gram[self.items_][:, self.items_].astype(np.float64).toarray(order="F")
        gram[np.diag_indices_from(gram)] += self.l2
        weights = inverse(gram).T  # equal, and its rows are together in memory, as the product with baskets wants them
        scale = -1.0 / np.diag(weights)
        weights *= scale
        np.fill_diagonal(weights, 0.0)
        self.weights_ = weights

    def basket_scores(self, baskets: sparse.csr_matrix) -> Floats:
        scores = np.zeros(baskets.shape)
        scores[:, self.items_] = known_items(baskets)[:, self.items_] @ self.weights_
        return scores


def inverse(matrix: Floats) -> Floats:
    """Return the inverse of a symmetric, positive definite matrix, which is overwritten, by its Cholesky factor.

    Raises
    ------
    InputError
        If the matrix is not positive definite to double precision.
    """
    if not len(matrix):
        return matrix
    factor, failed = lapack.dpotrf(matrix, lower=1, overwrite_a=1)
    if not failed:
        factor, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise InputError("EASE has no solution to double precision", where="l2", hint="choose a larger l2")
    size = 512  # the upper triangle, tile by tile: no second matrix
    for first in range(0, len(factor), size):
        rows = slice(first, first + size)
        factor[rows, first + size :] = factor[first + size :, rows].T
        tile = factor[rows, rows]
        tile[:] = np.tril(tile) + np.tril(tile, -1).T
    return np.asarray(factor)


def most_bought(purchases: Purchases, most: int | None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the positions of the products that are on most orders, equals by id, in the order of positions."""
    if most is not None:
        check_at_least("most_products", most, 1)
    order = np.lexsort((np.arange(purchases.n_products), -purchases.popularity))
    order = order[purchases.popularity[order] > 0]
    return np.sort(order[:most])
