"""The request that a served champion answers, for one customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from experiments.workflow.consent import allowed
from experiments.workflow.score import find_champions, scoring_day
from experiments.workflow.session import Session
from features.engines import batches
from features.errors import InputError, listing
from features.grains import Grain


def request(session: Session, customer: str, as_of: date | str | None = None) -> dict[str, Any]:
    """Return the features of one customer as the body of a request to the served champion of the task.

    Parameters
    ----------
    session : Session
    customer : str
        The customer's id, as in the shop's tables.
    as_of : date or str, optional
        First day that is not included; as configured when left out, else the end of the data.

    Returns
    -------
    dict
        `{"dataframe_split": {"columns": …, "data": …}}`: the key of the task's grain and the champion's features, a row
        for each row of the customer.

    Raises
    ------
    InputError
        If the task has no champion, its rows are not of customers, or the customer had bought nothing before that day.
    """
    grain = session.task.grain
    if "customer_id" not in grain.key:
        raise InputError(
            f"rows of {session.question} do not belong to customers",
            where="customer",
            expected=f"a task whose rows have a customer_id; those of {session.question} have {', '.join(grain.key)}",
            hint=f"{session.again('features')} writes all its rows as CSV with output=rows.csv, which the server reads",
        )
    version = find_champions(session).get(session.question)
    if version is None:
        raise InputError(
            f"{session.question} has no model in use",
            where="registry",
            hint=f"{session.again('tune')}, then {session.again('promote')}",
        )
    rows = rows_of(session, grain, version.features, scoring_day(session, as_of), allowed(session, customer))
    columns = [*grain.key, *version.features]
    return {"dataframe_split": {"columns": columns, "data": [[row[name] for name in columns] for row in rows]}}


def rows_of(session: Session, grain: Grain, features: Sequence[str], day: date, customer: str) -> list[dict[str, Any]]:
    """Return the rows of one customer as of a day: the key of the grain and the features.

    Raises
    ------
    InputError
        If the customer has none.
    """
    examples: list[str] = []
    alike: list[str] = []
    rows: list[dict[str, Any]] = []
    for batch in batches(session.shop.snapshot(features, day, grain)):
        ids = batch["customer_id"]
        rows += batch.filter(pc.equal(ids, pa.scalar(customer))).select([*grain.key, *features]).to_pylist()
        alike += ids.filter(pc.equal(pc.utf8_ltrim(ids, "0"), pa.scalar(customer.lstrip("0")))).to_pylist()
        examples += ids[: 3 - len(examples)].to_pylist()
    if not rows:
        raise InputError(
            f"customer {customer!r} has no row as of {day}",
            where="customer",
            expected=f"a customer who bought before that day, such as {listing(examples)}",
            hint=f"customer={alike[0]}, which is the same but for leading zeros"
            if alike
            else "write the id as the shop's tables do, or give a later day by as_of=",
        )
    return rows
