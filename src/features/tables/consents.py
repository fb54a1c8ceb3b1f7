"""Consents: uses and channels that customers allowed, with their start and end."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per consent of a customer",
    key=("customer_id", "purpose", "channel", "starts_at"),
    known_at="starts_at",
    columns={
        "customer_id": Column("string", "customer who consents", required=True, meets=("transactions",)),
        "purpose": Column("string", "use that is allowed, such as marketing or profiling; null for every purpose"),
        "channel": Column("string", "channel that is allowed, such as e-mail; null for every channel"),
        "starts_at": Column(MOMENT, "first moment it holds", required=True),
        "ends_at": Column(
            MOMENT, "first moment it no longer holds, such as its withdrawal; null while it holds", known_at="ends_at"
        ),
    },
)
