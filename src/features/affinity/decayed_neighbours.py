"""Next baskets by decayed counts of the customer's own products and of similar customers'."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from features.affinity.purchases import Codes, Floats, Purchases, check_at_least
from features.affinity.ranking import NONE, best
from features.affinity.scorer import NUMBERS_OF_A_BLOCK, Scorer
from features.errors import InputError


class DecayedNeighbours(Scorer):
    """TIFU-KNN: a customer's decayed product counts, smoothed by those of the most similar customers.

    A customer's n orders, from the oldest to the latest, form g groups of `group_size`; of these the oldest may hold
    fewer. A group of s orders v(1) ... v(s) of 0 and 1 has the vector (1/s) sum of order_decay^(s - j) v(j). The
    customer's vector u is (1/g) sum of group_decay^(g - i) times that of group i. With N the k customers whose vectors
    are nearest to u (Euclidean distance; equals by id),

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
    Orders of one day count in the order of their ids. Where a customer has no neighbour, their mean is 0.

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
        self.vectors_ = purchases.counts(self._weights(purchases))
        self.known_ = np.flatnonzero(np.diff(self.vectors_.indptr))

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

    def scores(self, customers: Codes) -> Floats:
        size = max(NUMBERS_OF_A_BLOCK // max(len(self.known_), 1), 1)
        blocks = [self._scores(customers[first : first + size]) for first in range(0, max(len(customers), 1), size)]
        return np.concatenate(blocks)

    def _scores(self, customers: Codes) -> Floats:
        own, others = self.vectors_[customers], self.vectors_[self.known_]
        near = np.asarray((2.0 * own @ others.T).toarray())
        near -= np.asarray(others.multiply(others).sum(axis=1)).ravel()  # -distance^2, but for the own length
        itself = customers[:, None] == self.known_[None, :]
        chosen, _ = best(near, self.k, without=itself)
        rows, columns = np.nonzero(chosen != NONE)
        n_chosen = np.maximum(np.bincount(rows, minlength=len(customers)), 1)
        shape = (len(customers), len(self.known_))
        mean = sparse.csr_matrix((1.0 / n_chosen[rows], (rows, chosen[rows, columns])), shape) @ others
        return np.asarray((self.own_share * own + (1.0 - self.own_share) * mean).toarray())
