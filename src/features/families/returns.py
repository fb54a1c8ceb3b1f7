"""Returns and cancellations of a customer: how often, how much, how long ago."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.families.registry import LONG_AGO_DAYS, days_since, family
from features.tables import Tables


@family(
    needs=("transactions", "returns"),
    features={
        "returned_order_share": "share of orders of which something was returned or cancelled, in [0, 1]; 0 for none",
        "returned_value_share": "money given back / money of sales, in [0, 1]; 0 for no return",
        "days_since_last_return": f"days to cutoff - 1 day, at most {LONG_AGO_DAYS}; {LONG_AGO_DAYS} for never",
    },
    fallbacks={"days_since_last_return": LONG_AGO_DAYS},
    ranges={"days_since_last_return": (0, LONG_AGO_DAYS)},
)
def returns(past: Tables) -> ir.Table:
    """Compute what came back before the cutoff; a return without a known sale counts in no share of orders.

    The shares are of gross sales, whatever `Tables.spend` is.
    """
    lines, back = past.transactions, past["returns"]
    sales = lines.group_by("customer_id").agg(orders=lines.order_id.nunique(), sold=lines.amount.sum().cast("float64"))
    returned = back.group_by("customer_id").agg(
        returned_orders=back.order_id.nunique(),
        given_back=back.amount.sum().cast("float64"),
        last=back.returned_at.max().date(),
    )
    customers = sales.inner_join(returned, "customer_id")
    return customers.select(
        "customer_id",
        returned_order_share=ibis.least(customers.returned_orders / customers.orders, 1.0),
        returned_value_share=ibis.least(customers.given_back / customers.sold.nullif(0.0), 1.0),
        days_since_last_return=days_since(customers["last"], past),
    )
