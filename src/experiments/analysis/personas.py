"""Who the customers of a group are: what they do more than all customers do, by how much, and how surely."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.errors import InputError
from features.occasions import ASPECTS, occasions, orders
from features.shop import Shop
from features.tables import SPECS

logger = logging.getLogger(__name__)

OTHER = ""  # what is too rare to be told of, in one
COLUMNS = ["group", "value", "customers", "share", "share_of_all", "index", "low", "high"]
DEMOGRAPHICS = tuple(
    name for name, column in SPECS["customers"].columns.items() if name != "customer_id" and not column.after_the_fact
)


def over_index(counts: pd.DataFrame, groups: pd.Series, *, q: float, min_cell: int) -> pd.DataFrame:
    """How often each group does something, against all customers.

    share = n of the value / n of all values, over the group's customers, and index = 100 share / share of all
    customers: 100 is as usual. A share, not a count: whoever buys often does everything often.

    The interval takes customers as independent and one customer's occasions as not: the variance of the share is
    sum over customers of (n of the value - share n)^2 / (sum of n)^2, and the interval lies evenly around the logarithm
    of the index. All customers' share is taken as known, which makes it a little too wide, as the group is a part of
    them. Its level is 1 - q R / m, where R of the m indices differ from 100 by Benjamini and Hochberg's rule: of those
    whose interval does not hold 100, a share of q is so by chance, on average at most.

    Parameters
    ----------
    counts : DataFrame
        customer_id, value, n; OTHER counts as a value, and is not told of.
    groups : Series
        Group of each customer, a categorical indexed customer_id.
    q : float
        False discovery rate, such as .05.
    min_cell : int
        A value that fewer customers of the group had is left out: it might tell of persons.

    Returns
    -------
    DataFrame
        group, value, customers (of the group, who had it), share, share_of_all, index, low, high; groups in their
        order, the highest index first.

    References
    ----------
    Cochran (1977), Sampling Techniques, 6.4 and 9A.2; Benjamini & Yekutieli (2005), False discovery rate-adjusted
    multiple confidence intervals for selected parameters, JASA 100.
    """
    counts = counts[counts["customer_id"].isin(groups.index)]
    own = counts.groupby("customer_id")["n"].sum().astype(float)
    group_of = groups.loc[own.index]
    of_all = counts.groupby("value")["n"].sum() / own.sum()
    total = own.groupby(group_of, observed=True).sum()
    square = (own**2).groupby(group_of, observed=True).sum()
    counts = counts.assign(
        group=groups.loc[counts["customer_id"]].to_numpy(),
        nn=counts["n"].astype(float) ** 2,
        n_own=counts["n"] * own.loc[counts["customer_id"]].to_numpy(),
    )
    cells = counts.groupby(["group", "value"], observed=True).agg(
        customers=("n", "size"), n=("n", "sum"), nn=("nn", "sum"), n_own=("n_own", "sum")
    )
    cells = cells[cells["customers"] >= min_cell].reset_index()
    cells = cells[cells["value"] != OTHER].reset_index(drop=True)
    if cells.empty:
        return pd.DataFrame(columns=COLUMNS)
    all_of_group = total.loc[cells["group"]].to_numpy()
    share, share_of_all = cells["n"] / all_of_group, of_all.loc[cells["value"]].to_numpy()
    squares = cells["nn"] - 2 * share * cells["n_own"] + share**2 * square.loc[cells["group"]].to_numpy()
    error = np.sqrt(squares.clip(lower=0)) / all_of_group / share
    index = 100 * share / share_of_all
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.nan_to_num(2 * norm.sf(np.abs(np.log(index / 100)) / error), nan=1.0)
    m = len(p)
    found = np.flatnonzero(np.sort(p) <= q * np.arange(1, m + 1) / m)
    spread = np.exp(norm.ppf(1 - q * (found[-1] + 1 if len(found) else 1) / m / 2) * error)
    cells = cells.assign(share=share, share_of_all=share_of_all, index=index, low=index / spread, high=index * spread)
    cells["group"] = pd.Categorical(cells["group"], groups.cat.categories, ordered=True)
    return cells.sort_values(["group", "index", "value"], ascending=[True, False, True])[COLUMNS].reset_index(drop=True)


def habits(shop: Shop, start: date, end: date, largest: int) -> dict[str, pd.DataFrame]:
    """What the shop's tables tell of customers in [start, end): counts of each aspect, as for `over_index`.

    Of an aspect with more values than `largest` the commonest are kept apart, and the rest is one, OTHER. What needs a
    table that the shop does not have is left out, with a line that says so. Who customers are is of unknown date, and
    told where it is known.
    """
    window = shop.tables.between(start, end)
    found = {}
    for aspect in ASPECTS:
        try:
            found[aspect] = shop.engine.frame(occasions(window, aspect))
        except InputError as error:
            logger.warning("personas: %s", error.problem)
    if window.customers is None:
        logger.warning("personas: who customers are is left out, as this shop has no table customers")
    else:
        people = shop.engine.frame(window.customers.select("customer_id", *DEMOGRAPHICS))
        for aspect in DEMOGRAPHICS:
            known = people[["customer_id", aspect]].dropna().set_axis(["customer_id", "value"], axis=1)
            found[aspect] = known.assign(n=1)
    kept = {}
    for aspect, counts in found.items():
        common = counts.groupby("value")["n"].sum().nlargest(largest).index
        if len(common) > 1:  # of one value there is nothing to tell
            counts = counts.assign(value=counts["value"].where(counts["value"].isin(common), OTHER))
            kept[aspect] = counts.groupby(["customer_id", "value"], as_index=False)["n"].sum()
    return kept


@dataclass(frozen=True)
class Persona:
    """A group of customers, described.

    Attributes
    ----------
    group : str
    customers : int
    facts : mapping
        share and revenue_share in [0, 1]; orders_per_customer, average_order_value (in the shop's currency).
    stands_out : DataFrame
        As `over_index` gives it, with the aspect: what the group surely does more than all, by what matters.
    """

    group: str
    customers: int
    facts: Mapping[str, float]
    stands_out: pd.DataFrame

    def values(self, aspect: str) -> list[str]:
        """What stands out of one aspect, the highest index first."""
        return list(self.stands_out.loc[self.stands_out["aspect"] == aspect, "value"])


@dataclass(frozen=True)
class Personas:
    """Personas of all groups.

    Attributes
    ----------
    personas : sequence of Persona
        In the order of the groups; without those that are too small.
    too_small : mapping of group to its number of customers
    """

    personas: Sequence[Persona]
    too_small: Mapping[str, int]


def describe(
    shop: Shop,
    groups: pd.Series,
    counts: Mapping[str, pd.DataFrame],
    start: date,
    end: date,
    *,
    q: float,
    min_cell: int,
    min_index: float,
    most: int,
) -> Personas:
    """A persona of each group.

    Parameters
    ----------
    shop : Shop
    groups : Series
        Group of each customer, a categorical indexed customer_id.
    counts : mapping of aspect to DataFrame
        As `habits` gives them, of the same days.
    start, end : date
        Days whose orders count.
    q, min_cell
        As for `over_index`; a group of fewer than `min_cell` customers is not described.
    min_index : float
        What is not at least so much above 100 does not matter, however sure.
    most : int
        Values of an aspect that a persona names at most.
    """
    bought = shop.engine.frame(orders(shop.tables.between(start, end))).set_index("customer_id")
    bought = bought.reindex(groups.index, fill_value=0)
    sums = bought.groupby(groups, observed=False)[["n", "amount"]].sum()
    sizes = groups.value_counts().reindex(groups.cat.categories, fill_value=0)
    tables = [
        over_index(of_aspect, groups, q=q, min_cell=min_cell).assign(aspect=aspect)
        for aspect, of_aspect in counts.items()
    ]
    table = pd.concat([part for part in tables if len(part)] or tables, ignore_index=True)
    sure = table[(table["low"] > 100) & (table["index"] >= min_index)]
    personas = []
    for group in groups.cat.categories[sizes >= min_cell]:
        own = sure[sure["group"] == group]
        n, amount = sums.loc[group]
        personas.append(
            Persona(
                group=str(group),
                customers=int(sizes[group]),
                facts={
                    "share": float(sizes[group] / sizes.sum()),
                    "revenue_share": float(amount / sums["amount"].sum()),
                    "orders_per_customer": float(n / sizes[group]),
                    "average_order_value": float(amount / n) if n else float("nan"),
                },
                stands_out=own.groupby("aspect", sort=False).head(most).drop(columns="group").reset_index(drop=True),
            )
        )
    too_small = {str(group): int(n) for group, n in sizes.items() if n < min_cell}
    return Personas(personas, too_small)
