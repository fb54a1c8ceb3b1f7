"""Identities: ids of other systems that belong to the same customer."""

from __future__ import annotations

from features.tables.base import Column, TableSpec

TABLE = TableSpec(
    meaning="one row per id of a customer, facts of unknown date",
    key=("id",),
    columns={
        "id": Column("string", "id in another system: a cookie, a device, a loyalty card, an address", required=True),
        "customer_id": Column("string", "customer whose id it is", required=True, meets=("transactions",)),
    },
)
