"""The usual gap between purchases, which few long absences do not move."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.families import purchases
from features.families.registry import family, last_day
from features.tables import Tables

LATEST = 5


@family(
    needs=("transactions",),
    complete=True,
    features={
        "gap_median_days": "median of the days between purchase days; T, the least it can be, for one purchase day",
        "gap_latest_mean_days": "mean of the last five gaps between purchase days, in days; T for one purchase day",
    },
)
def gaps(past: Tables) -> ir.Table:
    """Compute the median gap between purchase days, and the mean of the latest gaps.

    Of an even number of gaps the median is the mean of the middle two. A customer of one purchase day has no gap yet: T
    stands in, as the gap is at least that long.
    """
    days = purchases.sales_by_day(past)
    by_customer = ibis.window(group_by="customer_id", order_by="day")
    days = days.mutate(gap=days.day.delta(days.day.lag().over(by_customer), unit="day"))
    known = days.filter(days.gap.notnull())
    from_short, from_last = (
        ibis.row_number().over(ibis.window(group_by="customer_id", order_by=order))
        for order in ([known.gap, known.day], ibis.desc(known.day))
    )
    of_customer = known.gap.count().over(ibis.window(group_by="customer_id"))
    known = known.mutate(from_short=from_short, from_last=from_last, of_customer=of_customer)
    # Rows (n - 1) // 2 and n // 2 from the shortest; they are one where n is odd.
    is_middle = (2 * known.from_short >= known.of_customer - 2) & (2 * known.from_short <= known.of_customer)
    found = known.group_by("customer_id").agg(
        median=known.gap.mean(where=is_middle), latest=known.gap.mean(where=known.from_last < LATEST)
    )
    customers = days.group_by("customer_id").agg(first=days.day.min())
    customers = customers.left_join(found, "customer_id")
    age = ibis.literal(last_day(past)).delta(customers["first"], unit="day")
    return customers.select(
        "customer_id",
        gap_median_days=customers.median.fill_null(age),
        gap_latest_mean_days=customers.latest.fill_null(age),
    )
