"""The rhythm of purchases: counts, gaps, days and hours."""

from __future__ import annotations

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from features.families import purchases
from features.families.registry import family, last_day
from features.tables import Tables

SATURDAY = 5  # Monday is 0


@family(
    needs=("transactions",),
    complete=True,
    ranges={
        "orders": (1, None),
        "orders_per_purchase_day": (1, None),
        "purchase_day_rate": (0, 1),
        "order_hour_mean": (0, 23),
    },
    at_most=(("purchase_days_last_28_days", "purchase_days_last_91_days"),),
    features={
        "orders": "orders before the cutoff",
        "orders_per_purchase_day": "orders / purchase days, at least 1",
        "purchase_days_last_28_days": "purchase days in the last 28 days before the cutoff",
        "purchase_days_last_91_days": "purchase days in the last 91 days before the cutoff",
        "purchase_day_rate": "purchase days / days from the first purchase day to the cutoff, in (0, 1]",
        "gap_mean_days": "mean days between purchase days; T, the least it can be, for one purchase day",
        "gap_std_days": "sample standard deviation of the days between purchase days; 0 for fewer than two gaps",
        "gap_max_days": "longest gap between purchase days, in days; T for one purchase day",
        "gap_last_days": "gap before the last purchase day, in days; T for one purchase day",
        "overdue_ratio": "days_since_last_purchase / gap_mean_days; 1 for one purchase day",
        "weekend_share": "share of purchase days that are Saturdays or Sundays",
        "order_hour_mean": "mean hour of the day of orders, 0 to 23; 0 where the source has days only",
    },
)
def rhythm(past: Tables) -> ir.Table:
    """Compute counts and gaps of purchase days.

    A customer of one purchase day has no gap yet: T stands in, as the gap is at least that long. Sums are
    of whole days, so they are exact.
    """
    today = ibis.literal(last_day(past))
    days = purchases.by_day(past)
    previous = days.day.lag().over(group_by="customer_id", order_by="day")
    days = days.mutate(gap=days.day.delta(previous, unit="day"))

    def within(n: int) -> ir.IntegerScalar:
        return days.count(where=days.day >= ibis.literal(past.end - timedelta(days=n)))

    per_day = days.group_by("customer_id").agg(
        first=days.day.min(),
        last=days.day.max(),
        days=days.count(),
        gaps=days.gap.count(),
        gap_sum=days.gap.sum(),
        gap_squares=(days.gap * days.gap).sum(),
        gap_max=days.gap.max(),
        gap_last=days.gap.argmax(days.day),
        weekends=days.count(where=days.day.day_of_week.index() >= SATURDAY),
        purchase_days_last_28_days=within(28),
        purchase_days_last_91_days=within(91),
    )
    orders = purchases.by_order(past)
    per_order = orders.group_by("customer_id").agg(orders=orders.count(), hours=orders.moment.hour().sum())
    customers = per_day.inner_join(per_order, "customer_id")

    age = today.delta(customers["first"], unit="day")
    gap_mean = customers.gap_sum / customers.gaps.nullif(0)
    # n * sum of squares - square of sum is a whole number: equal gaps give exactly 0.
    spread = customers.gaps * customers.gap_squares - customers.gap_sum * customers.gap_sum
    return customers.select(
        "customer_id",
        "orders",
        "purchase_days_last_28_days",
        "purchase_days_last_91_days",
        orders_per_purchase_day=customers.orders / customers.days,
        purchase_day_rate=customers.days / (age + 1),
        gap_mean_days=gap_mean.fill_null(age),
        gap_std_days=(spread / (customers.gaps * (customers.gaps - 1)).nullif(0)).sqrt(),
        gap_max_days=customers.gap_max.fill_null(age),
        gap_last_days=customers.gap_last.fill_null(age),
        overdue_ratio=(today.delta(customers["last"], unit="day") / gap_mean).fill_null(1.0),
        weekend_share=customers.weekends / customers.days,
        order_hour_mean=customers.hours / customers.orders,
    )
