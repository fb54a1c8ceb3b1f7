"""Recency, frequency, monetary value and T, as lifetimes defines them."""

from __future__ import annotations

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from features.families import purchases
from features.families.registry import family, last_day
from features.tables import Tables


@family(
    needs=("transactions",),
    complete=True,
    ranges={"left_truncated": (0, 1)},
    at_most=(("recency", "T"), ("frequency", "recency"), ("days_since_last_purchase", "T")),
    zero_with=(("frequency", "recency"), ("frequency", "monetary_value")),
    features={
        "frequency": "purchase days - 1",
        "recency": "days from the first to the last purchase day; 0 for one purchase day",
        "T": "days from the first purchase day to the last included day (cutoff - 1 day)",
        "monetary_value": "mean value of the purchase days after the first, in currency; 0 for one purchase day",
        "days_since_last_purchase": "days from the last purchase day to the last included day (cutoff - 1 day)",
        "left_truncated": "1 if first seen within burn_in_days of the data's start, so that T is a lower bound, else 0",
    },
)
def rfm(past: Tables) -> ir.Table:
    """Compute RFM and T in days, equal to `lifetimes.utils.summary_data_from_transaction_data(freq="D")`.

    0 <= recency <= T, frequency <= recency and days_since_last_purchase = T - recency.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2).
    """
    days = purchases.by_day(past)
    customers = days.group_by("customer_id").agg(
        first=days.day.min(),
        last=days.day.max(),
        frequency=days.count() - 1,
        repeat_value=days.amount.sum() - days.amount.argmin(days.day),
    )
    today = ibis.literal(last_day(past))
    burnt_in = ibis.literal(past.start + timedelta(days=past.burn_in_days))
    return customers.select(
        "customer_id",
        "frequency",
        recency=customers["last"].delta(customers["first"], unit="day"),
        T=today.delta(customers["first"], unit="day"),
        monetary_value=customers.repeat_value.cast("float64") / customers.frequency.nullif(0),
        days_since_last_purchase=today.delta(customers["last"], unit="day"),
        left_truncated=customers["first"] < burnt_in,
    )
