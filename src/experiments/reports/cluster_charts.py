"""Figures of a segmentation. They take the frames of `evaluation.cluster_metrics` and keep no pyplot state."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, dress, require

# Distinct to the eye; further segments start over.
PALETTE = (BLUE, ORANGE, GREEN, "#7a4fa3", "#b23a48", "#1f9aa8", "#8c6d31", "#d16ba5", "#4d5b6b", "#9fb53c")
WIDEST_Z = 3.0
MOST_VARIABLES = 20


def elbow_figure(table: pd.DataFrame, *, chosen: int | None = None) -> Figure:
    """Draw inertia, and silhouette beside its permuted null, over the number of clusters.

    Parameters
    ----------
    table : DataFrame
        As `elbow` returns it.
    chosen : int, optional
        The number in use, marked by a line.
    """
    require(table, ("inertia", "silhouette", "silhouette_null"))
    figure = Figure(figsize=(9.6, 4.4), dpi=120, layout="constrained")
    elbow, silhouettes = figure.subplots(1, 2)
    elbow.plot(table.index, table["inertia"], color=BLUE, linewidth=1.6, marker="o", markersize=5)
    elbow.set_ylim(bottom=0)
    elbow.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.4g}" if value < 1000 else f"{value:,.0f}")
    )
    dress(
        elbow,
        title="Elbow",
        subtitle="variation that the clusters leave unexplained",
        xlabel="number of clusters",
        ylabel="inertia (sum of squared distances)",
    )
    silhouettes.plot(
        table.index, table["silhouette"], color=BLUE, linewidth=1.6, marker="o", markersize=5, label="customers"
    )
    silhouettes.plot(
        table.index,
        table["silhouette_null"],
        color=GREY,
        linewidth=1.4,
        linestyle="--",
        marker="o",
        markersize=4,
        label="columns permuted",
    )
    silhouettes.set_ylim(bottom=min(0.0, float(table[["silhouette", "silhouette_null"]].min().min()) * 1.1))
    dress(
        silhouettes,
        title="Silhouette",
        subtitle="evidence of clusters only where it exceeds the null",
        xlabel="number of clusters",
        ylabel="mean silhouette",
    )
    for axes in (elbow, silhouettes):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if chosen is not None:
            axes.axvline(chosen, color=ORANGE, linewidth=1.2, linestyle=":", zorder=1, label=f"chosen: {chosen}")
    silhouettes.legend(frameon=False, loc="lower left")
    return figure


def pca_figure(points: pd.DataFrame) -> Figure:
    """Draw customers on their first two principal components, coloured by segment.

    Parameters
    ----------
    points : DataFrame
        As `principal_components` returns it.
    """
    require(points, ("pc1", "pc2", "segment", "pc1_variance_share", "pc2_variance_share"))
    figure = Figure(figsize=(7.4, 5.8), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    # Drawn in the order of the rows, so that no segment covers the others.
    segments = np.unique(points["segment"])
    colors = points["segment"].map(dict(zip(segments, _colors(len(segments)), strict=True)))
    axes.scatter(points["pc1"], points["pc2"], s=9, c=colors, alpha=0.55, linewidths=0)
    for segment, color in zip(segments, _colors(len(segments)), strict=True):
        own = points[points["segment"] == segment]
        axes.scatter([], [], s=30, color=color, label=f"{segment:g} ({len(own):,})")
        axes.annotate(
            f"{segment:g}",
            (own["pc1"].mean(), own["pc2"].mean()),
            ha="center",
            va="center",
            fontsize=10,
            fontweight="bold",
            color="white",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": color, "edgecolor": "white"},
        )
    shares = points[["pc1_variance_share", "pc2_variance_share"]].iloc[0]
    dress(
        axes,
        title="Map of customers",
        subtitle=f"{len(points):,} customers, {shares.sum():.0%} of the variance of the scaled variables",
        xlabel=f"first principal component ({shares.iloc[0]:.0%} of the variance)",
        ylabel=f"second principal component ({shares.iloc[1]:.0%} of the variance)",
    )
    figure.legend(*axes.get_legend_handles_labels(), title="segment", frameon=False, loc="outside right upper")
    return figure


def profile_figure(table: pd.DataFrame) -> Figure:
    """Draw means by variable and segment, coloured by their distance from the mean of all customers.

    Of more than 20 variables, those on which segments differ most are drawn.

    Parameters
    ----------
    table : DataFrame
        As `profile` returns it. Distances are in standard deviations of all customers, coloured up to 3.
    """
    require(table, ("segment", "variable", "mean", "z"))
    z, means = (table.pivot(index="variable", columns="segment", values=name) for name in ("z", "mean"))
    drawn = z.abs().max(axis=1).nlargest(MOST_VARIABLES).index
    every, z, means = len(z), z.loc[z.index.isin(drawn)], means.loc[means.index.isin(drawn)]
    figure = Figure(figsize=(4.2 + 0.8 * z.shape[1], 1.7 + 0.36 * len(z)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    limit = float(np.clip(np.abs(z.to_numpy()).max(), 0.5, WIDEST_Z))
    image = axes.imshow(z, cmap="RdBu_r", norm=TwoSlopeNorm(0, -limit, limit), aspect="auto")
    for (row, column), distance in np.ndenumerate(z.to_numpy()):
        color = "white" if abs(distance) > 0.6 * limit else "#20242b"
        axes.text(column, row, _short(means.iat[row, column]), ha="center", va="center", fontsize=8.5, color=color)
    axes.set_xticks(range(z.shape[1]), [f"{segment:g}" for segment in z.columns])
    axes.set_yticks(range(len(z)), z.index)
    dress(
        axes,
        title="Profiles of segments",
        subtitle="means" if len(z) == every else f"means of {len(z)} of {every} variables",
        xlabel="segment",
        ylabel="",
    )
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, aspect=30, extend="both" if limit == WIDEST_Z else "neither")
    bar.set_label("standard deviations from the mean of all")
    return figure


def sizes_figure(table: pd.DataFrame, *, currency: str, horizon_days: int) -> Figure:
    """Draw each segment's share of customers beside its share of the next period's spend.

    Parameters
    ----------
    table : DataFrame
        As `sizes` returns it.
    currency : str
    horizon_days : int
        In which the spend fell.
    """
    require(table, ("customers", "customers_share", "mean_spend", "spend_share"))
    figure = Figure(figsize=(3.4 + 0.95 * len(table), 4.8), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(len(table))
    for offset, column, color, label in (
        (-0.2, "customers_share", GREY, "customers"),
        (0.2, "spend_share", BLUE, f"spend in {horizon_days} days"),
    ):
        bars = axes.bar(at + offset, table[column].fillna(0.0), width=0.38, color=color, label=label)
        axes.bar_label(
            bars, ["" if np.isnan(share) else f"{share:.0%}" for share in table[column]], fontsize=8.5, padding=2
        )
    axes.set_xticks(
        at,
        [
            f"{segment:g}\n{row.customers:,.0f} customers\n{_short(row.mean_spend)} {currency} each"
            for segment, row in zip(table.index, table.itertuples(), strict=True)
        ],
        fontsize=8.5,
    )
    axes.set_ylim(0, 1.15 * float(np.nanmax(table[["customers_share", "spend_share"]])))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    dress(
        axes,
        title="Sizes of segments",
        subtitle=f"{table['customers'].sum():,} customers",
        xlabel="segment",
        ylabel="share (%)",
    )
    axes.grid(False, axis="x")
    axes.legend(frameon=False, loc="upper right")
    return figure


def _colors(n: int) -> list[str]:
    return [PALETTE[i % len(PALETTE)] for i in range(n)]


def _short(value: float) -> str:
    """Return three digits, or a whole number with thousands separators."""
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
