"""Recommendation: the products that each customer buys next, of the whole catalogue, as a list with reasons."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

import features.affinity as affinity
from experiments.evaluation.metrics import Metric, measure
from experiments.evaluation.ranking_metrics import (
    BOUGHT,
    TOTAL,
    coverage,
    diversity,
    lists_of,
    novelty,
    places,
    ranking_metrics,
)
from experiments.evaluation.validation import Dataset, Evaluation
from experiments.models.registry import Candidate, choose
from experiments.reports.material import Material
from experiments.reports.section import Part, Section, Table, Text, Topic, joined, number, percent
from experiments.tasks.base import Task
from features.candidates import (
    CANDIDATES,
    FEWEST_ORDERS,
    bought_lines,
    product_names,
    products_bought,
    purchases_of,
    scored_pairs,
)
from features.errors import InputError
from features.grains import Grain, customers
from features.outcomes import Outcome

if TYPE_CHECKING:
    from experiments.models.base import Model
    from features.affinity import Purchases, Reasons
    from features.shop import Shop

SCORE = "recommendation_score"
PLACE, REASON, PRODUCT = "place", "reason", "product"
AGAIN, OWN_ORDERS = "bought_again", "own_orders"
NEW = "_new"
SHORT, LONG = 5, 10  # products of the lists that are judged; a customer's written list has the longer one
EVERYTHING = "products that customers who bought before the cutoff may buy next"
RULE_FACTS = ("rule_support", "rule_confidence", "rule_lift")
OF_PART = {"new": "products that are new to the customer", "repeat": "products that the customer had bought before"}
OF_LISTS = {
    f"coverage_{SHORT}": f"share of the products that are a candidate of anybody that are in a list of {SHORT}",
    f"novelty_{SHORT}": "mean of -log2(share of customers who ever bought the product) over the places of the lists",
    f"diversity_{SHORT}": "1 - mean share of places that the lists of two customers have in common",
    f"new_share_{SHORT}": "share of the places whose product is new to the customer",
    **{f"{name}_{SHORT}": f"mean {name} over the places of the lists" for name in RULE_FACTS},
}
FEWEST_ROWS = 10  # of the report's table of products


@dataclass(frozen=True)
class Recommendation(Task):
    """Purchase of a candidate product by a customer in [cutoff, cutoff + horizon_days).

    Rows are candidate pairs as of the cutoff (`features.candidates`). A list holds a customer's candidates of the
    highest scores. It is judged by all products of the catalogue that the customer buys: one that is no candidate
    counts as a miss.

    Attributes
    ----------
    new_alone : bool
        Recommend and judge only products that the customer never bought. Models predict all rows.
    """

    new_alone: bool

    name: ClassVar[str] = "recommendation"
    grain: ClassVar[Grain] = CANDIDATES
    history: ClassVar[tuple[str, ...]] = ("frequency", OWN_ORDERS)
    plain_metric: ClassVar[str] = f"hit_rate_{SHORT}"
    outputs: ClassVar[Mapping[str, str]] = {
        SCORE: "orders a customer's candidates: the higher, the sooner it is recommended; it has no unit"
    }
    further_metrics: ClassVar[Mapping[str, str]] = {
        **{
            f"{part}_{name}": f"{name} of lists of {which} alone"
            for part, which in OF_PART.items()
            for name in ranking_metrics((SHORT, LONG), "")
        },
        **OF_LISTS,
    }

    @property
    def population(self) -> str:
        """Rows that are evaluated, in words."""
        return "products that are new to customers who bought before the cutoff" if self.new_alone else EVERYTHING

    @property
    def target(self) -> str:
        """Outcome and population in one string."""
        return f"{super().target}{NEW}" if self.new_alone else super().target

    def suffix(self, defaults: Mapping[str, Any]) -> str:
        """Return whether new products alone are judged, and the horizon."""
        return (NEW if self.new_alone else "") + super().suffix(defaults)

    def outcome(self) -> Outcome:
        """Return whether each candidate is bought, and how many products the customer buys in all and again."""
        return Outcome(
            f"products_bought_{self.horizon_days}d",
            (BOUGHT, TOTAL, AGAIN),
            products_bought,
            of_past=(TOTAL, AGAIN),
        )

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        """Count the bought products of each candidate's customer in loops over sets."""
        start, end = pd.Timestamp(cutoff), pd.Timestamp(cutoff + timedelta(days=self.horizon_days))
        past = lines[lines["timestamp"] < start]
        window = lines[(lines["timestamp"] >= start) & (lines["timestamp"] < end)]
        before, after = ({*zip(of["customer_id"], of["product_id"], strict=True)} for of in (past, window))
        buyers = pd.Series([product for _, product in before if isinstance(product, str)]).value_counts()
        sold = {*buyers.index[buyers >= min(20, math.ceil(0.01 * past["customer_id"].nunique()))]}
        known = past[past["product_id"].isin(sold)]
        day = (start - known["timestamp"].dt.normalize()).dt.days
        rows = scored_pairs(
            known[["customer_id", "product_id", "order_id"]].assign(day=day),
            past[["customer_id"]].drop_duplicates(),
            pd.DataFrame({"product_id": []}),
        )
        bought = {pair for pair in after if pair[1] in sold}
        total = Counter(customer for customer, _ in bought)
        again = Counter(customer for customer, _ in bought & before)
        index = pd.MultiIndex.from_frame(rows[list(self.grain.key)])
        customers = index.get_level_values("customer_id")
        return pd.DataFrame(
            {
                BOUGHT: [float(pair in bought) for pair in index],
                TOTAL: [float(total[customer]) for customer in customers],
                AGAIN: [float(again[customer]) for customer in customers],
            },
            index=index,
        )

    def judged_rows(self, dataset: Dataset) -> Dataset:
        """Return the rows of new products, and how many of them are bought, if `new_alone`; else all."""
        return _part(dataset, "new") if self.new_alone else dataset

    def candidates(self) -> Mapping[str, Candidate]:
        """Return best-sellers and own purchases as baselines, scores of single methods, a hybrid and a ranker."""
        return choose(
            "naive_best_sellers",
            "naive_recent_best_sellers",
            "naive_own_purchases",
            "rules_confidence",
            "rules_lift",
            "item_neighbours",
            "ease",
            "autoencoder",
            "factors",
            "decayed_neighbours",
            "content",
            "hybrid",
            "lightgbm_ranker",
            terms={"new_alone": self.new_alone},
        )

    def control(self) -> Model:
        """Build the control that uses no feature: the same score for every row."""
        from experiments.models.recommenders import NoOrder

        return NoOrder()

    def metrics(self) -> Mapping[str, Metric]:
        """Return metrics of ranked lists."""
        return ranking_metrics((SHORT, LONG), "recommends what customers buy next")

    def evaluate(self, model: Any, dataset: Dataset) -> Evaluation:
        """Compute the metrics, those of new and of repeat products apart, and what the lists look like."""
        found, judged = super().evaluate(model, dataset), self.judged_rows(dataset)
        metrics, undefined = dict(found.metrics), dict(found.undefined)
        for part in () if self.new_alone else OF_PART:
            rows = _is_of(judged, part)
            y = _outcome_of(judged.y[rows], part)
            own, missing = measure(self.metrics().values(), y, found.prediction[rows])
            metrics |= {f"{part}_{name}": value for name, value in own.items()}
            undefined |= {f"{part}_{name}": why for name, why in missing.items()}
        metrics |= look_of(judged.X, found.prediction)
        return Evaluation(found.y, found.prediction, metrics, undefined, found.tables)

    def diagnose(self, model: Model, dataset: Dataset) -> Evaluation | None:
        """Measure the candidate step: the share of what is bought that is among the candidates, pooled."""
        y, recalls = dataset.y, {}
        for name, rows in {"": dataset, **{f"{part}_": _part(dataset, part) for part in OF_PART}}.items():
            of_list, customers = lists_of(rows.y.index)
            total = float(rows.y[TOTAL].groupby(of_list).max().sum()) if len(customers) else 0.0
            if total:
                recalls[f"{name}candidate_recall"] = float(rows.y[BOUGHT].sum()) / total
        return Evaluation(y, self.predict(model, dataset.X), recalls)

    @classmethod
    def lists(cls, question: str, scores: pd.DataFrame, shop: Shop, as_of: date) -> pd.DataFrame:
        """Return the list of each customer: the best products, each with its place, its name and a reason in words."""
        past, frame = shop.tables.as_of(as_of), shop.engine.frame
        bought = purchases_of(frame(bought_lines(past)), frame(customers(past)))
        names = frame(product_names(past)).set_index("product_id")["name"].reindex(bought.product_ids)
        reasons = affinity.Reasons(bought, as_of, names.to_numpy(), minimum_count=FEWEST_ORDERS)
        return cls.listed(question, scores, bought, names, reasons)

    @classmethod
    def listed(
        cls, question: str, scores: pd.DataFrame, bought: Purchases, names: pd.Series, reasons: Reasons
    ) -> pd.DataFrame:
        """Return the list of each customer of some scores, of customers whose purchases are given.

        Parameters
        ----------
        question, scores
            As of `lists`.
        bought : Purchases
            Of all these customers.
        names : Series indexed product_id
        reasons : Reasons
            Of the same purchases.
        """
        if question.removeprefix(cls.name).startswith(NEW):
            scores = scores[~_is_bought(scores.index, bought)]
        place = places(lists_of(scores.index)[0], scores[SCORE].to_numpy(dtype=float))
        shown = scores.assign(**{PLACE: place + 1})[place < LONG]
        told = shown.assign(
            **{
                PRODUCT: names.reindex(shown.index.get_level_values("product_id")).to_numpy(),
                REASON: pd.array(reasons.of_customers(*_codes(shown.index, bought)), dtype="string"),
            }
        )
        order = told[PLACE].to_numpy().argsort(kind="stable")
        return told.iloc[order].sort_index(level="customer_id", sort_remaining=False, kind="stable")

    @classmethod
    def customer_view(cls, scores: pd.DataFrame) -> pd.DataFrame:
        """Return the first five products of each customer: id, score and reason; null where a list is shorter."""
        of_list, customers = lists_of(scores.index)
        place = places(of_list, scores[SCORE].to_numpy(dtype=float))
        short = np.flatnonzero(place < SHORT)
        rows = np.full((len(customers), SHORT), -1)
        rows[of_list[short], place[short]] = short
        texts = {"": scores.index.get_level_values("product_id")}
        texts |= {ending: scores[name] for ending, name in (("_name", PRODUCT), ("_reason", REASON)) if name in scores}
        columns = {
            "": pd.array(texts[""], dtype="string"),
            "_score": scores[SCORE].array,
            **{ending: pd.array(values, dtype="string") for ending, values in texts.items() if ending},
        }
        view = {
            f"product_{n + 1}{ending}": values.take(rows[:, n], allow_fill=True)
            for n in range(SHORT)
            for ending, values in columns.items()
        }
        return pd.DataFrame(view, index=customers)

    @classmethod
    def section(cls, material: Material) -> Section | None:
        """Write the section on what customers are recommended; None where no model makes lists."""
        try:
            question = material.question(cls.names())
        except InputError:  # nothing is in use, as the sections of other tasks say
            question = None
        return RECOMMENDATION.section(material) if question is not None else None


