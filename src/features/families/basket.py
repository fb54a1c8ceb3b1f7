"""Baskets of customers: size, variety, stores, and the mix of categories."""

from __future__ import annotations

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from features.families import purchases
from features.families.registry import family
from features.tables import MONEY, Tables

RECENT_DAYS = 28


@family(
    needs=("transactions",),
    complete=True,
    features={
        "lines_per_order": "mean lines of an order",
        "units_per_order": "mean units of an order, lines of unknown quantity left out; 0 where none is known",
        "distinct_products": "distinct products bought; 0 where products are unknown",
        "repeat_line_share": "share of lines whose product the customer bought more than once; 0 for none",
        "new_product_share_last_28_days": "share of the last 28 days' products never bought before; 0 for none",
        "stores": "distinct stores visited; 0 where stores are unknown",
        "main_store_line_share": "share of lines from the store with most of them; 0 where stores are unknown",
    },
)
def basket(past: Tables) -> ir.Table:
    """Compute size and variety of baskets, from the transactions alone."""
    lines = past.transactions
    known = lines.filter(lines.product_id.notnull())
    products = known.group_by("customer_id", "product_id").agg(
        lines=known.count(), first=known.timestamp.min(), last=known.timestamp.max()
    )
    recently = ibis.literal(past.end - timedelta(days=RECENT_DAYS))
    in_window = products["last"].date() >= recently
    per_product = products.group_by("customer_id").agg(
        products=products.count(),
        product_lines=products.lines.sum(),
        single_lines=products.count(where=products.lines == 1),
        recent=products.count(where=in_window),
        new=products.count(where=products["first"].date() >= recently),
    )
    placed = lines.filter(lines.store_id.notnull())
    stores = placed.group_by("customer_id", "store_id").agg(lines=placed.count())
    per_store = stores.group_by("customer_id").agg(
        stores=stores.count(), store_lines=stores.lines.sum(), main_store_lines=stores.lines.max()
    )
    orders = lines.group_by("customer_id", "order_id").agg(lines=lines.count(), units=lines.quantity.sum())
    per_order = orders.group_by("customer_id").agg(
        orders=orders.count(), lines=orders.lines.sum(), units=orders.units.sum()
    )
    customers = _left_join(_left_join(per_order, per_product), per_store)
    return customers.select(
        "customer_id",
        "stores",
        lines_per_order=customers.lines / customers.orders,
        units_per_order=customers.units.cast("float64") / customers.orders,
        distinct_products=customers.products,
        repeat_line_share=1 - customers.single_lines / customers.product_lines,
        new_product_share_last_28_days=customers.new / customers.recent.nullif(0),
        main_store_line_share=customers.main_store_lines / customers.store_lines,
    )


@family(
    needs=("transactions", "products"),
    ranges={"category_concentration": (0, 1)},
    features={
        "distinct_categories": "distinct categories bought; 0 where categories are unknown",
        "distinct_departments": "distinct departments bought; 0 where departments are unknown",
        "category_concentration": "Herfindahl index of spend over categories, in [0, 1]; 0 where nothing is known",
        "top_category_share": "share of spend in the category with most of it; 0 where nothing is known",
        "top_department_share": "share of spend in the department with most of it; 0 where nothing is known",
    },
)
def category_mix(past: Tables) -> ir.Table:
    """Compute how spend spreads over the assortment; lines of unknown product are left out.

    category_concentration is the sum over categories of squared spend shares: 1 for one category, 1/k
    for k equal ones.
    """
    lines = past.transactions.inner_join(past["products"], "product_id")
    categories = _spend_mix(lines, "category")
    departments = _spend_mix(lines, "department").rename(
        departments="groups", department_total="total", department_largest="largest", department_squares="squares"
    )
    customers = _left_join(categories, departments)
    return customers.select(
        "customer_id",
        distinct_categories=customers.groups,
        distinct_departments=customers.departments,
        category_concentration=customers.squares / (customers.total * customers.total).nullif(0.0),
        top_category_share=customers.largest / customers.total.nullif(0.0),
        top_department_share=customers.department_largest / customers.department_total.nullif(0.0),
    )


def _spend_mix(lines: ir.Table, level: str) -> ir.Table:
    """Count each customer's groups of that level; sum spend over all, in the largest, and squared."""
    known = lines.filter(lines[level].notnull())
    groups = known.group_by("customer_id", level).agg(amount=known.amount.sum().cast(MONEY))
    return groups.group_by("customer_id").agg(
        groups=groups.count(),
        total=groups.amount.sum().cast("float64"),
        largest=groups.amount.max().cast("float64"),
        squares=purchases.square(groups.amount).sum().cast("float64"),
    )


def _left_join(left: ir.Table, right: ir.Table) -> ir.Table:
    return left.left_join(right, "customer_id").drop("customer_id_right")
