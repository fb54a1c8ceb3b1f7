"""Consent: whose data are scored, and who is put on a list to contact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from experiments.workflow.session import Session
from features.consents import consenting
from features.errors import InputError


@dataclass(frozen=True)
class Consenting:
    """Customers with a consent to one purpose. `ids` is None where no consent is asked for."""

    purpose: str | None
    ids: frozenset[str] | None

    def of_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of these customers; all of rows without a customer."""
        if self.ids is None or "customer_id" not in batch.schema.names:
            return batch
        return batch.filter(pc.is_in(batch["customer_id"], value_set=pa.array(sorted(self.ids), pa.string())))

    def of_frame(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of these customers, by the level or column customer_id; all of rows without one."""
        if self.ids is None:
            return rows
        if "customer_id" in rows.columns:
            return rows[rows["customer_id"].isin(self.ids)]
        if "customer_id" in rows.index.names:
            return rows[rows.index.get_level_values("customer_id").isin(self.ids)]
        return rows

    def left_out(self, customers: int, kept: int) -> str:
        """Return how many have not consented, in words; "" where none is missing."""
        return f"{customers - kept:,} of {customers:,} without a consent to {self.purpose}" if kept < customers else ""


def to_score(session: Session) -> Consenting:
    """Return the customers who may be scored: those with a consent to `privacy.scoring_purpose`.

    Raises
    ------
    InputError
        If the shop has no consents to that purpose.
    """
    return _consenting(session, session.config.privacy.scoring_purpose, None, "privacy.scoring_purpose")


def allowed(session: Session, typed: str) -> str:
    """Return a customer's id as the tables have it, if the customer may be scored.

    An id that the table identities merges into another one is that customer's.

    Raises
    ------
    InputError
        If the customer has not consented.
    """
    tables, engine = session.shop.tables, session.shop.engine
    customer, scorable = session.customer(typed), to_score(session)
    if tables.identities is not None:
        led = engine.frame(tables.identities.filter(tables.identities.id == customer))
        customer = next(iter(led["customer_id"]), customer)
    if scorable.ids is None or customer in scorable.ids:
        return customer
    if engine.frame(tables.transactions.filter(tables.transactions.customer_id == customer).limit(1)).size:
        raise InputError(
            f"customer {typed!r} has no consent to {scorable.purpose} that holds today",
            where="customer",
            expected="a customer with a consent to privacy.scoring_purpose",
        )
    return customer


def to_contact(session: Session) -> Consenting:
    """Return the customers who may be on a list: with a consent to `privacy.contact_purpose`, by the list's channel.

    Raises
    ------
    InputError
        If the shop has no consents to that purpose.
    """
    options = session.config.privacy
    return _consenting(session, options.contact_purpose, options.contact_channel, "privacy.contact_purpose")


def _consenting(session: Session, purpose: str | None, channel: str | None, key: str) -> Consenting:
    if purpose is None:
        return Consenting(None, None)
    tables, engine = session.shop.tables, session.shop.engine
    # What counts is the day on which somebody is contacted or scored, and not that of the features.
    found = engine.frame(consenting(tables, max(date.today(), tables.end), purpose, channel))["customer_id"]
    if found.empty:
        assert tables.consents is not None
        words = engine.frame(tables.consents.select("purpose", "channel").distinct().order_by("purpose", "channel"))
        raise InputError(
            f"nobody has a consent to {purpose!r} that holds today" + (f" by {channel!r}" if channel else ""),
            where=key,
            expected="a purpose of the table consents, and a channel of it",
            found=", ".join(" by ".join(map(str, row)) for row in words.fillna("any").head(10).itertuples(index=False)),
        )
    return Consenting(purpose, frozenset(found))
