"""Indices: how often customers of a group do something, relative to all customers, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.occasions import OTHER

COLUMNS = ["group", "value", "customers", "share", "share_of_all", "index", "low", "high"]


def over_index(counts: pd.DataFrame, groups: pd.Series, *, q: float, min_cell: int) -> pd.DataFrame:
    """Compute how often each group does something, against all customers.

    share = n of the value / n of all values, over the group's customers, and index = 100 share / share of all
    customers: 100 is as often as all. A share, not a count: customers who buy often do everything often.

    The interval takes customers as independent and one customer's occasions as not. V, the variance of a group's n of
    the value, is what its customers show, sum of (n of the value - share n)^2, but no less than what all customers
    show: p (1 - p) sum of (n + rho n (n - 1)), with p the share of all, and rho such that it holds of all customers
    together, within [0, 1]. The first alone is 0 where the few of a small group agree; the second alone is too small
    where customers with few occasions have them in bundles. As the group is a part of all, the variance of share - p
    is V (1 / sum n - 1 / N)^2 + (sum of the other groups' V) / N^2, with N all occasions. Tested is share = p, by the
    score, and the interval is Wilson's with p (1 - p) / variance observations: it leaves 100 out where the test does.
    Its level is 1 - q R / m, where R of the m pairs of group and value, shown or not, differ from 100 by Benjamini and
    Hochberg's rule: of those whose interval does not hold 100, a share of q is so by chance, on average at most.

    Parameters
    ----------
    counts : DataFrame
        customer_id, value, n (occasions, so whole numbers), no pair twice; OTHER counts as a value and is not reported.
    groups : Series
        Group of each customer, a categorical indexed customer_id.
    q : float
        False discovery rate, such as .05.
    min_cell : int
        A value that fewer customers of the group had is left out: it might identify persons.

    Returns
    -------
    DataFrame
        group, value, customers (of the group, who had it), share, share_of_all, index, low, high; groups in their
        order, the highest index first.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22; Kleinman (1973),
    Proportions with extraneous variance, JASA 68; Benjamini & Yekutieli (2005), False discovery rate-adjusted multiple
    confidence intervals for selected parameters, JASA 100.
    """
    counts = counts[counts["customer_id"].isin(groups.index)]
    if (counts["value"] == OTHER).all():
        return pd.DataFrame(columns=COLUMNS)
    wide = counts.pivot(index="customer_id", columns="value", values="n").fillna(0.0)
    of_group = groups.loc[wide.index].cat.remove_unused_categories()
    member = pd.get_dummies(of_group).to_numpy(float).T  # groups x customers
    x = wide.to_numpy(float)
    own = x.sum(axis=1, keepdims=True)
    n, all_n, twice = member @ own, own.sum(), own * (own - 1)
    named = wide.columns != OTHER
    x = x[:, named]
    share, share_of_all = member @ x / n, x.sum(axis=0) / all_n
    binomial = share_of_all * (1 - share_of_all)
    scatter = member @ x**2 - 2 * share * (member @ (x * own)) + share**2 * (member @ own**2)
    scatter_of_all = ((x - share_of_all * own) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # where nobody has two occasions, or all are of one value
        rho = np.nan_to_num((scatter_of_all / binomial - all_n) / twice.sum()).clip(0, 1)
        v = np.maximum(scatter, binomial * (n + rho * (member @ twice)))
        variance = v * (1 / n - 1 / all_n) ** 2 + (v.sum(axis=0) - v) / all_n**2
        p_value = np.nan_to_num(2 * norm.sf(np.abs(share - share_of_all) / np.sqrt(variance)), nan=1.0)
        per_observation = np.nan_to_num(variance / binomial)
    m = p_value.size
    found = np.flatnonzero(np.sort(p_value, axis=None) <= q * np.arange(1, m + 1) / m)
    z2 = per_observation * norm.isf(q * (found[-1] + 1 if len(found) else 1) / m / 2) ** 2
    middle, half = share + z2 / 2, np.sqrt(z2 * share * (1 - share) + z2**2 / 4)
    shown = {
        "customers": (member @ (x > 0)).astype(int),
        "share": share,
        "share_of_all": np.broadcast_to(share_of_all, share.shape),
        "index": 100 * share / share_of_all,
        "low": 100 * (middle - half) / (1 + z2) / share_of_all,
        "high": 100 * (middle + half) / (1 + z2) / share_of_all,
    }
    pairs = pd.MultiIndex.from_product([of_group.cat.categories, wide.columns[named]], names=["group", "value"])
    cells = pd.DataFrame({name: value.ravel() for name, value in shown.items()}, index=pairs).reset_index()
    cells = cells[cells["customers"] >= min_cell]
    cells["group"] = pd.Categorical(cells["group"], groups.cat.categories, ordered=True)
    return cells.sort_values(["group", "index", "value"], ascending=[True, False, True])[COLUMNS].reset_index(drop=True)
