"""Products: their place in the assortment."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per product, facts of unknown date unless the source has `known_at`",
    key=("product_id",),
    facts_known_at="known_at",
    columns={
        "product_id": Column("string", "product", required=True, meets=("transactions",)),
        "known_at": Column(MOMENT, "moment since which this row's facts are known; a row without it is never used"),
        "name": Column("string", "as sold"),
        "department": Column("string", "coarsest level of the assortment"),
        "category": Column("string", "level at which the shop plans"),
        "subcategory": Column("string", "finest level above the product"),
        "brand": Column("string", "brand or kind of brand"),
        "manufacturer": Column("string", "maker"),
        "size": Column("string", "as the source words it"),
    },
)
