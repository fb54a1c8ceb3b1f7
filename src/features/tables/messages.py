"""Messages: e-mails, pushes and texts sent to customers, with opens and clicks."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per message and receiver",
    key=("customer_id", "message_id"),
    known_at="sent_at",
    columns={
        "message_id": Column("string", "message; a mailing may have one id for all receivers", required=True),
        "customer_id": Column("string", "receiver", required=True, meets=("transactions",)),
        "sent_at": Column(MOMENT, "time it was sent", required=True),
        "campaign_id": Column("string", "campaign that it belongs to", meets=("campaigns",)),
        "channel": Column("string", "e-mail, push, text message, ... as the source words it"),
        "topic": Column("string", "subject line or topic"),
        "opened_at": Column(MOMENT, "time it was first opened; null for never", known_at="opened_at"),
        "clicked_at": Column(MOMENT, "time a link in it was first clicked; null for never", known_at="clicked_at"),
        "unsubscribed_at": Column(
            MOMENT, "time the receiver unsubscribed by it; null for never", known_at="unsubscribed_at"
        ),
        "device": Column("string", "device on which it was opened", known_at="opened_at"),
    },
)
