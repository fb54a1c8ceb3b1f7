"""Charts of waits until the next purchase."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.reports.figures import BLUE, GREY, HEIGHT, WIDTH, cut, dress, require
from experiments.reports.section import percent


def wait_calibration_figure(table: pd.DataFrame, *, horizon_days: int) -> Figure:
    """Draw mean actual against mean predicted days, by decile of the predicted median.

    Points on the diagonal are predicted right; customers of points above it buy later than predicted.

    Parameters
    ----------
    table : DataFrame
        As `calibration_by_median` returns it.
    horizon_days : int
        Later waits count as this day.
    """
    require(table, ("customers", "predicted", "actual"))
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, horizon_days], [0, horizon_days], color=GREY, linewidth=1.2, linestyle="--", zorder=1)
    axes.plot(table["predicted"], table["actual"], color=BLUE, linewidth=1.4, marker="o", markersize=6, zorder=2)
    for decile, x, y in zip(table.index, table["predicted"], table["actual"], strict=True):
        axes.annotate(str(decile), (x, y), xytext=(7, -9), textcoords="offset points", fontsize=8, color=BLUE)
    axes.set(xlim=(0, horizon_days * 1.03), ylim=(0, horizon_days * 1.03))
    dress(
        axes,
        title=_waited(table),
        subtitle=f"{table['customers'].sum():,} customers by tenths of the predicted median (1 = soonest)",
        xlabel=f"mean predicted days to the next purchase, at most {horizon_days}",
        ylabel=f"mean actual days, at most {horizon_days}",
    )
    return figure


def _waited(table: pd.DataFrame) -> str:
    """Return by how much waits differ from predicted ones, as a title.

    >>> _waited(pd.DataFrame({"customers": [3, 1], "predicted": [10.0, 20.0], "actual": [12.0, 22.0]}))
    'Customers bought 2.0 days later than predicted, on average'
    """
    off = float(np.average(table["actual"] - table["predicted"], weights=table["customers"]))
    return f"Customers bought {abs(off):.1f} days {'later' if off >= 0 else 'sooner'} than predicted, on average"


def due_figure(due: pd.Series, *, week_from: date) -> Figure:
    """Draw the expected number of customers who buy within a week, by group, the best group on top.

    Parameters
    ----------
    due : Series
        Expected customers, indexed by group.
    week_from : date
        First day of the week.
    """
    figure = Figure(figsize=(WIDTH, 1.6 + 0.42 * len(due)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(due)), due.to_numpy(), color=BLUE, height=0.6)
    for row, value in enumerate(due):
        axes.annotate(f"{value:,.0f}", (value, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(due)), [cut(str(name)) for name in due.index])
    axes.set(xlim=(0, max(1.0, float(due.max())) * 1.12), ylim=(len(due) - 0.5, -0.5))
    dress(
        axes,
        title=_most_due(due, week_from),
        subtitle="sum of the probabilities of a purchase; not calibrated by season",
        xlabel="customers",
        ylabel="",
    )
    return figure


def _most_due(due: pd.Series, week_from: date) -> str:
    """Return the group with the most predicted buyers, as a title; none where no group has one."""
    if not due.round().max() >= 1:
        return f"Hardly any buyers in the week from {week_from}"
    return f"Week from {week_from}: most buyers in {cut(str(due.idxmax()), 20)}"


def recency_figure(shares: pd.DataFrame, *, days: int) -> Figure:
    """Draw the probability of a purchase within some days, by days since the last purchase, a line for each group.

    Parameters
    ----------
    shares : DataFrame
        Mean probability, indexed by days since the last purchase in words, one column for each group, the best first;
        NaN where too few customers are.
    days : int
    """
    figure = Figure(figsize=(WIDTH, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    colours = colormaps["viridis"]
    for number, name in enumerate(shares):
        colour = colours(0.9 * number / max(1, shares.shape[1] - 1))
        axes.plot(range(len(shares)), shares[name], color=colour, marker="o", markersize=4, label=cut(str(name)))
    axes.set_xticks(range(len(shares)), [str(label) for label in shares.index])
    axes.set_ylim(bottom=0)
    found, when = _finding(shares)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    dress(
        axes,
        title=f"Likely to buy within {days} days: {found}",
        subtitle=f"{when}mean probability by days since the last purchase, a line for each tier",
        xlabel="days since the last purchase",
        ylabel="probability (%)",
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


def _finding(shares: pd.DataFrame) -> tuple[str, str]:
    """Return the probability of the best and the last group in the first bin that has both, or the best's; and when."""
    known = shares.dropna(axis="columns", how="all")
    if known.empty:
        return "too few customers", ""
    ends = list(dict.fromkeys([known.columns[0], known.columns[-1]]))
    if known[ends].dropna().empty:
        ends = ends[:1]
    of_bin = known[ends].dropna().iloc[0]
    named = " and ".join(f"{percent(share, 0)} of {cut(str(name))}" for name, share in of_bin.items())
    return named, f"{of_bin.name} days after a purchase; "
