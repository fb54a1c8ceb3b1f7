"""Pictures of what the tiers buy, when, what with what, and with which coupons."""

from __future__ import annotations

import calendar
from collections.abc import Collection, Sequence

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.reports.figures import BLUE, DARK, GREEN, GREY, ORANGE, WIDTH, cut, dress, require
from experiments.reports.section import enumerated, percent
from features import group_totals

MOST_CATEGORIES = 16
LONGEST_NAME = 22
STATUS_COLORS = {group_totals.USED: BLUE, group_totals.NOT_USED: "#c9cdd3"}
WIDEST_EDGE = 5.0


def categories_figure(values: pd.DataFrame, *, min_customers: int) -> Figure:
    """Draw the shares of units by category and tier: the categories with most spend, the most expensive on top.

    Colours compare a tier's share with that of all tiers together, up to half and double.

    Parameters
    ----------
    values : DataFrame
        As `group_totals.by_value` gives them.
    min_customers : int
        A cell of fewer is not shown.
    """
    require(values, ("group", "value", "customers", "spend", "units", "mean_unit_price"))
    shares, price, customers, overall = unit_shares(values)
    priced = values[values["value"].isin(price.index)]
    largest = priced.groupby("value")["spend"].sum().nlargest(MOST_CATEGORIES).index
    drawn = price[price.index.isin(largest)].sort_values(ascending=False, kind="stable").index
    shares, customers = shares.loc[drawn], customers.loc[drawn]
    distance = np.log2((shares / overall[drawn].to_numpy()[:, None]).clip(0.25, 4.0))
    distance = distance.where(customers >= min_customers, 0.0)
    figure = Figure(figsize=(WIDTH, 1.9 + 0.34 * len(drawn)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(distance, cmap="RdBu_r", norm=TwoSlopeNorm(0, -1, 1), aspect="auto")
    for (row, column), share in np.ndenumerate(shares.to_numpy()):
        shown = customers.iat[row, column] >= min_customers
        color = "white" if abs(distance.iat[row, column]) > 0.65 else DARK
        axes.text(column, row, percent(share) if shown else "·", ha="center", va="center", fontsize=9, color=color)
    axes.set_xticks(range(shares.shape[1]), [str(tier) for tier in shares.columns])
    axes.set_yticks(
        range(len(drawn)), [f"{cut(name, LONGEST_NAME)}  {price[name]:,.2f}" for name in drawn], fontsize=8.5
    )
    dress(
        axes,
        title=f"{cut(str(overall.idxmax()), LONGEST_NAME)}: {percent(overall.max())} of all units",
        subtitle="share of each tier's units; mean prices, the dearest on top",
        xlabel="",
        ylabel="",
    )
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, aspect=40, pad=0.02, extend="both", ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["half", "as all", "double"], fontsize=8.5)
    return figure


def associations_figure(table: pd.DataFrame, values: pd.DataFrame, *, seed: int, goods: str = "categories") -> Figure:
    """Draw pairs bought on one day, a network for each tier; the wider an edge, the higher the lift.

    Parameters
    ----------
    table : DataFrame
        As `associations.pairs` gives it.
    values : DataFrame
        As `group_totals.by_value` gives them: the dearest third of the categories is coloured.
    seed : int
        Of the layout.
    goods : str
        What values are called.
    """
    require(values, ("group", "value", "units"))
    _, price, _, _ = unit_shares(values)
    dear = set(price[price >= price.quantile(2 / 3)].index)
    tiers = list(values["group"].cat.categories)
    highest = float(table["lift"].max()) if len(table) else 1.0
    figure, panels, spare = _panels(len(tiers), height=2.9)
    for axes, tier in zip(panels, tiers, strict=False):
        own = table[table["group"] == tier]
        _network(axes, own, dear, highest, seed)
        least = f", lift {own['lift'].min():.2f} to {own['lift'].max():.2f}" if len(own) else ""
        axes.set_title(f"{tier}{least}", loc="left", fontsize=10, fontweight="bold", color=DARK)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=ORANGE, label=f"dearest third of {goods}"),
        Line2D([], [], marker="o", linestyle="", color=BLUE, label=f"other {goods}"),
        *(
            Line2D([], [], color=GREY, linewidth=_width(lift, highest), label=f"lift {lift:.2f}")
            for lift in np.unique(np.round(np.linspace(1.0, highest, 3)[1:] if len(table) else [], 2))
        ),
    ]
    if spare is None:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    else:
        spare.legend(handles=handles, loc="center", frameon=False, fontsize=8.5)
    figure.suptitle("Bought on the same day", x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def coupons_figure(statuses: pd.DataFrame) -> Figure:
    """Draw the status of the coupons on each tier's lines, as shares.

    Parameters
    ----------
    statuses : DataFrame
        As `group_totals.by_coupon` gives them for lines.
    """
    require(statuses, ("group", "status", "lines"))
    counts = statuses.pivot_table(index="group", columns="status", values="lines", aggfunc="sum", observed=True)
    counts = counts.fillna(0.0)
    order = sorted(
        counts.columns, key=lambda status: (status != group_totals.USED, status == group_totals.NOT_USED, status)
    )
    shares = counts[order].div(counts.sum(axis=1), axis=0)
    figure = Figure(figsize=(WIDTH, 1.7 + 0.42 * len(shares)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    others = iter((ORANGE, GREEN, "#7a4fa3", "#1f9aa8") * len(order))
    left = np.zeros(len(shares))
    for status in order:
        color = STATUS_COLORS.get(status) or next(others)
        axes.barh(
            range(len(shares)),
            shares[status],
            left=left,
            height=0.66,
            color=color,
            label=cut(str(status), LONGEST_NAME),
        )
        for row, share in enumerate(shares[status]):
            if share >= 0.04:
                ink = DARK if status == group_totals.NOT_USED else "white"
                middle = left[row] + share / 2
                axes.text(middle, row, percent(share), ha="center", va="center", fontsize=9, color=ink)
            elif status == group_totals.USED:
                axes.text(left[row] + share + 0.006, row, percent(share), va="center", fontsize=9, color=BLUE)
        left = left + shares[status].to_numpy()
    axes.set_yticks(
        range(len(shares)), [f"{tier}\n{total:,.0f} lines" for tier, total in counts.sum(axis=1).items()], fontsize=8.5
    )
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    dress(axes, title=_most_coupons(shares), subtitle="share of each tier's lines", xlabel="", ylabel="")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=min(4, len(order)), fontsize=9)
    return figure


def _most_coupons(shares: pd.DataFrame) -> str:
    """Return which tier uses coupons most."""
    if group_totals.USED not in shares or not shares[group_totals.USED].any():
        return "No tier used a coupon"
    used = shares[group_totals.USED]
    return f"{used.idxmax()} uses coupons most: {percent(used.max())} of lines"


def rates_figure(rates: pd.DataFrame, *, by: str, marked: Collection[int], confidence: float) -> Figure:
    """Draw orders per day by month or day of the week, a panel for each tier, with bands.

    Parameters
    ----------
    rates : DataFrame
        As `daily_rates` gives them.
    by : str
        "month" or "day_of_week".
    marked : collection of int
        Those of them that are shaded.
    confidence : float
        Of the bands.
    """
    require(rates, ("group", "key", "rate", "low", "high"))
    names = {"month": calendar.month_abbr, "day_of_week": calendar.day_abbr}[by]
    tiers = list(rates["group"].cat.categories)
    figure, panels, _ = _panels(len(tiers), height=1.9)
    for axes, tier in zip(panels, tiers, strict=False):
        own = rates[rates["group"] == tier]
        at = np.arange(len(own))
        inside = np.flatnonzero(own["key"].isin(list(marked)))
        for spot in inside:
            axes.axvspan(spot - 0.5, spot + 0.5, color="#f5efe6", linewidth=0, zorder=0)
        axes.fill_between(at, own["low"], own["high"], color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(at, own["rate"], color=BLUE, linewidth=1.6, marker="o", markersize=4)
        axes.set_xticks(at, [names[key] for key in own["key"]], fontsize=8.5)
        axes.set_xlim(-0.5, len(own) - 0.5)
        axes.set_ylim(bottom=0)
        axes.tick_params(axis="y", labelsize=8.5)
        axes.grid(color="#e3e6ea", linewidth=0.8, axis="y")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(str(tier), loc="left", fontsize=10, fontweight="bold", color=DARK)
    figure.suptitle(
        f"Orders per day: {_peak(rates, by)}",
        x=0.01,
        ha="left",
        fontsize=13,
        fontweight="bold",
    )
    note = f"bands: {confidence:.0%} confidence intervals over resampled weeks"
    if shaded := [names[key] for key in rates["key"].unique() if key in marked]:
        note += f"; shaded: a hypothesis is about {enumerated(shaded)}"
    figure.supxlabel(note, fontsize=8.5, color="#555b66")
    return figure


def _peak(rates: pd.DataFrame, by: str) -> str:
    """Return the month, or day, in which most tiers buy most; that there is none where they disagree."""
    full = {"month": calendar.month_name, "day_of_week": calendar.day_name}[by]
    bought = rates[rates.groupby("group", observed=True)["rate"].transform("max") > 0]
    peaks = bought.loc[bought.groupby("group", observed=True)["rate"].idxmax(), "key"]
    counts = peaks.value_counts()
    if counts.empty or counts.iloc[0] <= len(peaks) / 2:
        return "tiers peak at different times"
    return f"{full[int(counts.index[0])]} is the peak of {counts.iloc[0]} of {len(peaks)} tiers"


def unit_shares(values: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame, pd.Series]:
    """Return shares of units by value and tier, mean price by value, customers by both, and share of all by value."""
    units, customers = (
        values.pivot_table(index="value", columns="group", values=name, aggfunc="sum", observed=False).fillna(0.0)
        for name in ("units", "customers")
    )
    paid = (values["mean_unit_price"] * values["units"]).groupby(values["value"]).sum()
    total = units.sum(axis=1)
    price = (paid / total.where(total > 0)).dropna()
    return units / units.sum().replace(0.0, np.nan), price, customers, total / total.sum()


def _panels(n: int, *, height: float) -> tuple[Figure, Sequence[Axes], Axes | None]:
    """Return a figure of n panels, two in a row, and the panel that is left over where n is odd."""
    rows = -(-n // 2)
    figure = Figure(figsize=(WIDTH, 0.9 + height * rows), dpi=120, layout="constrained")
    panels = list(np.ravel(figure.subplots(rows, 2, squeeze=False)))
    for axes in panels[n:]:
        axes.set_axis_off()
    return figure, panels[:n], panels[n] if len(panels) > n else None


def _network(axes: Axes, own: pd.DataFrame, dear: set[str], highest: float, seed: int) -> None:
    axes.set_axis_off()
    axes.set(xlim=(-3.5, 3.5), ylim=(-1.3, 1.3))
    if own.empty:
        axes.text(
            0,
            0,
            "no pair is frequent enough\nwith a lift above 1",
            ha="center",
            va="center",
            fontsize=9,
            color=GREY,
        )
        return
    graph = nx.Graph()
    graph.add_weighted_edges_from(own[["a", "b", "lift"]].itertuples(index=False))
    # Neighbours in a spring layout become neighbours on the circle, where names have room.
    spring = nx.spring_layout(graph, seed=seed)
    order = sorted(graph, key=lambda node: np.arctan2(*spring[node][::-1]))
    angles = np.pi / 2 - 2 * np.pi * (np.arange(len(order)) + 0.5) / len(order)
    spots = {node: np.array([np.cos(angle), np.sin(angle)]) for node, angle in zip(order, angles, strict=True)}
    for a, b, lift in own[["a", "b", "lift"]].itertuples(index=False):
        (x, y), (u, v) = spots[a], spots[b]
        axes.plot([x, u], [y, v], color=GREY, linewidth=_width(lift, highest), alpha=0.75, zorder=1)
    for node, (x, y) in spots.items():
        axes.scatter(x, y, s=40, color=ORANGE if node in dear else BLUE, edgecolor="white", linewidth=0.8, zorder=2)
        side = "left" if x >= 0 else "right"
        name = axes.text(1.14 * x, 1.14 * y, cut(node, 17), ha=side, va="center", fontsize=7.5, color=DARK)
        name.set_in_layout(False)


def _width(lift: float, highest: float) -> float:
    """Return the width of an edge: the least at a lift of 1, where a pair is as frequent as by chance."""
    return 0.4 + WIDEST_EDGE * max(lift - 1.0, 0.0) / max(highest - 1.0, 1e-9)
