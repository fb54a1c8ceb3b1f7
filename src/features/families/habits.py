"""Habits of ordering: days of the week, parts of the day, the preferred store and channel, coupons."""

from __future__ import annotations

import ibis.expr.types as ir

from features.families import purchases
from features.families.registry import family
from features.tables import Tables

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOURS = {"night": (0, 6), "morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24)}


@family(
    needs=("transactions",),
    complete=True,
    features={
        **{f"{day}_share": f"share of orders on {day.capitalize()}s" for day in WEEKDAYS},
        **{
            f"{part}_share": f"share of orders from {start}:00 until before {end}:00"
            + ("; 1 where the source has days only" if start == 0 else "; 0 where the source has days only")
            for part, (start, end) in HOURS.items()
        },
        "top_store_share": "share of orders at the store with most of them; 0 where stores are unknown",
        "top_channel_share": "share of orders through the channel with most of them; 0 where channels are unknown",
        "coupon_used_share": "share of orders with a coupon's discount or a coupon whose status is Used",
    },
)
def habits(past: Tables) -> ir.Table:
    """Compute shares of orders; an order's moment is that of its first line.

    The days of the week add up to 1, and so do the parts of the day. Orders of unknown store or channel
    are left out of top_store_share or top_channel_share.
    """
    lines = past.transactions
    used = purchases.coupon_used(lines)
    orders = lines.group_by("customer_id", "order_id").agg(
        moment=lines.timestamp.min(),
        # One visit to the till or one web order has one store and one channel.
        store=lines.store_id.min(),
        channel=lines.channel.min(),
        used=lines.count(where=used),
    )
    orders = orders.mutate(
        at_store=orders.store.count().over(group_by=["customer_id", "store"]),
        through_channel=orders.channel.count().over(group_by=["customer_id", "channel"]),
    )
    weekday, hour = orders.moment.day_of_week.index(), orders.moment.hour()
    counts = {
        **{f"{day}_share": orders.count(where=weekday == index) for index, day in enumerate(WEEKDAYS)},
        **{f"{part}_share": orders.count(where=(hour >= start) & (hour < end)) for part, (start, end) in HOURS.items()},
        "coupon_used_share": orders.count(where=orders.used > 0),
    }
    customers = orders.group_by("customer_id").agg(
        orders=orders.count(),
        placed=orders.store.count(),
        channelled=orders.channel.count(),
        at_top_store=orders.at_store.max(),
        through_top_channel=orders.through_channel.max(),
        **counts,
    )
    return customers.select(
        "customer_id",
        top_store_share=customers.at_top_store / customers.placed.nullif(0),
        top_channel_share=customers.through_top_channel / customers.channelled.nullif(0),
        **{feature: customers[feature] / customers.orders for feature in counts},
    )
