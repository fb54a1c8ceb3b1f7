"""Similar products by what they are: category, brand and price band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from features.affinity.purchases import Floats, Purchases, check_at_least
from features.affinity.scorer import Scorer, known_items
from features.errors import InputError, listing

ATTRIBUTES = ("category", "brand", "price")


class Content(Scorer):
    """Content similarity: the share of the customer's purchases that a product resembles.

    score(c, p) = sum over attributes a of w(a) x share of c's purchases whose value of a is that of p. A purchase is a
    product on an order; an unknown value equals no other. All attributes of one product and one purchase alike give
    the sum of the weights. A product is compared with itself, too: leave it out of the list where it is to be new.

    Parameters
    ----------
    category, brand, price : float
        Weights w, at least 0, of attributes that are given to `fit`.
    bands : int
        Price bands of each category: as many products in each as can be, equal prices in one.

    Notes
    -----
    `fit(purchases, category=..., brand=..., price=...)` takes one value per product, in the order of `product_ids`:
    texts, and unit prices. At least one is needed. Where no categories are given, bands are those of all products.

    References
    ----------
    Pazzani, M. & Billsus, D. (2007). Content-based recommendation systems. In The Adaptive Web, section 10.3.

    Examples
    --------
    >>> rows = [("ann", "tea", "o1", 3), ("ann", "milk", "o1", 3), ("bob", "mate", "o2", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> scorer = Content().fit(past, category=["drinks", "dairy", "drinks"])  # mate, milk, tea
    >>> scorer.scores(np.array([0, 1])).tolist()
    [[0.5, 0.5, 0.5], [1.0, 0.0, 1.0]]
    """

    def __init__(self, category: float = 1.0, brand: float = 0.5, price: float = 0.25, bands: int = 3) -> None:
        self.category = category
        self.brand = brand
        self.price = price
        self.bands = bands

    def _fit(self, purchases: Purchases, **attributes: Any) -> None:
        check_at_least("bands", self.bands, 1)
        given = {
            name: np.asarray(attributes[name], dtype=object) for name in ATTRIBUTES if attributes.get(name) is not None
        }
        if not given or not attributes.keys() <= set(ATTRIBUTES):
            raise InputError(
                "products have no attribute to compare",
                expected=f"one of {listing(ATTRIBUTES)}",
                found=listing(attributes) or "none",
            )
        for name, values in given.items():
            check_at_least(name, getattr(self, name), 0)
            if len(values) != purchases.n_products:
                raise InputError(
                    f"{name} does not have one value per product",
                    expected=f"{purchases.n_products:,} values",
                    found=f"{len(values):,}",
                )
        if "price" in given:
            given["price"] = _bands(given["price"], given.get("category"), self.bands)
        self.values_ = sparse.hstack(
            [_indicators(values) * np.sqrt(getattr(self, name)) for name, values in given.items()], format="csr"
        )

    def scores_of(self, purchases: Purchases) -> Floats:
        return self._shared(purchases.counts())

    def basket_scores(self, baskets: sparse.csr_matrix) -> Floats:
        return self._shared(known_items(baskets))

    def _shared(self, bought: sparse.csr_matrix) -> Floats:
        total = np.asarray(bought.sum(axis=1))
        shares = bought.multiply(1.0 / np.maximum(total, 1.0)).tocsr() @ self.values_
        return np.asarray((shares @ self.values_.T).toarray())


def _indicators(values: np.ndarray[Any, Any]) -> sparse.csr_matrix:
    """Return a column of 0 and 1 for each value; rows of unknown ones are empty."""
    codes, found = pd.factorize(pd.Series(values, dtype=object))
    known = np.flatnonzero(codes >= 0)
    return sparse.csr_matrix((np.ones(len(known)), (known, codes[known])), (len(values), len(found)))


def _bands(price: Sequence[Any] | np.ndarray[Any, Any], category: Any, bands: int) -> np.ndarray[Any, Any]:
    """Return a text for each price's band within its category, None where one of both is unknown."""
    prices = pd.to_numeric(pd.Series(price, dtype=object))
    groups = pd.Series(["" for _ in prices] if category is None else category, dtype=object)
    by_group = prices.groupby(groups)
    rank, size = by_group.rank(method="min"), by_group.transform("count")
    band = ((rank - 1) * bands // size).astype(object)
    known = (prices.notna() & groups.notna()).to_numpy()
    return np.array(
        [f"{group}: {int(of)}" if is_known else None for group, of, is_known in zip(groups, band, known, strict=True)],
        dtype=object,
    )
