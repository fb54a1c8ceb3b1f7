"""Counts of pairs: how many orders or customers hold two products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from features.affinity.purchases import Per, Purchases, check_at_least

BLOCK = 2_000  # products: the block of the product of matrices that is in memory beside the result


def pair_counts(purchases: Purchases, per: Per = "order", *, minimum: int = 1, block: int = BLOCK) -> sparse.csr_matrix:
    """Count the orders, or customers, that hold both of two products: X'X of the matrix X of 0 and 1.

    The product is taken for a block of rows at a time, so that a large shop needs little more memory than the result:
    8 bytes for each pair that occurs. The counts of a single block are kept with the purchases, as several scorers read
    them: the result must not be changed.

    Parameters
    ----------
    purchases : Purchases
    per : "order" or "customer"
    minimum : int
        Pairs that fewer hold are left out: counts below it are 0 in the result, also on the diagonal.
    block : int
        Products of a block.

    Returns
    -------
    csr_matrix of int32, shape (n_products, n_products)
        Symmetric, indices sorted; the diagonal holds the number of orders, or customers, with each product.

    References
    ----------
    Deshpande, M. & Karypis, G. (2004). Item-based top-N recommendation algorithms. ACM TOIS 22(1), section 4.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("ann", "tea", "o1", 3), ("ann", "milk", "o1", 3), ("bob", "tea", "o2", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> pair_counts(past).toarray().tolist()  # milk, tea
    [[1, 1], [1, 2]]
    """
    check_at_least("minimum", minimum, 1)
    check_at_least("block", block, 1)
    if purchases.n_products > block:
        return _stacked(list(_counted(purchases, per, minimum, block)), purchases.n_products)
    kept = purchases.kept_counts
    if per not in kept:
        kept[per] = _stacked(list(_counted(purchases, per, 1, block)), purchases.n_products)
    return kept[per] if minimum == 1 else _at_least(kept[per].copy(), minimum)


def _counted(purchases: Purchases, per: Per, minimum: int, block: int) -> Iterator[sparse.csr_matrix]:
    """Yield the counts of one block of products after another."""
    held = purchases.baskets(per, np.int32)
    by_product = held.T.tocsr()
    for first in range(0, purchases.n_products, block):
        part = by_product[first : first + block] @ held
        if minimum > 1:
            part = _at_least(part, minimum)
        part.sort_indices()
        yield part


def _at_least(counts: sparse.csr_matrix, minimum: int) -> sparse.csr_matrix:
    """Leave out lower counts, in place."""
    counts.data[counts.data < minimum] = 0
    counts.eliminate_zeros()
    return counts


def _stacked(parts: list[sparse.csr_matrix], n: int) -> sparse.csr_matrix:
    """Put blocks of rows together, and free each of them: `sparse.vstack` would need twice the memory."""
    lengths = np.concatenate([[0], *(np.diff(part.indptr) for part in parts)])
    ends = np.cumsum(lengths, dtype=np.int64)
    data, columns = np.empty(ends[-1], dtype=np.int32), np.empty(ends[-1], dtype=np.int32)
    at = int(ends[-1])
    while parts:
        part = parts.pop()
        data[at - part.nnz : at], columns[at - part.nnz : at] = part.data, part.indices
        at -= part.nnz
    if ends[-1] <= np.iinfo(np.int32).max:
        ends = ends.astype(np.int32)
    return sparse.csr_matrix((data, columns, ends), (n, n))
