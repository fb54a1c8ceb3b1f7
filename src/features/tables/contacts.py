"""Contacts: customers addressed by campaigns."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per customer addressed by a campaign",
    key=("campaign_id", "customer_id"),
    known_at="contacted_at",
    columns={
        "campaign_id": Column("string", "campaign", required=True, meets=("campaigns",)),
        "customer_id": Column("string", "customer addressed", required=True, meets=("transactions",)),
        "contacted_at": Column(
            MOMENT, "time of the contact; the campaign's start where no day is recorded", required=True
        ),
        "channel": Column("string", "e-mail, post, push, ... as the source words it"),
    },
)
