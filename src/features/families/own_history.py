"""A customer's own history with a category or a product: one feature per value, as in `shares`.

`category_days_since.SOFT_DRINKS` is the number of days since the customer last bought soft drinks. Values are spelled
and compared as in `shares`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

import ibis
import ibis.expr.types as ir

from features.families.registry import LONG_AGO_DAYS, Parametrised, days_since, parametrised
from features.families.shares import known_lines, largest
from features.tables import SPECS, Tables

RECENT_DAYS = 91

Measure = Callable[[Tables, ir.Table], ir.Table]


def valued_lines(tables: Tables, column: str) -> ir.Table:
    """Return the lines of known value; the column `value` holds it in lower case.

    Features read the lines of all values, or the definition of one would depend on which others are asked for.
    """
    lines = known_lines(tables, column)
    return lines.mutate(value=lines[column].replace(" ", "_").lower())


def lines_of(tables: Tables, column: str, value: str) -> ir.Table:
    """Return the lines of one value.

    The engine lowers both sides: engines and Python differ in some letters.
    """
    lines = valued_lines(tables, column)
    return lines.filter(lines.value == ibis.literal(value.replace(" ", "_")).lower())


def by_feature(found: ir.Table, values: Mapping[str, str]) -> ir.Table:
    """Turn rows of customer_id, value (lower case) and found into one row per customer with a column per feature."""
    return found.group_by("customer_id").agg(
        **{
            feature: found.found.max(where=found.value == ibis.literal(value).lower())
            for feature, value in values.items()
        }
    )


def _days(lines: ir.Table) -> ir.Table:
    return lines.select("customer_id", "value", day=lines.timestamp.date()).distinct()


def last_bought(past: Tables, lines: ir.Table) -> ir.Table:
    """Count the days from the last purchase of each value to the last included day."""
    last = lines.group_by("customer_id", "value").agg(day=lines.timestamp.date().max())
    return last.select("customer_id", "value", found=days_since(last.day, past))


def purchase_days(past: Tables, lines: ir.Table) -> ir.Table:
    """Count the days on which each value was bought."""
    days = _days(lines)
    return days.group_by("customer_id", "value").agg(found=days.count())


def recent_purchase_days(past: Tables, lines: ir.Table) -> ir.Table:
    """Count those of the last `RECENT_DAYS` days."""
    start = ibis.literal(past.end - timedelta(days=RECENT_DAYS))
    return purchase_days(past, lines.filter(lines.timestamp.date() >= start))


def mean_gap(past: Tables, lines: ir.Table) -> ir.Table:
    """Compute the mean of the days between purchase days; of one purchase day, the days since: it is as long at least.

    At most `LONG_AGO_DAYS`, which stands for no purchase.
    """
    days = _days(lines)
    each = days.group_by("customer_id", "value").agg(first=days.day.min(), last=days.day.max(), days=days.count())
    gap = each["last"].delta(each["first"], unit="day") / (each.days - 1).nullif(0)
    gap = gap.fill_null(days_since(each["first"], past).cast("float64"))
    return each.select("customer_id", "value", found=ibis.least(gap, float(LONG_AGO_DAYS)))


def discounts(past: Tables, lines: ir.Table) -> ir.Table:
    """Compute 1 - spend / regular price of lines of known regular price; some are sold above it."""
    priced = lines.filter(lines.list_amount.notnull())
    sums = priced.group_by("customer_id", "value").agg(paid=priced.amount.sum(), regular=priced.list_amount.sum())
    discount = 1 - sums.paid.cast("float64") / sums.regular.cast("float64").nullif(0.0)
    return sums.select("customer_id", "value", found=ibis.least(ibis.greatest(discount, 0.0), 1.0))


def _build(past: Tables, values: Mapping[str, str], column: str, measure: Measure) -> ir.Table:
    return by_feature(measure(past, valued_lines(past, column)), values)


MEASURES: Mapping[str, tuple[Measure, str, float]] = {  # end of the name: measure, meaning, value of a customer of none
    "days_since": (
        last_bought,
        f"days since the last purchase of {{value}}, at most {LONG_AGO_DAYS}, and {LONG_AGO_DAYS} for none",
        LONG_AGO_DAYS,
    ),
    "purchase_days": (purchase_days, "days with a purchase of {value}", 0.0),
    "purchase_days_last_91_days": (
        recent_purchase_days,
        f"days with a purchase of {{value}} in the last {RECENT_DAYS} days",
        0.0,
    ),
    "gap_days": (
        mean_gap,
        "mean of the days between purchase days of {value}, or the days since for one purchase day; at most "
        f"{LONG_AGO_DAYS}, and {LONG_AGO_DAYS} for none",
        LONG_AGO_DAYS,
    ),
    "discount_share": (
        discounts,
        "1 - spend / regular price of lines of {value}, in [0, 1]; 0 where regular prices are unknown",
        0.0,
    ),
}

for _of, _column, _example in (("category", "category", "SOFT_DRINKS"), ("product", "product_id", "1082185")):
    for _name, (_measure, _meaning, _fallback) in MEASURES.items():
        parametrised(
            Parametrised(
                name=f"{_of}_{_name}",
                needs=("transactions",) if _column in SPECS["transactions"].columns else ("transactions", "products"),
                meaning=_meaning,
                example=_example,
                build=partial(_build, column=_column, measure=_measure),
                largest=partial(largest, column=_column),
                fallback=_fallback,
            )
        )
