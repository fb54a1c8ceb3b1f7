"""Consents: what customers allowed the shop to do, and from when until when."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per consent of a customer",
    key=("customer_id", "purpose", "channel", "starts_at"),
    known_at="starts_at",
    columns={
        "customer_id": Column("string", "who consents", required=True),
        "purpose": Column("string", "what is allowed, such as marketing or profiling; null for every purpose"),
        "channel": Column("string", "through what, such as e-mail; null for every channel"),
        "starts_at": Column(MOMENT, "first moment it holds", required=True),
        "ends_at": Column(
            MOMENT, "first moment it no longer holds, such as its withdrawal; null while it holds", known_at="ends_at"
        ),
    },
)
