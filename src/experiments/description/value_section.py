"""What the models in use predict of each group of customers: its value, and its probability to return."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.evaluation.shares import shares
from experiments.reports.figures import BLUE, dress
from experiments.reports.group_charts import shares_figure
from experiments.reports.material import InUse, Material
from experiments.reports.section import Heading, Part, Picture, Table, Text, Topic, enumerated, joined, number, percent
from experiments.tasks.repurchase import Repurchase
from features.errors import InputError

AT_STAKE = 0.25  # share of the best customers that is least likely to come back
LIKELY = 0.5  # mean probability from which they are rather expected than missed


def value_parts(
    clv: pd.Series, groups: pd.Series, *, horizon_days: int, currency: str, model: InUse, about: str
) -> list[Part]:
    """Return predicted value by group.

    Parameters
    ----------
    clv, groups : Series indexed customer_id
        Predicted spend, and the group of each customer, a categorical.
    horizon_days : int
    currency : str
    model : InUse
    about : str
        Of which day the groups are.
    """
    table = clv.groupby(groups.reindex(clv.index), observed=False).agg(["size", "sum", "mean"])
    drawn = pd.DataFrame({"customers": shares(table["size"]), "expected": shares(table["sum"])})
    total = float(clv.sum())
    top = clv.nlargest(max(1, len(clv) // 10)).sum() / (total or np.nan)
    rounded = f"{number(float(f'{total:.2g}'))} {currency}"  # two digits are more than it is right by
    source = f"the baseline {model.name}" if model.is_baseline else model.name
    lead = (
        f"All customers together are predicted to spend about {rounded} in the next {horizon_days} days ({source}); "
        f"the top tenth {percent(top)} of it. Address customers in the order of their expected spend."
    )
    shown = pd.DataFrame(
        {
            "tier": table.index.astype(str),
            "customers": table["size"].to_numpy(),
            "expected spend per customer": table["mean"].to_numpy(),
            "expected spend": table["sum"].to_numpy(),
            "share of expected spend": drawn["expected"].map(percent).to_numpy(),
        }
    )
    return [
        Text(lead, "lead"),
        Text(joined(model.standing, "The order of the tiers is more reliable than the amounts.", about)),
        Table("expected_value", shown, f"Expected spend in {horizon_days} days, {currency}, predicted by {model}."),
        Picture(
            "expected_value",
            shares_figure(
                drawn,
                {"customers": "customers", "expected": "expected spend"},
                title="Customers and expected spend",
                subtitle=f"in {horizon_days} days",
            ),
            "Each tier's share of customers and of expected spend.",
        ),
    ]


def return_parts(
    p: pd.Series,
    groups: pd.Series,
    history: pd.DataFrame,
    *,
    horizon_days: int,
    model: InUse,
    about: str,
    most_at_stake: int = 2,
) -> list[Part]:
    """Return the probability to buy again by group, and what is at stake.

    Parameters
    ----------
    p, groups : Series indexed customer_id
        Probability of a purchase within the horizon, and group (a categorical, the best first).
    history : DataFrame indexed customer_id
        total_spend, T and days_since_last_purchase of each, on the same day.
    horizon_days : int
    model : InUse
    about : str
        Of which day the groups are.
    most_at_stake : int
        How many of the best groups count as worth keeping.
    """
    of = groups.reindex(p.index)
    table = p.groupby(of, observed=False).agg(["size", "mean", "sum"])
    best = [str(name) for name in of.cat.categories[:most_at_stake]]
    source = f"the baseline {model.name}" if model.is_baseline else model.name
    lead = (
        f"About {number(round(float(p.sum())))} of {len(p):,} customers ({percent(p.mean())}) are predicted to buy "
        f"within {horizon_days} days ({source})."
    )
    at_stake = _at_stake(p[of.isin(best)], history["total_spend"], enumerated(best))
    shown = pd.DataFrame(
        {
            "tier": table.index.astype(str),
            "customers": table["size"].to_numpy(),
            "mean probability": table["mean"].map(percent).to_numpy(),
            "expected buyers": table["sum"].round().astype(int).to_numpy(),
        }
    )
    return [
        Text(joined(lead, at_stake), "lead"),
        Text(joined(_lately(history, horizon_days), model.standing, about)),
        Table("return", shown, f"Probability of a purchase within {horizon_days} days, predicted by {model}."),
        Picture(
            "return",
            probabilities_figure(p, of, horizon_days=horizon_days),
            "Probability of a purchase by tier. Dots: median; thick lines: middle 50% of customers; "
            "thin lines: middle 90%.",
        ),
        Text(
            "The section on the lifecycle predicts buyers in another way: from what customers of each stage did in "
            "earlier periods, new customers included. The two may differ.",
            "note",
        ),
    ]


def _at_stake(p: pd.Series, spend: pd.Series, named: str) -> str:
    """Return what the quarter of customers that is least likely to return brought; nothing where "
    "all have the same p."""
    n = round(AT_STAKE * len(p))
    if not n or p.min() == p.max():
        return ""
    order = pd.DataFrame({"p": p, "spend": -spend.reindex(p.index)}).sort_values(["p", "spend"])
    quarter = order.index[:n]
    if p[quarter].mean() >= LIKELY:
        return (
            f"Even the least likely quarter of {named} ({number(n)} customers) has a mean probability of "
            f"{percent(p[quarter].mean())}: no campaign is needed to keep them."
        )
    return (
        f"Look after the least likely quarter of {named} first ({number(n)} customers with a mean probability of "
        f"{percent(p[quarter].mean())}; among equals, those who spent most): they brought "
        f"{percent(spend[quarter].sum() / (spend.sum() or np.nan))} of past revenue."
    )


