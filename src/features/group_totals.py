"""Totals of groups of customers in a window: by day, by category, by coupon.

Each function takes the window, `tables.between(start, end)`, and the groups, a table of customer_id and group (tiers,
clusters, one group of all), and returns an expression; customers without a group are left out. Money and units stay
DECIMAL until they have been summed. `Shop.behaviour` runs the expressions.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from features import assortment
from features.families import purchases
from features.tables import MONEY, QUANTITY, Tables

USED, NOT_USED = "Used", "Not used"
COUNTS = ("orders", "lines")
SUMMED = {"spend": MONEY, "units": QUANTITY, "counted_spend": MONEY}


def by_day(window: Tables, groups: ir.Table) -> ir.Table:
    """Return one row per group and day on which it bought: group, day, customers, orders, spend, units.

    Days without an order have no row: a rate per day is a sum / the days of the window. An order falls on the day of
    its first line.
    """
    return _as_doubles(_added_up(_days(window, groups), "day"))


def by_value(window: Tables, groups: ir.Table, level: str = "category") -> ir.Table:
    """Return one row per group and category: group, value, customers, orders, spend, units, mean_unit_price.

    Parameters
    ----------
    window : Tables
    groups : ibis table
    level : str
        Column of the products, such as "department" or "category", or "product". Lines of unknown value are left out.

    Returns
    -------
    ibis table
        mean_unit_price = spend / units over lines of known quantity; null where none is known.

    Raises
    ------
    InputError
        If the shop knows no products, or products have no such column.
    """
    values = _as_doubles(_added_up(_bought(window, groups, level), "value"))
    return values.mutate(mean_unit_price=values.counted_spend / values.units.nullif(0.0)).drop("counted_spend")


def customer_coupons(window: Tables, groups: ir.Table, of: str = "orders") -> ir.Table:
    """Return one row per customer and coupon status: group, customer_id, status, number of orders (lines).

    An order is "Used" where a coupon was used on any of its lines, by the status or by a discount; else it has the
    status that a line of it has beside "Not used", as the source words it, such as "Clicked"; else it is "Not used".
    Orders of which neither status nor discount is known are left out. Large orders are "Used" more often than small
    ones, as they have more lines; lines are not.

    Parameters
    ----------
    window : Tables
    groups : ibis table
    of : str
        Counted: "orders", or "lines" by their own status.
    """
    lines = _of_groups(window, groups)
    known = lines.filter(lines.coupon_status.notnull() | lines.coupon_discount.notnull())
    status = known.coupon_status.lower()
    used = purchases.coupon_used(known)
    key = ["order_id"] if of == "orders" else ["order_id", "line_number"]
    counted = known.group_by("group", "customer_id", *key).agg(
        used=known.count(where=used), other=known.coupon_status.min(where=status != NOT_USED.lower())
    )
    counted = counted.mutate(status=ibis.ifelse(counted.used > 0, USED, counted.other.fill_null(NOT_USED)))
    return counted.group_by("group", "customer_id", "status").agg(**{of: counted.count()})


def by_coupon(window: Tables, groups: ir.Table, of: str = "orders") -> ir.Table:
    """Return one row per group and coupon status: group, status, customers, orders (lines). See `customer_coupons`."""
    return _added_up(customer_coupons(window, groups, of), "status")


def baskets(window: Tables, groups: ir.Table, level: str = "category") -> ir.Table:
    """Return the values that each customer bought on each day, once each: group, customer_id, day, value.

    Parameters and errors are those of `by_value`.
    """
    lines = _of_groups(window, groups).inner_join(assortment.values(window, level), "product_id")
    return lines.select("group", "customer_id", "value", day=lines.timestamp.date()).distinct()


def value_share(
    window: Tables, groups: ir.Table, values: Sequence[str], level: str = "category", measure: str = "units"
) -> ir.Table:
    """Compute the share of a customer's units, or spend, in some categories: group, customer_id, share in [0, 1].

    A share is not a count: a customer who buys more of everything has a larger count and the same share. Customers
    without units (spend) on lines of known value have no row.

    Parameters
    ----------
    window, groups, level
        As of `by_value`, and so are the errors.
    values : sequence of str
    measure : str
        "units" or "spend".
    """
    bought = _bought(window, groups, level)
    chosen = bought.value.isin(list(values))
    customers = bought.group_by("group", "customer_id").agg(
        part=bought[measure].sum(where=chosen), whole=bought[measure].sum()
    )
    return _share(customers.filter(customers.whole > 0))


def coupon_share(window: Tables, groups: ir.Table, status: str = USED, of: str = "orders") -> ir.Table:
    """Compute the share of a customer's orders, or lines, with a coupon status: group, customer_id, share in [0, 1].

    See `customer_coupons`; upper and lower case make no difference.
    """
    counts = customer_coupons(window, groups, of)
    customers = counts.group_by("group", "customer_id").agg(
        part=counts[of].sum(where=counts.status.lower() == status.lower()), whole=counts[of].sum()
    )
    return _share(customers)


def _of_groups(window: Tables, groups: ir.Table) -> ir.Table:
    return window.transactions.inner_join(groups, "customer_id")


def _days(window: Tables, groups: ir.Table) -> ir.Table:
    lines = _of_groups(window, groups)
    orders = lines.group_by("group", "customer_id", "order_id").agg(
        day=lines.timestamp.min().date(), spend=lines.amount.sum(), units=lines.quantity.sum()
    )
    return _exact(
        orders.group_by("group", "customer_id", "day").agg(
            orders=orders.count(), spend=orders.spend.sum(), units=orders.units.sum()
        )
    )


def _bought(window: Tables, groups: ir.Table, level: str) -> ir.Table:
    lines = _of_groups(window, groups).inner_join(assortment.values(window, level), "product_id")
    return _exact(
        lines.group_by("group", "customer_id", "value").agg(
            orders=lines.order_id.nunique(),
            spend=lines.amount.sum(),
            units=lines.quantity.sum(),
            counted_spend=lines.amount.sum(where=lines.quantity > 0),
        )
    )


def _added_up(customers: ir.Table, key: str) -> ir.Table:
    """Return one row per group and key: the number of customers, and the sums of what they have."""
    sums = {name: customers[name].sum() for name in customers.columns if name in (*COUNTS, *SUMMED)}
    return _exact(customers.group_by("group", key).agg(customers=customers.count(), **sums))


def _exact(table: ir.Table) -> ir.Table:
    """Cast sums to their canonical scale, 0 where nothing was known."""
    return table.mutate(
        **{name: table[name].fill_null(0).cast(kind) for name, kind in SUMMED.items() if name in table.columns}
    )


def _as_doubles(table: ir.Table) -> ir.Table:
    return table.mutate(**{name: table[name].cast("float64") for name in SUMMED if name in table.columns})


def _share(customers: ir.Table) -> ir.Table:
    part, whole = (customers[name].cast("float64") for name in ("part", "whole"))
    return customers.select("group", "customer_id", share=part.fill_null(0.0) / whole)
