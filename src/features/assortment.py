"""The level of the assortment at which goods are described: categories, and products where they have none."""

from __future__ import annotations

from collections.abc import Collection

import ibis
import ibis.expr.types as ir

from features.engines import Engine
from features.errors import InputError, did_you_mean
from features.tables import SPECS, Tables

CATEGORY, PRODUCT = "category", "product"
LEVELS = (*SPECS["products"].columns, PRODUCT)


def values(window: Tables, level: str) -> ir.Table:
    """Return what each product is at a level: product_id, value; products of which that is unknown are left out.

    Parameters
    ----------
    window : Tables
    level : str
        Column of the table products; or "product", its name, and its id where no name is known.

    Raises
    ------
    InputError
        If the shop knows no products, or products have no such column.
    """
    if level == PRODUCT:
        return _named(window)
    if window.products is None:
        raise InputError(
            f"nothing is known of the {level} of products",
            expected="the table products",
            found=f"the tables {', '.join(window)}",
            hint="add the table to the source",
        )
    if level not in LEVELS:
        raise InputError(f"products have no level {level!r}", where="level", hint=did_you_mean(level, LEVELS))
    known = window.products.filter(window.products[level].notnull())
    return known.select("product_id", value=known[level])


def sold(past: Tables, level: str, categories: Collection[str] | None = None) -> ir.Table:
    """Return what each order holds: customer_id, order_id, product_id, day.

    The product_id is that of the good, its value at the level; day counts days before the end, 1 for the last one.

    Parameters
    ----------
    past : Tables
    level : str
        Of the goods: see `values`. Lines of which it is unknown are left out.
    categories : collection of str, optional
        The categories whose products count; all where not given.
    """
    lines = past.transactions
    if categories is not None and past.products is not None:
        products = past.products
        lines = lines.semi_join(products.filter(products.category.isin(list(categories))), "product_id")
    of = values(past, level)
    both = lines.join(of, lines.product_id == of.product_id)
    day = ibis.literal(past.end).delta(both["timestamp"].date(), unit="day").cast("int64")
    return both.select("customer_id", "order_id", product_id=both["value"], day=day).distinct()


def names_products(window: Tables, engine: Engine) -> bool:
    """Return whether a line of an order names its product."""
    lines = window.transactions
    return bool(engine.frame(lines.aggregate(known=lines.product_id.count()))["known"].iloc[0])


def _named(window: Tables) -> ir.Table:
    lines = window.transactions
    sold = lines.filter(lines.product_id.notnull()).select("product_id").distinct()
    if window.products is None:
        return sold.mutate(value=sold.product_id)
    known = window.products.select(known_id="product_id", name="name")
    both = sold.left_join(known, sold.product_id == known.known_id)
    return both.select("product_id", value=ibis.coalesce(both.name, both.product_id))
