"""Products bought on the same day: pairs of categories per group, by support, confidence and lift."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

PAIR = ["a", "b", "baskets", "support", "confidence", "confidence_back", "lift"]


def pairs(
    baskets: pd.DataFrame,
    *,
    min_support: float,
    min_baskets: int,
    min_customers: int = 1,
    most: int | None = None,
) -> pd.DataFrame:
    """Find pairs of values that share baskets more often than by chance, per group, by a sparse product.

    A basket is what a customer bought on one day. support = share of the group's baskets that hold both; confidence
    = share of those with a that hold b too, confidence_back of those with b that hold a; lift = support / (support of
    a x support of b), 1 where they meet as often as by chance: only pairs above 1 are returned. Lift is largest for
    rare pairs, where it is also least certain: what counts is lift among pairs of some support, so a limit stands below
    and support is told beside it.

    Parameters
    ----------
    baskets : DataFrame
        group, customer_id, day and value, as `behaviour.baskets` returns them: no row twice.
    min_support : float
        Smallest share of the group's baskets, in [0, 1].
    min_baskets : int
        Fewest baskets that hold both: of a small group a share can be a single one.
    min_customers : int
        Fewest customers who bought both: fewer might be identified.
    most : int, optional
        Pairs of a group, those of the highest lift; all where not given.

    Returns
    -------
    DataFrame
        group, a, b (a before b by name), baskets (that hold both), support, confidence, confidence_back, lift and
        group_baskets (all of the group's), by group and lift, the highest first, equals by name.
    """
    found = [
        _pairs_of(rows, min_support, min_baskets, min_customers, most).assign(group=group)
        for group, rows in baskets.groupby("group", observed=True, sort=True)
    ]
    if not found:
        return pd.DataFrame(columns=["group", *PAIR, "group_baskets"])
    table = pd.concat(found, ignore_index=True)
    table["group"] = pd.Categorical(table["group"], dtype=baskets["group"].dtype)
    return table.sort_values(["group", "lift", "a", "b"], ascending=[True, False, True, True], ignore_index=True)


def _pairs_of(
    rows: pd.DataFrame, min_support: float, min_baskets: int, min_customers: int, most: int | None
) -> pd.DataFrame:
    basket = rows.groupby(["customer_id", "day"], sort=False).ngroup().to_numpy()
    values = pd.Categorical(rows["value"])
    n = int(basket.max()) + 1
    held = sparse.csr_matrix((np.ones(len(rows), dtype=np.int32), (basket, values.codes)), (n, len(values.categories)))
    together = sparse.triu(held.T @ held, k=1).tocoo()
    enough = together.data >= max(min_support * n, min_baskets)
    a, b, both = together.row[enough], together.col[enough], together.data[enough].astype(float)
    single = np.asarray(held.sum(axis=0)).ravel()
    names = np.asarray(values.categories)
    found = pd.DataFrame(
        {
            "a": names[a],
            "b": names[b],
            "baskets": both.astype(int),
            "support": both / n,
            "confidence": both / single[a],
            "confidence_back": both / single[b],
            "lift": both * n / (single[a].astype(float) * single[b]),
            "group_baskets": n,
        }
    )
    order = found[found["lift"] > 1].sort_values(["lift", "a", "b"], ascending=[False, True, True]).index
    if min_customers == 1:
        return found.loc[order[:most]]
    customer = np.empty(n, dtype=int)
    customer[basket] = pd.factorize(rows["customer_id"])[0]
    columns, kept = held.tocsc(), []
    for pair in order:  # from the highest lift on, until there are enough: not many are asked
        baskets = [columns.indices[columns.indptr[at] : columns.indptr[at + 1]] for at in (a[pair], b[pair])]
        if len(np.unique(customer[np.intersect1d(*baskets, assume_unique=True)])) >= min_customers:
            kept.append(pair)
        if len(kept) == most:
            break
    return found.loc[kept]
