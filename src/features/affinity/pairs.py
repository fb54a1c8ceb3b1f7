"""Counts of pairs: how many orders or customers hold two products."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from features.affinity.purchases import Per, Purchases, check_at_least

BLOCK = 2_000  # products: the block of the product of matrices that is in memory beside the result


def pair_counts(purchases: Purchases, per: Per = "order", *, minimum: int = 1, block: int = BLOCK) -> sparse.csr_matrix:
    """Count the orders, or customers, that hold both of two products: X'X of the matrix X of 0 and 1.

    The product is taken for a block of rows at a time, so that a large shop needs little more memory than the result:
    8 bytes for each pair that occurs.

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
    held = purchases.baskets(per, np.int32)
    by_product = held.T.tocsr()
    parts = []
    for first in range(0, purchases.n_products, block):
        part = by_product[first : first + block] @ held
        if minimum > 1:
            part.data[part.data < minimum] = 0
            part.eliminate_zeros()
        part.sort_indices()
        parts.append(part)
    return _stacked(parts, purchases.n_products)


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
