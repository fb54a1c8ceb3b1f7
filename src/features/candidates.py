"""Candidate pairs: products that a customer may buy next, with the scores by which they are ranked.

The grain `recommendations` and the family `affinity` read one learnt table. It is learnt from the purchases before the
cutoff, so its scores at a cutoff of training know no more than those of the day on which customers are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

import features.affinity as affinity
from features.grains import Grain, customers
from features.learnt import learnt
from features.tables import Tables

if TYPE_CHECKING:  # seconds to import, and most commands need none
    from scipy import sparse

    from features.affinity import OrderCounts, Purchases, Scorer

KEY = ("customer_id", "product_id")
FEWEST_BUYERS, FEWEST_SHARE = 20, 0.01  # of customers: a product with fewer buyers is not in the catalogue
CORE = 1500  # products that are compared with each other: those of most buyers
OWN, LISTED, PER_SCORER = 40, 10, 10  # candidates: own past products, recent best-sellers, new products of each scorer
RECENT_DAYS, BASKET_DAYS, HALF_LIFE_DAYS = 28, 56, 120.0
SILENT_SALES, SILENT_DAYS = 5.0, 28  # sales that were to be expected since the last one: discontinued without any
JUST_DAYS = 28  # days since a purchase that was just made
FEWEST_REBUYERS, FEWEST_KNOWN = (
    0.05,
    10,
)  # share of buyers who bought on a second day, of so many from before those days
PRIOR_BUYERS = 10.0  # at the mean of all products, added to each product's rebuyers and buyers
FEWEST_ORDERS = 5  # that bear out a rule
NEVER_DAYS = 3650.0  # days since the last purchase of a product that the customer never bought
MOST_COMPARED = 10_000  # customers: the time to compare all with each other grows with the square of their number
BLOCK = 1024  # customers whose scores are in memory at a time

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def catalogue(past: Tables) -> ir.Table:
    """Return the products that can be recommended: product_id, and buyers before the cutoff.

    Those with at least 20 buyers, or 1% of the customers where that is fewer.
    """
    bought = pairs(past)
    everyone = customers(past)
    of = bought.group_by("product_id").agg(buyers=bought.count())
    both = of.cross_join(everyone.aggregate(customers=everyone.count()))
    fewest = ibis.least((both.customers * FEWEST_SHARE).ceil().cast("int64"), ibis.literal(FEWEST_BUYERS, "int64"))
    return both.filter(both.buyers >= fewest).select("product_id", "buyers")


def pairs(window: Tables) -> ir.Table:
    """Return the pairs of a customer and a product that the customer bought in the window."""
    lines = window.transactions
    return lines.filter(lines.product_id.notnull()).select(*KEY).distinct()


def product_names(past: Tables) -> ir.Table:
    """Return what people call each product that was sold: product_id, name; its kind or its id where it has no name."""
    sold = pairs(past).select("product_id").distinct()
    if past.products is None:
        return sold.mutate(name=sold.product_id)
    goods = past.products
    known = goods.select("product_id", name=ibis.coalesce(goods["name"], goods["subcategory"], goods["product_id"]))
    both = sold.left_join(known, "product_id")
    return both.select("product_id", name=ibis.coalesce(both["name"], both["product_id"]))


SCORES: Mapping[str, str] = {
    "rule_confidence": "highest confidence of a rule from a product of the customer's last 56 days to this one, of "
    "those products that most customers buy; 0 for none",
    "rule_lift": "highest lift of such a rule, of those that at least 5 orders bear out; 0 for none",
    "rule_support": "share of all orders that bear out the rule of highest confidence; 0 for none",
    "item_neighbours": "sum of the cosine similarity to the products that the customer bought; 0 for none",
    "ease": "score of the linear autoencoder EASE over who bought what; 0 for none",
    "factors": "score of a truncated singular value decomposition of who bought what; 0 for none",
    "decayed_neighbours": "decayed share of the customer's and of similar customers' orders with the product "
    "(TIFU-KNN); 0 for none, and in shops of more than 10,000 customers",
    "content": "weighted share of the customer's purchases of the same category, brand and price band; 0 for none",
}
SOURCES = ("rule_confidence", "item_neighbours", "ease", "factors", "decayed_neighbours")  # of new products
OWN_FACTS: Mapping[str, str] = {
    "own_orders": "orders of the customer with the product",
    "own_frequency": "the same, an order 120 days older counts half",
    "own_since_days": "days since the customer's last purchase of the product; 3,650 for never",
    "own_gap_days": "mean days between the days on which the customer bought it; 0 for fewer than two",
    "own_overdue_ratio": "days since the last purchase of it per mean gap; 0 for fewer than two purchase days",
}
OF_PRODUCTS: Mapping[str, str] = {
    "product_buyer_share": "share of customers who ever bought the product",
    "product_recent_buyer_share": "share of customers who bought it in the last 28 days",
    "product_rebuyer_share": "share of its buyers who bought it on a second day, drawn to that of all products",
}
BY_NETWORK: Mapping[str, str] = {
    "autoencoder": "output of a denoising autoencoder for the product, from what the customer bought; 0 for none"
}
NUMBERED = ("customer", "product")  # codes in place of ids
SCHEMA = {name: "string" for name in KEY} | {name: "float64" for name in (*OWN_FACTS, *OF_PRODUCTS, *SCORES)}


def candidates(past: Tables) -> ir.Table:
    """Return the candidate pairs as of the cutoff with all their scores, each pair once.

    A customer's candidates are past products, recent best-sellers, and products that are new to the customer and that
    rules, neighbours, EASE or factors score highest. Products that are not sold any more are left out, and products
    that the customer just bought and that people do not buy again.

    Returns
    -------
    ibis table
        The columns of `SCHEMA`.
    """
    tables = {"lines": bought_lines(past), "people": customers(past), "goods": goods(past)}
    return learnt(scored_pairs, tables, SCHEMA, (affinity,))


def network_scores(past: Tables) -> ir.Table:
    """Return the candidate pairs with their scores by an autoencoder, which is trained at each cutoff: some seconds.

    Returns
    -------
    ibis table
        The key and the columns of `BY_NETWORK`.
    """
    tables = {"lines": bought_lines(past), "rows": candidates(past).select(*KEY)}
    schema = dict.fromkeys(KEY, "string") | dict.fromkeys(BY_NETWORK, "float64")
    return learnt(scored_by_network, tables, schema, (affinity,))


def bought_lines(past: Tables, among: ir.Table | None = None) -> ir.Table:
    """Return the lines of the catalogue: customer_id, product_id, order_id, and days before the cutoff.

    `affinity.Purchases` counts the lines of an order with one product once.

    Parameters
    ----------
    past : Tables
    among : ibis table, optional
        The product_id of each product of the catalogue; those of `catalogue(past)` where not given.
    """
    lines = past.transactions.semi_join(catalogue(past) if among is None else among, "product_id")
    day = ibis.literal(past.end).delta(lines.timestamp.date(), unit="day").cast("int64")
    return lines.select(*KEY, "order_id", day=day)


def goods(past: Tables) -> ir.Table:
    """Return the products of the catalogue: product_id, category, brand, and price per unit; null where unknown."""
    lines = past.transactions.semi_join(catalogue(past), "product_id")
    counted = lines.quantity > 0
    units = lines.quantity.sum(where=counted).cast("float64")
    prices = lines.group_by("product_id").agg(price=lines.amount.sum(where=counted).cast("float64") / units.nullif(0.0))
    if past.products is None:
        return prices.mutate(category=ibis.null("string"), brand=ibis.null("string"))
    known = prices.left_join(past.products.select("product_id", "category", "brand"), "product_id")
    return known.select("product_id", "category", "brand", "price")


CANDIDATES = Grain("recommendations", KEY, lambda past: candidates(past).select(*KEY), "customer_id", of_products=True)


def products_bought(future: Tables, rows: ir.Table, past: Tables) -> ir.Table:
    """Compute of each candidate pair whether it is bought in the window, and of its customer how many products are.

    Parameters
    ----------
    future, past : Tables
        The window, and what was known before it.
    rows : ibis table
        Candidate pairs.

    Returns
    -------
    ibis table
        The key; bought (1 or 0); bought_products, how many products of the catalogue the customer buys, also those that
        are no candidates; and bought_again, how many of these the customer had bought before.
    """
    bought = pairs(future).semi_join(catalogue(past), "product_id")
    before = pairs(past).mutate(again=ibis.literal(1))
    flagged = bought.left_join(before, list(KEY)).select(*KEY, "again")
    of = flagged.group_by("customer_id").agg(bought_products=flagged.count(), bought_again=flagged.again.sum())
    marked = rows.left_join(bought.mutate(bought=ibis.literal(1)), list(KEY)).select(*KEY, "bought")
    both = marked.left_join(of, "customer_id")
    return both.select(
        *KEY,
        bought=both.bought.fill_null(0).cast("float64"),
        bought_products=both.bought_products.fill_null(0).cast("float64"),
        bought_again=both.bought_again.fill_null(0).cast("float64"),
    )


def scored_pairs(lines: pd.DataFrame, people: pd.DataFrame, goods: pd.DataFrame) -> pd.DataFrame:
    """Choose the candidate pairs and score them.

    Parameters
    ----------
    lines : DataFrame
        customer_id, product_id, order_id, day (days before the cutoff, at least 1), of the catalogue.
    people : DataFrame
        customer_id of all who bought before the cutoff, also of what is not in the catalogue.
    goods : DataFrame
        product_id, category, brand, price. They change scores alone, not which pairs are candidates.

    Returns
    -------
    DataFrame
        The columns of `SCHEMA`.
    """
    past = purchases_of(lines, people)
    return LearntCatalogue.of(past, goods).pairs(past)


def purchases_of(lines: pd.DataFrame, people: pd.DataFrame) -> Purchases:
    """Return the purchases of the catalogue, by customers who may have bought nothing of it: see `scored_pairs`."""
    past = affinity.Purchases.of(lines)
    strangers = sorted({*people["customer_id"]} - {*past.customer_ids})  # NumPy compares each text with each
    return replace(past, customer_ids=np.concatenate([past.customer_ids, np.array(strangers, dtype=object)]))


@dataclass(frozen=True, eq=False)
class LearntCatalogue:
    """Products that can be recommended, and what was learnt about them from the purchases of all customers.

    Candidates of a customer are made of it and of the customer's own purchases.

    Attributes
    ----------
    product_ids : array of str
        Sorted by code point.
    products : _Products
    core : _Core
    past : Purchases or OrderCounts
        All purchases, or what was counted of them.
    """

    product_ids: NDArray[Any]
    products: _Products
    core: _Core
    past: Purchases | OrderCounts

    @classmethod
    def of(cls, past: Purchases, goods: pd.DataFrame) -> LearntCatalogue:
        """Learn from the purchases of all customers; `goods` as of `scored_pairs`."""
        products = _Products.of(past)
        return cls(past.product_ids, products, _Core.of(past, products, goods), past)

    @cached_property
    def orders(self) -> OrderCounts:
        """Orders of all products, and of pairs that `FEWEST_ORDERS` hold: reasons are made of them, scores are not."""
        past = self.past
        return past if isinstance(past, affinity.OrderCounts) else affinity.OrderCounts.of(past, FEWEST_ORDERS)

    def pairs(self, past: Purchases) -> pd.DataFrame:
        """Choose and score the candidates of the customers of some purchases: the columns of `SCHEMA`.

        A customer's are the same to the bit whoever else is among them.

        Parameters
        ----------
        past : Purchases
            Of the products of the catalogue.
        """
        blocks = [
            _block(first, past.of_customers(np.arange(first, min(first + BLOCK, past.n_customers))), self)
            for first in range(0, past.n_customers, BLOCK)
        ]
        columns = {
            name: np.concatenate([block[name] for block in blocks] or [np.empty(0)]) for name in (*NUMBERED, *SCHEMA)
        }
        customers_of, products_of = (columns.pop(name).astype(np.int64) for name in NUMBERED)
        columns["customer_id"], columns["product_id"] = past.customer_ids[customers_of], past.product_ids[products_of]
        return pd.DataFrame(columns)

    @property
    def state(self) -> dict[str, Any]:
        """All but the ids of products, as arrays and sparse matrices by name."""
        products, core = self.products, self.core
        named = {**core.scorers, **core.rules}
        return {
            **{f"facts.{name}": values for name, values in products.facts.items()},
            **{name: getattr(products, name) for name in ("sold", "is_rebought", "listed", "buyers")},
            "core": core.products,
            "core_orders": np.array(core.n_orders),
            "together": self.orders.together,
            "popularity": self.orders.popularity,
            "orders": np.array(self.orders.n_orders),
            **{f"{name}.{key}": value for name, scorer in named.items() for key, value in scorer.learnt.items()},
        }

    @classmethod
    def from_state(cls, product_ids: NDArray[Any], state: Mapping[str, Any]) -> LearntCatalogue:
        """Return what has this state."""

        def below(name: str) -> dict[str, Any]:
            return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}

        products = _Products(below("facts"), *(state[name] for name in ("sold", "is_rebought", "listed", "buyers")))
        orders = affinity.OrderCounts(state["together"], state["popularity"], int(state["orders"]))
        scorers = {name: scorer.of_learnt(below(name)) for name, scorer in _scorers().items() if below(name)}
        rules = {name: scorer.of_learnt(below(name)) for name, scorer in _rules().items()}
        together = orders.together[state["core"]][:, state["core"]]
        core = _Core(state["core"], int(state["core_orders"]), scorers, rules, together)
        return cls(product_ids, products, core, orders)


def scored_by_network(lines: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Score pairs by an autoencoder that learns from the lines.

    Parameters
    ----------
    lines : DataFrame
        As of `scored_pairs`.
    rows : DataFrame
        customer_id and product_id of the pairs. Who bought nothing of the catalogue has the score 0.

    Returns
    -------
    DataFrame
        The key, and autoencoder.
    """
    past = affinity.Purchases.of(lines)
    network = affinity.Autoencoder(most_products=CORE).fit(past)
    customers, products = (
        pd.Index(ids).get_indexer(rows[name])
        for name, ids in zip(KEY, (past.customer_ids, past.product_ids), strict=True)
    )
    scores = np.zeros(len(rows))
    for first in range(0, past.n_customers, BLOCK):
        of = np.flatnonzero((customers >= first) & (customers < first + BLOCK) & (products >= 0))
        block = network.scores(np.arange(first, min(first + BLOCK, past.n_customers)))
        scores[of] = block[customers[of] - first, products[of]]
    return rows[list(KEY)].assign(autoencoder=scores)


