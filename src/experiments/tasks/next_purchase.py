"""Next purchase: the day on which each customer buys next, as a distribution over the days ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.evaluation.spend_metrics import POINTS, cumulative_gain
from experiments.evaluation.validation import Dataset
from experiments.evaluation.wait_metrics import (
    HIGH,
    LATER,
    LOW,
    MEAN,
    MEDIAN,
    calibration_by_median,
    wait_metrics,
    within,
)
from experiments.models.registry import Candidate, choose
from experiments.reports.material import InUse, Material
from experiments.reports.section import Part, Picture, Section, Table, Text, Topic, joined, number, percent
from experiments.tasks.base import Task
from features import outcomes
from features.errors import InputError
from features.grains import CUSTOMER, Grain
from features.outcomes import SINCE, Outcome, thresholds_of

if TYPE_CHECKING:
    from experiments.models.base import Model

REPORTED = (7, 14, 28)
EVERYBODY = "customers who bought before the cutoff"
DATES = {MEDIAN: "next_purchase_date", LOW: "next_purchase_date_low", HIGH: "next_purchase_date_high"}
SINCE_EDGES = (0, 7, 14, 28, 56, 112)  # days since the last purchase, first of each group
FEWEST = 5  # customers behind a point of a picture
NOT_CALIBRATED = (
    "Use these dates and probabilities to decide whom to contact first, not to count buyers. They are not calibrated "
    "by season: after a peak, such as December, the number of predicted buyers can be far too high. The probabilities "
    "of the task repurchase (p_repurchase) are calibrated by past windows and the season. Use their sum for counts, "
    "also where the two disagree about the same days."
)


@dataclass(frozen=True)
class NextPurchase(Task):
    """Days from the cutoff to each customer's next purchase day, up to `horizon_days`.

    Day 1 is the cutoff's own date. A customer who does not buy in [cutoff, cutoff + horizon_days) is censored: days is
    horizon_days, and observed 0. Models predict a distribution, P(next purchase on day d) for each day of the horizon,
    and P(later or never). It is judged and served by its quantiles, its mean and P(within d days) at the days of
    `thresholds_of`.

    Attributes
    ----------
    after_visit : bool
        Evaluate only customers who bought on the last day before the cutoff: "after this visit, when is the next?" With
        a cutoff each day, every purchase of a month is judged once. Models train on all customers, and predict all.
    """

    after_visit: bool

    name: ClassVar[str] = "next_purchase"
    grain: ClassVar[Grain] = CUSTOMER
    label: ClassVar[str] = "date of the next purchase"
    words: ClassVar[Mapping[str, str]] = {
        **{within(day): f"chance to buy within {day} days" for day in REPORTED},
        LATER: "chance not to buy within the horizon",
    }
    history: ClassVar[tuple[str, ...]] = ("frequency", SINCE)
    counted: ClassVar[Mapping[str, str]] = {
        "customers": "customers of the task's population",
        "repeat_customers": "rows of customers with at least two purchase days",
        "buyers": "customers who buy in the window",
        "others": "customers who do not",
    }

    def __post_init__(self) -> None:
        if self.horizon_days < REPORTED[-1]:  # the report and customer_360 show the probabilities within these days
            raise InputError(
                "horizon_days is out of range",
                where="task.horizon_days",
                expected=f">= {REPORTED[-1]}, the longest of the reported probabilities",
                found=str(self.horizon_days),
            )
        super().__post_init__()

    @property
    def population(self) -> str:
        """Customers who are evaluated, in words."""
        return "customers who bought on the last day before the cutoff" if self.after_visit else EVERYBODY

    @property
    def target(self) -> str:
        """Outcome and population in one string."""
        return f"{super().target}_after_visit" if self.after_visit else super().target

    def suffix(self, defaults: Mapping[str, Any]) -> str:
        """Return whom the models are judged on, if not all customers, and the horizon."""
        return ("_after_visit" if self.after_visit else "") + super().suffix(defaults)

    def judged_rows(self, dataset: Dataset) -> Dataset:
        """Return the customers who bought on the last day before the cutoff, if `after_visit`; else all."""
        from experiments.models.base import require_columns

        if not self.after_visit:
            return dataset
        return dataset.where((require_columns(dataset.X, [SINCE])[SINCE] == 0).to_numpy())

    @property
    def outputs(self) -> Mapping[str, str]:
        """Quantiles, mean and probabilities of the wait."""
        horizon = self.horizon_days
        later = f"{horizon + 1} if later than day {horizon}"
        return {
            MEDIAN: f"median of the days to the next purchase, the first day being 1; {later}",
            LOW: f"10% quantile of the days: the 80% interval begins there; {later}",
            HIGH: f"90% quantile of the days: the 80% interval ends there; {later}",
            MEAN: f"mean of the days to the next purchase, with later ones as {horizon}",
            **{within(day): f"probability of a purchase within {day} days" for day in thresholds_of(horizon)[:-1]},
            LATER: f"probability of no purchase within {horizon} days",
        }

    def outcome(self) -> Outcome:
        """Return the days to each customer's next purchase day, censored at the horizon."""
        return Outcome(f"next_purchase_{self.horizon_days}d", ("days", "observed"), outcomes.next_purchase)

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        """Search the window for the first line of each customer."""
        start, end = pd.Timestamp(cutoff), pd.Timestamp(cutoff + timedelta(days=self.horizon_days))
        known = pd.Index(lines.loc[lines["timestamp"] < start, "customer_id"].unique(), name="customer_id")
        inside = lines[(lines["timestamp"] >= start) & (lines["timestamp"] < end)]
        first = inside.groupby("customer_id")["timestamp"].min().reindex(known)
        days = (first.dt.normalize() - start).dt.days + 1
        return pd.DataFrame({"days": days.fillna(self.horizon_days).astype(float), "observed": days.notna() * 1.0})

    def counts(self, dataset: Dataset) -> pd.DataFrame:
        """Count customers of each window, and those of them who buy."""
        counts = super().counts(Dataset(dataset.X, dataset.y[["observed"]]))
        return counts.rename(columns={"positives": "buyers", "negatives": "others"})

    def candidates(self) -> Mapping[str, Candidate]:
        """Return tables of waits as baselines, buy-till-you-die models, regressions of waits, hazards and a blend."""
        return choose(
            "naive_same_wait",
            "naive_recency_wait",
            "naive_visits_wait",
            "naive_own_gap",
            "purchase_wait",
            "cox",
            "weibull_aft",
            "lightgbm_hazard",
            "study_regressor",
            "wait_blend",
            terms={"horizon_days": self.horizon_days},
        )

    def control(self) -> Model:
        """Build the distribution that is the same for all customers."""
        return self.build("naive_same_wait", {})

    def metrics(self) -> Mapping[str, Metric]:
        """Return metrics of waits."""
        return wait_metrics(thresholds_of(self.horizon_days), REPORTED, "predicts when customers buy next")

    def tables(self, y: pd.DataFrame, prediction: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
        """Return predicted and actual waits by decile of the predicted median, and the gain curves of who buys."""
        bought = y["observed"]
        return {
            "wait_calibration": calibration_by_median(y, prediction, self.horizon_days),
            "cumulative_gain": cumulative_gain(bought, 1 - prediction[LATER], of="buyers", points=POINTS),
            "perfect_gain": cumulative_gain(bought, bought, of="buyers", points=POINTS),
        }

    @classmethod
    def customer_columns(cls, scores: pd.DataFrame, as_of: date, horizon_days: int) -> pd.DataFrame:
        """Return dates in place of days, null where they are later than the horizon, and the reported probabilities."""
        dates = {name: _dates(scores[days], as_of, horizon_days) for days, name in DATES.items()}
        probabilities = {
            within(day): 1 - scores[LATER] if day == horizon_days else scores[within(day)] for day in REPORTED
        }
        return pd.DataFrame({**dates, MEAN: scores[MEAN], **probabilities, LATER: scores[LATER]}, index=scores.index)

    @classmethod
    def section(cls, material: Material) -> Section:
        """Write the section on when customers of each group buy next."""
        return NEXT_PURCHASE.section(material)


def _dates(days: pd.Series, as_of: date, horizon_days: int) -> pd.Series:
    """Return the ISO dates of days from 1, which is `as_of` itself; null where they are later than the horizon."""
    known = pd.Timestamp(as_of) + pd.to_timedelta(days.where(days <= horizon_days) - 1, unit="D")
    return known.dt.strftime("%Y-%m-%d").astype("string")


BLIND = (
    "Do not time reminders by these dates: they are not shown to know more of a customer than one date for all. Remind "
    "all customers of a tier at the same interval, and measure what it brings."
)


def next_purchase_parts(
    scores: pd.DataFrame,
    groups: pd.Series,
    *,
    as_of: date,
    horizon_days: int,
    model: InUse,
    about: str,
    evaluated: Sequence[Part] = (),
) -> list[Part]:
    """Write when customers of each group are predicted to buy next.

    Parameters
    ----------
    scores : DataFrame indexed customer_id
        Columns of `NextPurchase.customer_columns`, and days_since_last_purchase.
    groups : Series indexed customer_id
        Group of each customer, a categorical, the best first.
    as_of : date
    horizon_days : int
    model : InUse
    about : str
        Sentence that states the day of the groups.
    evaluated : sequence of Part
        How right the model was: see `reports.model_charts.evaluation_parts`.
    """
    from experiments.reports.wait_charts import due_figure, recency_figure  # matplotlib: not every command draws

    of = groups.reindex(scores.index)
    week, later = within(REPORTED[0]), scores[DATES[MEDIAN]].isna()
    source = f"the baseline {model.name}" if model.is_baseline else model.name
    days = pd.to_datetime(scores.loc[~later, DATES[MEDIAN]])
    lead = joined(
        f"{number(len(days))} of {len(scores):,} customers have a predicted date ({source}).",
        f"Half of these dates lie on or before {days.median():%Y-%m-%d}." if len(days) else "",
        f"{number(int(later.sum()))} customers ({percent(later.mean())}) have no date: more likely than not they buy "
        f"later than {as_of + timedelta(days=horizon_days - 1)}, or never.",
        BLIND if model.is_blind else "Time reminders by each customer's own date, and win back those without one.",
    )
    shown = _by_group(scores, of, horizon_days)
    reported = ", ".join(str(day) for day in REPORTED if within(day) in scores)
    return [
        Text(lead, "lead"),
        Text(joined(model.standing, about)),
        Table("next_purchase", shown, f"The next purchase by tier, predicted by {model} as of {as_of}."),
        Picture(
            "due_this_week",
            due_figure(scores[week].groupby(of, observed=False).sum(), week_from=as_of),
            "Customers of each tier who are predicted to buy within seven days, not calibrated by season.",
        ),
        Picture(
            "by_recency",
            recency_figure(_by_recency(scores, of), days=REPORTED[0]),
            "Predicted share of customers who buy within seven days, by days since the last purchase and tier.",
        ),
        Text(
            f"A date is the median: the purchase is as likely before as after. The 80% interval and the probabilities "
            f"within {reported} days stand beside it in customer_360.",
            "note",
        ),
        *evaluated,
        *([] if model.is_blind else [Text(NOT_CALIBRATED, "note")]),
    ]


def _by_group(scores: pd.DataFrame, of: pd.Series, horizon_days: int) -> pd.DataFrame:
    """Return a row for each group: customers, those due within days, the middle date, those without one."""
    rows, reported = [], [day for day in REPORTED if within(day) in scores]
    for name in of.cat.categories:
        own = scores[(of == name).to_numpy()]
        days = pd.to_datetime(own[DATES[MEDIAN]].dropna())
        is_dated = len(own) > 0 and len(days) > len(own) / 2
        middle = f"{days.sort_values().iloc[(len(own) - 1) // 2]:%Y-%m-%d}" if is_dated else "later"
        rows.append(
            {
                "tier": str(name),
                "customers": len(own),
                **{f"buy within {day} days": percent(own[within(day)].mean()) for day in reported},
                "half are due by": middle if len(own) else "-",
                f"not within {horizon_days} days": percent(own[LATER].mean()),
            }
        )
    return pd.DataFrame(rows)


def _by_recency(scores: pd.DataFrame, of: pd.Series) -> pd.DataFrame:
    """Return the mean probability of a purchase in a week, by days since the last purchase (rows) and group."""
    labels = [f"{low}-{high - 1}" for low, high in pairwise(SINCE_EDGES)] + [f"{SINCE_EDGES[-1]}+"]
    since = pd.cut(scores[SINCE], [*SINCE_EDGES, math.inf], right=False, labels=labels)
    cells = scores[within(REPORTED[0])].groupby([since, of.rename("tier")], observed=False)
    return cells.mean().where(cells.size() >= FEWEST).unstack("tier")


def _write(material: Material) -> list[Part]:
    scores, question = material.scores, material.question(NextPurchase.names())
    if question is None:
        raise InputError("the task next_purchase has no model in use that can score", hint=material.again("run"))
    from experiments.reports.model_charts import evaluation_parts  # matplotlib: not every command draws

    horizon_days = int(scores[f"{question}_horizon_days"].iloc[0])
    suffix = question.removeprefix(NextPurchase.name)
    own = {f"{name}{suffix}": name for name in (*DATES.values(), *map(within, REPORTED), LATER)}
    columns = {column: name for column, name in own.items() if column in scores}
    return next_purchase_parts(
        scores[[*columns, SINCE]].rename(columns=columns),
        material.groups,
        as_of=material.as_of,
        horizon_days=horizon_days,
        model=material.in_use(question),
        about=material.about_groups,
        evaluated=evaluation_parts(
            material.evaluated(question), currency=material.shop.staged.currency, horizon_days=horizon_days
        ),
    )


NEXT_PURCHASE = Topic("next_purchase", "Next purchase", 75, _write)
