"""Options of the table of association rules."""

from __future__ import annotations

from dataclasses import dataclass

BASKETS = ("order", "customer")


@dataclass
class RuleOptions:
    """Options of the table of rules. Their meanings and defaults are in conf/rules/.

    Attributes
    ----------
    level : str, optional
        Of the goods: see `features.assortment.values`.
    per : str
        "order" or "customer": what is a basket.
    days : int, optional
    goods, categories : list of str, optional
    min_support, min_confidence, min_lift : float
    min_count, longest, n_drawn : int
    """

    level: str | None
    per: str
    days: int | None
    goods: list[str] | None
    categories: list[str] | None
    min_support: float
    min_count: int
    min_confidence: float
    min_lift: float
    longest: int
    n_drawn: int