@dataclass(frozen=True, eq=False)
class _Products:
    """Facts of each product by name; whether it is still sold, and whether people buy it again."""

    facts: Mapping[str, Floats]
    sold: NDArray[np.bool_]
    is_rebought: NDArray[np.bool_]
    listed: Codes
    buyers: Codes

    @classmethod
    def of(cls, past: Purchases) -> _Products:
        n = max(past.n_customers, 1)
        recent = past.last(RECENT_DAYS).buyers
        own = _Own.of(past)
        again = np.bincount(own.products[own.n_days > 1], minlength=past.n_products)
        known = np.bincount(own.products[own.first_days > JUST_DAYS], minlength=past.n_products)
        overall = again.sum() / max(past.buyers.sum(), 1)
        rebuyers = (again + PRIOR_BUYERS * overall) / (past.buyers + PRIOR_BUYERS)
        facts = {
            "product_buyer_share": past.buyers / n,
            "product_recent_buyer_share": recent / n,
            "product_rebuyer_share": rebuyers,
        }
        sold = _still_sold(past)
        order = np.lexsort((np.arange(past.n_products), -past.popularity, -recent))
        is_rebought = (known < FEWEST_KNOWN) | (again >= FEWEST_REBUYERS * known)
        return cls(facts, sold, is_rebought, order[sold[order]][:LISTED], past.buyers)


