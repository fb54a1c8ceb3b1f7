"""Open baskets: orders of which a part is known, and the products that may complete them.

As of a cutoff the orders of the last 7 days are open. What they hold by then is known; what else they hold is to be
predicted. Shops record an order at once, so `half_known` makes half of each order's products known 7 days later. Of a
shop as it is, all of an open order is known, and its completions are what could be offered beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

import features.affinity as affinity
import features.candidates as of_customers
from features.candidates import CORE, FEWEST_ORDERS, RECENT_DAYS, bought_lines, catalogue, goods
from features.grains import Grain
from features.learnt import learnt
from features.tables import Tables

if TYPE_CHECKING:
    from features.affinity import Purchases, Scorer

KEY = ("customer_id", "order_id", "product_id")
ORDER = ("customer_id", "order_id")
OPEN_DAYS = 7
PER_SCORER, LISTED = 20, 20  # candidates of each basket
BLOCK = 1024  # baskets whose scores are in memory at a time

SCORES: Mapping[str, str] = {
    "basket_rule_confidence": "highest confidence of a rule from a product of the basket to this one; 0 for none",
    "basket_rule_lift": "highest lift of such a rule, of those that at least 5 orders bear out; 0 for none",
    "basket_item_neighbours": "sum of the cosine similarity, over orders, to the products of the basket; 0 for none",
    "basket_ease": "score of the linear autoencoder EASE over which order holds what",
    "basket_factors": "score of a truncated singular value decomposition of which order holds what",
    "basket_content": "weighted share of the basket of the same category, brand and price band; 0 for none",
}
FACTS: Mapping[str, str] = {
    "basket_size": "products that are known to be in the basket",
    "basket_product_share": "share of all orders that hold the product",
    "basket_product_recent_share": "share of the orders of the last 28 days that hold it",
    "basket_own_orders": "other orders of the customer with the product",
}
SOURCES = ("basket_rule_confidence", "basket_item_neighbours", "basket_ease", "basket_factors")
SCHEMA = {name: "string" for name in KEY} | {name: "float64" for name in (*FACTS, *SCORES)}
CODES = ("order", "product")


def half_known(tables: Tables) -> ir.Table:
    """Return the transactions with the lines of half of each order's products 7 days later.

    Which half is drawn: products are in the order of the MD5 of order and product. The order of lines would tell what
    comes later, where a till or an export sorts them. Of an odd number the known half is the larger one, so an order of
    one product is known whole. Lines without a product stay.
    """
    lines = tables.transactions
    known = lines.filter(lines.product_id.notnull())
    held = known.select(*KEY).distinct()
    drawn = held.mutate(draw=(held.order_id + " " + held.product_id).hexdigest("md5"))
    of_order = ibis.window(group_by=list(ORDER), order_by=["draw", "product_id"])
    placed = drawn.mutate(
        place=ibis.row_number().over(of_order), size=drawn.count().over(ibis.window(group_by=list(ORDER)))
    )
    later = placed.filter(placed.place * 2 >= placed["size"]).filter(placed.place > 0)
    later = later.select(**{f"later_{name}": later[name] for name in KEY})
    both = lines.left_join(later, [lines[name] == later[f"later_{name}"] for name in KEY])
    moved = both.timestamp + ibis.interval(days=OPEN_DAYS)
    timestamp = ibis.ifelse(both.later_order_id.notnull(), moved, both.timestamp)
    return both.select(**{name: timestamp if name == "timestamp" else both[name] for name in lines.columns})


def completions(past: Tables) -> ir.Table:
    """Return the candidates of each open basket with all their scores: the columns of `SCHEMA`, each row once."""
    return learnt(scored_baskets, {"lines": bought_lines(past), "goods": goods(past)}, SCHEMA, (affinity, of_customers))


BASKETS = Grain("basket_completions", KEY, lambda past: completions(past).select(*KEY), "customer_id", of_products=True)


def products_added(future: Tables, rows: ir.Table, past: Tables) -> ir.Table:
    """Compute of each candidate whether its open order gets it in the window, and how many products the order gets.

    Returns
    -------
    ibis table
        The key; added (1 or 0), and added_products, of the catalogue, also those that are no candidates.
    """
    lines = future.transactions.semi_join(catalogue(past), "product_id")
    got = lines.select(*KEY).distinct()
    before = past.transactions.select(*KEY).distinct()
    got = got.anti_join(before, list(KEY))
    of = got.group_by(*ORDER).agg(added_products=got.count())
    marked = rows.left_join(got.mutate(added=ibis.literal(1)), list(KEY)).select(*KEY, "added")
    both = marked.left_join(of, list(ORDER)).select(*KEY, "added", "added_products")
    return both.select(
        *KEY,
        added=both.added.fill_null(0).cast("float64"),
        added_products=both.added_products.fill_null(0).cast("float64"),
    )


def scored_baskets(lines: pd.DataFrame, goods: pd.DataFrame) -> pd.DataFrame:
    """Choose and score the candidates of the open baskets.

    Parameters
    ----------
    lines : DataFrame
        customer_id, product_id, order_id, day (days before the cutoff, at least 1), of the catalogue.
    goods : DataFrame
        product_id, category, brand, price. They change scores alone, not which rows there are.

    Returns
    -------
    DataFrame
        The columns of `SCHEMA`.
    """
    past = affinity.Purchases.of(lines)
    names = lines[["order_id", "customer_id"]].astype(str).drop_duplicates().to_numpy(dtype=object)
    names = names[
        np.lexsort((names[:, 1].astype(str), names[:, 0].astype(str)))
    ]  # by code, as `Purchases` numbers them
    placed = lines.astype({"order_id": str, "customer_id": str}).groupby(["order_id", "customer_id"])["day"].max()
    opened = placed.reindex(pd.MultiIndex.from_arrays([names[:, 0], names[:, 1]])).to_numpy()
    core = _Core.of(past, goods, opened)
    blocks = [_block(core.open_orders[first : first + BLOCK], core) for first in range(0, len(core.open_orders), BLOCK)]
    columns = {name: np.concatenate([block[name] for block in blocks] or [np.empty(0)]) for name in (*CODES, *SCHEMA)}
    orders, products = (columns.pop(name).astype(np.int64) for name in CODES)
    of = core.order_of[orders] if len(orders) else orders
    columns["customer_id"], columns["order_id"] = names[of, 1], names[of, 0]
    columns["product_id"] = core.rows.product_ids[products]
    return pd.DataFrame(columns)


@dataclass(frozen=True, eq=False)
class _Core:
    """The products that are compared with each other, the orders that hold any of them, and what was learnt."""

    rows: Purchases
    order_of: NDArray[Any]  # number of each order among all orders
    open_orders: NDArray[Any]
    scorers: Mapping[str, Scorer]
    share: NDArray[Any]
    recent_share: NDArray[Any]
    listed: NDArray[Any]

    @classmethod
    def of(cls, past: Purchases, goods: pd.DataFrame, opened: NDArray[Any]) -> _Core:
        """Learn about the products; `opened` is the day of each order's first line, in days before the cutoff."""
        order = np.lexsort((np.arange(past.n_products), -past.buyers))
        chosen = np.sort(order[:CORE])
        position = np.full(past.n_products, -1)
        position[chosen] = np.arange(len(chosen))
        held = position[past.products] >= 0
        rows = past.where(held)
        rows = replace(rows, product_ids=past.product_ids[chosen], products=position[rows.products])
        scorers: dict[str, Scorer] = {
            "basket_rule_confidence": affinity.Rules("confidence", minimum_count=FEWEST_ORDERS),
            "basket_rule_lift": affinity.Rules("lift", minimum_count=FEWEST_ORDERS),
            "basket_item_neighbours": affinity.ItemNeighbours(k=100, shrinkage=10.0, per="order"),
            "basket_ease": affinity.Ease(l2=200.0, per="order"),
            "basket_factors": affinity.Factors(n=32, per="order"),
        }
        fitted = {name: scorer.fit(rows) for name, scorer in scorers.items()}
        known = goods.set_index("product_id").reindex(rows.product_ids)
        attributes = {str(name): known[name].to_numpy(dtype=object) for name in known if known[name].notna().any()}
        if attributes:
            fitted["basket_content"] = affinity.Content().fit(rows, **attributes)
        recent = rows.last(RECENT_DAYS)
        recently = np.bincount(recent.products, minlength=rows.n_products) / max(recent.n_orders, 1)
        order_of = np.unique(past.orders[held])
        return cls(
            rows,
            order_of,
            np.flatnonzero(opened[order_of] <= OPEN_DAYS),
            fitted,
            rows.popularity / max(rows.n_orders, 1),
            recently,
            np.lexsort((np.arange(rows.n_products), -rows.popularity, -recently))[:LISTED],
        )


