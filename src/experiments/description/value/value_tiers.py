"""Value tiers, and how much of the revenue few customers bring in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.description.groups import check_cuts, cut
from experiments.evaluation.shares import shares
from experiments.evaluation.spend_metrics import cumulative_gain
from features.errors import InputError


@dataclass
class ValueOptions:
    """Cut points of value tiers, and shares that the report states. Values and their meaning are in conf/tiers/.

    Attributes
    ----------
    names : list of str
        The tiers, the most valuable first.
    cut_points : list of float
        Rising shares of customers, counted from the most valuable.
    top_share : float
        Share of customers whose revenue share the report states.
    revenue_share : float
        Share of revenue whose customers the report counts.
    """

    names: list[str]
    cut_points: list[float]
    top_share: float
    revenue_share: float

    def check(self) -> None:
        """Refuse names and cut points that do not go together, and shares out of range.

        Raises
        ------
        InputError
        """
        check_cuts(self.names, self.cut_points, "tiers.value")
        for name in ("top_share", "revenue_share"):
            share = getattr(self, name)
            if not 0 < share < 1:
                raise InputError(
                    f"{name} is out of range",
                    where=f"tiers.value.{name}",
                    expected="between 0 and 1",
                    found=str(share),
                )


@dataclass(frozen=True)
class Pareto:
    """Concentration of revenue on few customers.

    Attributes
    ----------
    top_share, revenue_of_top : float
        The best customers, as a share of all, and the share of the revenue that they make.
    revenue_share, customers_behind : float
        A share of the revenue, and the smallest share of customers that makes it.
    """

    top_share: float
    revenue_of_top: float
    revenue_share: float
    customers_behind: float


def pareto(spend: pd.Series, top_share: float, revenue_share: float) -> Pareto:
    """Compute the revenue share of the top customers, and the share of customers behind most of the revenue.

    Read off the gain curve, the best customers first, joined by straight lines: a customer across the border counts by
    the part within. NaN where nobody spent anything.

    Examples
    --------
    >>> pareto(pd.Series([50.0, 30.0, 10.0, 10.0]), top_share=0.25, revenue_share=0.8)
    Pareto(top_share=0.25, revenue_of_top=0.5, revenue_share=0.8, customers_behind=0.5)
    """
    curve = cumulative_gain(spend, spend)
    customers, revenue = curve["customers_share"].to_numpy(), curve["spend_share"].to_numpy()
    has_spend = bool(spend.sum() > 0)
    return Pareto(
        top_share=top_share,
        revenue_of_top=float(np.interp(top_share, customers, revenue)) if has_spend else np.nan,
        revenue_share=revenue_share,
        customers_behind=float(np.interp(revenue_share, revenue, customers)) if has_spend else np.nan,
    )


def value_tiers(spend: pd.Series, options: ValueOptions, among: np.ndarray | None = None) -> pd.Series:
    """Return the tier of each customer by spend; customers of equal spend share a tier.

    Parameters
    ----------
    spend : Series indexed by customer_id
    options : ValueOptions
    among : array, optional
        Spend of the customers whose shares count; `spend` when left out.

    Raises
    ------
    InputError
        If the options do not go together.
    """
    options.check()
    return cut(spend, options.names, options.cut_points, among=among)


def value_table(groups: pd.Series, past: pd.Series, following: pd.Series) -> pd.DataFrame:
    """Describe each group of customers by its past and its following spend.

    Parameters
    ----------
    groups : Series of categories, indexed by customer_id
    past, following : Series, same customers
        Spend before a cutoff, and in the window that follows.

    Returns
    -------
    DataFrame indexed by tier, all categories
        customers, customers_share, past_share and next_share (of revenue), next_mean_spend, buyers_share (who spent
        anything in the window).
    """
    rows = pd.DataFrame({"past": past, "following": following}).reindex(groups.index)
    of = rows.assign(bought=rows["following"] > 0).groupby(groups, observed=False)
    customers = of.size()
    return pd.DataFrame(
        {
            "customers": customers,
            "customers_share": shares(customers),
            "past_share": shares(of["past"].sum()),
            "next_share": shares(of["following"].sum()),
            "next_mean_spend": of["following"].mean(),
            "buyers_share": of["bought"].mean(),
        }
    ).rename_axis("tier")
