"""Association rules of a shop's goods, as a table to browse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
import pandas as pd

from experiments.description.purchasing.rule_options import RuleOptions
from features import assortment
from features.affinity import Purchases, rule_table
from features.errors import InputError, did_you_mean
from features.shop import Shop
from features.tables import Tables

FINEST_FIRST = ("subcategory", "category", "department")
AND = " + "  # between the goods of an antecedent


def find_rules(shop: Shop, as_of: date, options: RuleOptions) -> tuple[pd.DataFrame, str]:
    """Return the rules of what was bought before a day, and the level of the goods that they are about.

    Parameters
    ----------
    shop : Shop
    as_of : date
        First day that is not included.
    options : RuleOptions

    Returns
    -------
    DataFrame
        As `affinity.rule_table` gives it, with goods in place of products; and the level.

    Raises
    ------
    InputError
        If there is no such level, category or good, or nothing was sold.
    """
    past = shop.goods.as_of(as_of)
    level = options.level or _finest_named(shop, past)
    if options.categories is not None:
        _check_categories(shop, past, options.categories)
    frame = shop.engine.frame(assortment.sold(past, level, options.categories))
    purchases = Purchases.of(frame).last(options.days)
    if not len(purchases):
        raise InputError(
            f"nothing is known to be sold in the days before {as_of}",
            where="rules.days, rules.level, as_of",
            expected="lines with a product",
            found=f"none at the level {level}",
        )
    if options.goods is not None:
        _check_known("rules.goods", options.goods, purchases.product_ids)
    table = rule_table(
        purchases,
        per=options.per,
        min_support=options.min_support,
        min_count=options.min_count,
        min_confidence=options.min_confidence,
        min_lift=options.min_lift,
        longest=options.longest,
        only=options.goods,
    )
    return table, level


def browsable(table: pd.DataFrame, per: str) -> pd.DataFrame:
    """Return rules as people read them: one text for an antecedent, six decimals, counts by their names."""
    plain = table.assign(antecedent=table["antecedent"].map(AND.join))
    counted = {
        "count": f"{per}s_with_both",
        "antecedent_count": f"{per}s_with_antecedent",
        "consequent_count": f"{per}s_with_consequent",
        "baskets": f"{per}s",
    }
    return plain.round(6).rename(columns=counted)


def pairs_of_rules(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the pairs of the rules with one antecedent, those of the highest leverage.

    Leverage is the share of baskets beyond chance: rare pairs, of which lift is largest, are not the first.

    Returns
    -------
    DataFrame
        a and b (a before b), count, lift, leverage, baskets.
    """
    single = table[table["antecedent"].map(len) == 1]
    first = single["antecedent"].map(lambda items: items[0])
    ordered = first < single["consequent"]
    pairs = pd.DataFrame(
        {
            "a": first.where(ordered, single["consequent"]),
            "b": single["consequent"].where(ordered, first),
            **{name: single[name] for name in ("count", "lift", "leverage", "baskets")},
        }
    ).drop_duplicates(["a", "b"])
    order = np.lexsort((pairs["b"], pairs["a"], -pairs["leverage"]))
    return pairs.iloc[order[:most]].reset_index(drop=True)


def _finest_named(shop: Shop, past: Tables) -> str:
    """Return the finest level that people can read: products where they have names, else the finest level known."""
    products = past.products
    if products is None:
        return assortment.PRODUCT
    known = shop.engine.frame(
        products.aggregate(**{name: products[name].count() for name in ("name", *FINEST_FIRST)})
    ).iloc[0]
    if known["name"]:
        return assortment.PRODUCT
    return next((name for name in FINEST_FIRST if known[name]), assortment.PRODUCT)


def _check_categories(shop: Shop, past: Tables, categories: Sequence[str]) -> None:
    if past.products is None:
        raise InputError(
            "nothing is known of the categories of products",
            where="rules.categories",
            expected="the table products",
            found=f"the tables {', '.join(past)}",
        )
    known = shop.engine.frame(past.products.select("category").distinct())["category"].dropna()
    _check_known("rules.categories", categories, known)


def _check_known(where: str, names: Sequence[str], known: Iterable[str]) -> None:
    every = set(known)
    for name in names:
        if name not in every:
            raise InputError(f"nothing that was sold is called {name!r}", where=where, hint=did_you_mean(name, every))
