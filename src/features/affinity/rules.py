"""Association rules as a table: pairs by a sparse product, longer antecedents by mlxtend."""

from __future__ import annotations

import warnings
from collections.abc import Collection

import numpy as np
import pandas as pd

from features.affinity.pairs import pair_counts
from features.affinity.purchases import Codes, Floats, Per, Purchases, check_at_least
from features.errors import InputError

MEASURES = ("support", "confidence", "lift", "leverage", "conviction")
COUNTS = ("count", "antecedent_count", "consequent_count", "baskets")
RULE = ("antecedent", "consequent", *MEASURES, *COUNTS)
MOST_ITEMSETS = 1_000_000  # rows of a table that people browse, and of what mlxtend keeps in memory


def rule_table(
    purchases: Purchases,
    *,
    per: Per = "order",
    min_support: float = 0.0,
    min_count: int = 1,
    min_confidence: float = 0.0,
    min_lift: float = 0.0,
    longest: int = 1,
    only: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return the association rules X -> p of sets X of products to one product p, and their measures.

    Of n baskets, n(X) hold all of X: support = n(X and p) / n; confidence = n(X and p) / n(X); lift = confidence n /
    n(p), 1 where both meet as often as by chance; leverage = support - n(X) n(p) / n^2, in [-0.25, 0.25]; conviction =
    (1 - n(p) / n) / (1 - confidence), infinite where p is always there.

    Parameters
    ----------
    purchases : Purchases
        `purchases.last(days)` for the last days only.
    per : "order" or "customer"
        What is a basket: an order, or all that a customer bought.
    min_support : float
        In [0, 1].
    min_count : int
        Fewest baskets with X and p, at least 1.
    min_confidence, min_lift : float
    longest : int
        Most products in X. Pairs, 1, are counted by a sparse product. For longer ones mlxtend's fpgrowth finds all
        frequent sets: raise `min_count` or `min_support` for them.
    only : collection of str, optional
        Rules in which one of these products takes part.

    Returns
    -------
    DataFrame
        antecedent (tuple of product ids, sorted), consequent (product id), support, confidence, lift, leverage,
        conviction, count, antecedent_count, consequent_count, baskets: by lift, then count, the highest first, then by
        ids.

    References
    ----------
    Agrawal, R., Imielinski, T. & Swami, A. (1993). Mining association rules between sets of items. SIGMOD.
    Brin, S. et al. (1997). Dynamic itemset counting and implication rules for market basket data. SIGMOD (conviction).
    Piatetsky-Shapiro, G. (1991). Discovery, analysis, and presentation of strong rules (leverage).

    Examples
    --------
    >>> rows = [("ann", "tea", "o1", 3), ("ann", "milk", "o1", 3), ("bob", "tea", "o2", 1), ("bob", "ale", "o3", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> rule_table(past)[["antecedent", "consequent", "support", "confidence", "lift"]].round(3).values.tolist()
    [[('milk',), 'tea', 0.333, 1.0, 1.5], [('tea',), 'milk', 0.333, 0.5, 1.5]]
    """
    for name, value, least in (("min_support", min_support, 0.0), ("min_count", min_count, 1), ("longest", longest, 1)):
        check_at_least(name, value, least)
    n = purchases.n_orders if per == "order" else len(np.unique(purchases.customers))
    # A little below, or the rounding of a quotient would decide.
    count = max(min_count, int(np.ceil(min_support * n * (1 - 1e-12))), 1)
    wanted = None if only is None else frozenset(only)
    if longest == 1:
        table = _pairs(purchases, per, count, n, (min_confidence, min_lift), wanted)
    else:
        table = _longer(purchases, per, count, n, longest)
        kept = (table["confidence"] >= min_confidence) & (table["lift"] >= min_lift)
        if wanted is not None:
            before = np.array([not wanted.isdisjoint(items) for items in table["antecedent"]], dtype=bool)
            kept &= table["consequent"].isin(wanted) | before
        table = table[kept]
    order = np.lexsort(
        (
            pd.factorize(table["consequent"], sort=True)[0],
            pd.factorize(table["antecedent"].map("\x00".join), sort=True)[0],
            -table["count"],
            -table["lift"],
        )
    )
    return table.iloc[order].reset_index(drop=True)


def _pairs(
    purchases: Purchases, per: Per, least: int, n: int, limits: tuple[float, float], wanted: frozenset[str] | None
) -> pd.DataFrame:
    counts = pair_counts(purchases, per, minimum=least).tocoo()
    single = purchases.popularity if per == "order" else purchases.buyers
    left, right, both = counts.row, counts.col, counts.data
    kept = (left != right) & (both / single[left] >= limits[0])
    kept &= _lift(both, single[left], single[right], n) >= limits[1]
    if wanted is not None:
        is_wanted = np.isin(purchases.product_ids, list(wanted))
        kept &= is_wanted[left] | is_wanted[right]
    left, right, both = left[kept], right[kept], both[kept]
    _check_size(len(both))
    one = np.empty(purchases.n_products, dtype=object)
    one[:] = [(product,) for product in purchases.product_ids]
    return _measured(one[left], purchases.product_ids[right], both, single[left], single[right], n)


def _longer(purchases: Purchases, per: Per, least: int, n: int, longest: int) -> pd.DataFrame:
    held = purchases.baskets(per)
    frequent = np.flatnonzero(np.asarray(held.sum(axis=0)).ravel() >= least)
    if not len(frequent):
        return _measured(*(np.empty(0, dtype=object),) * 2, *(np.empty(0, dtype=np.int64),) * 3, n)
    with warnings.catch_warnings():  # its import makes all libraries' deprecations heard
        from mlxtend.frequent_patterns import fpgrowth
    # Its columns are numbered from 0: mlxtend refuses sparse ones that begin with another number.
    frame = pd.DataFrame.sparse.from_spmatrix(held[:, frequent].astype(bool))  # type: ignore[attr-defined]
    found = fpgrowth(frame, min_support=(least - 0.5) / n, use_colnames=True, max_len=longest + 1)
    _check_size(len(found))
    counts = {
        frozenset(frequent[list(places)].tolist()): round(support * n)
        for places, support in zip(found["itemsets"], found["support"], strict=True)
    }
    rules = [(items - {last}, last, of) for items, of in counts.items() if len(items) > 1 for last in items]
    antecedents = np.empty(len(rules), dtype=object)
    antecedents[:] = [tuple(purchases.product_ids[sorted(items)]) for items, _, _ in rules]
    last = np.array([item for _, item, _ in rules], dtype=np.int64)
    before = np.array([counts[items] for items, _, _ in rules], dtype=np.int64)
    after = np.array([counts[frozenset({item})] for item in last], dtype=np.int64)
    both = np.array([of for _, _, of in rules], dtype=np.int64)
    return _measured(antecedents, purchases.product_ids[last], both, before, after, n)


def _measured(  # type: ignore[no-untyped-def]
    antecedent, consequent, both, before, after, n: int
) -> pd.DataFrame:
    both, before, after = (np.asarray(counted, dtype=np.int64) for counted in (both, before, after))
    confidence = both / before
    with np.errstate(divide="ignore", invalid="ignore"):
        # 1 - confidence by whole numbers: exactly 0 where the consequent is always there
        conviction = np.where(before > both, (1 - after / max(n, 1)) / ((before - both) / before), np.inf)
    return pd.DataFrame(
        {
            "antecedent": antecedent,
            "consequent": consequent,
            "support": both / max(n, 1),
            "confidence": confidence,
            "lift": _lift(both, before, after, n),
            "leverage": both / max(n, 1) - (before / max(n, 1)) * (after / max(n, 1)),
            "conviction": conviction,
            "count": both,
            "antecedent_count": before,
            "consequent_count": after,
            "baskets": n,
        },
        columns=list(RULE),
    )


def _lift(both: Codes, before: Codes, after: Codes, n: int) -> Floats:
    """Return n n(X and p) / (n(X) n(p)): the same number for p -> X."""
    return both.astype(np.float64) * n / (before.astype(np.float64) * after)


def _check_size(n: int) -> None:
    if n > MOST_ITEMSETS:
        raise InputError(
            "there are too many rules for a table",
            where="min_count, min_support",
            expected=f"at most {MOST_ITEMSETS:,}",
            found=f"{n:,}",
            hint="raise min_count or min_support, or choose products or a coarser level",
        )
