"""Price bands of the products of a category: cheap, middle and dear, as of the cutoff.

The price of a product is the median unit price that was paid for it, of an even number the lower of the middle two. The
borders are the prices of the products a third and two thirds of the way up the category, so products of equal price
share a band. Categories are spelled and compared as in `shares`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import ibis
import ibis.expr.types as ir

from features.families.own_history import by_feature, valued_lines
from features.families.registry import Parametrised, parametrised
from features.families.shares import largest
from features.tables import Tables

BANDS = 3
CATEGORY = "category"


def unit_prices(lines: ir.Table) -> ir.Table:
    """Return the price of each product of lines with a `value`: value, product_id, price; unpriced ones not."""
    lines = lines.filter((lines.quantity > 0) & (lines.amount > 0))
    # A price that was paid, so that no sum of doubles depends on the order of rows.
    lines = lines.select("value", "product_id", price=lines.amount.cast("float64") / lines.quantity.cast("float64"))
    of_product = ["value", "product_id"]
    ranked = lines.mutate(
        place=ibis.row_number().over(ibis.window(group_by=of_product, order_by=lines.price)),
        sold=lines.price.count().over(ibis.window(group_by=of_product)),
    )
    is_middle = (2 * ranked.place >= ranked.sold - 2) & (2 * ranked.place < ranked.sold)
    return ranked.group_by(*of_product).agg(price=ranked.price.min(where=is_middle))


def borders(prices: ir.Table) -> ir.Table:
    """Return the highest price of the lowest and of the middle band of each category: value, low, middle."""
    ranked = prices.mutate(
        place=1 + ibis.row_number().over(ibis.window(group_by="value", order_by=[prices.price, prices.product_id])),
        products=prices.price.count().over(ibis.window(group_by="value")),
    )
    return ranked.group_by("value").agg(
        low=ranked.price.min(where=BANDS * ranked.place >= ranked.products),
        middle=ranked.price.min(where=BANDS * ranked.place >= 2 * ranked.products),
    )


def banded(prices: ir.Table, of: ir.Table) -> ir.Table:
    """Return the band of each product by the borders of its category: value, product_id, band (1, 2 or 3)."""
    joined = prices.inner_join(of, "value")
    band = 1 + (joined.price > joined.low).cast("int64") + (joined.price > joined.middle).cast("int64")
    return joined.select("value", "product_id", band=band)


def highest_bought(lines: ir.Table, bands: ir.Table) -> ir.Table:
    """Return the highest band that each customer bought: customer_id, value, own."""
    bought = lines.select("customer_id", "value", "product_id").distinct()
    bought = bought.inner_join(bands, ["value", "product_id"])
    return bought.group_by("customer_id", "value").agg(own=bought.band.max())


def _dearer_bands(past: Tables, values: Mapping[str, str]) -> ir.Table:
    lines = valued_lines(past, CATEGORY)
    prices = unit_prices(lines)
    bands = banded(prices, borders(prices))
    top = bands.group_by("value").agg(top=bands.band.max())
    own = highest_bought(lines, bands).inner_join(top, "value")
    return by_feature(own.select("customer_id", "value", found=own.top - own.own), values)


parametrised(
    Parametrised(
        name="category_dearer_bands",
        needs=("transactions", "products"),
        meaning="price bands of {value} above the highest that the customer bought, of three; 0 for none bought",
        example="SOFT_DRINKS",
        build=_dearer_bands,
        largest=partial(largest, column=CATEGORY),
    )
)
