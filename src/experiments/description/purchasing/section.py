"""Purchasing behaviour as a report section: products, pairs, times and coupons."""

from __future__ import annotations

import calendar
from collections.abc import Collection, Mapping

import pandas as pd

from experiments.description.hypotheses.declaration import named_times
from experiments.description.material import DescriptionMaterial
from experiments.description.purchasing.behaviour import Assortment, Behaviour, BehaviourOptions, observe
from experiments.description.purchasing.charts import (
    associations_figure,
    categories_figure,
    coupons_figure,
    rates_figure,
    unit_shares,
)
from experiments.description.purchasing.window import LEAST_DAYS_OF_A_MONTH, Window
from experiments.reports.section import Part, Picture, Table, Text, Topic, enumerated, number, percent
from features import group_totals
from features.assortment import CATEGORY, PRODUCT
from features.errors import InputError

MANY = {CATEGORY: "categories", PRODUCT: "products"}  # goods of a level, in words


def behaviour_parts(found: Behaviour, marked: Mapping[str, Collection[int]], *, seed: int) -> list[Part]:
    """Describe how the tiers differ in what they buy. A part whose table is missing says so.

    Parameters
    ----------
    found : Behaviour
    marked : mapping of "month" and "day_of_week" to their numbers
        Times that are shaded, as `hypotheses.named_times` gives them.
    seed : int
        Of the network's layout.
    """
    window = found.window
    parts: list[Part] = [Text(f"{_lead(found)} {_advice(found)}", "lead"), Text(who(window))]
    if isinstance(found.assortment, InputError):
        parts.append(
            Text(f"{MANY[found.options.level].capitalize()} are left out: {found.assortment.sentence}", "note")
        )
    else:
        parts += _assortment(found.assortment, found.options, window.min_customers, seed)
    if isinstance(found.coupons, InputError):
        parts.append(Text(f"Coupons are left out: {found.coupons.sentence}", "note"))
    else:
        parts.append(Picture("coupons", coupons_figure(found.coupons), _caption_of_coupons(found.coupons)))
    confidence = found.options.confidence
    for name, by, of in (("months", "month", "month"), ("weekdays", "day_of_week", "day of the week")):
        if found.rates[by].empty:
            few = f"no month has {LEAST_DAYS_OF_A_MONTH} days in the window"
            parts.append(Text(f"Orders per day by {of} are left out: {few}.", "note"))
            continue
        figure = rates_figure(found.rates[by], by=by, marked=marked[by], confidence=confidence)
        caption = (
            f"Orders per day by {of} and tier, each tier on its own scale. Bands are {confidence:.0%} confidence "
            "intervals over resampled weeks. Where they overlap widely, a peak may be chance."
        )
        parts.append(Picture(name, figure, caption))
    return parts


def _assortment(known: Assortment, options: BehaviourOptions, few: int, seed: int) -> list[Part]:
    without = [tier for tier in known.values["group"].cat.categories if not (known.pairs["group"] == tier).any()]
    goods = MANY[options.level]
    none = f" {enumerated(without)}: no pair is frequent enough with a lift above 1." if without else ""
    return [
        Picture(
            "categories",
            categories_figure(known.values, min_customers=few),
            f"{_caption_of_categories(known.values, few, options.level)} Cells with fewer than {few} customers are not "
            "shown.",
        ),
        Picture(
            "associations",
            associations_figure(known.pairs, known.values, seed=seed, goods=goods),
            f"{goods.capitalize()} bought on the same day: for each tier the {options.n_pairs} pairs with the highest "
            "lift above 1. Lift is how many times as often as by chance a pair is bought together. It is highest and "
            f"least certain for rare pairs, and lower where baskets are large: do not compare tiers by it.{none}",
        ),
        Table(
            "pairs",
            _pairs_as_read(known.pairs),
            f"The same pairs. A pair is in at least {options.min_support:.1%} and {options.min_baskets} of a tier's "
            f"baskets; a basket is what a customer bought on one day. Support is the share of baskets with both.{none}",
        ),
    ]


def _pairs_as_read(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "bought": table["a"],
            "with": table["b"],
            "baskets": table["baskets"],
            "support": [percent(share) for share in table["support"]],
            "confidence": [percent(share) for share in table["confidence"]],
            "lift": table["lift"],
        }
    ).set_axis(pd.Index(table["group"].astype(str), name="tier"))


def _caption_of_categories(values: pd.DataFrame, min_customers: int, level: str) -> str:
    shares, _, customers, overall = unit_shares(values)
    shown = shares.where(customers >= min_customers).dropna(axis="columns", how="all")
    first = [f"{tier}: {shown[tier].idxmax()} ({percent(shown[tier].max())})" for tier in shown]
    return (
        f"Share of each tier's units by {level}; colours compare it with the share of all tiers. "
        f"Largest: {', '.join([*first, f'all tiers: {overall.idxmax()} ({percent(overall.max())})'])}."
    )


def _caption_of_coupons(statuses: pd.DataFrame) -> str:
    counts = statuses.groupby("group", observed=True)["lines"].sum()
    used = statuses[statuses["status"] == group_totals.USED].set_index("group")["lines"].reindex(counts.index).fillna(0)
    rates = ", ".join(f"{tier} {percent(rate)}" for tier, rate in (used / counts).items())
    return f"Share of each tier's lines with a used coupon: {rates}."


def _lead(found: Behaviour) -> str:
    """Return which day of the week is the busiest over all tiers, and by how much."""
    orders = found.window.counts["orders"].sum(axis=1)
    by_day = orders.groupby(orders.index.day_of_week).mean()
    high, low = (int(day) for day in (by_day.idxmax(), by_day.idxmin()))
    return (
        f"{calendar.day_name[high]} is the busiest day with {number(float(by_day[high]))} orders per day, "
        f"{calendar.day_name[low]} the quietest with {number(float(by_day[low]))}."
    )


def _advice(found: Behaviour) -> str:
    """Return what the section is good for: its data name the goods and the times of a campaign."""
    if isinstance(found.assortment, InputError):
        return "Time campaigns by the months and days of the week below."
    goods = MANY[found.options.level]
    return f"Choose goods by tier from the {goods} and pairs below, and time campaigns by month and day of the week."


def who(window: Window) -> str:
    """Return whose tiers a section is about, how many of the shop's customers they are, and of which day."""
    seen = len(window.tiers.index.union(window.orders.index))
    share = window.orders[window.buyers.index].sum() / window.orders.sum()
    return (
        f"This section is about {len(window.tiers):,} of {seen:,} customers, who made {percent(share)} of the orders "
        f"from {window.start} until before {window.end}. Tiers are as of {window.start}: only purchases that did not "
        "make the tiers can test them. The scores have equal weights here, because weights are learnt from later "
        "purchases. In sections that use learnt weights a customer may be in another tier."
    )


def _write(material: DescriptionMaterial) -> list[Part]:
    found = observe(material.tiers.window, material.behaviour_options)
    return behaviour_parts(found, named_times(material.hypotheses), seed=material.tiers.seed)


BEHAVIOUR = Topic("behaviour", "Purchasing behaviour", 40, _write, reads_models=False)
