"""Returns: what came back after a sale, and orders that were cancelled."""

from __future__ import annotations

from features.tables.base import MOMENT, MONEY, QUANTITY, Column, TableSpec

RETURN, CANCELLATION = "return", "cancellation"
SALE, EXCLUDE = "sale", "exclude"  # what else becomes of an order

TABLE = TableSpec(
    meaning="one row per line that was returned or cancelled",
    key=("return_number",),
    known_at="returned_at",
    columns={
        "return_number": Column("int64", "counts the source's rows", required=True, minimum=0, counted=True),
        "return_id": Column("string", "the return's own number, such as a credit note's"),
        "customer_id": Column("string", "customer who gets the money back", required=True, meets=("transactions",)),
        "returned_at": Column(MOMENT, "time of the return, in the shop's time zone", required=True),
        "amount": Column(MONEY, "money that the shop gives back", required=True, minimum=0),
        "kind": Column("string", f"{RETURN}, or {CANCELLATION} of an order", required=True),
        "product_id": Column("string", "product that came back"),
        "quantity": Column(QUANTITY, "units that came back", minimum=0),
        "order_id": Column("string", "order whose sale it takes back; null where no sale was found"),
        "line_number": Column("int64", "line of that order; null where no single line was found", minimum=0),
        "sold_at": Column(MOMENT, "time of that sale; null where no sale was found"),
    },
)
