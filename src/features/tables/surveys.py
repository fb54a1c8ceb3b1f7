"""Surveys: customers' answers to questions, such as the one behind the Net Promoter Score."""

from __future__ import annotations

from features.tables.base import MOMENT, Column, TableSpec

TABLE = TableSpec(
    meaning="one row per answer to a question",
    key=("customer_id", "question", "answered_at"),
    known_at="answered_at",
    columns={
        "customer_id": Column("string", "customer who answered", required=True, meets=("transactions",)),
        "question": Column("string", "question, such as nps", required=True),
        "answered_at": Column(MOMENT, "time of the answer", required=True),
        "score": Column("float64", "answer from 0 to 10; null for an answer in words", minimum=0, maximum=10),
        "answer": Column("string", "answer in words"),
        "order_id": Column("string", "order that it is about", meets=("transactions",)),
        "channel": Column("string", "channel through which it was asked"),
    },
)
