"""Customer value: spend in the next `horizon_days`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from math import inf
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.evaluation.profit import COST, WORTH, profit_curve, profit_metrics, worth_of_gini
from experiments.evaluation.shares import FIRST, is_highest, shares
from experiments.evaluation.spend_metrics import (
    POINTS,
    SPEND_METRICS,
    calibration_table,
    cumulative_gain,
    total_ratio_interval,
)
from experiments.models.registry import Candidate, choose
from experiments.reports.drivers import drivers_parts
from experiments.reports.material import Evaluated, InUse, Material
from experiments.reports.section import Heading, Part, Picture, Section, Table, Text, Topic, joined, number, percent
from experiments.tasks.base import AmountTask
from features import outcomes
from features.errors import InputError
from features.grains import CUSTOMER, Grain
from features.outcomes import DAYS_PER_YEAR, Outcome, check_money_terms

SPEND = "expected spend"
ORDER = "The order of the tiers is more reliable than the amounts."


@dataclass(frozen=True)
class CustomerValue(AmountTask):
    """Spend of each customer in the `horizon_days` after a cutoff.

    y = margin x sum of amount / (1 + discount_rate)^(days / 365), in the shop's currency, over the purchases in
    [cutoff, cutoff + horizon_days). It is 0 for customers who do not come back.

    Attributes
    ----------
    discount_rate : float
        Per year.
    margin : float
        Profit per unit of revenue.
    contact_cost : float
        Cost of addressing a customer, in currency; of the profit curve alone.
    """

    discount_rate: float
    margin: float
    contact_cost: float

    name: ClassVar[str] = "clv"
    grain: ClassVar[Grain] = CUSTOMER
    section_name: ClassVar[str] = "value"
    label: ClassVar[str] = "expected spend"
    words: ClassVar[Mapping[str, str]] = {"clv": "expected spend"}
    plain_metric: ClassVar[str] = "captured_spend_20"
    link: ClassVar[str] = "log"
    outputs: ClassVar[Mapping[str, str]] = {"clv": "predicted spend over the horizon, times the margin, in currency"}
    shown_features: ClassVar[tuple[str, ...]] = (
        "frequency",
        "recency",
        "T",
        "monetary_value",
        "days_since_last_purchase",
        "left_truncated",
        "total_spend",
        "average_order_value",
        "orders",
        "spend_last_91_days",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_money_terms(self.margin, self.discount_rate)
        if not 0 <= self.contact_cost < inf:
            raise InputError(
                "contact_cost is out of range",
                where="task.contact_cost",
                expected="a finite amount, at least 0",
                found=str(self.contact_cost),
            )

    @property
    def total(self) -> str:
        return "spend"

    @property
    def population(self) -> str:
        return "customers who bought before the cutoff"

    def suffix(self, defaults: Mapping[str, Any]) -> str:
        """Return the horizon, discount and margin that are not the defaults: `_180d_margin0p3` for 0.3."""
        terms = {"discount": "discount_rate", "margin": "margin"}
        money = (
            f"_{word}{getattr(self, option):g}".replace(".", "p")
            for word, option in terms.items()
            if self.differs(option, defaults)
        )
        return super().suffix(defaults) + "".join(money)

    def outcome(self) -> Outcome:
        """Return the spend of each customer in the window, discounted and times the margin."""
        return Outcome(
            name=f"spend_{self.horizon_days}d_discount{self.discount_rate:g}_margin{self.margin:g}",
            columns=("y",),
            build=partial(outcomes.spend, discount_rate=self.discount_rate, margin=self.margin),
        )

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        """Sum the lines of each customer in the window, each discounted by its day."""
        start, end = pd.Timestamp(cutoff), pd.Timestamp(cutoff + timedelta(days=self.horizon_days))
        days = (lines["timestamp"].dt.normalize() - start).dt.days
        worth = lines["amount"].astype(float) * (1 + self.discount_rate) ** (-days / DAYS_PER_YEAR)
        inside = (lines["timestamp"] >= start) & (lines["timestamp"] < end)
        spent = worth[inside].groupby(lines["customer_id"]).sum() * self.margin
        known = lines.loc[lines["timestamp"] < start, "customer_id"].unique()
        return spent.reindex(known, fill_value=0.0).rename("y").rename_axis("customer_id").to_frame()

    def candidates(self) -> Mapping[str, Candidate]:
        """Return baselines by past spend, buy-till-you-die models with gamma-gamma values, trees, ridge and a blend."""
        return choose(
            "naive_lifetime_rate",
            "naive_last_91_days_rate",
            "naive_past_total",
            "bg_nbd",
            "mbg_nbd",
            "pareto_nbd",
            "lightgbm",
            "hist_gradient_boosting",
            "ridge",
            "blend",
            "ensemble",
            "estimator",
            terms={
                "horizon_days": self.horizon_days,
                "discount_rate": self.discount_rate,
                "margin": self.margin,
                "predicts": "amount",
            },
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return metrics of spend. Errors in currency cannot choose models, because a prediction of 0 often wins."""
        return {**SPEND_METRICS, **profit_metrics(self.contact_cost)}

    def sealed_figures(self, y: pd.Series | pd.DataFrame, prediction: pd.Series | pd.DataFrame) -> Mapping[str, float]:
        """Return the interval of the total ratio, the cost of a contact, and what a gain of 1 in Gini is worth."""
        low, high = total_ratio_interval(y, prediction)
        worth = {WORTH: worth_of_gini(y)} if self.primary_metric == "gini" else {}
        return {"total_ratio_low": low, "total_ratio_high": high, COST: self.contact_cost, **worth}

    def tables(self, y: pd.Series, prediction: pd.Series) -> Mapping[str, pd.DataFrame]:
        """Return the calibration by decile, the gain curves and the profit curve."""
        return {
            "calibration": calibration_table(y, prediction),
            "cumulative_gain": cumulative_gain(y, prediction, points=POINTS),
            "perfect_gain": cumulative_gain(y, y, points=POINTS),
            "profit": profit_curve(y, prediction, contact_cost=self.contact_cost),
        }

    @classmethod
    def section(cls, material: Material) -> Section:
        """Write the section on the expected value of each group of customers."""
        return EXPECTED_VALUE.section(material)


