"""Responses: reactions of customers to campaigns."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per recorded response to a campaign",
    key=("campaign_id", "customer_id", "discount_id", "responded_at"),
    known_at="responded_at",
    columns={
        "campaign_id": Column("string", "campaign", required=True, meets=("campaigns", "contacts")),
        "customer_id": Column("string", "customer who responded", required=True, meets=("transactions",)),
        "responded_at": Column(MOMENT, "time of the response", required=True),
        "discount_id": Column("string", "coupon redeemed", meets=("discounts",)),
        "kind": Column("string", "redemption, click, ..."),
    },
)
