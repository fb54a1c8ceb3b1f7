"""Next baskets by decayed counts of the customer's own products and of similar customers'."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.affinity.purchases import Floats, Purchases, check_at_least
from features.affinity.ranking import NONE, best
from features.affinity.scorer import NUMBERS_OF_A_BLOCK, Scorer
from features.errors import InputError


class DecayedNeighbours(Scorer):
    """TIFU-KNN: a customer's decayed product counts, smoothed by those of the most similar customers.

    A customer's n orders, from the oldest to the latest, form g groups of `group_size`; of these the oldest may hold
    fewer. A group of s orders v(1) ... v(s) of 0 and 1 has the vector (1/s) sum of order_decay^(s - j) v(j). The
    customer's vector u is (1/g) sum of group_decay^(g - i) times that of group i. With N the k customers whose vectors
    are nearest to u (Euclidean distance; equals in the order of `vectors_`),

        score(c, .) = own_share u(c) + (1 - own_share) mean of u over N.

    Parameters
    ----------
    k : int
        Neighbours; all other customers where there are fewer.
    group_size : int
        Orders of a group.
    order_decay, group_decay : float
        In (0, 1]: weight of an order beside the next one in its group, of a group beside the next one.
    own_share : float
        In [0, 1].

    Notes
    -----
    Orders of one day count in the order of their ids. Where a customer has no neighbour, their mean is 0. A customer is
    no neighbour of the own: one who was not fitted to is taken for one with the same vector, if there is any.

    Attributes
    ----------
    vectors_ : csr_matrix, shape (customers with a purchase, n_products)
        Their vectors, in the order of a hash of each: of its row nothing names the customer.
    hashes_ : array of uint64
    lengths_ : array
        Squared lengths.

    References
    ----------
    Hu, H., He, X., Gao, J. & Zhang, Z.-L. (2020). Modeling personalized item frequency information for next-basket
    recommendation. SIGIR '20, section 4.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("ann", "tea", "o1", 9), ("ann", "milk", "o2", 2), ("bob", "tea", "o3", 5)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> scorer = DecayedNeighbours(k=1, group_size=2, order_decay=0.5, own_share=0.75).fit(past)
    >>> scorer.scores(np.array([0])).tolist()  # ann: 0.75 (0.5, 0.25) + 0.25 (0, 1) of milk and tea
    [[0.375, 0.4375]]
    """

    def __init__(
        self,
        k: int = 300,
        group_size: int = 7,
        order_decay: float = 0.9,
        group_decay: float = 0.7,
        own_share: float = 0.7,
    ) -> None:
        self.k = k
        self.group_size = group_size
        self.order_decay = order_decay
        self.group_decay = group_decay
        self.own_share = own_share

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        check_at_least("k", self.k, 1)
        check_at_least("group_size", self.group_size, 1)
        for name, low in (
            ("order_decay", np.finfo(float).tiny),
            ("group_decay", np.finfo(float).tiny),
            ("own_share", 0),
        ):
            check_at_least(name, value := getattr(self, name), low)
            if value > 1:
                raise InputError(f"{name} is too large", where=name, expected="at most 1", found=f"{value}")
        vectors = self.vectors_of(purchases)
        vectors = vectors[np.flatnonzero(np.diff(vectors.indptr))]
        hashes = _hashes(vectors)
        order = np.argsort(hashes, kind="stable")
        self.hashes_, self.vectors_ = hashes[order], vectors[order]
        self.lengths_ = np.asarray(self.vectors_.multiply(self.vectors_).sum(axis=1)).ravel()

    def vectors_of(self, purchases: Purchases) -> sparse.csr_matrix:
        """Return the vector u of each customer: shape (n_customers, n_products)."""
        return purchases.counts(self._weights(purchases))

    def _weights(self, purchases: Purchases) -> Floats:
        """Return each row's share of its customer's vector."""
        first = np.unique(purchases.orders, return_index=True)[1]
        customer, day = purchases.customers[first], purchases.days[first]
        order = np.lexsort((-np.arange(len(first)), day, customer))  # the latest of each customer first
        n_orders = np.bincount(customer, minlength=purchases.n_customers)
        starts = np.cumsum(n_orders) - n_orders
        back = np.empty(len(first), dtype=np.int64)  # orders of the customer after this one
        back[order] = np.arange(len(first)) - starts[customer[order]]
        group, place = np.divmod(back, self.group_size)
        n_groups = -(-n_orders // self.group_size)[customer]
        size = np.where(group < n_groups - 1, self.group_size, n_orders[customer] - (n_groups - 1) * self.group_size)
        weight = self.order_decay**place / size * self.group_decay**group / n_groups
        return np.asarray(weight[purchases.orders])

    def scores_of(self, purchases: Purchases) -> Floats:
        size, vectors = max(NUMBERS_OF_A_BLOCK // max(self.vectors_.shape[0], 1), 1), self.vectors_of(purchases)
        starts = range(0, max(purchases.n_customers, 1), size)
        return np.concatenate([self._scores(vectors[first : first + size]) for first in starts])

    def _scores(self, own: sparse.csr_matrix) -> Floats:
        others, shape = self.vectors_, (own.shape[0], self.vectors_.shape[0])
        near = np.asarray((2.0 * own @ others.T).toarray()) - self.lengths_  # -distance^2, but for the own length
        hashes = _hashes(own)
        at = np.searchsorted(self.hashes_, hashes)
        known = np.flatnonzero(np.isin(hashes, self.hashes_))
        itself = sparse.csr_matrix((np.ones(len(known)), (known, at[known])), shape)
        chosen, _ = best(near, self.k, without=itself)
        rows, columns = np.nonzero(chosen != NONE)
        n_chosen = np.maximum(np.bincount(rows, minlength=own.shape[0]), 1)
        mean = sparse.csr_matrix((1.0 / n_chosen[rows], (rows, chosen[rows, columns])), shape) @ others
        return np.asarray((self.own_share * own + (1.0 - self.own_share) * mean).toarray())


def _hashes(vectors: sparse.csr_matrix) -> NDArray[np.uint64]:
    """Return a hash of each row's columns and values."""
    columns, values = vectors.indices.astype(np.int64), vectors.data
    spans = [slice(*span) for span in zip(vectors.indptr[:-1], vectors.indptr[1:], strict=True)]
    found = [hashlib.blake2b(columns[of].tobytes() + values[of].tobytes(), digest_size=8).digest() for of in spans]
    return np.frombuffer(b"".join(found), dtype="<u8")