def _still_sold(past: Purchases) -> NDArray[np.bool_]:
    """Return False where a product is silent for 28 days or more in which 5 orders or more were to be expected."""
    last, first = np.full(past.n_products, np.iinfo(np.int64).max), np.zeros(past.n_products, dtype=np.int64)
    np.minimum.at(last, past.products, past.days)
    np.maximum.at(first, past.products, past.days)
    silent = last - 1
    expected = past.popularity * silent / np.maximum(first - last + 1, 1)
    return (silent < SILENT_DAYS) | (expected < SILENT_SALES)


@dataclass(frozen=True, eq=False)
class _Own:
    """Purchases of each product by each customer, one entry a pair, by customer and then product."""

    codes: Codes  # customer x n_products + product
    products: Codes
    starts: Codes  # of each customer's entries, and the end of the last one's
    n_days: Codes  # on which the customer bought it
    first_days: Codes  # days from the first purchase to the cutoff
    facts: Mapping[str, Floats]

    @classmethod
    def of(cls, past: Purchases) -> _Own:
        codes, row = np.unique(past.customers * past.n_products + past.products, return_inverse=True)
        longest = int(past.days.max(initial=0)) + 1
        on_days = np.sort(row * longest + past.days)  # NumPy's `unique` hashes, which takes ten times as long
        n_days = np.bincount(on_days[np.diff(on_days, prepend=-1) > 0] // longest, minlength=len(codes))
        last, first = np.full(len(codes), np.iinfo(np.int64).max), np.zeros(len(codes), dtype=np.int64)
        np.minimum.at(last, row, past.days)
        np.maximum.at(first, row, past.days)
        gap = np.divide(first - last, n_days - 1, out=np.zeros(len(codes)), where=n_days > 1)
        since = (last - 1).astype(float)
        facts = {
            "own_orders": np.bincount(row, minlength=len(codes)).astype(float),
            "own_frequency": np.bincount(row, 0.5 ** ((past.days - 1) / HALF_LIFE_DAYS), minlength=len(codes)),
            "own_since_days": since,
            "own_gap_days": gap,
            "own_overdue_ratio": np.divide(since, gap, out=np.zeros(len(codes)), where=gap > 0),
        }
        customers_of, products_of = np.divmod(codes, max(past.n_products, 1))
        starts = np.searchsorted(customers_of, np.arange(past.n_customers + 1))
        return cls(codes, products_of, starts, n_days, first, facts)

    def of_pairs(self, codes: Codes) -> dict[str, Floats]:
        """Return the facts of some pairs, those of a product that was never bought where there are none."""
        none = dict.fromkeys(self.facts, 0.0) | {"own_since_days": NEVER_DAYS}
        if not len(self.codes):
            return {name: np.full(len(codes), value) for name, value in none.items()}
        at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        is_own = self.codes[at] == codes
        return {name: np.where(is_own, values[at], none[name]) for name, values in self.facts.items()}


@dataclass(frozen=True, eq=False)
class _Core:
    """The products that are compared with each other, and what was learnt about them."""

    products: Codes
    n_orders: int  # that hold any of them
    scorers: Mapping[str, Scorer]
    rules: Mapping[str, Scorer]
    counts: sparse.csr_matrix  # orders with both of two products, where a rule is borne out by so many

    @classmethod
    def of(cls, past: Purchases, products: _Products, goods: pd.DataFrame) -> _Core:
        order = np.lexsort((np.arange(past.n_products), -past.buyers))
        chosen = np.sort(order[products.sold[order]][:CORE])
        own = _in_core(past, chosen)
        scorers, rules = _scorers(), _rules()
        if past.n_customers > MOST_COMPARED:
            del scorers["decayed_neighbours"]
        known = goods.set_index("product_id").reindex(own.product_ids)
        attributes = {str(name): known[name].to_numpy(dtype=object) for name in known if known[name].notna().any()}
        if not attributes:
            del scorers["content"]
        for name, scorer in {**scorers, **rules}.items():
            scorer.fit(own, **(attributes if name == "content" else {}))
        counts = affinity.pair_counts(own, minimum=FEWEST_ORDERS)
        return cls(chosen, own.n_orders, scorers, rules, counts)

    @cached_property
    def together(self) -> Floats:
        """Orders with both of two products as an array."""
        return self.counts.toarray()

    @cached_property
    def weights(self) -> tuple[Floats, Floats]:
        """Confidence and lift of each rule: arrays of antecedents by consequents."""
        confidence, lift = (self.rules[name].learnt["weights_"].toarray() for name in _rules())
        return confidence, lift

    def best_rules(self, items: Codes) -> tuple[Codes, Floats]:
        """Return for each product of the core the antecedent and the confidence of the best rule from some items.

        Antecedents are positions in the core, -1 for no rule.
        """
        if not len(items):
            return np.full(len(self.products), -1), np.zeros(len(self.products))
        confidence = self.weights[0][items]
        best_of = confidence.argmax(axis=0)
        highest = np.take_along_axis(confidence, best_of[None], axis=0)[0]
        return np.where(highest > 0, items[best_of], -1), highest

    def lifts(self, items: Codes, to: Codes) -> Floats:
        """Return the highest lift of a rule from some items to each of some products of the core, 0 for none."""
        lift: Floats = self.weights[1][np.ix_(items, to)].max(axis=0, initial=0.0)
        return lift


def _positions(chosen: Codes, n_products: int) -> Codes:
    """Return the position of each product among the chosen ones, -1 for the others."""
    position = np.full(n_products, -1)
    position[chosen] = np.arange(len(chosen))
    return position


def _in_core(past: Purchases, core: Codes) -> Purchases:
    """Return the purchases of the core, whose products have their position in it as code."""
    position = _positions(core, past.n_products)
    rows = past.where(position[past.products] >= 0)
    return replace(rows, product_ids=past.product_ids[core], products=position[rows.products])


def _scorers() -> dict[str, Scorer]:
    """Return the scorers of the core that are not rules; some shops do without one."""
    return {
        "item_neighbours": affinity.ItemNeighbours(k=100, shrinkage=10.0),
        "ease": affinity.Ease(l2=1000.0),
        "factors": affinity.Factors(n=32),
        "decayed_neighbours": affinity.DecayedNeighbours(),
        "content": affinity.Content(),
    }


def _rules() -> dict[str, Scorer]:
    return {f"rule_{by}": affinity.Rules(by, minimum_count=FEWEST_ORDERS) for by in ("confidence", "lift")}


def _block(first: int, past: Purchases, known: LearntCatalogue) -> dict[str, NDArray[Any]]:
    """Choose and score the candidates of some customers: columns of `SCHEMA`, ids as codes.

    Parameters
    ----------
    first : int
        Code of the first customer among all; `past` counts them from 0.
    past : Purchases
    known : LearntCatalogue
    """
    products, core, own, of = known.products, known.core, _Own.of(past), np.arange(past.n_customers)
    in_core, n_core = _in_core(past, core.products), len(core.products)
    bought, lately = in_core.baskets("customer"), in_core.last(BASKET_DAYS).baskets("customer")
    dense = {name: scorer.scores_of(in_core) for name, scorer in core.scorers.items()}
    baskets = np.split(lately.indices, lately.indptr[1:-1])
    rules = [core.best_rules(items) for items in baskets]
    antecedents, dense["rule_confidence"] = (
        np.array([rule[n] for rule in rules]).reshape(len(of), n_core) for n in (0, 1)
    )
    popularity = products.buyers[core.products]
    chosen = []
    for scores in (dense[name] for name in SOURCES if name in dense):
        positions, values = affinity.best(scores, PER_SCORER, without=bought, popularity=popularity)
        rows, columns = np.nonzero((positions >= 0) & (values > 0))
        chosen.append(of[rows] * past.n_products + core.products[positions[rows, columns]])
    chosen.append((of[:, None] * past.n_products + products.listed).ravel())
    chosen.append(_most_bought(own))
    codes = np.unique(np.concatenate(chosen))
    products_of = codes % max(past.n_products, 1)
    facts = own.of_pairs(codes)
    is_left = products.sold[products_of] & (products.is_rebought[products_of] | (facts["own_since_days"] >= JUST_DAYS))
    codes, products_of = codes[is_left], products_of[is_left]
    row, at = codes // max(past.n_products, 1), _positions(core.products, past.n_products)[products_of]
    is_in = at >= 0

    def looked_up(scores: NDArray[Any], none: float) -> NDArray[Any]:
        found = np.full(len(codes), none, dtype=scores.dtype)
        found[is_in] = scores[row[is_in], at[is_in]]
        return found

    antecedent = looked_up(antecedents, -1)
    has_rule = antecedent >= 0
    compared = np.split(at[is_in], np.searchsorted(row[is_in], of[1:]))
    lift = np.zeros(len(codes))
    lift[is_in] = np.concatenate([core.lifts(*pairs) for pairs in zip(baskets, compared, strict=True)])
    support = np.zeros(len(codes))
    support[has_rule] = core.together[antecedent[has_rule], at[has_rule]] / max(core.n_orders, 1)
    return {
        "customer": row + first,
        "product": products_of,
        **{name: np.empty(len(codes)) for name in KEY},
        **{name: values[is_left] for name, values in facts.items()},
        **{name: values[products_of] for name, values in products.facts.items()},
        **dict.fromkeys(SCORES, np.zeros(len(codes))),
        **{name: looked_up(scores, 0.0) for name, scores in dense.items()},
        "rule_lift": lift,
        "rule_support": support,
    }


def _most_bought(own: _Own) -> Codes:
    """Return the pairs of each customer with the highest own frequency, as codes."""
    entries = np.arange(len(own.codes))
    customer = np.searchsorted(own.starts, entries, side="right")
    order = np.lexsort((entries, -own.facts["own_frequency"], customer))
    customer = customer[order]
    rank = np.arange(len(order)) - np.searchsorted(customer, customer)
    return own.codes[entries[order[rank < OWN]]]
