"""Transactions: purchases, line by line."""

from __future__ import annotations

from features.tables.base import MOMENT, MONEY, QUANTITY, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per line of an order",
    key=("order_id", "line_number"),
    known_at="timestamp",
    columns={
        "order_id": Column("string", "visit to the till or web order, of one customer", required=True),
        "line_number": Column("int64", "counts the source's lines", required=True, minimum=0, counted=True),
        "customer_id": Column("string", "customer who bought", required=True),
        "timestamp": Column(MOMENT, "time of purchase, in the shop's time zone", required=True),
        "amount": Column(MONEY, "money that the shop takes for the line, after discounts", required=True, minimum=0),
        "product_id": Column("string", "product bought"),
        "quantity": Column(QUANTITY, "units; null where the source's figure does not count units", minimum=0),
        "list_amount": Column(MONEY, "the line at regular price, before discounts", minimum=0),
        "coupon_discount": Column(MONEY, "value of the coupons used on the line", minimum=0),
        "coupon_status": Column("string", "state of the offered coupon, as the source words it"),
        "tax_amount": Column(MONEY, "tax on the line", minimum=0),
        "delivery_amount": Column(MONEY, "delivery charge, on one line of each order only", minimum=0),
        "store_id": Column("string", "store"),
        "channel": Column("string", "sales channel"),
    },
)
