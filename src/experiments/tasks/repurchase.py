"""Repurchase: the probability that a customer comes back within `horizon_days`, or stays away."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.evaluation.probability_metrics import (
    expected_calibration_error,
    probability_metrics,
    probability_tables,
    roc_auc,
)
from experiments.evaluation.shares import FIRST, is_highest, shares
from experiments.evaluation.validation import Dataset, Evaluation
from experiments.models.registry import Candidate, choose
from experiments.reports.drivers import drivers_parts
from experiments.reports.material import InUse, Material
from experiments.reports.section import Part, Picture, Section, Table, Text, Topic, enumerated, joined, number, percent
from experiments.tasks.base import AmountTask
from features import outcomes
from features.errors import InputError, did_you_mean
from features.grains import CUSTOMER, Grain
from features.outcomes import SINCE, Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

OUTCOMES = {"purchase": outcomes.purchased, "inactivity": outcomes.inactive}
NAMES = {"purchase": "repurchase", "inactivity": "inactivity"}
OF_ACTIVE = "_of_active"
ABILITIES = {"purchase": "predicts who will come back", "inactivity": "predicts who will stay away"}
MEANINGS = {"purchase": "buys", "inactivity": "does not buy"}
BY_GROUP = {"roc_auc": roc_auc, "expected_calibration_error": expected_calibration_error}
AT_STAKE = 0.25  # share of the best customers that is least likely to come back
LIKELY = 0.5  # mean probability from which a purchase is more likely than none
ACTIVE_DAYS = 28  # who is active, where `active_within_days` does not say: in `_of_active`, and in separate metrics


@dataclass(frozen=True)
class Repurchase(AmountTask):
    """Event of each customer in the `horizon_days` after a cutoff: a purchase, or none.

    y = 1 if the event happens in [cutoff, cutoff + horizon_days), else 0. Without a contract, churn needs a definition.
    "Inactive for 28 days" is event=inactivity. "Active before, gone now" is the same event among customers who bought
    in the last `active_within_days`.

    Attributes
    ----------
    event : {"purchase", "inactivity"}
        At least one purchase day in the horizon, or none.
    active_within_days : int or None
        Evaluate only customers with days_since_last_purchase < active_within_days. Models train on all customers, as
        models of purchase histories must, and predict all.
    threshold : float in (0, 1)
        Probability from which `accuracy` counts the event as predicted.
    """

    event: str
    active_within_days: int | None
    threshold: float

    grain: ClassVar[Grain] = CUSTOMER
    section_name: ClassVar[str] = "return"
    label: ClassVar[str] = "return probability"
    words: ClassVar[Mapping[str, str]] = {
        "p_repurchase": "chance to buy again",
        "p_repurchase_of_active": "chance of an active customer to buy again",
        "p_inactivity": "chance to stay away",
        "p_inactivity_of_active": "chance of an active customer to stay away",
    }
    link: ClassVar[str] = "logit"
    history: ClassVar[tuple[str, ...]] = ("frequency", SINCE)

    def __post_init__(self) -> None:
        if self.event not in OUTCOMES:
            raise InputError(
                f"unknown event {self.event!r}", where="task.event", hint=did_you_mean(self.event, OUTCOMES)
            )
        if self.active_within_days is not None and self.active_within_days < 1:
            raise InputError(
                "active_within_days is out of range",
                where="task.active_within_days",
                expected=">= 1, or null",
                found=str(self.active_within_days),
            )
        if not 0 < self.threshold < 1:
            raise InputError(
                "threshold is out of range", where="task.threshold", expected="in (0, 1)", found=str(self.threshold)
            )
        super().__post_init__()

    @property
    def name(self) -> str:
        """repurchase or inactivity, with the suffix `_of_active` for active customers only: separate questions."""
        return NAMES[self.event] + ("" if self.active_within_days is None else OF_ACTIVE)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return a name for each event, among all customers and among active ones."""
        return (*NAMES.values(), *(name + OF_ACTIVE for name in NAMES.values()))

    def suffix(self, defaults: Mapping[str, Any]) -> str:
        """Return the days that make customers active, if they are not 28, and the horizon."""
        within = self.active_within_days
        return ("" if within in (None, ACTIVE_DAYS) else f"_within_{within}d") + super().suffix(defaults)

    @property
    def outputs(self) -> Mapping[str, str]:
        """Probability of the event."""
        meaning = f"probability that the customer {MEANINGS[self.event]} in the next {self.horizon_days} days"
        return {f"p_{self.name}": meaning}

    @property
    def target(self) -> str:
        """Event, horizon and population in one string."""
        among = "" if self.active_within_days is None else f"_active_within_{self.active_within_days}d"
        return f"{super().target}{among}"

    @property
    def total(self) -> str:
        """Number of customers with the event, in words."""
        return "number of buyers" if self.event == "purchase" else "number of customers who stay away"

    @property
    def population(self) -> str:
        """Customers who are evaluated, in words."""
        if self.active_within_days is None:
            return "customers who bought before the cutoff"
        return f"customers who bought in the last {self.active_within_days} days before the cutoff"

    def outcome(self) -> Outcome:
        """Return 1 or 0 for each customer, independent of the population."""
        return Outcome(f"{self.event}_{self.horizon_days}d", ("y",), OUTCOMES[self.event])

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        """Search the window for a line of each customer."""
        start, end = pd.Timestamp(cutoff), pd.Timestamp(cutoff + timedelta(days=self.horizon_days))
        known = pd.Index(lines.loc[lines["timestamp"] < start, "customer_id"].unique(), name="customer_id")
        inside = (lines["timestamp"] >= start) & (lines["timestamp"] < end)
        came = known.isin(lines.loc[inside, "customer_id"])
        return pd.DataFrame({"y": (came == (self.event == "purchase")).astype(float)}, index=known)

    def candidates(self) -> Mapping[str, Candidate]:
        """Return tables of shares as baselines, P(at least one purchase), logistic regression, trees and a blend."""
        return choose(
            "naive_recency",
            "naive_frequency",
            "naive_visits",
            "naive_constant",
            "purchase_probability",
            "logistic",
            "lightgbm_probability",
            "hist_gradient_boosting",
            "probability_blend",
            "ensemble",
            "estimator",
            terms={"horizon_days": self.horizon_days, "event": self.event, "predicts": "probability"},
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return metrics of probabilities."""
        return probability_metrics(self.threshold, ABILITIES[self.event])

    def judged_rows(self, dataset: Dataset) -> Dataset:
        """Return the customers who bought in the last `active_within_days`; all customers if that is None."""
        from experiments.models.base import require_columns

        if self.active_within_days is None:
            return dataset
        since = require_columns(dataset.X, [SINCE])[SINCE]
        return dataset.where((since < self.active_within_days).to_numpy())

    def evaluate(self, model: Any, dataset: Dataset) -> Evaluation:
        """Compute the metrics of the population, and of its one-day, repeat and recently active customers."""
        from experiments.models.base import require_columns

        evaluation = super().evaluate(model, dataset)
        history = require_columns(self.judged_rows(dataset).X, ["frequency", SINCE])
        groups = {
            "one_day": history["frequency"] == 0,
            "repeat": history["frequency"] > 0,
            "active": history[SINCE] < (self.active_within_days or ACTIVE_DAYS),
        }
        apart = _apart(evaluation.y, evaluation.prediction, groups)
        return replace(evaluation, metrics={**evaluation.metrics, **apart})

    def tables(self, y: pd.Series, prediction: pd.Series) -> Mapping[str, pd.DataFrame]:
        """Return predicted probabilities beside observed shares, and the gain curves."""
        return probability_tables(y, prediction, of="buyers" if self.event == "purchase" else "leavers")

    @classmethod
    def section(cls, material: Material) -> Section:
        """Write the section on the return probability of each group of customers."""
        return RETURN_PROBABILITY.section(material)


def _apart(y: pd.Series, prediction: pd.Series, groups: Mapping[str, pd.Series]) -> dict[str, float]:
    """Compute the metrics of each group of customers; a group without both outcomes is left out."""
    metrics = {}
    for group, members in groups.items():
        inside = members.to_numpy()
        if y[inside].nunique() < 2:
            logger.debug("no separate metrics of %s customers: all %d have the same outcome", group, inside.sum())
            continue
        metrics |= {f"{group}/{name}": metric(y[inside], prediction[inside]) for name, metric in BY_GROUP.items()}
    return metrics


def return_parts(
    p: pd.Series,
    groups: pd.Series,
    history: pd.DataFrame,
    *,
    horizon_days: int,
    model: InUse,
    about: str,
    moved: pd.DataFrame | None = None,
    evaluated: Sequence[Part] = (),
    most_at_stake: int = 2,
) -> list[Part]:
    """Write the probability of a purchase by group, and the revenue at stake.

    Parameters
    ----------
    p, groups : Series indexed customer_id
        Probability of a purchase within the horizon, and group (a categorical, the best first).
    history : DataFrame indexed customer_id
        total_spend, T and days_since_last_purchase of each, on the same day.
    horizon_days : int
    model : InUse
    about : str
        Sentence that states the day of the groups.
    moved : DataFrame or None
        What moves the predictions: see `evaluation.importances.drivers`.
    evaluated : sequence of Part
        How right the model was: see `reports.model_charts.evaluation_parts`.
    most_at_stake : int
        Number of best groups whose customers the shop wants to keep.
    """
    of = groups.reindex(p.index)
    table = p.groupby(of, observed=False).agg(["size", "mean", "sum"])
    best = [str(name) for name in of.cat.categories[:most_at_stake]]
    source = f"the baseline {model.name}" if model.is_baseline else model.name
    lead = (
        f"How many of the {len(p):,} customers buy within {horizon_days} days is not predicted: amounts are unreliable "
        f"({source}). Use the order of customers alone."
        if model.is_unreliable
        else f"About {number(round(float(p.sum())))} of {len(p):,} customers ({percent(p.mean())}) are predicted to "
        f"buy within {horizon_days} days ({source})."
    )
    at_stake = BLIND if model.is_blind else _at_stake(p[of.isin(best)], history["total_spend"], enumerated(best))
    shown = pd.DataFrame(
        {
            "tier": table.index.astype(str),
            "customers": table["size"].to_numpy(),
            "mean probability": table["mean"].map(percent).to_numpy(),
            "expected buyers": table["sum"].round().astype(int).to_numpy(),
        }
    )
    if model.is_unreliable:
        first = shares(is_highest(p, FIRST).groupby(of, observed=False).sum())
        shown = shown[["tier", "customers"]].assign(
            **{f"share of the {FIRST:.0%} predicted highest": first.map(percent).to_numpy()}
        )
    return [
        Text(joined(lead, at_stake), "lead"),
        Text(joined(_lately(history, horizon_days), model.standing, model.amounts, about)),
        Table("return", shown, f"Probability of a purchase within {horizon_days} days, predicted by {model}."),
        Picture(
            "return",
            probabilities_figure(p, of, horizon_days=horizon_days),
            "Probability of a purchase by tier. Dots: median; thick lines: middle 50% of customers; "
            "thin lines: middle 90%.",
        ),
        *drivers_parts(moved),
        *evaluated,
        Text(
            "Other sections predict buyers in other ways, so that figures differ: the lifecycle from what customers of "
            "each stage did in earlier periods, new customers included; the next purchase from how long they wait.",
            "note",
        ),
    ]


BLIND = (
    "Do not choose single customers by their probability: it is not shown to be better than chance. Plan with the "
    "total, and address customers by days since their last purchase, which the lifecycle shows."
)


def _at_stake(p: pd.Series, spend: pd.Series, named: str) -> str:
    """Describe the past revenue of the quarter of customers that is least likely to return; "" if all have one p."""
    n = round(AT_STAKE * len(p))
    if not n or p.min() == p.max():
        return ""
    order = pd.DataFrame({"p": p, "spend": -spend.reindex(p.index)}).sort_values(["p", "spend"])
    quarter = order.index[:n]
    if p[quarter].mean() >= LIKELY:
        return (
            f"Even the least likely quarter of {named} ({number(n)} customers) has a mean probability of "
            f"{percent(p[quarter].mean())}: no campaign is needed to keep them."
        )
    return (
        f"Look after the least likely quarter of {named} first ({number(n)} customers with a mean probability of "
        f"{percent(p[quarter].mean())}; among equals, those who spent most): they brought "
        f"{percent(spend[quarter].sum() / (spend.sum() or np.nan))} of past revenue."
    )


def _lately(history: pd.DataFrame, horizon_days: int) -> str:
    """State the share of customers who bought in the last window of the same length, for comparison only."""
    known = history[history["T"] >= horizon_days]  # T counts from the first purchase to the day before this one
    if known.empty:
        return ""
    bought = known[SINCE] < horizon_days
    return (
        f"In the {horizon_days} days before, {number(int(bought.sum()))} of the {len(known):,} customers known at "
        f"their start bought ({percent(bought.mean())})."
    )


def probabilities_figure(p: pd.Series, groups: pd.Series, *, horizon_days: int) -> Figure:
    """Draw quantiles of a probability by group, the best group on top."""
    from matplotlib.figure import Figure  # not every command draws
    from matplotlib.ticker import PercentFormatter

    from experiments.reports.figures import BLUE, WIDTH, dress

    names = [name for name in groups.cat.categories if (groups == name).any()]
    medians = [f"{name} {percent(p[groups == name].median(), 0)}" for name in dict.fromkeys((names[0], names[-1]))]
    figure = Figure(figsize=(WIDTH, 1.6 + 0.42 * len(names)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        low, quarter, middle, three, high = p[groups == name].quantile([0.05, 0.25, 0.5, 0.75, 0.95])
        axes.plot([low, high], [row, row], color=BLUE, linewidth=1.2)
        axes.plot([quarter, three], [row, row], color=BLUE, linewidth=5, solid_capstyle="butt")
        axes.plot(middle, row, color="white", marker="o", markersize=6, markeredgecolor=BLUE, markeredgewidth=1.6)
    axes.set_yticks(range(len(names)), [str(name) for name in names])
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    dress(
        axes,
        title=f"Median probability: {', '.join(medians)}",
        subtitle="dots: median; thick lines: middle 50% of a tier's customers; thin lines: middle 90%",
        xlabel=f"probability of a purchase within {horizon_days} days (%)",
        ylabel="",
    )
    return figure


def _write(material: Material) -> list[Part]:
    scores, question = material.scores, material.question(Repurchase.names())
    if question is None:
        raise InputError("the task repurchase has no model in use that can score", hint=material.again("run"))
    from experiments.reports.model_charts import evaluation_parts  # matplotlib: not every command draws

    p, moved = scores[f"p_{question}"], material.drivers(question)
    horizon_days = int(scores[f"{question}_horizon_days"].iloc[0])
    if not question.startswith("repurchase"):
        p, moved = 1 - p, None if moved is None else moved.assign(direction=-moved["direction"])
    return return_parts(
        p,
        material.groups,
        scores,
        horizon_days=horizon_days,
        model=material.in_use(question),
        about=material.about_groups,
        moved=moved,
        evaluated=evaluation_parts(
            material.evaluated(question), currency=material.shop.staged.currency, horizon_days=horizon_days
        ),
    )


RETURN_PROBABILITY = Topic("return", "Return probability", 70, _write)
