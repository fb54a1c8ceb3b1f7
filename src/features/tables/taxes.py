"""Taxes: the rate of each category."""

from __future__ import annotations

from features.tables.base import Column, TableSpec

TABLE = TableSpec(
    meaning="one row per category, facts of unknown date",
    key=("category",),
    columns={
        "category": Column("string", "category taxed", required=True, meets=("products",)),
        "tax_rate": Column("float64", "share of the price", required=True, minimum=0, maximum=1),
    },
)
