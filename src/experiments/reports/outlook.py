"""What the models in use expect of each group of customers: its value, and who comes back."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.analysis.groups import shares
from experiments.reports.figures import BLUE, dress
from experiments.reports.groups import shares_figure
from experiments.reports.section import Part, Picture, Table, Text, enumerated, number, percent

AT_STAKE = 0.25  # share of the best customers that is least likely to come back


def value_parts(
    clv: pd.Series, groups: pd.Series, *, horizon_days: int, currency: str, model: str, is_naive: bool
) -> list[Part]:
    """Predicted value by group.

    Parameters
    ----------
    clv, groups : Series indexed customer_id
        Predicted spend, and the group of each customer, a categorical.
    horizon_days : int
    currency, model : str
    is_naive : bool
        Whether the model is a simple rule, in use because nothing better was shown.
    """
    table = clv.groupby(groups.reindex(clv.index), observed=False).agg(["size", "sum", "mean"])
    drawn = pd.DataFrame({"customers": shares(table["size"]), "expected": shares(table["sum"])})
    top = clv.nlargest(max(1, len(clv) // 10)).sum() / clv.sum()
    total = f"{number(float(clv.sum()))} {currency}"
    lead = (
        f"Reckoned by a simple rule, all customers together spend {total} in the next {horizon_days} days"
        if is_naive
        else f"In the next {horizon_days} days all customers together are expected to spend {total}"
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
    rule = "No model was shown to do better. Trust the order of the tiers more than the amounts."
    return [
        Text(lead, "lead"),
        *([Text(rule)] if is_naive else []),
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
    p: pd.Series, groups: pd.Series, spend: pd.Series, *, horizon_days: int, model: str, most_at_stake: int = 2
) -> list[Part]:
    """Probability to come back by group, and what is at stake.

    Parameters
    ----------
    p, groups, spend : Series indexed customer_id
        Probability of a purchase within the horizon, group (a categorical, the best first), spend so far.
    horizon_days : int
    model : str
    most_at_stake : int
        How many of the best groups count as worth keeping.
    """
    of = groups.reindex(p.index)
    table = p.groupby(of, observed=False).agg(["size", "mean", "sum"])
    best = of.isin(of.cat.categories[:most_at_stake])
    lead = (
        f"Of {len(p):,} customers some {number(round(float(p.sum())))} are expected to buy within {horizon_days} days, "
        f"{percent(p.mean())} of them."
    )
    if best.any():
        slipping = best & (p < p[best].quantile(AT_STAKE))
        named = enumerated([str(name) for name in of.cat.categories[:most_at_stake]])
        lead += (
            f" The quarter of {named} that is least likely to ({number(int(slipping.sum()))} customers, "
            f"{percent(p[slipping].mean())} on average) brought {percent(spend[slipping].sum() / spend.sum())} of past "
            "revenue: look after them first."
        )
    shown = pd.DataFrame(
        {
            "tier": table.index.astype(str),
            "customers": table["size"].to_numpy(),
            "mean probability": table["mean"].map(percent).to_numpy(),
            "expected to come back": table["sum"].round().astype(int).to_numpy(),
        }
    )
    return [
        Text(lead, "lead"),
        Table("return", shown, f"Purchase within {horizon_days} days, by {model}."),
        Picture(
            "return",
            probabilities_figure(p, of, horizon_days=horizon_days),
            "Probability to buy again: a dot is a tier's middle customer, lines hold its middle half and middle 90%.",
        ),
    ]


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
