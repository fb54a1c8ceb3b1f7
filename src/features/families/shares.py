"""Shares of a customer's spend by product group, product, brand, store and channel: one feature per value.

`category_share.SOFT_DRINKS` is the spend on soft drinks / the spend on lines of known category, so the shares of all
values add up to 1. Lines of unknown value are left out, as in `top_category_share`; a customer who spent nothing
on lines of known value has 0 everywhere. Upper and lower case, and a space and an underscore, make no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import ibis
import ibis.expr.types as ir

from features.families.registry import Parametrised, parametrised
from features.tables import MONEY, SPECS, Tables


def known_lines(tables: Tables, column: str) -> ir.Table:
    """Return the lines of known value, with the columns of their products where the value is one of them."""
    lines = tables.transactions
    if column not in SPECS["transactions"].columns:
        lines = lines.inner_join(tables["products"], "product_id")
    return lines.filter(lines[column].notnull())


def spend(past: Tables, column: str) -> ir.Table:
    """Return one row per customer and value: customer_id, value (underscores for spaces), amount (DECIMAL)."""
    lines = known_lines(past, column)
    return lines.group_by("customer_id", value=lines[column].replace(" ", "_")).agg(
        amount=lines.amount.sum().cast(MONEY)
    )


def shares(past: Tables, values: Mapping[str, str], column: str) -> ir.Table:
    """Return one row per customer: customer_id and each feature's share, in [0, 1]; null where nothing was spent."""
    spent = spend(past, column)
    # The engine lowers both sides: engines and Python differ in some letters.
    parts = {
        feature: spent.amount.sum(where=spent.value.lower() == ibis.literal(value).lower())
        for feature, value in values.items()
    }
    customers = spent.group_by("customer_id").agg(total=spent.amount.sum(), **parts)
    total = customers.total.cast("float64").nullif(0.0)
    return customers.select("customer_id", **{feature: customers[feature].cast("float64") / total for feature in parts})


def largest(past: Tables, limit: int, column: str) -> ir.Table:
    """Return the values with most spend: value and amount, at most `limit`, the largest first, equals by name."""
    spent = spend(past, column)
    totals = spent.group_by(key=spent.value.lower()).agg(value=spent.value.min(), amount=spent.amount.sum())
    totals = totals.filter((totals.amount > 0) & (totals.key != ""))
    return totals.order_by(totals.amount.desc(), totals.key).select("value", "amount").limit(limit)


# what has shares, its column, a value
for _of, _column, _example in (
    ("department", "department", "MEAT"),
    ("category", "category", "SOFT_DRINKS"),
    ("product", "product_id", "1082185"),
    ("brand", "brand", "Private"),
    ("store", "store_id", "330"),
    ("channel", "channel", "web"),
):
    parametrised(
        Parametrised(
            name=f"{_of}_share",
            needs=("transactions",) if _column in SPECS["transactions"].columns else ("transactions", "products"),
            meaning=f"share of spend on lines of known {_of} that falls on {{value}}, in [0, 1]; 0 for none",
            example=_example,
            build=partial(shares, column=_column),
            largest=partial(largest, column=_column),
        )
    )
