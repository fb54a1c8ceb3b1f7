"""Events: what visitors did on the web site or in the app."""

from __future__ import annotations

from features.tables.base import MOMENT, QUANTITY, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per event on the web site or in the app",
    key=("event_number",),
    known_at="occurred_at",
    columns={
        "event_number": Column("int64", "counts the source's events", required=True, minimum=0, counted=True),
        "customer_id": Column(
            "string",
            "customer; a visitor's own id while the customer is unknown",
            required=True,
            meets=("transactions",),
        ),
        "occurred_at": Column(MOMENT, "time of the event, in the shop's time zone", required=True),
        "kind": Column("string", "view, cart, remove, favourite, purchase, ... as the source words it", required=True),
        "session_id": Column("string", "visit that the event is part of"),
        "product_id": Column("string", "product that it is about", meets=("transactions",)),
        "quantity": Column(QUANTITY, "units put into the cart, taken out or bought", minimum=0),
        "order_id": Column("string", "order that it led to", meets=("transactions",)),
        "page": Column("string", "page or screen"),
        "channel": Column("string", "channel by which the visitor came"),
        "device": Column("string", "as the source words it"),
    },
)
