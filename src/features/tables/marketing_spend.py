"""Marketing spend: money paid for each channel, day by day."""

from __future__ import annotations

from features.tables.base import MOMENT, MONEY, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per day and channel",
    key=("spent_at", "channel"),
    known_at="spent_at",
    columns={
        "spent_at": Column(MOMENT, "day, at midnight", required=True),
        "channel": Column("string", "channel paid", required=True),
        "amount": Column(MONEY, "money spent", required=True, minimum=0),
    },
)
