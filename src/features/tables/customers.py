"""Customers: facts about each."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per customer, facts of unknown date unless the source has `known_at`",
    key=("customer_id",),
    facts_known_at="known_at",
    columns={
        "customer_id": Column("string", "customer", required=True, meets=("transactions",)),
        "known_at": Column(MOMENT, "moment since which this row's facts are known; a row without it is never used"),
        "gender": Column("string", "as the source words it"),
        "region": Column("string", "as the source words it"),
        "age_band": Column("string", "years, a band such as 45-54 or 65+"),
        "income_band": Column("string", "thousands of currency a year, a band such as 50-74K"),
        "marital_status": Column("string", "as the source words it"),
        "home_ownership": Column("string", "as the source words it"),
        "household_size": Column("string", "persons, a count such as 2 or 5+"),
        "household_composition": Column("string", "as the source words it"),
        "children": Column("string", "children, a count such as 0 or 3+"),
        "tenure_months": Column(
            "int64", "months since registration at the end of the data", minimum=0, after_the_fact=True
        ),
    },
)
