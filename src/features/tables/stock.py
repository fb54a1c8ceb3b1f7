"""Stock: units of each product there were to sell."""

from __future__ import annotations

from features.tables.base import MOMENT, QUANTITY, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per product, store and count",
    key=("product_id", "store_id", "counted_at"),
    known_at="counted_at",
    columns={
        "product_id": Column("string", "product", required=True, meets=("transactions",)),
        "counted_at": Column(MOMENT, "time of the count; a day at midnight", required=True),
        "units": Column(QUANTITY, "units there to sell", required=True, minimum=0),
        "store_id": Column("string", "store or warehouse; null for all of the shop", meets=("transactions",)),
    },
)