def _block(orders: NDArray[Any], core: _Core) -> dict[str, NDArray[Any]]:
    """Choose and score the candidates of some baskets: columns of `SCHEMA`, ids as codes."""
    rows, n = core.rows, core.rows.n_products
    baskets = rows.baskets("order")[orders]
    dense = {name: scorer.basket_scores(baskets) for name, scorer in core.scorers.items()}
    wanted = np.zeros((len(orders), n), dtype=bool)
    wanted[:, core.listed] = True
    for name in SOURCES:
        positions, values = affinity.best(dense[name], PER_SCORER, without=baskets, popularity=rows.popularity)
        row, column = np.nonzero((positions >= 0) & (values > 0))
        wanted[row, positions[row, column]] = True
    wanted[baskets.nonzero()] = False
    at, products = np.nonzero(wanted)
    customer = np.zeros(rows.n_orders, dtype=np.int64)
    customer[rows.orders] = rows.customers
    own = np.asarray(rows.counts()[customer[orders[at]], products]).ravel() if len(at) else np.zeros(0)
    return {
        "order": orders[at],
        "product": products,
        **{name: np.empty(len(at)) for name in KEY},
        "basket_size": np.asarray(baskets.sum(axis=1), dtype=float).ravel()[at],
        "basket_product_share": core.share[products],
        "basket_product_recent_share": core.recent_share[products],
        "basket_own_orders": own.astype(float),
        **dict.fromkeys(SCORES, np.zeros(len(at))),
        **{name: scores[at, products] for name, scores in dense.items()},
    }
