"""A simulated shop in equilibrium: customers arrive and drop out at constant rates, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pandas as pd

LIFETIME = 300.0  # mean days until a customer drops out
RATE, RATE_SHAPE = 1 / 20, 0.7  # gamma distribution of orders a day
DAYS = 900
START = pd.Timestamp("2022-01-01")


def steady_orders(seed: int, customers: int) -> pd.DataFrame:
    """Draw the orders of `DAYS` days: customer, day (with its fraction) and value.

    `customers` arrive within the days. Those who arrived up to four lifetimes earlier are there too, so that the shop
    does not grow into its equilibrium.
    """
    rng = np.random.default_rng(seed)
    earlier = 4 * LIFETIME
    size = int(customers * (DAYS + earlier) / DAYS)
    arrived = rng.uniform(-earlier, DAYS, size)
    left = np.minimum(arrived + rng.exponential(LIFETIME, size), DAYS)
    rate = rng.gamma(RATE_SHAPE, RATE / RATE_SHAPE, size)
    first = np.maximum(arrived, 0)
    counts = rng.poisson(rate * np.maximum(left - first, 0))
    who = np.repeat(np.arange(size), counts)
    day = rng.uniform(np.repeat(first, counts), np.repeat(np.maximum(left, first), counts))
    newcomers = np.flatnonzero(arrived >= 0)  # whose first order is their arrival
    orders = pd.DataFrame({"customer": np.append(who, newcomers), "day": np.append(day, arrived[newcomers])})
    scale = 60 / rng.gamma(4, 1, size)  # gamma-gamma: customers differ in the value of their orders
    return orders.assign(value=rng.gamma(2, scale[orders["customer"]]))


def lines_of(orders: pd.DataFrame, until: int) -> pd.DataFrame:
    """Return the orders before a day as lines of a shop's file: order, customer, time, value and store."""
    lines = orders[orders["day"] < until]
    return pd.DataFrame(
        {
            "order": [f"o{n}" for n in lines.index],
            "customer": [f"c{n}" for n in lines["customer"]],
            "time": START + pd.to_timedelta(lines["day"], unit="D").dt.round("s"),
            "value": lines["value"].round(2),
            "store": "north",
        }
    )


def features_of(orders: pd.DataFrame, day: int, length: int) -> pd.DataFrame:
    """Return features of those who bought in the `length` days before a day."""
    window = orders[(orders["day"] >= day - length) & (orders["day"] < day)]
    own = window.groupby("customer")
    found = pd.DataFrame(
        {
            "orders": own.size(),
            "spend": own["value"].sum(),
            "T": day - own["day"].min(),
            "days_since_last_purchase": day - own["day"].max(),
            "average_order_value": own["value"].mean(),
            "largest_order": own["value"].max(),
        }
    )
    for last in (7, 14, 28, 91):
        late = window[window["day"] >= day - last].groupby("customer")["value"]
        found[f"orders_last_{last}_days"], found[f"spend_last_{last}_days"] = late.size(), late.sum()
    return found.fillna(0.0).astype(float)
