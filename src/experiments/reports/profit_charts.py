"""Picture of what customers addressed are worth, less what it costs to address them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, WIDTH, dress, require


def profit_figure(curves: Mapping[str, pd.DataFrame], *, currency: str, horizon_days: int) -> Figure:
    """Draw the profit of addressing a share of the customers, with its interval, for several rankings of them.

    Parameters
    ----------
    curves : mapping of label to DataFrame
        As `profit_curve` returns them, the model first; the interval of the others is left out, to keep bands apart.
    currency : str
    horizon_days : int
        In which the spend fell.
    """
    figure = Figure(figsize=(WIDTH, 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for number, ((label, curve), color) in enumerate(
        zip(curves.items(), (BLUE, ORANGE, GREEN, GREY) * len(curves), strict=False)
    ):
        require(curve, ("profit", "low", "high"))
        if not number:
            axes.fill_between(curve.index, curve["low"], curve["high"], color=color, alpha=0.15, linewidth=0)
        axes.plot(curve.index, curve["profit"], color=color, linewidth=1.8, label=label)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda amount, _: f"{amount:,.0f}"))
    axes.axhline(0, color=GREY, linewidth=1)
    own = next(iter(curves.values()))["profit"]
    best = float(own.idxmax())
    dress(
        axes,
        title=f"Most profit where {best:.0%} of the customers are addressed: {own.max():,.0f} {currency}",
        subtitle="worth of those addressed, less the cost of addressing them; band: 95% interval",
        xlabel="share of customers addressed, highest prediction first",
        ylabel=f"profit in {horizon_days} days ({currency})",
    )
    axes.legend(frameon=False, loc="lower right")
    return figure
