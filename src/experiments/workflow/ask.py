"""One customer: facts, predictions, and the features that moved each prediction most."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from experiments.campaigns.lists import first_actions
from experiments.gate.rule import UNJUDGED
from experiments.reports.drivers import Reason, reasons, shown
from experiments.workflow.consent import allowed
from experiments.workflow.description import CustomerMaterial
from experiments.workflow.lists import find_members, read_lists
from experiments.workflow.request import rows_of
from experiments.workflow.score import (
    HISTORY,
    CustomerScorer,
    about,
    blind_columns,
    check_reach,
    filled_columns,
    find_champions,
    gathered,
    kind_of,
    prepare,
    scoring_day,
)
from experiments.workflow.session import Session
from features.grains import CUSTOMER
from features.tables import parse_day

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """The columns of customer_360 that come from one model in use.

    Attributes
    ----------
    question : str
    model, verdict : str
        Version and its label; the verdict on it.
    amounts : str
        How far its amounts can be trusted: reliable, rough with an interval, or unreliable; "" without amounts.
    values : Series
        By column.
    reasons : tuple of Reason
        The features that moved the prediction most; none of a model without trees.
    """

    question: str
    model: str
    verdict: str
    amounts: str
    values: pd.Series
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class CustomerView:
    """One customer as of a day.

    Attributes
    ----------
    shop, customer, currency : str
    as_of : datetime.date
        First day that is not included.
    known : Series
        Columns of customer_360 that no model of a task gives: features, tier, stage, what to do and why.
    predictions : tuple of Prediction
    """

    shop: str
    customer: str
    currency: str
    as_of: date
    known: pd.Series
    predictions: tuple[Prediction, ...]


def ask(session: Session, customer: str, as_of: date | str | None = None) -> CustomerView:
    """Return what customer_360 says of one customer, and why each model says so.

    All customers are scored, as tiers, lists and medians are about all of them.

    Parameters
    ----------
    session : Session
    customer : str
        The customer's id, as in the shop's tables.
    as_of : date or str, optional
        First day that is not included; as configured when left out, else the end of the data.

    Raises
    ------
    InputError
        If nothing is in use, the customer has not consented, or had bought nothing before that day.
    """
    check_reach(session)
    customer = allowed(session, customer)
    day, champions = scoring_day(session, as_of), find_champions(session)
    rows_of(session, CUSTOMER, HISTORY, day, customer)
    logger.info("scoring all customers as of %s, as tiers, lists and medians are about all", day)
    rows, scorer = prepare(session, day, champions, CustomerMaterial(session, day).described)
    everybody = gathered(session, rows, scorer).set_index("customer_id")
    found, _ = find_members(read_lists(session), everybody, blind_columns(session, day, champions))
    row = everybody.loc[customer]
    actions = first_actions(found)
    row = pd.concat([row, actions.loc[customer]]) if customer in actions.index else row
    predictions = [_prediction(session, scorer, question, version, row) for question, version in champions.items()]
    told = {"currency", "as_of"}
    for each in predictions:
        told |= {*each.values.index, *about(each.question, champions[each.question])}
    known = row.drop([column for column in row.index if column in told]).dropna()
    staged = session.shop.staged
    return CustomerView(staged.shop, customer, staged.currency, day, known, tuple(predictions))


def _prediction(
    session: Session, scorer: CustomerScorer, question: str, version: Version, row: pd.Series
) -> Prediction:
    """Return what one model in use says of a customer."""
    if kind_of(version).grain != CUSTOMER:
        columns = list(scorer.views[question].columns) if question in scorer.views else []
        return Prediction(question, version.title, _verdict(version), version.tags.get("amounts", ""), row[columns], ())
    told: tuple[Reason, ...] = ()
    day = parse_day(scorer.as_of)
    if version.has_current_code:
        X = session.shop.features(version.features, [day]).droplevel("cutoff")
        one = X.loc[[row.name]]
        moved = version.estimator.contributions(one)
        told = () if moved is None else reasons(moved.iloc[0], one.iloc[0], X.median())
    values = row[filled_columns(version, day)]
    return Prediction(question, version.title, _verdict(version), version.tags.get("amounts", ""), values, told)


def _verdict(version: Version) -> str:
    return version.tags.get("verdict", UNJUDGED)


def view_text(view: CustomerView) -> str:
    """Write it for the terminal."""
    lines = [f"{view.shop}, customer {view.customer} as of {view.as_of}, amounts in {view.currency}", ""]
    lines += _aligned(view.known)
    for each in view.predictions:
        amounts = f", amounts {each.amounts}" if each.amounts else ""
        lines += ["", f"{each.question}: {each.model}, verdict {each.verdict}{amounts}", *_aligned(each.values)]
        lines += [f"    {reason}" for reason in each.reasons]
    return "\n".join(lines)


def _aligned(values: pd.Series) -> list[str]:
    width = max((len(str(name)) for name in values.index), default=0)
    return [f"  {name:<{width}}  {shown(value)}" for name, value in values.items()]
