"""What the models in use expect of each group of customers: its value, and who comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.description.group_charts import shares_figure
from experiments.description.groups import shares
from experiments.reports.figures import BLUE, dress
from experiments.reports.section import Part, Picture, Table, Text, enumerated, number, percent

AT_STAKE = 0.25  # share of the best customers that is least likely to come back
LIKELY = 0.5  # mean probability from which they are rather expected than missed


@dataclass(frozen=True)
class InUse:
    """What foretells, as a reader is told of it.

    Attributes
    ----------
    name : str
        In words: "spend in the last 91 days".
    version : str
        Where to find it: "store-clv, version 2".
    is_naive : bool
        Whether it is a simple rule, in use because nothing better was shown.
    is_judged : bool
        Whether it, or the model in whose place it is used, was looked at in the sealed window.
    total_ratio : float
        Its total there over what came; NaN where it is not known.
    """

    name: str
    version: str
    is_naive: bool
    is_judged: bool
    total_ratio: float = math.nan

    def __str__(self) -> str:
        return f"{self.name} ({self.version})"

    @property
    def standing(self) -> str:
        """What is known of it, in a sentence or two."""
        if not self.is_judged:
            return "How good that is was never looked at on days kept sealed."
        said = ["No model was shown to do better."] if self.is_naive else []
        if math.isfinite(self.total_ratio):
            said.append(f"On the days kept sealed its total was {self.total_ratio:.2f} times what came.")
        return " ".join(said)


def value_parts(
    clv: pd.Series, groups: pd.Series, *, horizon_days: int, currency: str, model: InUse, about: str
) -> list[Part]:
    """Predicted value by group.

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
    lead = (
        f"Reckoned by a simple rule ({model.name}), all customers together spend some {rounded} in the next "
        f"{horizon_days} days"
        if model.is_naive
        else f"In the next {horizon_days} days all customers together are expected to spend some {rounded}"
    )
    lead += f"; the tenth with the highest expectation {percent(top)} of it."
    shown = pd.DataFrame(
        {
            "tier": table.index.astype(str),
            "customers": table["size"].to_numpy(),
            "expected spend each": table["mean"].to_numpy(),
            "expected spend": table["sum"].to_numpy(),
            "share of expected spend": drawn["expected"].map(percent).to_numpy(),
        }
    )
    return [
        Text(lead, "lead"),
        Text(_joined(model.standing, "Trust the order of the tiers more than the amounts.", about)),
        Table("expected_value", shown, f"Expected spend in {horizon_days} days, {currency}, by {model}."),
        Picture(
            "expected_value",
            shares_figure(
                drawn,
                {"customers": "customers", "expected": "expected spend"},
                title="Customers and what they are expected to spend",
                subtitle=f"in {horizon_days} days",
            ),
            "Share of customers, and of expected spend, in each tier.",
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
    """Probability to come back by group, and what is at stake.

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
    lead = (
        f"Of {len(p):,} customers some {number(round(float(p.sum())))} ({percent(p.mean())}) are expected to buy "
        f"within {horizon_days} days"
    )
    lead += f", reckoned by a simple rule ({model.name})." if model.is_naive else "."
    at_stake = _at_stake(p[of.isin(best)], history["total_spend"], enumerated(best))
    shown = pd.DataFrame(
        {
            "tier": table.index.astype(str),
            "customers": table["size"].to_numpy(),
            "mean probability": table["mean"].map(percent).to_numpy(),
            "expected to come back": table["sum"].round().astype(int).to_numpy(),
        }
    )
    return [
        Text(_joined(lead, at_stake), "lead"),
        Text(_joined(_lately(history, horizon_days), model.standing, about)),
        Table("return", shown, f"Purchase within {horizon_days} days, by {model}."),
        Picture(
            "return",
            probabilities_figure(p, of, horizon_days=horizon_days),
            "Probability to buy again: a dot is a tier's middle customer, lines hold its middle half and middle 90%.",
        ),
        Text(
            "The stages of a customer's life foretell buyers in another way, by what customers of each stage did in "
            "earlier periods, and count newcomers: the two need not agree.",
            "note",
        ),
    ]


def _at_stake(p: pd.Series, spend: pd.Series, named: str) -> str:
    """What the quarter of some customers that is least likely to come back brought; nothing where p is one for all."""
    n = round(AT_STAKE * len(p))
    if not n or p.min() == p.max():
        return ""
    order = pd.DataFrame({"p": p, "spend": -spend.reindex(p.index)}).sort_values(["p", "spend"])
    quarter = order.index[:n]
    if p[quarter].mean() >= LIKELY:
        return (
            f"Even the quarter of {named} that is least likely to ({number(n)} customers) does so with a probability "
            f"of {percent(p[quarter].mean())} on average."
        )
    return (
        f"The quarter of {named} that is least likely to ({number(n)} customers, {percent(p[quarter].mean())} on "
        "average; of those alike, the ones who spent most) brought "
        f"{percent(spend[quarter].sum() / (spend.sum() or np.nan))} of past revenue: look after them first."
    )


def _lately(history: pd.DataFrame, horizon_days: int) -> str:
    """How many bought in the window of the same length that has just ended: told of customers, to judge no model."""
    known = history[history["T"] >= horizon_days]  # T counts from the first purchase to the day before this one
    if known.empty:
        return ""
    bought = known["days_since_last_purchase"] < horizon_days
    return (
        f"In the {horizon_days} days before, {number(int(bought.sum()))} of the {len(known):,} customers that there "
        f"were then bought ({percent(bought.mean())})."
    )


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def probabilities_figure(p: pd.Series, groups: pd.Series, *, horizon_days: int) -> Figure:
    """Quantiles of a probability by group, the best group on top."""
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
        title="Who will come back",
        subtitle="thick: the middle half of a tier's customers; thin: the middle 90%",
        xlabel=f"probability of a purchase within {horizon_days} days (%)",
        ylabel="",
    )
    return figure