def _is_of(dataset: Dataset, part: str) -> np.ndarray:
    """Return which candidates are new to the customer, or are not."""
    from experiments.models.base import require_columns

    is_own = (require_columns(dataset.X, [OWN_ORDERS])[OWN_ORDERS] > 0).to_numpy()
    return is_own if part == "repeat" else ~is_own


def _part(dataset: Dataset, part: str) -> Dataset:
    """Return the candidates that are new to the customer, or are not, with how many such products are bought."""
    rows = dataset.where(_is_of(dataset, part))
    return Dataset(rows.X, _outcome_of(rows.y, part))


def _outcome_of(y: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return the outcome with the number of products of a part that the customer buys."""
    return y.assign(**{TOTAL: y[AGAIN] if part == "repeat" else y[TOTAL] - y[AGAIN]})


def look_of(X: pd.DataFrame, prediction: pd.Series) -> dict[str, float]:
    """Return the metrics of `OF_LISTS`: what lists look like, whatever is bought."""
    of_list, customers = lists_of(X.index)
    shown = X[places(of_list, prediction.to_numpy(dtype=float)) < SHORT]
    products = pd.Series(shown.index.get_level_values("product_id"))
    found = {
        f"coverage_{SHORT}": coverage(products, X.index.get_level_values("product_id").nunique()),
        f"novelty_{SHORT}": novelty(shown["product_buyer_share"].to_numpy())
        if "product_buyer_share" in X
        else math.nan,
        f"diversity_{SHORT}": diversity(products, len(customers), SHORT),
        f"new_share_{SHORT}": float((shown[OWN_ORDERS] == 0).mean()),
        **{f"{name}_{SHORT}": float(shown[name].mean()) for name in RULE_FACTS if name in shown},
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _codes(index: pd.MultiIndex, bought: Purchases) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of each pair's customer and product among the purchases."""
    customers, products = (index.get_level_values(name) for name in ("customer_id", "product_id"))
    return pd.Index(bought.customer_ids).get_indexer(customers), pd.Index(bought.product_ids).get_indexer(products)


def _is_bought(index: pd.MultiIndex, bought: Purchases) -> np.ndarray:
    """Return which pairs are of a product that the customer bought."""
    customers, products = _codes(index, bought)
    held = bought.customers * bought.n_products + bought.products
    return np.isin(customers * bought.n_products + products, held)


def _write(material: Material) -> list[Part]:
    question = material.question(Recommendation.names())
    assert question is not None
    model = material.in_use(question)
    return recommendation_parts(material.scores, question.removeprefix(Recommendation.name), str(model), model.standing)


def recommendation_parts(scores: pd.DataFrame, suffix: str, model: str, standing: str) -> list[Part]:
    """Write what customers are recommended.

    Parameters
    ----------
    scores : DataFrame indexed customer_id
        Columns of `Recommendation.customer_view`, with the question's suffix.
    suffix : str
    model : str
        The model in use, as people read it.
    standing : str
        Its evaluation in a sentence.
    """
    places_of = range(1, SHORT + 1)
    parts = {
        name: pd.concat([scores[f"product_{n}{ending}{suffix}"] for n in places_of], ignore_index=True).astype("string")
        for name, ending in (("product", ""), ("name", "_name"), ("reason", "_reason"))
    }
    shown = pd.DataFrame(parts).assign(place=np.repeat([*places_of], len(scores)))
    shown = shown[shown["product"].notna()]
    if shown.empty:
        raise InputError("no customer has a recommendation", hint="see the section on candidates in the guide")
    first = shown["product"].value_counts()
    with_list = int(scores[f"product_1{suffix}"].notna().sum())
    is_own = shown["reason"].str.startswith(("every ", "bought once")).fillna(False)
    lead = joined(
        f"{number(with_list)} of {len(scores):,} customers have a list of products to offer next ({model}).",
        f"{percent(float(is_own.mean()))} of the places are products that the customer bought before; "
        f"{number(len(first))} different products are offered.",
        "Offer the first product that fits the contact, and say the reason beside it.",
    )
    of_product = shown.groupby("product").agg(
        name=("name", "first"), customers=("product", "size"), first_place=("place", lambda at: int((at == 1).sum()))
    )
    most = of_product.sort_values(["customers", "first_place"], ascending=False).head(FEWEST_ROWS)
    most = most.rename(columns={"first_place": "in first place"})
    example = shown[shown["product"].isin(most.index)].drop_duplicates("reason").groupby("product")["reason"].first()
    most["a reason"] = example.reindex(most.index).fillna("")
    return [
        Text(lead, "lead"),
        Text(standing) if standing else Text("Lists are judged by all products that a customer buys next."),
        Table("recommendations", most, "The products that most customers are offered, among the first five places."),
        Text(
            "A list is the customer's candidates in the order of the model's score. Candidates are the customer's past "
            "products, recent best-sellers, and products that go together with what was bought. Products that are not "
            "sold any more are left out. The whole lists are in recommendations.parquet.",
            "note",
        ),
    ]


RECOMMENDATION = Topic("recommendation", "Recommendations", 77, _write)
