"""Matrix factorisation: what customers and products have in common, in few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from features.affinity.purchases import Floats, Per, Purchases, check_at_least
from features.affinity.scorer import ItemScorer, known_items

NEGLIGIBLE = 1e-6  # of the largest singular value
DENSE = 200  # customers or products: of fewer, the whole decomposition is taken


class Factors(ItemScorer):
    """PureSVD: score(basket, p) = (b V V')(p), with V the first right singular vectors of X, and b the basket of 0, 1.

    X is who bought what, of 0 and 1. Signs and rotations of V change nothing.

    Parameters
    ----------
    n : int
        Number of factors, at least 1; no more than there are customers or products are used.
    per : "customer" or "order"
        Rows of X.

    Attributes
    ----------
    factors_ : array, shape (n_products, n)
        V.

    References
    ----------
    Cremonesi, P., Koren, Y. & Turrin, R. (2010). Performance of recommender algorithms on top-N recommendation tasks.
    RecSys '10, section 3.2.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("ann", "tea", "o1", 3), ("ann", "milk", "o1", 3), ("bob", "cake", "o2", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> Factors(n=1).fit(past).basket_scores(sparse.csr_matrix([[0, 0, 1]])).round(3).tolist()  # cake, milk, tea
    [[0.0, 0.5, 0.5]]
    """

    def __init__(self, n: int = 64, per: Per = "customer") -> None:
        self.n = n
        self.per = per

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        check_at_least("n", self.n, 1)
        held = purchases.baskets(self.per, np.float64)
        if not len(purchases):
            self.factors_ = np.zeros((purchases.n_products, 0))
        elif min(held.shape) <= max(self.n, DENSE):
            size, vectors = _decomposed(held)
            self.factors_ = _kept(size[: self.n], vectors[: self.n])
        else:
            from sklearn.decomposition import TruncatedSVD  # takes a second to import

            found = TruncatedSVD(self.n, algorithm="arpack", random_state=0).fit(held)
            self.factors_ = _kept(found.singular_values_, found.components_)

    def basket_scores(self, baskets: sparse.csr_matrix) -> Floats:
        of_baskets = sparse.csr_matrix(known_items(baskets) @ self.factors_)  # a product of two dense matrices gives a
        return np.asarray(of_baskets @ self.factors_.T)  # basket other bits beside other baskets


def _decomposed(held: sparse.csr_matrix) -> tuple[Floats, Floats]:
    """Return all singular values, the largest first, and the right singular vectors, from the shorter side."""
    if held.shape[1] <= held.shape[0]:
        squares, vectors = np.linalg.eigh((held.T @ held).toarray())
        return np.sqrt(np.maximum(squares[::-1], 0.0)), vectors.T[::-1]
    _, size, vectors = np.linalg.svd(held.toarray(), full_matrices=False)
    return size, vectors


def _kept(size: Floats, vectors: Floats) -> Floats:
    """Return the vectors as columns, without those beyond the rank, which are arbitrary."""
    return np.ascontiguousarray(vectors[size > size.max() * NEGLIGIBLE].T)
