"""Values of the lines of orders: what is missing and what is new in a window, beside an earlier one."""

from __future__ import annotations

from datetime import date

import ibis.expr.types as ir
import pandas as pd

from features.shop import Shop
from features.tables import Tables

CODES = ("channel", "store_id", "coupon_status")  # of lines; ids of orders and customers are always new
SIDES = ("missing_before", "missing")
AMOUNTS = ("product_id", "quantity", "list_amount")


def value_changes(shop: Shop, before: tuple[date, date], now: tuple[date, date]) -> pd.DataFrame:
    """Compare the values of lines in two windows [start, end).

    Returns
    -------
    DataFrame indexed by column
        `missing_before` and `missing`, shares of lines without a value, and `new`, the share of lines with a value that
        no line of the earlier window has (NaN for numbers and products). Columns that are empty in both are left out.
    """
    earlier, later = _lines(shop.tables.between(*before)), _lines(shop.tables.between(*now))
    codes = [name for name in (*CODES, "category") if name in later.columns]
    names = [*codes, *(name for name in AMOUNTS if name in later.columns)]
    counted = [
        shop.engine.frame(
            table.aggregate(rows=table.count(), **{name: table[name].isnull().sum() for name in names})
        ).iloc[0]
        for table in (earlier, later)
    ]
    found = pd.DataFrame({side: row[names] / row["rows"] for side, row in zip(SIDES, counted, strict=True)})
    found["new"] = pd.Series({name: _new(shop, earlier[name], later, name) for name in codes}, dtype=float)
    found.index.name = "column"
    return found[(found["missing"] < 1) | (found["missing_before"] < 1)]


def _lines(window: Tables) -> ir.Table:
    lines = window.transactions
    if window.products is None:
        return lines
    products = window.products.select("product_id", "category")
    return lines.left_join(products, "product_id").drop("product_id_right")


def _new(shop: Shop, known: ir.Column, later: ir.Table, name: str) -> float:
    rows = later.filter(later[name].notnull())
    fresh = rows[name].notin(known)
    found = shop.engine.frame(rows.aggregate(share=fresh.cast("float64").mean()))["share"].iloc[0]
    return 0.0 if pd.isna(found) else float(found)
