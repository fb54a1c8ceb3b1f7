"""Reasons of recommendations, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.affinity.pairs import pair_counts
from features.affinity.purchases import Codes, Purchases, check_at_least
from features.errors import InputError

BLOCK = 4_096  # recommendations whose rules are compared at a time


@dataclass(frozen=True, eq=False)
class OrderCounts:
    """Orders that hold a product, or two, of all customers.

    Attributes
    ----------
    together : csr_matrix of int32, shape (n_products, n_products)
        Orders with both of two products: see `pair_counts`.
    popularity : int array, shape (n_products,)
        Orders with each product.
    n_orders : int
    """

    together: sparse.csr_matrix
    popularity: Codes
    n_orders: int

    @classmethod
    def of(cls, purchases: Purchases, minimum: int) -> OrderCounts:
        """Count the orders; pairs that fewer hold than `minimum` are left out."""
        return cls(pair_counts(purchases, "order", minimum=minimum), purchases.popularity, purchases.n_orders)


class Reasons:
    """Sentences about recommended products, from what is known before a cutoff.

    A product that the customer bought before: its rhythm, "every 12 days, last on 3 December" (the median gap between
    the days on which it was bought), or "bought once, on 3 December". A new one: the rule that speaks most for it, of
    those from a product that the customer has, with a lift above 1 and enough orders: "bought with NEST CAM on 41
    orders, 3.1 times as often as chance". Where there is no such rule: "on 1,203 orders, number 4 of best-sellers".

    Parameters
    ----------
    purchases : Purchases
        Of the customers who get reasons.
    cutoff : date
    names : sequence of str, optional
        Of the products, in the order of `product_ids`, which stand in where they are not given.
    minimum_count : int
        Fewest orders of a rule that is told.
    counts : OrderCounts, optional
        Of all customers, with pairs of at least `minimum_count` orders; those of `purchases` where not given.

    Notes
    -----
    Of several rules the one of the highest confidence is told; of equals that of the higher lift, then the lower id.
    """

    def __init__(
        self,
        purchases: Purchases,
        cutoff: date,
        names: Sequence[str] | None = None,
        *,
        minimum_count: int = 2,
        counts: OrderCounts | None = None,
    ) -> None:
        if names is not None and len(names) != purchases.n_products:
            raise InputError(
                "there is not one name per product", expected=f"{purchases.n_products:,}", found=f"{len(names):,}"
            )
        check_at_least("minimum_count", minimum_count, 1)
        self._purchases = purchases
        self._cutoff = cutoff
        self._names = purchases.product_ids if names is None else np.asarray(names, dtype=object)
        self._counts = OrderCounts.of(purchases, minimum_count) if counts is None else counts
        self._held = purchases.baskets("customer")
        order = np.lexsort((np.arange(purchases.n_products), -self._counts.popularity))
        self._rank = np.empty(purchases.n_products, dtype=np.int64)
        self._rank[order] = np.arange(1, purchases.n_products + 1)

    def of_customers(self, customers: Codes, products: Codes) -> NDArray[Any]:
        """Return the reason of each recommendation.

        Parameters
        ----------
        customers, products : int arrays, shape (n,)
            Codes: who gets which product.

        Returns
        -------
        array of str, shape (n,)
        """
        gap, latest, times = self._rhythms(customers, products)
        reasons = np.empty(len(products), dtype=object)
        for at in np.flatnonzero(times > 0):
            reasons[at] = self._again(float(gap[at]), int(latest[at]), int(times[at]))
        new = np.flatnonzero(times == 0)
        for first in range(0, len(new), BLOCK):
            rows = new[first : first + BLOCK]
            reasons[rows] = self._by_rules(self._held[customers[rows]], products[rows])
        return reasons

    def of_baskets(self, baskets: sparse.csr_matrix, products: Codes) -> NDArray[Any]:
        """Return the reason of one product for each basket.

        Parameters
        ----------
        baskets : csr_matrix, shape (n, n_products)
            What is known to be in each basket: not 0.
        products : int array, shape (n,)
        """
        blocks = [
            self._by_rules(baskets[first : first + BLOCK], products[first : first + BLOCK])
            for first in range(0, max(len(products), 1), BLOCK)
        ]
        return np.concatenate(blocks)

    def _again(self, gap: float, latest: int, times: int) -> str:
        day = self._cutoff - timedelta(days=latest)
        last = f"{day.day} {day:%B}" if (self._cutoff - day).days < 300 else f"{day.day} {day:%B %Y}"
        if times == 1:
            return f"bought once, on {last}"
        every = "every day" if round(gap) == 1 else f"every {gap:.0f} days"
        return f"{every}, last on {last}"

    def _rhythms(self, customers: Codes, products: Codes) -> tuple[NDArray[Any], Codes, Codes]:
        """Return the median gap in days, the latest day before the cutoff and the number of days, of each pair."""
        past = self._purchases
        wanted = customers * past.n_products + products
        owned = past.customers * past.n_products + past.products
        kept = np.isin(owned, wanted)
        pairs, days = owned[kept], past.days[kept]
        order = np.lexsort((days, pairs))
        pairs, days = pairs[order], days[order]
        first = np.ones(len(pairs), dtype=bool)
        first[1:] = (np.diff(pairs) != 0) | (np.diff(days) != 0)  # two orders of a day are one day
        pairs, days = pairs[first], days[first]
        found, starts, times = np.unique(pairs, return_index=True, return_counts=True)
        gaps, of = np.diff(days), pairs[1:]
        same = np.diff(pairs) == 0
        gaps, of = gaps[same], of[same]
        order = np.lexsort((gaps, of))
        gaps = gaps[order]
        n_gaps = times - 1
        begins = np.cumsum(n_gaps) - n_gaps
        median = np.full(len(found), np.nan)
        several = n_gaps > 0
        low, high = begins[several] + (n_gaps[several] - 1) // 2, begins[several] + n_gaps[several] // 2
        median[several] = (gaps[low] + gaps[high]) / 2
        at = np.searchsorted(found, wanted)
        known = np.zeros(len(wanted), dtype=bool)
        inside = at < len(found)
        known[inside] = found[at[inside]] == wanted[inside]
        out = np.full(len(wanted), np.nan), np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64)
        out[0][known], out[1][known], out[2][known] = median[at[known]], days[starts[at[known]]], times[at[known]]
        return out

    def _by_rules(self, held: sparse.csr_matrix, products: Codes) -> NDArray[Any]:
        of_all = self._counts
        single, n = of_all.popularity.astype(float), of_all.n_orders
        known = held.astype(bool).astype(np.int32)
        rules = of_all.together[products].multiply(known).tocoo()
        left, right, count = rules.col, products[rules.row], rules.data.astype(np.int64)
        lift = count * n / (single[left] * single[right])
        told = (left != right) & (lift > 1)
        row, left, count, lift = rules.row[told], left[told], count[told], lift[told]
        order = np.lexsort((left, -lift, -count / single[left], row))
        row, first = np.unique(row[order], return_index=True)
        reasons = np.empty(len(products), dtype=object)
        reasons[:] = [
            f"on {_orders(of_all.popularity[product])}, number {self._rank[product]:,} of best-sellers"
            for product in products
        ]
        for at, rule in zip(row, order[first], strict=True):
            often = f"on {_orders(count[rule])}, {_times(lift[rule])} times as often as chance"
            reasons[at] = f"bought with {self._names[left[rule]]} {often}"
        return reasons


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count:,} orders"


def _times(lift: float) -> str:
    return f"{lift:.1f}" if lift < 10 else f"{lift:,.0f}"
