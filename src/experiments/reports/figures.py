"""Figures of an evaluation. They take frames of `evaluation` and keep no pyplot state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from features.errors import InputError, listing

BLUE, ORANGE, GREEN, GREY = "#2563a8", "#d9822b", "#3a8f5c", "#8a8f98"
WIDTH = 7.2  # inches at 120 dots each, of pictures of a page: readable where it is 700 pixels wide
HEIGHT = 4.6  # of the pictures of a model, so that they are alike
FIFTH = 0.2  # of the customers, ranked first: who is named in a title
LONGEST_NAME, LONGEST_TEXT = 40, 160  # characters: of a name beside a picture, and of any other text on it
KINDS = {"model": BLUE, "baseline": ORANGE, "control": GREY}  # of what is compared
DARK = "#20242b"  # text on light cells
WIDE_RANGE = 30  # largest / smallest mean above which a linear axis would hide most quantiles


def calibration_figure(table: pd.DataFrame, *, currency: str, horizon_days: int) -> Figure:
    """Draw mean actual against mean predicted spend, by quantile of the prediction.

    Points on the diagonal are predicted right, points above it too low. Both axes are logarithmic where
    all means are above 0 and span more than a factor of 30, else linear.

    Parameters
    ----------
    table : DataFrame
        As `calibration_table` returns it.
    currency : str
        The shop's own, such as "USD".
    horizon_days : int
        Of the prediction.
    """
    require(table, ("customers", "mean_predicted", "mean_actual"))
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    predicted, actual = table["mean_predicted"].to_numpy(), table["mean_actual"].to_numpy()
    means = np.concatenate([predicted, actual])
    logarithmic = bool(means.min() > 0 and means.max() / means.min() > WIDE_RANGE)
    low, high = (means.min() / 1.6, means.max() * 1.6) if logarithmic else (0.0, max(means.max() * 1.08, 1e-9))
    axes.plot([low, high], [low, high], color=GREY, linewidth=1.2, linestyle="--", label="predicted = actual", zorder=1)
    axes.plot(
        predicted, actual, color=BLUE, linewidth=1.4, marker="o", markersize=6, label="groups of customers", zorder=2
    )
    for quantile, x, y in zip(table.index, predicted, actual, strict=True):
        axes.annotate(str(quantile), (x, y), xytext=(7, -9), textcoords="offset points", fontsize=8, color=BLUE)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_formatter(NullFormatter())
    axes.set(xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"))
    dress(
        axes,
        title=_calibrated(table),
        subtitle=f"{table['customers'].sum():,} customers in {len(table)} groups by predicted spend (1 = lowest)",
        xlabel=f"mean predicted spend in {horizon_days} days ({currency})",
        ylabel=f"mean actual spend in {horizon_days} days ({currency})",
    )
    axes.legend(frameon=False, loc="upper left")
    return figure


def _calibrated(table: pd.DataFrame) -> str:
    """Return how far the spend of those predicted highest was from what was predicted, as a title.

    >>> _calibrated(pd.DataFrame({"mean_predicted": [1.0, 80.0], "mean_actual": [0.0, 100.0]}))
    'Customers predicted highest spent 25% more than predicted'
    """
    predicted, actual = (float(table[name].iloc[-1]) for name in ("mean_predicted", "mean_actual"))
    off = round(100 * (actual / predicted - 1)) if predicted > 0 else 0
    said = f"{abs(off)}% {'more' if off > 0 else 'less'} than predicted" if off else "what was predicted"
    return f"Customers predicted highest spent {said}"


def reliability_figure(tables: Mapping[str, pd.DataFrame], *, horizon_days: int) -> Figure:
    """Draw observed share against predicted probability in bins of it, above the number of customers in each bin.

    Points on the diagonal are predicted right, points above it too low. Bars are Wilson's intervals of the shares.

    Parameters
    ----------
    tables : mapping of label to DataFrame
        As `reliability_table` returns them, the model first.
    horizon_days : int
        Of the prediction.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT + 0.8), dpi=120, layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle="--", label="predicted = observed", zorder=1)
    offset, width = 0.0, 0.08 / len(tables)
    for (label, table), color in zip(tables.items(), (BLUE, ORANGE, GREEN, GREY) * len(tables), strict=False):
        require(table, ("customers", "mean_predicted", "observed_share", "low", "high"))
        share = table["observed_share"]
        axes.errorbar(
            table["mean_predicted"],
            share,
            yerr=(share - table["low"], table["high"] - share),
            color=color,
            linewidth=1.4,
            marker="o",
            markersize=5,
            capsize=2.5,
            label=label,
        )
        left = (table.index - 1) / 10 + 0.01 + offset
        counts.bar(left, table["customers"], width=width, align="edge", color=color)
        offset += width
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    counts.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    first = next(iter(tables.values()))
    dress(
        axes,
        title=_reliable(first),
        subtitle=f"{first['customers'].sum():,} customers by predicted probability; bars are 95% intervals",
        xlabel="",
        ylabel=f"share observed in {horizon_days} days (%)",
    )
    axes.legend(frameon=False, loc="upper left")
    dress(counts, title="", subtitle="", xlabel="mean predicted probability (%)", ylabel="customers")
    return figure


