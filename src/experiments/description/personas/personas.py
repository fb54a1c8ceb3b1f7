"""Personas: what the customers of a group surely do more than all customers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from experiments.description.personas.over_index import over_index
from features.errors import InputError
from features.occasions import ASPECTS, OF_LEVEL, facts, occasions, orders
from features.shop import Shop
from features.tables import SPECS

logger = logging.getLogger(__name__)
PEOPLE = SPECS["customers"]
DEMOGRAPHICS = tuple(
    name
    for name, column in PEOPLE.columns.items()
    if name not in (*PEOPLE.key, PEOPLE.facts_known_at) and not column.after_the_fact
)


def habits(shop: Shop, start: date, end: date, largest: int) -> dict[str, pd.DataFrame]:
    """Count what customers did in [start, end): counts of each aspect, as `over_index` takes them.

    Values of an aspect beyond the `largest` ones are OTHER. Where products have no category, the products that are
    bought most stand in. What needs a table that the shop does not have is left out,
    with a line that says so. Demographics are of unknown date; they are described where they are known.
    """
    window = shop.goods.between(start, end)
    found = {}
    others = {aspect for level, aspects in OF_LEVEL.items() if level != shop.level for aspect in aspects}
    for aspect in ASPECTS:
        if aspect in others:
            continue
        try:
            found[aspect] = shop.engine.frame(occasions(window, aspect, largest))
        except InputError as error:
            logger.warning("personas: %s", error.problem)
    if window.customers is None:
        logger.warning("personas: demographics are left out, because the shop has no table customers")
    else:
        found |= {name: shop.engine.frame(facts(window.customers, name, largest)) for name in DEMOGRAPHICS}
    return {
        aspect: counts for aspect, counts in found.items() if counts["value"].nunique() > 1
    }  # one value of all says nothing


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
        """Return the values of one aspect that stand out, the highest index first."""
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


def make_personas(
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
    """Describe each group by a persona.

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
