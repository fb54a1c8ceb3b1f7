"""Customers at a cutoff with the case study's variables: per order, with both recencies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd

from experiments.models.buy_till_you_die import BGNBD
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


@dataclass(frozen=True)
class Customers:
    """A shop's customers at a cutoff.

    Attributes
    ----------
    rows : DataFrame indexed by customer_id
        The features that the case study's variables are made of, and repeat_orders = orders - 1.
    outlier : Series of bool
        Whether a customer lies above the quantile of repeat_orders or of average_order_value.
    """

    rows: pd.DataFrame
    outlier: pd.Series

    def value_model(self, days: int) -> BGNBD:
        """Fit BG/NBD x gamma-gamma for the next days, without outliers.

        Purchases are purchase days: with one of the case study's orders each, several on a day, the likelihood has no
        maximum (alpha runs to 0). Value is that of an order, as the case study has it.
        """
        return BGNBD(horizon_days=days).fit(_history(self.rows[~self.outlier]))

    def with_clv(self, model: BGNBD) -> pd.DataFrame:
        """Return the rows and their clv."""
        return self.rows.assign(clv=model.predict(_history(self.rows)))

    def usual(self, days: int) -> pd.DataFrame:
        """Return the rows and their clv in the next days, without outliers."""
        return self.with_clv(self.value_model(days))[~self.outlier]


def customers_at(shop: Shop, cutoff: date, outlier_quantile: float) -> Customers:
    """Return those who bought before the cutoff; outliers are those above that quantile."""
    rows = shop.features(list(FEATURES), [cutoff]).droplevel("cutoff")
    rows = rows.assign(repeat_orders=rows["orders"] - 1)
    columns = rows[["repeat_orders", "average_order_value"]]
    return Customers(rows, outlier=(columns > columns.quantile(outlier_quantile)).any(axis=1))


def _history(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["frequency", "recency", "T"]].assign(monetary_value=rows["average_order_value"])
