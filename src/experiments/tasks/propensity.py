"""Propensity: the probability that a customer buys from one category, or from a dearer price band of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar
from urllib.parse import unquote

import numpy as np
import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.evaluation.probability_metrics import probability_metrics, probability_tables
from experiments.evaluation.validation import Dataset
from experiments.models.registry import Candidate, choose
from experiments.reports.drivers import drivers_parts
from experiments.reports.material import InUse, Material
from experiments.reports.section import Heading, Part, Section, Table, Text, Topic, joined, number, percent
from experiments.tasks.base import AmountTask, Expand
from features.errors import InputError, did_you_mean, listing
from features.families import spelling
from features.families.own_history import MEASURES
from features.grains import CUSTOMER, Grain
from features.outcomes import Outcome
from features.propensity import customers_by_value, purchase_outcome, upsell_outcome
from features.shop import Shop

PURCHASE, UPSELL = "purchase", "upsell"
EVENTS = (PURCHASE, UPSELL)
OF_CATEGORY, OF_PRODUCT, OF_UPSELL = "propensity", "product_propensity", "upsell"
NAMES = (OF_CATEGORY, OF_PRODUCT, OF_UPSELL)
BANDS = "category_dearer_bands"  # the feature that is above 0 of those who can buy dearer
COLUMNS = {"category": "category", "product": "product_id"}
QUESTION = re.compile(rf"({'|'.join(NAMES)})_(.+)_(\d+)d")
CONTACTED = 0.1  # share of customers that the report proposes to contact, as top_decile_lift counts
SHARES = (0.05, CONTACTED, 0.2, 0.5, 1.0)  # of the report's table
NAMED = 8  # values that a message lists


def slug(value: str) -> str:
    """Write a value in a name: lower case, `_` for a space, its bytes for what a registered model's name cannot hold.

    >>> slug("SOFT DRINKS"), slug("FRZN MEAT/MEAT"), slug("M&M's")
    ('soft_drinks', 'frzn_meat.2fmeat', 'm.26m.27s')
    """
    return spelling.spell(value).replace("/", ".2F").lower()


def read_slug(text: str) -> str:
    """Return the value of a slug, in lower case and with underscores for spaces.

    >>> read_slug("frzn_meat.2fmeat"), read_slug("m.26m.27s")
    ('frzn_meat/meat', "m&m's")
    """
    return unquote(text.replace(".", "%"))


@dataclass(frozen=True)
class Propensity(AmountTask):
    """Purchase from one category, or of one product, by each customer in [cutoff, cutoff + horizon_days).

    y = 1 if the customer buys a line of it in the window, else 0. Of event=upsell, y = 1 if the customer buys from a
    dearer price band of the category than ever before (`features.families.price_bands`). Each category is a question of
    its own, with its own models, ledger and champion; its name ends as `_soft_drinks_28d`.

    Attributes
    ----------
    category, product : str or None
        One of them: a category of the shop, or the id of a product. Upper and lower case, and a space and an
        underscore, make no difference.
    event : {"purchase", "upsell"}
    threshold : float in (0, 1)
        Probability from which `accuracy` counts the event as predicted.
    """

    category: str | int | None
    product: str | int | None
    event: str
    threshold: float

    grain: ClassVar[Grain] = CUSTOMER
    needs: ClassVar[tuple[str, ...]] = ("transactions", "products")
    in_plain_run: ClassVar[bool] = False
    label: ClassVar[str] = "purchase propensity"
    link: ClassVar[str] = "logit"
    total: ClassVar[str] = "number of buyers"
    words: ClassVar[Mapping[str, str]] = {
        "p_propensity": "chance to buy from the category",
        "p_product_propensity": "chance to buy the product",
        "p_upsell": "chance to buy dearer than before",
    }

    def __post_init__(self) -> None:
        if (self.category is None) == (self.product is None):
            raise InputError(
                "no category is asked for" if self.category is None else "a category and a product are asked for",
                where="task.category",
                expected="either task.category or task.product",
                found=listing(str(each) for each in (self.category, self.product) if each is not None) or "neither",
                hint="task.category=…, with a category of the table products",
            )
        if self.event not in EVENTS:
            raise InputError(f"unknown event {self.event!r}", where="task.event", hint=did_you_mean(self.event, EVENTS))
        if self.event == UPSELL and self.product is not None:
            raise InputError(
                "a product has no price bands",
                where="task.product",
                expected="task.category with task.event=upsell",
                found=str(self.product),
                hint="task.category=…, or task.event=purchase",
            )
        if not 0 < self.threshold < 1:
            raise InputError(
                "threshold is out of range", where="task.threshold", expected="in (0, 1)", found=str(self.threshold)
            )
        super().__post_init__()

    @classmethod
    def configure(cls, options: dict[str, Any], expand: Expand) -> dict[str, Any]:
        """Name the categories with most spend where none is asked for."""
        if options.get("category") is None and options.get("product") is None:
            largest = [name.partition(".")[2] for name in expand(["category_share.*"])]
            raise InputError(
                "no category is asked for",
                where="task.category",
                expected="a category of the shop, or task.product",
                found="neither",
                hint=f"task.category={largest[0]}; those with most spend are {listing(largest, limit=NAMED)}",
            )
        return options

    # The question

    @property
    def of(self) -> str:
        """Category or product that is asked for."""
        return "category" if self.product is None else "product"

    @property
    def value(self) -> str:
        """Name of the category, or id of the product."""
        return str(self.category if self.product is None else self.product)

    @property
    def name(self) -> str:
        """Event and kind of value: propensity, product_propensity or upsell."""
        if self.event == UPSELL:
            return OF_UPSELL
        return OF_CATEGORY if self.product is None else OF_PRODUCT

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return a name for each kind of question."""
        return NAMES

    def suffix(self, defaults: Mapping[str, Any]) -> str:
        """Return the category or product, and always the horizon: a category may end as a horizon does."""
        return f"_{slug(self.value)}_{self.horizon_days}d"

    @property
    def outputs(self) -> Mapping[str, str]:
        """Probability of the event."""
        what = f"from a dearer price band of {self.value} than before" if self.event == UPSELL else self.value
        return {f"p_{self.name}": f"probability that the customer buys {what} in the next {self.horizon_days} days"}

    @property
    def population(self) -> str:
        """Customers who are evaluated, in words."""
        if self.event == UPSELL:
            return (
                f"customers who bought from {slug(self.value)}, and not from its dearest price band, before the cutoff"
            )
        return "customers who bought before the cutoff"

    def outcome(self) -> Outcome:
        """Return 1 or 0 for each customer, independent of the population."""
        name = f"{self.event}_of_{self.of}_{slug(self.value)}_{self.horizon_days}d"
        if self.event == UPSELL:
            return upsell_outcome(name, self.value)
        return purchase_outcome(name, COLUMNS[self.of], self.value)

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        """Search the window for a line of each customer; of an upsell, compare the bands of what was bought."""
        start, end = pd.Timestamp(cutoff), pd.Timestamp(cutoff + timedelta(days=self.horizon_days))
        is_past = lines["timestamp"] < start
        known = pd.Index(lines.loc[is_past, "customer_id"].unique(), name="customer_id")
        asked = lines[COLUMNS[self.of]].str.replace(" ", "_").str.lower() == self.value.replace(" ", "_").lower()
        past, window = lines[asked & is_past], lines[asked & ~is_past & (lines["timestamp"] < end)]
        if self.event == PURCHASE:
            return pd.DataFrame({"y": known.isin(window["customer_id"]).astype(float)}, index=known)
        sold, later = _prices(past), _prices(window)
        in_order = sorted(sold.values())
        low, middle = (in_order[-(-n * len(in_order) // 3) - 1] for n in (1, 2))
        band = {product: 1 + (price > low) + (price > middle) for product, price in ({**later, **sold}).items()}
        before, after = (each["product_id"].map(band).groupby(each["customer_id"]).max() for each in (past, window))
        dearer = after.reindex(known) > before.reindex(known)
        return pd.DataFrame({"y": dearer.astype(float)}, index=known)

    def opened(self, shop: Shop) -> Shop:
        """Return the shop as it is, if it sells what is asked for.

        Raises
        ------
        InputError
            With the values that most customers bought, if it does not.
        """
        sold = shop.engine.frame(customers_by_value(shop.tables, COLUMNS[self.of]))
        if slug(self.value) in set(sold["value"].map(slug)):
            return shop
        most = [f"{value} ({customers:,} customers)" for value, customers in sold.head(NAMED).itertuples(index=False)]
        raise InputError(
            f"nobody bought from {self.value}" if self.of == "category" else f"nobody bought product {self.value}",
            where=f"task.{self.of}",
            expected=f"one of the {len(sold):,} values of {COLUMNS[self.of]}, such as {listing(most, limit=NAMED)}",
            found=self.value,
            hint=did_you_mean(self.value, list(sold["value"])),
        )

    # Rows and models

    def feature(self, measure: str) -> str:
        """Return the name of a feature of the category or product: `category_days_since.SOFT_DRINKS`."""
        return f"{self.of}_{measure}.{spelling.spell(self.value)}"

    @property
    def own_features(self) -> tuple[str, ...]:
        """The customer's own history with the category or product; of a category also its price bands."""
        bands = ("dearer_bands",) if self.of == "category" else ()
        return tuple(self.feature(measure) for measure in (*MEASURES, "share", *bands))

    @property
    def history(self) -> tuple[str, ...]:
        """Features that `judged_rows` and `counts` read."""
        return ("frequency", *([self.feature("dearer_bands")] if self.event == UPSELL else []))

    def judged_rows(self, dataset: Dataset) -> Dataset:
        """Return all customers; of an upsell, those who bought from the category and not from its dearest band."""
        from experiments.models.base import require_columns

        if self.event == PURCHASE:
            return dataset
        bands = require_columns(dataset.X, [self.feature("dearer_bands")])
        return dataset.where((bands.iloc[:, 0] > 0).to_numpy())

    @classmethod
    def eligible(cls, question: str, X: pd.DataFrame) -> np.ndarray | None:
        """Return who can buy dearer, of an upsell: those who bought from the category, and not its dearest band."""
        match = QUESTION.fullmatch(question)
        if match is None or match.group(1) != OF_UPSELL:
            return None
        own = f"{BANDS}.{match.group(2)}"
        bands = next((name for name in X if str(name).replace("/", ".2F").lower() == own), None)
        return None if bands is None else (X[bands] > 0).to_numpy()

    def candidates(self) -> Mapping[str, Candidate]:
        """Return tables of shares as baselines, logistic regression, trees and ensembles.

        Buy-till-you-die models, and blends with them, know purchases of anything alone, so they are not among them.
        """
        of_it = {"recency": "days_since", "frequency": "purchase_days", "visits": "purchase_days_last_91_days"}
        among = self.feature("dearer_bands") if self.event == UPSELL else None  # or others would turn the table round
        baselines = {
            name: candidate
            for baseline, measure in of_it.items()
            for name, candidate in choose(
                f"naive_{baseline}_of_it", terms={"feature": self.feature(measure), "among": among}
            ).items()
        }
        return baselines | choose(
            "naive_constant",
            "logistic",
            "lightgbm_probability",
            "hist_gradient_boosting",
            "ensemble",
            "estimator",
            terms={"horizon_days": self.horizon_days, "predicts": "probability"},
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return metrics of probabilities."""
        does = "buy dearer products of" if self.event == UPSELL else "buy"
        return probability_metrics(self.threshold, f"predicts who will {does} {self.value}")

    def tables(self, y: pd.Series, prediction: pd.Series) -> Mapping[str, pd.DataFrame]:
        """Return predicted probabilities beside observed shares, and the gain curves."""
        return probability_tables(y, prediction, of="buyers")

    @classmethod
    def section(cls, material: Material) -> Section | None:
        """Write the section on whom to offer a category; None where no model answers such a question."""
        try:
            question = material.question(cls.names())
        except InputError:  # nothing is in use, as the sections of other tasks say
            question = None
        return PROPENSITY.section(material) if question is not None else None


def _prices(lines: pd.DataFrame) -> dict[str, float]:
    """Return the median unit price of each product, of an even number the lower of the middle two."""
    quantity, amount = (pd.to_numeric(lines[column]) for column in ("quantity", "amount"))
    is_priced = (quantity > 0) & (amount > 0)
    unit = (amount / quantity)[is_priced].astype(float)
    return unit.groupby(lines.loc[is_priced, "product_id"]).quantile(0.5, interpolation="lower").to_dict()


def _write(material: Material) -> list[Part]:
    from experiments.reports.model_charts import evaluation_parts  # matplotlib: not every command draws

    parts: list[Part] = []
    scores = material.scores
    asked = {column.removeprefix("p_"): match for column in scores if (match := QUESTION.fullmatch(column[2:]))}
    for question, match in sorted(asked.items()):
        name, of_value, days = match.groups()
        of = "product" if name == OF_PRODUCT else "category"
        own = f"{of}_purchase_days.{spelling.spell(read_slug(of_value))}"
        bands = _dearer_bands(of_value)
        names = [own, bands] if name == OF_UPSELL else [own]
        history = material.shop.features(names, [material.as_of]).droplevel("cutoff").reindex(scores.index)
        eligible = history[bands] > 0 if name == OF_UPSELL else pd.Series(True, index=scores.index)
        parts += propensity_parts(
            scores.loc[eligible, f"p_{question}"],
            history.loc[eligible, own] > 0,
            question=question,
            left_out=int((~eligible & (history[own] > 0)).sum()) if name == OF_UPSELL else 0,
            model=material.in_use(question),
        )
        evaluated = material.evaluated(question)
        parts += [
            *drivers_parts(material.drivers(question)),
            *evaluation_parts(evaluated, currency=material.shop.staged.currency, horizon_days=int(days)),
        ]
    return parts


def _dearer_bands(of_value: str) -> str:
    """Return the feature that is above 0 of those who can buy dearer, by the slug of the category."""
    return f"{BANDS}.{spelling.spell(read_slug(of_value))}"


def propensity_parts(
    p: pd.Series, has_bought: pd.Series, *, question: str, left_out: int, model: InUse
) -> Sequence[Part]:
    """Write whom to offer a category or product, and how many of them are expected to buy.

    Parameters
    ----------
    p : Series indexed customer_id
        Probability of the event, of those whom it can happen to.
    has_bought : Series, same index
        Whether the customer bought from it before.
    question : str
        Such as `propensity_soft_drinks_28d`.
    left_out : int
        Customers who bought from the dearest price band already; 0 where the event is no upsell.
    model : InUse
    """
    match = QUESTION.fullmatch(question)
    assert match is not None
    name, of_value, days = match.groups()
    what = read_slug(of_value).replace("_", " ")
    does = {OF_CATEGORY: f"buy from {what}", OF_PRODUCT: f"buy product {what}", OF_UPSELL: f"buy dearer {what}"}[name]
    does = f"{does} within {days} days"
    heading = Heading(does[0].upper() + does[1:])
    if p.empty:
        return [heading, Text("Nobody is left to offer it to: all who bought have the dearest band already.", "lead")]
    order = pd.DataFrame({"p": p, "bought": has_bought}).sort_values("p", ascending=False, kind="stable")
    n = max(1, round(CONTACTED * len(order)))
    best, everyone = order["p"].iloc[:n], order["p"]
    where = f"They are the customers with the highest p_{question} in customer_360."
    if model.is_blind or everyone.min() == everyone.max():
        lead = f"Do not choose whom to address by the chance to {does}: it is not shown to be better than chance."
        where = f"About {percent(everyone.mean())} of {len(p):,} customers do, whoever is addressed."
    elif model.is_unreliable:
        lead = (
            f"Offer it first to the {number(n)} customers of {len(p):,} with the highest chance to {does}. How many of "
            "them buy is not predicted: amounts are unreliable."
        )
    else:
        lift = best.mean() / everyone.mean() if everyone.mean() else float("nan")
        lead = (
            f"Offer it first to the {number(n)} customers of {len(p):,} with the highest chance to {does}: about "
            f"{number(round(float(best.sum())))} of them ({percent(best.mean())}) are expected to, "
            f"{number(float(lift))} times the share of all ({percent(everyone.mean())})."
        )
    said = [Text(joined(lead, where), "lead"), Text(joined(f"Model in use: {model}.", model.standing, model.amounts))]
    if left_out:
        said.append(
            Text(
                f"{number(left_out)} further customers bought from the dearest price band already, and are left out. "
                "Price bands are thirds of the products by their median unit price.",
                "note",
            )
        )
    if model.is_unreliable or model.is_blind:
        return [heading, *said]
    strangers = order["p"][~order["bought"]]
    if len(strangers):
        first = strangers.iloc[: max(1, round(CONTACTED * len(strangers)))]
        said.append(
            Text(
                f"{number(len(strangers))} customers never bought it. To win new ones, begin with the "
                f"{number(len(first))} of them with the highest chance, {percent(first.mean())} on average."
            )
        )
    return [
        heading,
        *said,
        _table(order, question, does),
        Text(
            "A chance says who buys, not who buys because of the offer: hold some customers back and compare.", "note"
        ),
    ]


def _table(order: pd.DataFrame, question: str, does: str) -> Table:
    """Return the expected buyers by how many customers are addressed, those with the highest probability first."""
    rows = []
    for share in SHARES:
        first = order.iloc[: max(1, round(share * len(order)))]
        rows.append(
            {
                "addressed": percent(share, 0),
                "customers": len(first),
                "expected buyers": round(float(first["p"].sum())),
                "of them buy": percent(first["p"].mean()),
                "of all buyers": percent(first["p"].sum() / (order["p"].sum() or float("nan"))),
                "never bought it before": int((~first["bought"]).sum()),
            }
        )
    return Table(question, pd.DataFrame(rows), f"Customers by their chance to {does}, the highest first.")


PROPENSITY = Topic("propensity", "Purchase propensity", 76, _write)