def value_parts(
    clv: pd.Series,
    groups: pd.Series,
    *,
    horizon_days: int,
    currency: str,
    model: InUse,
    about: str,
    moved: pd.DataFrame | None = None,
    evaluated: Sequence[Part] = (),
    measured: str = "",
) -> list[Part]:
    """Write the predicted value by group: in money, or by the order of customers alone where amounts are unreliable.

    Shares of what is predicted are amounts, too: a rate of new customers may put half of all spend on a tenth of them.

    Parameters
    ----------
    clv, groups : Series indexed customer_id
        Predicted spend, and the group of each customer, a categorical.
    horizon_days : int
    currency : str
    model : InUse
    about : str
        Sentence that states the day of the groups.
    moved : DataFrame or None
        What moves the predictions: see `evaluation.importances.drivers`.
    evaluated : sequence of Part
        How right the model was: see `reports.model_charts.evaluation_parts`.
    measured : str
        What the customers predicted highest really spent, in a sentence: see `spent_by_the_first`.
    """
    from experiments.reports.group_charts import shares_figure  # matplotlib: not every command draws

    of = groups.reindex(clv.index)
    table = clv.groupby(of, observed=False).agg(["size", "sum", "mean"])
    first = is_highest(clv, FIRST).groupby(of, observed=False).sum()
    what, counted = (f"the {FIRST:.0%} predicted highest", first) if model.is_unreliable else (SPEND, table["sum"])
    drawn = pd.DataFrame({"customers": shares(table["size"]), "expected": shares(counted)})
    spend = float(clv.sum())
    top = clv.nlargest(max(1, len(clv) // 10)).sum() / (spend or np.nan)
    rounded = f"{number(float(f'{spend:.2g}'))} {currency}"  # more digits would feign accuracy
    source = f"the baseline {model.name}" if model.is_baseline else model.name
    total = (
        joined(f"Customers are ordered by {source}. No amount is given, because amounts are unreliable.", measured)
        if model.is_unreliable
        else f"All customers together are predicted to spend about {rounded} in the next {horizon_days} days "
        f"({source}); the top tenth {percent(top)} of it."
    )
    amounts = {"expected spend per customer": table["mean"], "expected spend": table["sum"]}
    shown = pd.DataFrame(
        {
            "tier": table.index.astype(str),
            "customers": table["size"].to_numpy(),
            **({} if model.is_unreliable else {name: column.to_numpy() for name, column in amounts.items()}),
            f"share of {what}": drawn["expected"].map(percent).to_numpy(),
        }
    )
    predicted, money, the = (
        ("Order of customers by expected spend", "", what)
        if model.is_unreliable
        else ("Expected spend", f", {currency}", f"the {what}")
    )
    return [
        Text(joined(total, _advice(model)), "lead"),
        Text(joined(model.standing, model.amounts or ORDER, about)),
        Table("expected_value", shown, f"{predicted} in {horizon_days} days{money}, predicted by {model}."),
        Picture(
            "expected_value",
            shares_figure(
                drawn,
                {"customers": "customers", "expected": what},
                title=f"{drawn.index[0]}: {percent(drawn['expected'].iloc[0])} of {the}",
                subtitle=f"in {horizon_days} days",
            ),
            f"Each tier's share of customers and of {what}.",
        ),
        *drivers_parts(moved),
        *evaluated,
    ]


def spent_by_the_first(evaluated: Evaluated | None) -> str:
    """Say which share of the spend the customers predicted highest made, as measured; "" where it was not."""
    tables = next(iter(evaluated.tables.values()), {}) if evaluated is not None else {}
    if evaluated is None or "cumulative_gain" not in tables:
        return ""
    curve = tables["cumulative_gain"]
    spent = float(np.interp(FIRST, curve["customers_share"], curve["spend_share"]))
    if not np.isfinite(spent):
        return ""
    return f"In the {evaluated.window} the {FIRST:.0%} predicted highest made {percent(spent)} of the spend."


def _advice(model: InUse) -> str:
    """Return what to do with the order of customers: nothing, where it was not shown to be better than chance."""
    if model.is_blind:
        return (
            "Do not address customers in this order: it is not shown to be better than chance. Address all of a value "
            "tier alike, or a part drawn at random, and measure who answers."
        )
    return "Address customers in the order of their expected spend."


def _write(material: Material) -> list[Part]:
    scores, question = material.scores, material.question(CustomerValue.names())
    if question is None:
        raise InputError("the task clv has no model in use that can score", hint=material.again("run"))
    from experiments.reports.model_charts import evaluation_parts  # matplotlib: not every command draws

    horizon_days, currency = int(scores[f"{question}_horizon_days"].iloc[0]), material.shop.staged.currency
    evaluated = material.evaluated(question)
    parts = value_parts(
        scores[question],
        material.groups,
        horizon_days=horizon_days,
        currency=currency,
        model=material.in_use(question),
        about=material.about_groups,
        moved=material.drivers(question),
        evaluated=evaluation_parts(evaluated, currency=currency, horizon_days=horizon_days),
        measured=spent_by_the_first(evaluated),
    )
    return [Heading("Predicted spend"), *parts]


EXPECTED_VALUE = Topic("value", "Expected value", 65, _write)  # after the value tiers, which come first in the section
