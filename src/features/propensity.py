"""Purchases of one category or product after the cutoff: at all, or in a dearer price band than before."""

from __future__ import annotations

from functools import partial

import ibis.expr.types as ir

from features.families.own_history import lines_of
from features.families.price_bands import CATEGORY, banded, borders, highest_bought, unit_prices
from features.families.shares import known_lines
from features.outcomes import Outcome
from features.tables import Tables


def bought(future: Tables, rows: ir.Table, *, column: str, value: str) -> ir.Table:
    """Compute y: 1 where the customer buys at least one line of the value in the window, else 0, beside the key.

    Parameters
    ----------
    future : Tables
        The window, `tables.between(cutoff, cutoff + horizon)`.
    rows : ibis table
        customer_id of the rows as of the cutoff.
    column : {"category", "product_id"}
    value : str
        Upper and lower case, and a space and an underscore, make no difference.

    Returns
    -------
    ibis table
        customer_id and y.
    """
    return _among(rows, lines_of(future, column, value))


def bought_dearer(future: Tables, rows: ir.Table, past: Tables, *, category: str) -> ir.Table:
    """Compute y: 1 where the customer buys from a dearer band of the category than ever before, else 0.

    Bands are those of `price_bands` as of the cutoff. A product that was first sold afterwards gets the band of its
    price in the window. A customer who bought nothing of the category before the cutoff has y = 0: nothing is dearer.

    Parameters
    ----------
    future, past : Tables
        The window, and what is known at the cutoff.
    rows : ibis table
        customer_id of the rows as of the cutoff.
    category : str

    Returns
    -------
    ibis table
        customer_id and y.
    """
    lines, lines_after = (lines_of(tables, CATEGORY, category) for tables in (past, future))
    known = unit_prices(lines)
    limits = borders(known)
    bands = banded(known, limits)
    later = unit_prices(lines_after)
    bands_after = bands.union(banded(later.anti_join(known, ["value", "product_id"]), limits))
    before = highest_bought(lines, bands)
    after = highest_bought(lines_after, bands_after).rename(then="own")
    both = before.inner_join(after, ["customer_id", "value"])
    return _among(rows, both.filter(both.then > both.own))


def _among(rows: ir.Table, buyers: ir.Table) -> ir.Table:
    """Return 1 for the rows whose customer is among the buyers, and 0 for the others, as y beside the key."""
    joined = rows.left_join(buyers.select("customer_id").distinct(), "customer_id")
    return joined.select(*rows.columns, y=joined.customer_id_right.notnull().cast("float64"))


def purchase_outcome(name: str, column: str, value: str) -> Outcome:
    """Return the outcome of a purchase of the value."""
    return Outcome(name, ("y",), partial(bought, column=column, value=value))


def upsell_outcome(name: str, category: str) -> Outcome:
    """Return the outcome of a purchase from a dearer band; its borders are those of the past."""
    return Outcome(name, ("y",), partial(bought_dearer, category=category), of_past=("y",))


def customers_by_value(tables: Tables, column: str) -> ir.Table:
    """Count the customers who bought each value: value (underscores for spaces), customers, the most bought first."""
    lines = known_lines(tables, column)
    value = lines[column].replace(" ", "_")
    found = lines.group_by(key=value.lower()).agg(value=value.min(), customers=lines.customer_id.nunique())
    return found.order_by(found.customers.desc(), found.value).select("value", "customers")
