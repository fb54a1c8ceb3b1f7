"""The contract of a scorer, and what scorers of items share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from scipy import sparse

from features.affinity.purchases import Codes, Floats, Purchases
from features.affinity.ranking import best
from features.errors import InputError

NUMBERS_OF_A_BLOCK = 2**24  # scores that are in memory at a time: 128 MiB


class Scorer(ABC):
    """A number for each customer and product: the higher, the sooner the product is recommended.

    Parameters stand in `__init__`, which computes nothing. A scorer knows the customers and products of the purchases
    that it was fitted to, by their codes.

    Attributes
    ----------
    purchases_ : Purchases
        The ones that it was fitted to.
    """

    purchases_: Purchases

    def fit(self, purchases: Purchases, **attributes: Any) -> Self:
        """Learn from purchases before a cutoff.

        Parameters
        ----------
        purchases : Purchases
        **attributes
            Of products, where a scorer needs them: one value per product, in the order of `product_ids`.
        """
        self.purchases_ = purchases
        self._fit(purchases, **attributes)
        return self

    @abstractmethod
    def _fit(self, purchases: Purchases, **attributes: Any) -> None: ...

    @abstractmethod
    def scores_of(self, purchases: Purchases) -> Floats:
        """Return the scores of all products for each customer of some purchases.

        A customer's scores are the same whoever else is among them, to the bit but for `Autoencoder`.

        Parameters
        ----------
        purchases : Purchases
            Their products have the codes of those that it was fitted to; it may never have seen their customers. One
            block of customers at a time, as the result is dense.

        Returns
        -------
        array of doubles, shape (n_customers, n_products)
        """

    def scores(self, customers: Codes) -> Floats:
        """Return the scores of all products for some of the customers that it was fitted to.

        Parameters
        ----------
        customers : int array
            Codes, each once.

        Returns
        -------
        array of doubles, shape (len(customers), n_products)
        """
        return self.scores_of(self.purchases_.of_customers(customers))

    @property
    def learnt(self) -> dict[str, Any]:
        """Arrays and sparse matrices that it has learnt, by attribute, with which `of_learnt` scores as it does."""
        return {name: value for name, value in vars(self).items() if name.endswith("_") and name != "purchases_"}

    def of_learnt(self, learnt: Mapping[str, Any]) -> Self:
        """Take over what a scorer with the same parameters has learnt, for `scores_of` and `basket_scores`."""
        vars(self).update(learnt)
        return self

    def basket_scores(self, baskets: sparse.csr_matrix) -> Floats:
        """Return the scores of all products as the next one in a basket.

        Parameters
        ----------
        baskets : csr_matrix, shape (n_baskets, n_products)
            What is known to be in each basket: not 0.

        Returns
        -------
        array of doubles, shape (n_baskets, n_products)
        """
        raise InputError(
            f"{type(self).__name__} cannot complete a basket: it knows customers, and a basket has none",
            hint="use best-sellers or a scorer of items, such as Rules",
        )

    def lists(
        self, customers: Codes, k: int, *, without: sparse.csr_matrix | None = None, most: int = NUMBERS_OF_A_BLOCK
    ) -> tuple[Codes, Floats]:
        """Return the k best products of each customer, as `best` does, computed in blocks of customers.

        Parameters
        ----------
        customers : int array
        k : int
        without : csr_matrix, shape (len(customers), n_products), optional
            Entries that are not 0: products that are left out, such as those that the customer has.
        most : int
            Numbers in memory at a time.
        """
        size = max(most // max(self.purchases_.n_products, 1), 1)
        found = [
            best(
                self.scores(customers[first : first + size]),
                k,
                without=None if without is None else without[first : first + size],
                popularity=self.purchases_.popularity,
            )
            for first in range(0, max(len(customers), 1), size)
        ]
        return np.concatenate([positions for positions, _ in found]), np.concatenate([values for _, values in found])


class ItemScorer(Scorer):
    """A scorer of baskets: a customer is the basket of all that this customer ever bought."""

    def scores_of(self, purchases: Purchases) -> Floats:
        return self.basket_scores(purchases.baskets("customer"))


def known_items(baskets: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return baskets as a matrix of the doubles 0 and 1."""
    held = sparse.csr_matrix(baskets, dtype=np.float64, copy=True)
    held.eliminate_zeros()
    held.data[:] = 1.0
    return held
