"""Measures of a customer in a window that hypotheses are about, beside the features."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from experiments.description.purchasing.window import Window
from features import group_totals
from features.errors import InputError, listing


def dear_share(
    window: Window, *, level: str, measure: str, dearest: float, min_customers: int
) -> tuple[pd.Series, list[str]]:
    """Compute the share of a customer's units (spend) in the most expensive categories.

    A category's price is what was spent / the units it was spent on, over all lines of the window; the dear ones are
    the `dearest` share of the categories that at least `min_customers` customers bought. A share is no count: who buys
    twice as much of everything has the same share.
    """
    everybody = pd.Series("all", index=window.tiers.index)
    rows = window.shop.behaviour(partial(group_totals.by_value, level=level), everybody, window.start, window.end)
    rows = rows.set_index("value")
    priced = rows[(rows["customers"] >= min_customers) & rows["mean_unit_price"].notna()]
    priced = priced.sort_index().sort_values("mean_unit_price", ascending=False, kind="stable")
    if len(priced) < 3:
        raise InputError(
            f"too few values of {level} have a price",
            where="parameters.min_customers",
            expected=f"at least 3 that {min_customers} customers bought",
            found=f"{len(priced)} of {len(rows)} that were bought",
            hint="choose a coarser level, or a smaller min_customers",
        )
    dear = list(priced.index[: max(1, round(dearest * len(priced)))])
    notes = [
        f"The most expensive are {listing(dear)}: {len(dear)} of {len(priced)} with a price, from "
        f"{priced.loc[dear[-1], 'mean_unit_price']:,.2f} {window.shop.staged.currency} a unit."
    ]
    if len(priced) < len(rows):
        notes.append(
            f"{len(rows) - len(priced)} values of {level} do not count as expensive: fewer than {min_customers} "
            "customers bought them, or their units are unknown."
        )
    share = window.shop.behaviour(
        partial(group_totals.value_share, values=dear, level=level, measure=measure),
        window.tiers,
        window.start,
        window.end,
    )
    return share.set_index("customer_id")["share"], notes


def coupon_rate(window: Window, *, of: str, status: str) -> tuple[pd.Series, list[str]]:
    """Compute the share of a customer's orders (lines) that has a coupon status: see `group_totals.coupon_share`."""
    share = window.shop.behaviour(
        partial(group_totals.coupon_share, status=status, of=of), window.tiers, window.start, window.end
    )
    if share.empty:
        raise InputError(
            "no coupons are recorded",
            where="transactions.coupon_status, transactions.coupon_discount",
            expected="either of them in some lines",
        )
    if not share["share"].any():
        raise InputError(
            f"no coupon has the status {status}",
            where="transactions.coupon_status" if status != group_totals.USED else "transactions.coupon_discount",
        )
    return share.set_index("customer_id")["share"], []


MEASURES: Mapping[str, Callable[..., tuple[pd.Series, list[str]]]] = {
    "dear_share": dear_share,
    "coupon_used_rate": partial(coupon_rate, status=group_totals.USED),
    "coupon_clicked_rate": partial(coupon_rate, status="Clicked"),
}


def parameters_of(measure: Callable[..., Any]) -> dict[str, str]:
    """Return the parameters that a configuration gives: the keywords that have no value yet."""
    fixed = measure.keywords if isinstance(measure, partial) else {}
    signature = inspect.signature(measure).parameters.values()
    return {p.name: str(p.annotation) for p in signature if p.kind is p.KEYWORD_ONLY and p.name not in fixed}
