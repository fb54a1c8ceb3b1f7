"""Prices: the share of the regular price that customers pay, and their use of coupons."""

from __future__ import annotations

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from features.families.registry import family
from features.tables import Tables

RECENT_DAYS = 91


@family(
    needs=("transactions",),
    complete=True,
    features={
        "discount_share": "1 - spend / regular price of the same lines, in [0, 1]; 0 where regular prices are unknown",
        "discount_share_last_91_days": "discount_share over the last 91 days; 0 for no purchase in them",
        "discounted_line_share": "share of lines below regular price; 0 where regular prices are unknown",
        "coupon_line_share": "share of lines with a coupon's discount",
        "coupon_order_share": "share of orders with a coupon's discount",
        "coupon_discount_share": "coupon discounts / regular price, in [0, 1]; 0 where regular prices are unknown",
        "average_unit_price": "spend / units over lines of known quantity, in currency; 0 where none is known",
    },
)
def price(past: Tables) -> ir.Table:
    """Compute discount and coupon use over all lines before the cutoff.

    A line without regular price (`list_amount`) counts in coupon shares and in no discount share.
    """
    lines = past.transactions
    priced = lines.list_amount.notnull()
    recent = lines.timestamp.date() >= ibis.literal(past.end - timedelta(days=RECENT_DAYS))
    with_coupon = lines.coupon_discount > 0
    orders = lines.group_by("customer_id", "order_id").agg(
        lines=lines.count(),
        priced_lines=lines.count(where=priced),
        discounted_lines=lines.count(where=lines.amount < lines.list_amount),
        coupon_lines=lines.count(where=with_coupon),
        paid=lines.amount.sum(where=priced),
        regular=lines.list_amount.sum(),
        recent_paid=lines.amount.sum(where=priced & recent),
        recent_regular=lines.list_amount.sum(where=recent),
        coupons=lines.coupon_discount.sum(where=priced),
        counted=lines.amount.sum(where=lines.quantity > 0),
        units=lines.quantity.sum(),
    )
    money = ("paid", "regular", "recent_paid", "recent_regular", "coupons", "counted", "units")
    counts = ("lines", "priced_lines", "discounted_lines", "coupon_lines")
    customers = orders.group_by("customer_id").agg(
        orders=orders.count(),
        coupon_orders=orders.count(where=orders.coupon_lines > 0),
        **{name: orders[name].sum() for name in counts},
        **{name: orders[name].sum().cast("float64") for name in money},
    )
    return customers.select(
        "customer_id",
        discount_share=_share(customers.regular - customers.paid, customers.regular),
        discount_share_last_91_days=_share(customers.recent_regular - customers.recent_paid, customers.recent_regular),
        discounted_line_share=customers.discounted_lines / customers.priced_lines.nullif(0),
        coupon_line_share=customers.coupon_lines / customers.lines,
        coupon_order_share=customers.coupon_orders / customers.orders,
        coupon_discount_share=_share(customers.coupons, customers.regular),
        average_unit_price=customers.counted / customers.units.nullif(0.0),
    )


def _share(part: ir.FloatingValue, whole: ir.FloatingValue) -> ir.FloatingValue:
    # Some sources record an amount above the regular price (deposits, weighed goods).
    return ibis.least(ibis.greatest(part / whole.nullif(0.0), 0.0), 1.0)
