"""Customers at a cutoff, as the case study describes them: per order, with both recencies."""

from __future__ import annotations

from datetime import date

import pandas as pd

from experiments.models.probabilistic import BGNBD
from features.shop import Shop

FEATURES = (
    "frequency",
    "recency",
    "T",
    "days_since_last_purchase",
    "orders",
    "average_order_value",
    "coupon_used_share",
    "total_spend",
)


def describe(shop: Shop, cutoff: date) -> pd.DataFrame:
    """The features that the case study's variables are made of, and repeat_orders = orders - 1, by customer_id."""
    rows = shop.features(list(FEATURES), [cutoff]).droplevel("cutoff")
    return rows.assign(repeat_orders=rows["orders"] - 1)


def outliers(rows: pd.DataFrame, quantile: float) -> pd.Series:
    """Whether a customer lies above the quantile of repeat_orders or of average_order_value."""
    columns = rows[["repeat_orders", "average_order_value"]]
    return (columns > columns.quantile(quantile)).any(axis=1)


def value_model(rows: pd.DataFrame, days: int) -> BGNBD:
    """BG/NBD x gamma-gamma of the next days, to be fitted without outliers.

    Purchases are purchase days: with one of the case study's orders each, several on a day, the likelihood has no
    maximum (alpha runs to 0). Value is that of an order, as the case study has it.
    """
    return BGNBD(horizon_days=days).fit(_history(rows))


def with_clv(rows: pd.DataFrame, model: BGNBD) -> pd.DataFrame:
    """The rows and their clv."""
    return rows.assign(clv=model.predict(_history(rows)))


def _history(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["frequency", "recency", "T"]].assign(monetary_value=rows["average_order_value"])
