"""Part "products": five products per customer by the lift of association rules, beside the best-selling products."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
from scipy import sparse

from experiments.case_study.options import CaseStudyOptions
from experiments.case_study.result import NAN, Difference, Figure, Result
from experiments.evaluation.splits import Splits
from features.errors import InputError
from features.families import purchases
from features.shop import Shop

with warnings.catch_warnings():  # its import makes all libraries' deprecations heard
    from mlxtend.frequent_patterns import association_rules, fpgrowth

N_SHOWN = 20
Basket = frozenset[str]


def products(shop: Shop, splits: Splits, options: CaseStudyOptions) -> Result:
    """Reproduce rules of what is bought on one day before a cutoff, and evaluate their lists on the days after it.

    Parameters
    ----------
    shop : Shop
    splits : Splits
    options : CaseStudyOptions
    """
    cutoff = splits.validation[-1]
    lines = shop.engine.frame(purchases.by_product(shop.tables.as_of(cutoff)))
    if lines.empty:
        raise InputError("no line has a product", where="transactions.product_id")
    window = shop.tables.between(cutoff, cutoff + timedelta(days=splits.horizon_days))
    bought = _products_of(shop.engine.frame(purchases.by_product(window)))
    owned = _products_of(lines)
    support = _support(lines)
    rules, least = mine(lines, support, options)
    if rules.empty:
        raise InputError("no two products are bought together often enough", where="transactions.product_id")
    lists = recommend(owned, rules, options.n_recommended)
    popular = list(support.index[: options.n_recommended])
    judged = sorted(owned.keys() & bought.keys())
    if not judged:
        raise InputError(f"no customer of before {cutoff} buys a known product after it", where="transactions")

    distinct = {customer: list(dict.fromkeys(names)) for customer, names in lists.items()}
    longer = recommend(owned, rules, options.n_recommended, distinct=True)
    named = {
        "five highest lifts": lists,
        "of different products": longer,
        "most popular": dict.fromkeys(judged, popular),
    }
    hits = {
        way: [not bought[customer].isdisjoint(given[customer]) for customer in judged] for way, given in named.items()
    }
    table = pd.DataFrame(
        {
            "hit_rate": {way: float(np.mean(of_each)) for way, of_each in hits.items()},
            "mean_support": {way: _mean_support(given, judged, support) for way, given in named.items()},
        }
    ).rename_axis("list")
    gain = Difference.of(hits["five highest lifts"], hits["most popular"])
    lift, different, popularity = (table.loc[name] for name in table.index)
    short = np.mean([len(names) < options.n_recommended for names in distinct.values()])
    figures = [
        Figure(
            "lists_with_duplicates",
            "share of lists that name a product twice",
            float(np.mean([len(distinct[customer]) < len(names) for customer, names in lists.items()])),
            NAN,
            "Several rules lead to one product, also in the case study's own lists. "
            f"{short:.0%} of lists hold fewer than {options.n_recommended} different products.",
            "share",
        ),
        Figure(
            "hit_rate_at_5",
            f"hit rate@{options.n_recommended} in the next {splits.horizon_days} days; honest: of the best-sellers",
            lift["hit_rate"],
            popularity["hit_rate"],
            f"Rate of the lists - rate of the best-sellers, over {len(judged):,} customers who come back: "
            f"{gain.mean:+.1%} ({gain.low:+.1%} to {gain.high:+.1%}).",
            "share",
        ),
        Figure(
            "hit_rate_at_5_different",
            f"hit rate@{options.n_recommended} of different products; honest: as above",
            different["hit_rate"],
            popularity["hit_rate"],
            "Without duplicates, rules of lower lift fill the lists.",
            "share",
        ),
        Figure(
            "support_of_recommended",
            "share of customer-days on which a recommended product is bought; honest: a popular one",
            lift["mean_support"],
            popularity["mean_support"],
            "lift = confidence / support of the recommended product: with equal confidence, the "
            "rarest product comes first.",
            "share",
        ),
    ]
    return Result(
        part="products",
        title="Five products by lift",
        faults={},
        verdict=f"Of the customers who come back, {lift['hit_rate']:.1%} buy a product of their list by lift, and "
        f"{popularity['hit_rate']:.1%} one of the {options.n_recommended} best-selling products. "
        + gain.say(
            "Use lists by lift on these data.",
            "Recommend best-sellers instead: lift prefers rare products.",
            "Recommend best-sellers, which are simpler: these data do not show which is better.",
        ),
        figures=figures,
        params={
            "most_products": options.most_products,
            "min_support": least,
            "max_length": options.max_length,
            "n_recommended": options.n_recommended,
            "rules": len(rules),
            "baskets": int(lines.groupby(["customer_id", "day"]).ngroups),
            "cutoff": str(cutoff),
            "horizon_days": splits.horizon_days,
        },
        tables={"hit_rates": table, "rules": _shown(rules)},
        notes=(
            f"Baskets are a customer's day before {cutoff}; the window is the {splits.horizon_days} days from it. "
            f"Rules use the {options.most_products} products on most customer-days, so that the minimum support is "
            f"{least:.4f}. They hold at most {options.max_length} products: on all products Apriori needs tens of GB. "
            "mlxtend's fpgrowth finds the same item sets as its apriori.",
            "The case study gives no minimum support, and no evaluation of the lists.",
        ),
    )


def mine(lines: pd.DataFrame, support: pd.Series, options: CaseStudyOptions) -> tuple[pd.DataFrame, float]:
    """Mine rules with a lift above 1, the highest first; return them and the least support.

    Parameters
    ----------
    lines : DataFrame
        customer_id, day, product_id, each once.
    support : Series
        Of each product, the highest first.
    options : CaseStudyOptions
    """
    frequent = support.index[: options.most_products]
    least = float(support[frequent[-1]])
    baskets = lines.groupby(["customer_id", "day"]).ngroup().to_numpy()
    codes = frequent.get_indexer(lines["product_id"])
    kept = codes >= 0
    shape = (baskets.max() + 1, len(frequent))
    matrix = sparse.csr_matrix((np.ones(kept.sum(), dtype=bool), (baskets[kept], codes[kept])), shape=shape)
    frame = pd.DataFrame.sparse.from_spmatrix(matrix, columns=list(frequent))
    # A little below, or the rounding of a quotient would decide.
    itemsets = fpgrowth(frame, min_support=least * (1 - 1e-9), use_colnames=True, max_len=options.max_length)
    if itemsets.empty or itemsets["itemsets"].map(len).max() < 2:
        return pd.DataFrame(columns=["antecedents", "consequents", "support", "confidence", "lift"]), least
    with np.errstate(divide="ignore", invalid="ignore"):  # of measures that are not used
        rules = association_rules(itemsets, metric="lift", min_threshold=1.0)
    rules = rules[rules["lift"] > 1]
    names = rules[["antecedents", "consequents"]].map(lambda items: " ".join(sorted(items)))
    rules = rules.assign(left=names["antecedents"], right=names["consequents"])
    rules = rules.sort_values(["lift", "support", "left", "right"], ascending=[False, False, True, True])
    return rules[["antecedents", "consequents", "support", "confidence", "lift"]].reset_index(drop=True), least


def recommend(
    owned: Mapping[str, Basket], rules: pd.DataFrame, n: int, *, distinct: bool = False
) -> dict[str, list[str]]:
    """Recommend what the first rules name whose antecedents a customer owns: n products, unless rules run out.

    Parameters
    ----------
    owned : mapping of customer_id to product ids
    rules : DataFrame
        As `mine` returns them.
    n : int
    distinct : bool
        Whether a product is named once; the case study's lists name some several times.
    """
    ordered = [(left, sorted(right)) for left, right in zip(rules["antecedents"], rules["consequents"], strict=True)]
    lists = {}
    for customer, basket in owned.items():
        named: list[str] = []
        for left, right in ordered:
            if left <= basket:
                named += [product for product in right if not (distinct and product in named)]
                if len(named) >= n:
                    break
        lists[customer] = named[:n]
    return lists


def _support(lines: pd.DataFrame) -> pd.Series:
    """Compute the share of customer-days with each product, the highest first, equal ones by name."""
    counts = lines.groupby("product_id").size().sort_index().sort_values(ascending=False, kind="stable")
    return counts / lines.groupby(["customer_id", "day"]).ngroups


def _products_of(lines: pd.DataFrame) -> dict[str, Basket]:
    return lines.groupby("customer_id")["product_id"].agg(frozenset).to_dict()


def _mean_support(lists: Mapping[str, Sequence[str]], judged: Sequence[str], support: pd.Series) -> float:
    """Return the mean support of what is named to the judged customers; NaN where nothing is."""
    named = [product for customer in judged for product in lists[customer]]
    return float(support[named].mean()) if named else NAN


def _shown(rules: pd.DataFrame) -> pd.DataFrame:
    shown = rules.head(N_SHOWN).copy()
    for side in ("antecedents", "consequents"):
        shown[side] = shown[side].map(lambda items: ", ".join(sorted(items)))
    return shown
