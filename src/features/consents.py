"""Consents: who allows a use of their data as of a day."""

from __future__ import annotations

from datetime import date, timedelta

import ibis
import ibis.expr.types as ir

from features.errors import InputError
from features.tables import Tables, midnight


def consenting(tables: Tables, at: date, purpose: str, channel: str | None = None) -> ir.Table:
    """Return the customers with a consent to a purpose that holds on a day.

    A consent without a purpose is to every purpose, one without a channel is to every channel. All rows are read, not
    only those known as of a cutoff: a withdrawal counts from its moment on, also for scores of an earlier day.

    Parameters
    ----------
    tables : Tables
        The shop, whole.
    at : datetime.date
        The day of the use.
    purpose : str
        As the table words it, such as "marketing".
    channel : str, optional
        The channel in question; with None, a consent to any channel is enough.

    Returns
    -------
    ibis table
        customer_id, once each.

    Raises
    ------
    InputError
        If the shop has no table of consents.
    """
    consents = tables.consents
    if consents is None:
        raise InputError(
            "consents are asked for, and the shop has no table of them",
            where="privacy",
            expected="the table consents: customer_id, purpose, channel, starts_at, ends_at",
            hint="map it in the data config, or set privacy.scoring_purpose and privacy.contact_purpose to null",
        )
    serves = consents.purpose.isnull() | (consents.purpose == purpose)
    reaches = ibis.literal(True) if channel is None else consents.channel.isnull() | (consents.channel == channel)
    begun = consents.starts_at < midnight(at + timedelta(days=1))
    lasts = consents.ends_at.isnull() | (consents.ends_at >= midnight(at + timedelta(days=1)))
    return consents.filter(begun & lasts & serves & reaches).select("customer_id").distinct()
