"""The best products of each row of scores, with ties that no engine decides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

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
    scores = np.asarray(scores, dtype=np.float64)
    n_rows, n_products = scores.shape
    liked = np.zeros(n_products) if popularity is None else np.asarray(popularity)
    order = np.lexsort((np.arange(n_products), -liked))
    place = np.empty(n_products, dtype=np.int64)  # of each product among those of equal scores
    place[order] = np.arange(n_products)
    left_out = None if without is None else sparse.csr_matrix(without)
    positions, values = np.full((n_rows, k), NONE, dtype=np.int64), np.full((n_rows, k), np.nan)
    for row in range(n_rows if n_products else 0):  # one row at a time stays in the processor's cache
        own = scores[row].copy()
        own[np.isnan(own)] = -np.inf
        if left_out is not None:
            entries = slice(left_out.indptr[row], left_out.indptr[row + 1])
            own[left_out.indices[entries][left_out.data[entries] != 0]] = -np.inf
        chosen = _first(own, min(k, n_products), place)
        positions[row, : len(chosen)], values[row, : len(chosen)] = chosen, own[chosen]
    return positions, values


def _first(scores: Floats, k: int, place: Codes) -> Codes:
    """Return the positions of the k highest scores above -inf, the highest first, equal ones by their place."""
    last = -np.partition(-scores, k - 1)[k - 1]  # from its low end: with many equal scores the other one takes 20 times
    if last == -np.inf:
        found = np.flatnonzero(scores > last)
    else:
        found = np.flatnonzero(scores >= last)
        if len(found) > k:  # of those that are equal to the last one, the first by their place
            higher, equal = found[scores[found] > last], found[scores[found] == last]
            room = k - len(higher)
            found = np.concatenate([higher, equal[np.argpartition(place[equal], room - 1)[:room]]])
    return found[np.lexsort((place[found], -scores[found]))]
