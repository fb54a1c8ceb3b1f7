"""The best products of each row of scores, with ties that no engine decides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.affinity.purchases import Codes, Floats, check_at_least

NONE = -1  # in place of a position where a row has fewer products


def best(
    scores: Floats, k: int, *, without: Any = None, popularity: NDArray[Any] | None = None
) -> tuple[Codes, Floats]:
    """Return the k products of the highest score in each row: by score, then by popularity, then by id.

    Parameters
    ----------
    scores : array, shape (n_rows, n_products)
        NaN and -inf: not to be recommended.
    k : int
        At least 1.
    without : bool array or sparse matrix, shape (n_rows, n_products), optional
        Where it is true (sparse: where there is an entry that is not 0), the product is left out.
    popularity : array, shape (n_products,), optional
        Decides between equal scores; all are equal by default.

    Returns
    -------
    positions : int array, shape (n_rows, k)
        Columns of the products, the best first; -1 where a row has fewer than k.
    values : array, shape (n_rows, k)
        Their scores; NaN at -1.

    Notes
    -----
    Columns are products by id, so that a lower position is a lower id. Time is linear in the size of scores: only k
    products of each row are sorted.

    Examples
    --------
    >>> positions, values = best(np.array([[0.2, 0.5, 0.5], [0.1, np.nan, 0.3]]), 2, popularity=np.array([1, 4, 9]))
    >>> positions.tolist(), values.tolist()
    ([[2, 1], [2, 0]], [[0.5, 0.5], [0.3, 0.1]])
    """
    check_at_least("k", k, 1)
    n_rows, n_products = scores.shape
    # Columns in the order that decides between equals: among equal scores the first ones are taken.
    liked = np.zeros(n_products) if popularity is None else np.asarray(popularity)
    order = np.lexsort((np.arange(n_products), -liked))
    ranked = np.asarray(scores, dtype=np.float64)[:, order]
    np.copyto(ranked, -np.inf, where=np.isnan(ranked))
    if isinstance(without, np.ndarray):
        ranked[without.astype(bool)[:, order]] = -np.inf
    elif without is not None:
        place = np.argsort(order)
        rows, columns = without.nonzero()
        ranked[rows, place[columns]] = -np.inf
    positions, values = np.full((n_rows, k), NONE, dtype=np.int64), np.full((n_rows, k), np.nan)
    if not ranked.size:
        return positions, values
    rows, columns = np.nonzero(_among_the_first(ranked, min(k, n_products)))
    found = ranked[rows, columns]
    sort = np.lexsort((columns, -found, rows))
    rows, columns, found = rows[sort], columns[sort], found[sort]
    rank = np.arange(len(rows)) - np.searchsorted(rows, np.arange(n_rows))[rows]
    positions[rows, rank], values[rows, rank] = order[columns], found
    return positions, values


def _among_the_first(scores: Floats, k: int) -> NDArray[np.bool_]:
    """Mark the k highest scores of each row, of equal ones the first; -inf is none of them."""
    n_products = scores.shape[1]
    last = np.partition(scores, n_products - k, axis=1)[:, n_products - k, None]
    chosen, equal = scores > last, (scores == last) & (last > -np.inf)
    room = k - chosen.sum(axis=1)
    crowded = np.flatnonzero(equal.sum(axis=1) > room)
    equal[crowded] &= np.cumsum(equal[crowded], axis=1, dtype=np.int32) <= room[crowded, None]
    return chosen | equal