def _reliable(table: pd.DataFrame) -> str:
    """Return how far predicted shares were from observed ones, as a title.

    >>> table = pd.DataFrame({"customers": [30, 10], "mean_predicted": [0.1, 0.5], "observed_share": [0.12, 0.4]})
    >>> _reliable(table)
    'Predicted and observed shares are 4.0 points apart'
    """
    apart = (table["mean_predicted"] - table["observed_share"]).abs()
    return f"Predicted and observed shares are {100 * np.average(apart, weights=table['customers']):.1f} points apart"


def cumulative_gain_figure(curves: Mapping[str, pd.DataFrame], *, horizon_days: int) -> Figure:
    """Draw the share of spend, or of others, reached with a share of customers, for rankings of the same customers.

    Parameters
    ----------
    curves : mapping of label to DataFrame
        As `cumulative_gain` returns them, the model first; the label "perfect" is drawn as the limit. The name of the
        second column says what is reached: `spend_share`, `buyers_share`. The diagonal, a random order, is added.
    horizon_days : int
        In which it fell.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    colors = iter((BLUE, ORANGE, GREEN, "#7a4fa3", "#b23a48") * (1 + len(curves) // 5))
    reached = str(next(iter(curves.values())).columns[-1])
    what = reached.removesuffix("_share")
    for label, curve in curves.items():
        require(curve, ("customers_share", reached))
        perfect = label == "perfect"
        axes.plot(
            curve["customers_share"],
            curve[reached],
            label=label,
            color=GREY if perfect else next(colors),
            linewidth=1.2 if perfect else 1.9,
            linestyle=":" if perfect else "-",
            zorder=1 if perfect else 2,
        )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle="--", label="random", zorder=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    dress(
        axes,
        title=_gained(next(iter(curves.values())), what),
        subtitle=f"share of {what} in {horizon_days} days that the customers ranked first bring",
        xlabel="share of customers, ranked first (%)",
        ylabel=f"share of {what} (%)",
    )
    axes.legend(frameon=False, loc="lower right")
    return figure


def _gained(curve: pd.DataFrame, what: str) -> str:
    """Return what the fifth ranked first brings, as a title.

    >>> _gained(pd.DataFrame({"customers_share": [0.0, 0.4, 1.0], "spend_share": [0.0, 0.8, 1.0]}), "spend")
    'The fifth of customers ranked first bring 40% of spend'
    """
    share = float(np.interp(FIFTH, *(curve.iloc[:, column].to_numpy(dtype=float) for column in (0, -1))))
    said = f"{share:.0%}" if np.isfinite(share) else "none"
    return f"The fifth of customers ranked first bring {said} of {what}"


def comparison_figure(table: pd.DataFrame) -> Figure:
    """Draw a model's metric beside those of the baselines and of the negative controls: a dot each.

    Parameters
    ----------
    table : DataFrame
        model, kind (model, baseline or control) and, last, the metric; models in the order of rows, from the top.
        A model that comes more than once has a dot for each.
    """
    require(table, ("model", "kind"))
    if unknown := sorted(set(table["kind"]) - KINDS.keys()):
        raise InputError("the figure does not know a kind", expected=listing(KINDS), found=listing(unknown))
    metric = table.columns[-1]
    models = list(dict.fromkeys(table["model"]))
    figure = Figure(figsize=(6.8, 1.6 + 0.36 * len(models)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for kind, color in KINDS.items():
        rows = table[table["kind"] == kind]
        axes.scatter(rows[metric], rows["model"].map(models.index), color=color, s=52, label=kind, zorder=2)
        for model, values in rows.groupby("model")[metric]:
            axes.annotate(
                f"{values.mean():.3f}",
                (values.max(), models.index(model)),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=color,
            )
    axes.axvline(table.loc[table["kind"] == "model", metric].iloc[0], color=BLUE, linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(models)), models)
    axes.invert_yaxis()
    axes.margins(x=0.14, y=0.1)
    dress(
        axes,
        title=f"{metric} beside baselines and controls",
        subtitle="mean over the validation cutoffs; controls use no information about customers",
        xlabel=metric,
        ylabel="",
    )
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, at its own resolution, with very long names cut: they would take all the room."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            written = axis.get_major_formatter()
            if isinstance(written, FuncFormatter):  # of names, too
                axis.set_major_formatter(_Short(written.func))
    for legend in figure.findobj(Legend):
        for text in legend.get_texts():
            text.set_text(cut(text.get_text()))
    for text in figure.findobj(Text):
        text.set_text(cut(text.get_text(), LONGEST_TEXT))
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi="figure")
    return file.getvalue()


def cut(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a name cut to a length that fits beside a picture.

    >>> cut("SMOKED MEATS AND SAUSAGES OF ALL KINDS", 22)
    'SMOKED MEATS AND SAUS…'
    """
    return name if len(name) <= longest else name[: longest - 1].rstrip(" -,/") + "…"


class _Short(FuncFormatter):
    """Names at the ticks of an axis, cut."""

    def __call__(self, value: float, position: int | None = None) -> str:
        return cut(super().__call__(value, position))


def dress(axes: Axes, *, title: str, subtitle: str, xlabel: str, ylabel: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=24)
    axes.text(0, 1.015, subtitle, transform=axes.transAxes, fontsize=9, color="#555b66", va="bottom")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(color="#e3e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def require(frame: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(
            f"the figure lacks column {listing(missing)}", expected=listing(names), found=listing(frame.columns)
        )
    if frame.empty:
        raise InputError("the figure has no rows to draw", expected="at least one row", found="an empty frame")
