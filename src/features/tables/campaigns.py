"""Campaigns: the start and end of each."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per campaign",
    key=("campaign_id",),
    known_at="starts_at",
    columns={
        "campaign_id": Column("string", "campaign", required=True),
        "kind": Column("string", "as the source words it"),
        "starts_at": Column(MOMENT, "first moment", required=True),
        "ends_at": Column(MOMENT, "first moment after it", required=True),
    },
)
