"""Denoising autoencoder: a small network that gives back what was hidden from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from features.affinity.ease import most_bought
from features.affinity.purchases import Floats, Per, Purchases, check_at_least
from features.affinity.scorer import ItemScorer, known_items
from features.errors import InputError


class Autoencoder(ItemScorer):
    """Denoising autoencoder: a network with one hidden layer learns x from x with some of its products hidden.

    x is a customer's vector of 0 and 1; the network reads it divided by its length. In each epoch every product is
    hidden with probability `hidden_share`, newly drawn. scikit-learn's MLPRegressor (tanh, squared error, Adam) is
    trained; score(basket, p) is its output for p.

    Parameters
    ----------
    units : int
        Of the hidden layer.
    epochs : int
    hidden_share : float
        In [0, 1).
    learning_rate, l2 : float
        Above 0; at least 0.
    per : "customer" or "order"
        Rows to learn from.
    most_products : int, optional
        Learn about the products on most orders only; all others have the score 0. All products where it is None.
    seed : int

    References
    ----------
    Vincent, P. et al. (2008). Extracting and composing robust features with denoising autoencoders. ICML '08.
    Liang, D. et al. (2018). Variational autoencoders for collaborative filtering. WWW '18 (their Mult-DAE).

    Examples
    --------
    >>> import pandas as pd
    >>> kinds = [("tea", "milk"), ("ale", "nuts")]
    >>> rows = [(f"c{i}", item, f"o{i}", 3) for i in range(60) for item in kinds[i % 2]]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> scorer = Autoencoder(units=4, epochs=60, learning_rate=0.02).fit(past)
    >>> scores = scorer.basket_scores(sparse.csr_matrix([[0, 0, 0, 1]]))
    >>> past.product_ids[np.argsort(-scores[0])][:2].tolist()  # of a basket with tea
    ['tea', 'milk']
    """

    def __init__(
        self,
        units: int = 64,
        epochs: int = 30,
        hidden_share: float = 0.5,
        learning_rate: float = 0.003,
        l2: float = 1e-4,
        per: Per = "customer",
        most_products: int | None = 2_000,
        seed: int = 0,
    ) -> None:
        self.units = units
        self.epochs = epochs
        self.hidden_share = hidden_share
        self.learning_rate = learning_rate
        self.l2 = l2
        self.per = per
        self.most_products = most_products
        self.seed = seed

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        for name in ("units", "epochs"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("learning_rate", self.learning_rate, np.finfo(float).tiny)
        for name in ("hidden_share", "l2"):
            check_at_least(name, getattr(self, name), 0)
        if self.hidden_share >= 1:
            raise InputError(
                "hidden_share is too large", where="hidden_share", expected="below 1", found=f"{self.hidden_share}"
            )
        self.items_ = most_bought(purchases, self.most_products)
        held = purchases.baskets(self.per, np.float64)[:, self.items_]
        held = held[np.flatnonzero(np.diff(held.indptr))]
        self.network_ = self._trained(held) if held.shape[0] else None

    def _trained(self, held: sparse.csr_matrix) -> Any:
        from sklearn.neural_network import MLPRegressor  # takes a second to import

        network = MLPRegressor(
            hidden_layer_sizes=(self.units,),
            activation="tanh",
            alpha=self.l2,
            batch_size=min(200, held.shape[0]),
            learning_rate_init=self.learning_rate,
            random_state=self.seed,
        )
        target, rng = held.toarray(), np.random.default_rng(self.seed)
        for _ in range(self.epochs):
            seen = held.copy()
            seen.data *= rng.random(seen.nnz) >= self.hidden_share
            network.partial_fit(_of_length_one(seen), target if target.shape[1] > 1 else target.ravel())
        return network

    def basket_scores(self, baskets: sparse.csr_matrix) -> Floats:
        scores = np.zeros(baskets.shape)
        if self.network_ is not None and baskets.shape[0]:
            found = self.network_.predict(_of_length_one(known_items(baskets)[:, self.items_]))
            scores[:, self.items_] = found.reshape(-1, len(self.items_))
        return scores


def _of_length_one(held: sparse.csr_matrix) -> sparse.csr_matrix:
    length = np.sqrt(np.asarray(held.multiply(held).sum(axis=1)))
    return held.multiply(1.0 / np.maximum(length, 1.0)).tocsr()
