"""Figures of customers in ordered groups: what each holds, and how they move between them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from experiments.evaluation.shares import row_shares
from experiments.reports.figures import BLUE, DARK, GREY, ORANGE, WIDTH, dress, require
from experiments.reports.section import percent

SHADES = (GREY, BLUE, ORANGE)


def customers_figure(table: pd.DataFrame, *, title: str, subtitle: str) -> Figure:
    """Draw the customers of each group, a bar each with number and share; empty groups keep their place.

    Parameters
    ----------
    table : DataFrame indexed by group
        customers and customers_share.
    """
    require(table, ("customers", "customers_share"))
    figure = Figure(figsize=(WIDTH, 1.5 + 0.5 * len(table)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(len(table))
    bars = axes.barh(at, table["customers"], color=BLUE, height=0.68)
    labels = [f"{row.customers:,} ({percent(row.customers_share)})" for row in table.itertuples()]
    axes.bar_label(bars, labels, fontsize=9, padding=4)
    axes.set_yticks(at, [str(group) for group in table.index])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max(float(table["customers"].max()), 1.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    dress(axes, title=title, subtitle=subtitle, xlabel="customers", ylabel="")
    axes.grid(False, axis="y")
    return figure


def shares_figure(table: pd.DataFrame, columns: Mapping[str, str], *, title: str, subtitle: str) -> Figure:
    """Draw shares of each group beside each other.

    Parameters
    ----------
    table : DataFrame indexed by group
    columns : mapping of column to label
        Shares, up to three.
    """
    require(table, tuple(columns))
    figure = Figure(figsize=(max(WIDTH, 2.4 + 1.15 * len(table)), 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    at, width = np.arange(len(table)), 0.8 / len(columns)
    for number, ((column, label), color) in enumerate(zip(columns.items(), SHADES, strict=False)):
        offset = (number - (len(columns) - 1) / 2) * width
        bars = axes.bar(at + offset, table[column].fillna(0.0), width=0.94 * width, color=color, label=label)
        axes.bar_label(bars, ["" if np.isnan(share) else percent(share) for share in table[column]], fontsize=8.5)
    axes.set_xticks(at, [str(group) for group in table.index])
    axes.set_ylim(0, 1.22 * max(float(np.nanmax([*table[list(columns)].to_numpy().ravel(), 0.0])), 0.05))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    dress(axes, title=title, subtitle=subtitle, xlabel="", ylabel="share (%)")
    axes.grid(False, axis="x")
    axes.legend(frameon=False, loc="upper right", ncols=len(columns), fontsize=9)
    return figure


def movements_figure(counts: pd.DataFrame, *, title: str, subtitle: str, xlabel: str, ylabel: str) -> Figure:
    """Draw moves between groups: shares of rows, coloured, and the number of customers.

    Parameters
    ----------
    counts : DataFrame
        As `description.groups.movements` returns it, or a sum of such.
    """
    require(counts, ())
    shares = row_shares(counts)
    figure = Figure(
        figsize=(max(WIDTH, 3.2 + 0.95 * counts.shape[1]), 1.9 + 0.56 * len(counts)), dpi=120, layout="constrained"
    )
    axes = figure.add_subplot()
    axes.imshow(shares.fillna(0.0), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares.to_numpy()):
        text = "-" if np.isnan(share) else f"{percent(share)}\n{counts.iat[row, column]:,.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color="white" if share > 0.6 else DARK)
    axes.set_xticks(range(counts.shape[1]), [str(group) for group in counts.columns])
    axes.set_yticks(range(len(counts)), [str(group) for group in counts.index])
    dress(axes, title=title, subtitle=subtitle, xlabel=xlabel, ylabel=ylabel)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def staying(counts: pd.DataFrame, group: str) -> str:
    """Return how many customers stay in their group, as a title.

    Parameters
    ----------
    counts : DataFrame
        Customers by group before and after, both in the same order.
    group : str
        What groups are called: "tier".
    """
    held = counts.to_numpy(dtype=float)
    return f"{percent(np.trace(held) / held.sum() if held.sum() else np.nan)} stay in their {group}"
