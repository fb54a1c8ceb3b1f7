"""Contents of a shop's tables, and the tasks that they allow."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from experiments.gate.sufficiency import check_sufficiency
from experiments.tasks import TASKS
from experiments.workflow.session import Session
from features import data_profile, outcomes
from features.data_profile import Profile
from features.errors import InputError, listing

FIRST_ROWS = 10


def profile(session: Session) -> Profile:
    """Stage the shop's tables where that was not done before, and count what they hold."""
    shop = session.shop
    return data_profile.profile(shop.staged, shop.tables, shop.engine, session.config.data)


def profile_text(profile: Profile) -> str:
    """Return the figures of a profile as a table, with the tasks whose tables are there."""
    unnamed = [] if profile.names_products else ["products on lines of orders"]
    needs = {
        name: dict.fromkeys([*task.grain.needs, *task.needs, *(unnamed if task.grain.of_products else [])])
        for name, task in TASKS.items()
    }
    return data_profile.profile_text(profile, needs)


def first_rows_text(session: Session) -> str:
    """Return the first rows of the transactions as they were read, without empty columns."""
    lines = session.shop.tables.transactions
    rows = session.shop.engine.frame(lines.order_by("line_number").limit(FIRST_ROWS)).dropna(axis="columns", how="all")
    return f"the first {len(rows)} rows as they were read\n{rows.to_string(index=False)}"


def windows_text(session: Session) -> str:
    """Return the task's cutoffs and what the windows hold, or why these data do not allow the task."""
    task, parts = session.task, []
    try:
        splits = session.splits
        parts.append(
            f"{task.name} at horizon_days={task.horizon_days}: training {listing(splits.training)}; "
            f"validation {listing(splits.validation)}; sealed {splits.sealed}"
        )
        parts.append(holdings(session))
        check_sufficiency(task, session.counts)
    except InputError as error:
        parts.append(f"{task.name} cannot be validated: {error}")
    return "\n\n".join(parts)


def holdings(session: Session) -> str:
    """Return a table of what the windows hold, above what the task needs of each.

    Where spend is net, `overreturned` counts the rows that get back more than they pay: their spend counts as 0.
    """
    counts = session.counts
    if session.target != session.task.target:  # of net spend
        counts = counts.assign(overreturned=[_overreturned(session, day.date()) for day in counts.index])
    counts = counts.map("{:,}".format)
    counts.index = [f"from {day:%Y-%m-%d}" for day in counts.index]
    needed = {name: f"{number:,}" for name, number in session.task.minimum.items()}
    return pd.concat([counts, pd.DataFrame([needed], index=["needed"])]).fillna("").to_string()


def _overreturned(session: Session, cutoff: date) -> int:
    tables, task = session.shop.tables, session.task
    future = tables.between(cutoff, cutoff + timedelta(days=task.horizon_days))
    rows = outcomes.overreturned(future, task.grain.rows(tables.as_of(cutoff)))
    return int(session.shop.engine.frame(rows.aggregate(rows=rows.count()))["rows"].iloc[0])
