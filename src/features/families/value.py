"""Spend of customers: totals, averages, spread, rates and their trend, in the shop's currency."""

from __future__ import annotations

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from features.families import purchases
from features.families.registry import days_of_data, family, last_day
from features.tables import Tables

RECENT_DAYS, LONG_DAYS = 28, 91
SPEND_WINDOWS_DAYS = (7, RECENT_DAYS, LONG_DAYS)
NET = (  # below 0 where more came back in the days than was bought
    "total_spend",
    *(f"spend_last_{n}_days" for n in SPEND_WINDOWS_DAYS),
    "total_spend_rate",
    "lifetime_spend_rate",
    "last_28_days_spend_rate",
    "last_91_days_spend_rate",
    "spend_trend",
)


@family(
    needs=("transactions",),
    complete=True,
    ranges=dict.fromkeys(NET, (None, None)),
    features={
        "total_spend": "spend before the cutoff",
        "average_order_value": "mean value of all orders",
        "max_order_value": "value of the largest order",
        "first_day_spend": "spend on the first purchase day",
        "purchase_day_value_std": "sample standard deviation of the value of purchase days; 0 for one purchase day",
        "spend_last_7_days": "spend in the last 7 days before the cutoff",
        "spend_last_28_days": "spend in the last 28 days before the cutoff",
        "spend_last_91_days": "spend in the last 91 days before the cutoff, or in all days of data where fewer",
        "total_spend_rate": "spend a day over all days of data: total_spend / days from the data's start to the cutoff",
        "lifetime_spend_rate": "spend a day since the first purchase day: total_spend / (T + 1)",
        "last_28_days_spend_rate": "spend a day over the last 28 days before the cutoff (all days of data where fewer)",
        "last_91_days_spend_rate": "spend a day over the last 91 days before the cutoff (all days of data where fewer)",
        "spend_trend": "last_28_days_spend_rate / last_91_days_spend_rate, 1 is steady; 0 for no spend in 91 days",
    },
)
def value(past: Tables) -> ir.Table:
    """Compute spend over all days and in windows that end at the cutoff.

    Sums, also of squares, are taken in DECIMAL and become double afterwards.
    """
    orders = purchases.by_order(past)
    per_order = orders.group_by("customer_id").agg(orders=orders.count(), max_order_value=orders.amount.max())
    windows = [f"spend_last_{n}_days" for n in SPEND_WINDOWS_DAYS]
    per_day = _of_purchases_and_money(past)
    money = ["total", "value", "squares", "first_day_spend", "max_order_value", *windows]
    customers = per_day.inner_join(per_order, "customer_id")
    customers = customers.mutate(**{name: customers[name].cast("float64") for name in money})

    variance = (customers.squares - customers.value * customers.value / customers.days) / (customers.days - 1).nullif(0)

    def rate(n: int) -> ir.FloatingValue:
        return customers[f"spend_last_{n}_days"].fill_null(0.0) / min(n, days_of_data(past))

    return customers.select(
        "customer_id",
        "max_order_value",
        "first_day_spend",
        *windows,
        total_spend=customers.total,
        average_order_value=customers.value / customers.orders,
        purchase_day_value_std=ibis.greatest(variance, 0.0).sqrt(),
        total_spend_rate=customers.total / days_of_data(past),
        lifetime_spend_rate=customers.total / (ibis.literal(last_day(past)).delta(customers["first"], unit="day") + 1),
        last_28_days_spend_rate=rate(RECENT_DAYS),
        last_91_days_spend_rate=rate(LONG_DAYS),
        spend_trend=_trend(rate(RECENT_DAYS), rate(LONG_DAYS), past),
    )


def _trend(recent: ir.FloatingValue, longer: ir.FloatingValue, past: Tables) -> ir.FloatingValue:
    """Divide two rates; where returns leave next to nothing of the longer one, the trend stays within its range."""
    if not past.nets_returns:
        return recent / longer.nullif(0.0)
    steepest = LONG_DAYS / RECENT_DAYS  # all spend in the last days
    trend = recent / ibis.ifelse(longer > 0, longer, ibis.null("float64"))
    return ibis.least(ibis.greatest(trend, 0.0), steepest)


def _of_purchases_and_money(past: Tables) -> ir.Table:
    """Return one row per customer: figures of the values of purchase days, and sums of money over time."""
    days = purchases.by_day(past)
    money = purchases.money_by_day(past) if past.nets_returns else days
    of_days = {
        "first": days.day.min(),
        "days": days.count(),
        "value": days.amount.sum(),
        "squares": purchases.square(days.amount).sum(),
        "first_day_spend": days.amount.argmin(days.day),
    }
    of_money = {
        "total": money.amount.sum(),
        **{
            f"spend_last_{n}_days": money.amount.sum(where=money.day >= ibis.literal(past.end - timedelta(days=n)))
            for n in SPEND_WINDOWS_DAYS
        },
    }
    if not past.nets_returns:
        return days.group_by("customer_id").agg(**of_days, **of_money)
    customers = days.group_by("customer_id").agg(**of_days)
    return customers.inner_join(money.group_by("customer_id").agg(**of_money), "customer_id")
