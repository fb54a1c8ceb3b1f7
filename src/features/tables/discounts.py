"""Discounts: coupons and price cuts, with the products and days that they hold for."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per coupon or price cut and product or category that it holds for",
    key=("discount_id", "campaign_id", "product_id", "category", "starts_at"),
    known_at="starts_at",
    columns={
        "discount_id": Column("string", "coupon or offer", required=True),
        "campaign_id": Column("string", "campaign that carries it", meets=("campaigns",)),
        "product_id": Column("string", "product it holds for; null for all of the category", meets=("transactions",)),
        "category": Column("string", "category it holds for; null where a product is named", meets=("products",)),
        "starts_at": Column(MOMENT, "first moment it holds", required=True),
        "ends_at": Column(MOMENT, "first moment it no longer holds", required=True),
        "discount_rate": Column("float64", "share of the price taken off", minimum=0, maximum=1),
    },
)
