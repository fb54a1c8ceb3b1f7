"""When and what beside the models in use: the second part of the case study's section, once there are such models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from experiments.case_study.customers import customers_at
from experiments.case_study.held_out import MODEL, HeldOut
from experiments.case_study.interval import average_interval
from experiments.case_study.result import COLUMNS, Difference, Figure, Result
from experiments.case_study.section import CASE_STUDY, CaseStudyMaterial
from experiments.evaluation.ranking_metrics import lists_of, places
from experiments.evaluation.wait_metrics import LATER, MEAN, MEDIAN
from experiments.reports.section import Heading, Part, Record, Table, Text, Topic, left_out, number, percent
from features.errors import InputError

logger = logging.getLogger(__name__)

WHEN, WHAT = "next_purchase", "recommendation"  # questions
BY_LIFT, RULES = "rules_lift", "rule_lift"  # the model that ranks by lift, and the feature that it reads
LISTED = 5
HIT_RATE, NDCG = f"hit_rate_{LISTED}", f"ndcg_{LISTED}"
FROM_CUTOFF, FROM_PURCHASE = "average interval from the cutoff", "average interval from the last purchase"
ERRORS = {
    "rmse": "RMSE, days",
    "mae": "MAE, days",
    "mae_of_buyers": "MAE of those who buy, days",
    "c_index": "C-index",
}


class InUseMaterial(CaseStudyMaterial, Protocol):
    """Material of this part, in addition to that of the section."""

    def held_out(self, question: str, rivals: Sequence[str] = ()) -> HeldOut | None:
        """Return the last validation window of a question, with predictions of rivals; None if no model answers it.

        Parameters
        ----------
        question : str
            Of a task with its default options.
        rivals : sequence of str
            Candidates of the task, with their default parameters.

        Raises
        ------
        InputError
            If the model in use cannot be fitted on the windows before.
        """


def wait_parts(held: HeldOut, rows: pd.DataFrame, past: Sequence[Figure]) -> list[Part]:
    """Compare the average interval, taken as the wait for the next purchase, with the model in use.

    Parameters
    ----------
    held : HeldOut
        Waits, as `evaluation.wait_metrics` has them.
    rows : DataFrame indexed by customer_id
        recency, repeat_orders and days_since_last_purchase at the cutoff.
    past : sequence of Figure
        rmse and mae of the past interval, as reported and as reproduced.

    Raises
    ------
    InputError
        If no customer has an average interval.
    """
    interval = average_interval(rows)
    interval = interval[interval > 0]
    held = held.among(interval.index)
    if not len(held.y):
        raise InputError("no customer has an average interval", where="transactions")
    of = interval.reindex(held.customers).to_numpy()
    since = rows["days_since_last_purchase"].reindex(held.customers).to_numpy()
    held = held.beside(FROM_CUTOFF, _certain(of, held)).beside(FROM_PURCHASE, _certain(of - since, held))
    draws = {name: held.draws(name) for name in ERRORS}
    best = min((FROM_CUTOFF, FROM_PURCHASE), key=lambda name: draws["mae"][name].estimate)
    difference = held.interval(draws["mae"].gain(MODEL, best))
    mae = {name: draws["mae"][name].estimate for name in (MODEL, best)}
    known = {figure.name: figure for figure in past}
    table = {
        f"past interval, {column}": {
            heading: number(value) if np.isfinite(value := _value(known, name, column)) else "-"
            for name, heading in ERRORS.items()
        }
        for column in COLUMNS[:2]
        if any(np.isfinite(getattr(figure, column)) for figure in past)
    } | {
        label: {heading: number(draws[name][way].estimate) for name, heading in ERRORS.items()}
        for label, way in {FROM_CUTOFF: FROM_CUTOFF, FROM_PURCHASE: FROM_PURCHASE, _in_use(held): MODEL}.items()
    }
    shown = pd.DataFrame.from_dict(table, orient="index").rename_axis("predicted by")
    lead = (
        f"The model in use predicts the wait for the next purchase with a mean absolute error of {number(mae[MODEL])} "
        f"days, the {best} with {number(mae[best])}: the difference is {difference.mean:+.2f} days "
        f"({_range(held)} {difference.low:+.2f} to {difference.high:+.2f}). "
        + (
            "Schedule messages by neither: the model in use is not shown to know more than one date for all."
            if held.model.is_blind
            else difference.say(
                "Schedule messages by the average interval on these data.",
                "Schedule messages by the model in use.",
                "These data do not show which is better.",
            )
        )
    )
    buyers = percent(float(held.y["observed"].mean()))
    return [
        Heading("When: the average interval beside the model in use"),
        Text(lead, "lead"),
        Table(
            "wait_in_use",
            shown,
            f"Errors of {len(held.y):,} customers with an average interval above 0 days, outliers of the case study "
            f"left out; {buyers} of them buy within {held.horizon_days} days, and longer waits count as so many. The "
            "past interval is arithmetic of what is known, so its errors say nothing of the next purchase.",
        ),
        Text(_method(held), "note"),
        _record(
            "interval",
            held,
            lead,
            {
                **{f"in_use/{name}": draws[name][MODEL].estimate for name in ERRORS},
                **{f"average_interval/{name}": draws[name][best].estimate for name in ERRORS},
            },
            difference,
        ),
    ]


def list_parts(held: HeldOut) -> list[Part]:
    """Compare five products by lift with those of the model in use, by hit rate.

    Parameters
    ----------
    held : HeldOut
        Candidate pairs with predictions of the model in use and of `BY_LIFT`.

    Raises
    ------
    InputError
        If nobody buys a product of the catalogue in the window.
    """
    draws = {name: held.draws(name) for name in (HIT_RATE, NDCG)}
    hits = {name: held.interval(draws[HIT_RATE][name]) for name in (BY_LIFT, MODEL)}
    if not np.isfinite(hits[MODEL].mean):
        raise InputError(held.metrics[HIT_RATE].undefined, where="transactions")
    difference = held.interval(draws[HIT_RATE].gain(MODEL, BY_LIFT))
    buyers = len(held.metrics[HIT_RATE].values(held.y, held.predictions[MODEL]))
    of_list, _ = lists_of(held.X.index)
    by_rules = {
        name: float((held.X[RULES][places(of_list, held.predictions[name].to_numpy(dtype=float)) < LISTED] > 0).mean())
        for name in hits
    }
    labels = {BY_LIFT: f"{LISTED} products by lift", MODEL: _in_use(held)}
    shown = pd.DataFrame(
        {
            "hit rate": {labels[name]: percent(hit.mean) for name, hit in hits.items()},
            _range(held): {labels[name]: f"{percent(hit.low)} to {percent(hit.high)}" for name, hit in hits.items()},
            f"NDCG@{LISTED}": {labels[name]: number(draws[NDCG][name].estimate) for name in hits},
            "places with a rule": {labels[name]: percent(by_rules[name]) for name in hits},
        }
    ).rename_axis("list")
    lead = (
        f"Of {buyers:,} customers who buy within {held.horizon_days} days, {percent(hits[BY_LIFT].mean)} buy one of "
        f"{LISTED} products by lift, and {percent(hits[MODEL].mean)} one of {LISTED} of the model in use: "
        f"{100 * difference.mean:+.1f} points "
        f"({_range(held)} {100 * difference.low:+.1f} to {100 * difference.high:+.1f}). "
        + difference.say(
            "Recommend by the model in use.",
            f"Lists by lift are bought more often: train model={BY_LIFT}, and let the gate judge it.",
            "These data do not show which is better.",
        )
        + f" A rule names {percent(by_rules[BY_LIFT])} of the places by lift; recent best-sellers fill the others."
    )
    return [
        Heading("What: five products by lift beside the model in use"),
        Text(lead, "lead"),
        Table(
            "lists_in_use",
            shown,
            "Share of buyers who buy at least one product of their list. Both lists are made of the same candidates: "
            "those of the task, and by lift the ones with the highest lift of a rule from the customer's products.",
        ),
        Text(_method(held), "note"),
        _record(
            "products",
            held,
            lead,
            {"in_use/hit_rate": hits[MODEL].mean, "by_lift/hit_rate": hits[BY_LIFT].mean},
            difference,
        ),
    ]


def _certain(days: np.ndarray, held: HeldOut) -> pd.DataFrame:
    """Return a wait of so many days as a prediction without doubt; the first day is 1."""
    wait = np.maximum(days, 1.0)
    capped, later = np.minimum(wait, held.horizon_days), wait > held.horizon_days
    return pd.DataFrame({MEDIAN: wait, MEAN: capped, LATER: later.astype(float)}, index=held.y.index)


def _value(known: Mapping[str, Figure], name: str, column: str) -> float:
    return float(getattr(known[name], column)) if name in known else float("nan")


def _in_use(held: HeldOut) -> str:
    return f"model in use: {held.model.name}"


def _range(held: HeldOut) -> str:
    return f"{held.confidence:.0%} interval"


def _method(held: HeldOut) -> str:
    return (
        f"The window is the {held.horizon_days} days from {held.cutoff}, the last one before the sealed window. The "
        f"model in use, {held.model}, was fitted anew on the windows before it. Its parameters may have been chosen "
        "with this window among others, so its figures may be a little too good. Intervals are of a bootstrap of "
        "customers."
    )


def _record(part: str, held: HeldOut, lead: str, metrics: Mapping[str, float], difference: Difference) -> Record:
    return Record(
        name=f"case study: {part} beside the model in use",
        tags={"case_study": f"{part}_in_use", "promotable": "false"},
        params={"cutoff": str(held.cutoff), "horizon_days": held.horizon_days, "model": str(held.model)},
        metrics={
            **metrics,
            "difference": difference.mean,
            "difference_low": difference.low,
            "difference_high": difference.high,
        },
        note=f"{lead} No model is kept.",
    )


def _when(material: InUseMaterial) -> list[Part]:
    held = material.held_out(WHEN)
    if held is None:
        return []
    customers = customers_at(material.shop, held.cutoff, material.case_study_options.outlier_quantile)
    past = [figure for result in material.case_study if isinstance(result, Result) for figure in result.figures]
    return wait_parts(held, customers.rows[~customers.outlier], past)


def _what(material: InUseMaterial) -> list[Part]:
    held = material.held_out(WHAT, [BY_LIFT])
    return [] if held is None else list_parts(held)


PARTS: Mapping[str, Callable[[InUseMaterial], list[Part]]] = {"interval": _when, "products": _what}


def _write(material: InUseMaterial) -> list[Part]:
    parts: list[Part] = []
    for name in material.case_study_options.parts:
        try:
            parts += PARTS[name](material) if name in PARTS else []
        except InputError as error:
            logger.warning("the case study's %s beside the model in use is left out: %s", name, error.sentence)
            parts.append(left_out(error))
    return parts


IN_USE = Topic(CASE_STUDY.name, CASE_STUDY.title, CASE_STUDY.order + 1, _write)
