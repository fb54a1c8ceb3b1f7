"""Basket completion: the products that an order gets beside those that are known of it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

import features.affinity as affinity
from experiments.evaluation.metrics import Metric
from experiments.evaluation.ranking_metrics import lists_of, places, ranking_metrics
from experiments.evaluation.validation import Dataset, Evaluation
from experiments.models.registry import Candidate, choose
from experiments.tasks.base import Task
from features.candidates import FEWEST_ORDERS, bought_lines, product_names
from features.errors import InputError
from features.grains import Grain
from features.open_baskets import BASKETS, KEY, OPEN_DAYS, half_known, products_added, scored_baskets
from features.outcomes import Outcome
from features.shop import Shop

if TYPE_CHECKING:
    from experiments.models.base import Model
    from features.affinity import Purchases

SCORE, PLACE, PRODUCT, REASON = "completion_score", "place", "product", "reason"
ADDED, TOTAL = "added", "added_products"
LENGTHS = (5, 10)


@dataclass(frozen=True)
class BasketCompletion(Task):
    """Arrival of a candidate product in an open order in [cutoff, cutoff + horizon_days).

    Rows are the candidates of the orders of the 7 days before the cutoff. A shop records an order at once, so models
    are trained and judged on the same shop with half of each order's products known 7 days later
    (`features.open_baskets.half_known`). The metrics are means over customers of those of their orders.
    """

    name: ClassVar[str] = "basket_completion"
    grain: ClassVar[Grain] = BASKETS
    in_plain_run: ClassVar[bool] = False
    history: ClassVar[tuple[str, ...]] = ("basket_size",)
    plain_metric: ClassVar[str] = "hit_rate_5"
    counted: ClassVar[Mapping[str, str]] = {
        "baskets": "open orders that get a further product",
        "positives": "candidates that an order gets",
        "negatives": "candidates that it does not",
    }
    outputs: ClassVar[Mapping[str, str]] = {
        SCORE: "orders the candidates of a basket: the higher, the sooner it is offered; it has no unit"
    }

    def __post_init__(self) -> None:
        if self.horizon_days < OPEN_DAYS:
            raise InputError(
                "horizon_days is out of range",
                where="task.horizon_days",
                expected=f">= {OPEN_DAYS}, after which the rest of each order is known",
                found=str(self.horizon_days),
            )
        super().__post_init__()

    def opened(self, shop: Shop) -> Shop:
        """Return the shop with half of each order known 7 days later, written to its cache."""
        digest = f"{shop.staged.digest}-half-drawn"
        path = shop.cache / "open_baskets" / digest / "transactions.parquet"
        if not path.exists():
            lines = half_known(shop.tables)
            shop.engine.write(lines.order_by(["order_id", "line_number"]), path)
        lines = shop.engine.read(path, f"half_drawn_{shop.staged.digest}")
        schema = shop.tables.transactions.schema()
        lines = lines.select(**{name: lines[name].cast(schema[name]) for name in schema})
        return dataclasses.replace(
            shop,
            staged=dataclasses.replace(shop.staged, digest=digest),
            tables=shop.tables.with_tables(transactions=lines),
        )

    def outcome(self) -> Outcome:
        """Return whether the order gets each candidate, and how many products of the catalogue it gets."""
        return Outcome(f"products_added_{self.horizon_days}d", (ADDED, TOTAL), products_added, of_past=(TOTAL,))

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        """Count the products of each order in loops over sets."""
        start, end = pd.Timestamp(cutoff), pd.Timestamp(cutoff + timedelta(days=self.horizon_days))
        past = lines[lines["timestamp"] < start]
        window = lines[(lines["timestamp"] >= start) & (lines["timestamp"] < end)]
        before, after = (set(of[list(KEY)].itertuples(index=False, name=None)) for of in (past, window))
        buyers = past.dropna(subset="product_id").drop_duplicates(["customer_id", "product_id"])["product_id"]
        fewest = min(20, -(-past["customer_id"].nunique() // 100))
        sold = {product for product, n in buyers.value_counts().items() if n >= fewest}
        known = past[past["product_id"].isin(sold)]
        day = (start - known["timestamp"].dt.normalize()).dt.days
        rows = scored_baskets(
            known[["customer_id", "product_id", "order_id"]].assign(day=day), pd.DataFrame({"product_id": []})
        )
        got = {key for key in after - before if key[2] in sold}
        total = Counter(key[:2] for key in got)
        index = pd.MultiIndex.from_frame(rows[list(KEY)])
        return pd.DataFrame(
            {ADDED: [float(key in got) for key in index], TOTAL: [float(total[key[:2]]) for key in index]}, index=index
        )

    def counts(self, dataset: Dataset) -> pd.DataFrame:
        """Count open orders that get a product, and candidates."""
        y = dataset.y
        counts = pd.DataFrame({"positives": y[ADDED] > 0, "negatives": y[ADDED] == 0}).groupby(level="cutoff").sum()
        orders = y.index[y[TOTAL] > 0].to_frame()[["order_id", "customer_id", "cutoff"]].drop_duplicates()
        baskets = orders.groupby(level="cutoff").size() if len(orders) else pd.Series(dtype=float)
        counts.insert(0, "baskets", baskets.reindex(counts.index, fill_value=0).astype(int))
        return counts

    def candidates(self) -> Mapping[str, Candidate]:
        """Return best-sellers as baselines, scores of single methods, and a ranker over all of them."""
        return choose(
            "naive_basket_best_sellers",
            "naive_basket_recent_best_sellers",
            "basket_rules_confidence",
            "basket_rules_lift",
            "basket_item_neighbours",
            "basket_ease",
            "basket_factors",
            "basket_ranker",
            terms={},
        )

    def control(self) -> Model:
        """Build the control that uses no feature: the same score for every row."""
        from experiments.models.recommenders import NoOrder

        return NoOrder()

    def metrics(self) -> Mapping[str, Metric]:
        """Return metrics of ranked lists."""
        return ranking_metrics(LENGTHS, "completes baskets", hit=ADDED, total=TOTAL)

    def diagnose(self, model: Model, dataset: Dataset) -> Evaluation | None:
        """Measure the candidate step: the share of what orders get that is among the candidates, pooled."""
        of_list, orders = lists_of(dataset.y.index)
        total = float(dataset.y[TOTAL].groupby(of_list).max().sum()) if len(orders) else 0.0
        found = {"candidate_recall": float(dataset.y[ADDED].sum()) / total} if total else {}
        return Evaluation(dataset.y, self.predict(model, dataset.X), found)

    @classmethod
    def lists(cls, question: str, scores: pd.DataFrame, shop: Shop, as_of: date) -> pd.DataFrame:
        """Return the list of each open order: the best products, with place, name and a reason in words."""
        past = shop.tables.as_of(as_of)
        lines = shop.engine.frame(bought_lines(past))
        place = places(lists_of(scores.index)[0], scores[SCORE].to_numpy(dtype=float))
        shown = scores.assign(**{PLACE: place + 1})[place < LENGTHS[0]]
        bought = affinity.Purchases.of(lines)
        names = shop.engine.frame(product_names(past)).set_index("product_id")["name"]
        products = pd.Index(bought.product_ids).get_indexer(shown.index.get_level_values("product_id"))
        reasons = affinity.Reasons(
            bought, as_of, names.reindex(bought.product_ids).to_numpy(), minimum_count=FEWEST_ORDERS
        )
        told = shown.assign(
            **{
                PRODUCT: names.reindex(shown.index.get_level_values("product_id")).to_numpy(),
                REASON: pd.array(reasons.of_baskets(_held(shown.index, lines, bought), products), dtype="string"),
            }
        )
        order = np.lexsort((told[PLACE], told.index.get_level_values("order_id")))
        return told.iloc[order]


def _held(index: pd.MultiIndex, lines: pd.DataFrame, bought: Purchases) -> object:
    """Return what the basket of each row holds: a sparse matrix of rows and products."""
    from scipy import sparse

    keys = pd.MultiIndex.from_frame(lines[["customer_id", "order_id"]])
    orders = keys.unique()
    held = sparse.csr_matrix(
        (
            np.ones(len(lines)),
            (orders.get_indexer(keys), pd.Index(bought.product_ids).get_indexer(lines["product_id"])),
        ),
        (len(orders), bought.n_products),
    )
    return held[orders.get_indexer(index.droplevel("product_id").reorder_levels(["customer_id", "order_id"]))]