def _lately(history: pd.DataFrame, horizon_days: int) -> str:
    """Return how many bought in the window of the same length that has just ended; it judges no model."""
    known = history[history["T"] >= horizon_days]  # T counts from the first purchase to the day before this one
    if known.empty:
        return ""
    bought = known["days_since_last_purchase"] < horizon_days
    return (
        f"In the {horizon_days} days before, {number(int(bought.sum()))} of the {len(known):,} customers known at "
        f"their start bought ({percent(bought.mean())})."
    )


def probabilities_figure(p: pd.Series, groups: pd.Series, *, horizon_days: int) -> Figure:
    """Draw quantiles of a probability by group, the best group on top."""
    names = [name for name in groups.cat.categories if (groups == name).any()]
    figure = Figure(figsize=(6.8, 1.6 + 0.42 * len(names)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        low, quarter, middle, three, high = p[groups == name].quantile([0.05, 0.25, 0.5, 0.75, 0.95])
        axes.plot([low, high], [row, row], color=BLUE, linewidth=1.2)
        axes.plot([quarter, three], [row, row], color=BLUE, linewidth=5, solid_capstyle="butt")
        axes.plot(middle, row, color="white", marker="o", markersize=6, markeredgecolor=BLUE, markeredgewidth=1.6)
    axes.set_yticks(range(len(names)), [str(name) for name in names])
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    dress(
        axes,
        title="Return probability",
        subtitle="dots: median; thick lines: middle 50% of a tier's customers; thin lines: middle 90%",
        xlabel=f"probability of a purchase within {horizon_days} days (%)",
        ylabel="",
    )
    return figure


def _write_value(material: Material) -> list[Part]:
    scores = material.scores
    if "clv" not in scores:
        raise InputError("the task clv has no model in use", hint=material.again("run"))
    parts = value_parts(
        scores["clv"],
        material.groups,
        horizon_days=int(scores["clv_horizon_days"].iloc[0]),
        currency=material.shop.staged.currency,
        model=material.in_use("clv"),
        about=material.about_groups,
    )
    return [Heading("Predicted spend"), *parts]


EXPECTED = Topic("value", "Expected value", 65, _write_value)


def _write_return(material: Material) -> list[Part]:
    scores = material.scores
    task = next((name for name in Repurchase.names() if f"p_{name}" in scores), None)
    if task is None:
        raise InputError("the task repurchase has no model in use", hint=material.again("run"))
    p = scores[f"p_{task}"]
    return return_parts(
        p if task.startswith("repurchase") else 1 - p,
        material.groups,
        scores,
        horizon_days=int(scores[f"{task}_horizon_days"].iloc[0]),
        model=material.in_use(task),
        about=material.about_groups,
    )


RETURN = Topic("return", "Return probability", 70, _write_return)
