"""Stages of a customer's life as a section of a report."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.description.group_charts import movements_figure
from experiments.description.lifecycle import ARRIVALS, Lifecycle, LifecycleOptions
from experiments.reports.cluster_charts import PALETTE
from experiments.reports.figures import BLUE, GREY, ORANGE, dress, require
from experiments.reports.section import Heading, Part, Picture, Section, Table, Text, number, percent


def lifecycle_section(found: Lifecycle, options: LifecycleOptions, *, currency: str) -> Section:
    """Who is in which stage, how customers move, what the next period holds, and how far such forecasts were off.

    Parameters
    ----------
    found : Lifecycle
    options : LifecycleOptions
    currency : str
    """
    days, told = options.period_days, found.forecast
    n, last = min(options.n_periods, len(found.periods)), found.periods[-1]
    present = ", ".join(
        f"{_worded(stage)} {customers:,} ({percent(customers / max(int(found.present.sum()), 1))})"
        for stage, customers in found.present.items()
    )
    parts: list[Part] = [
        Text(f"On {found.now} the shop's {found.present.sum():,} customers are {present}.", "lead"),
        Text(
            f"If they go on as in the {n} periods of {days} days before {found.now}, the {days} days from then on "
            f"bring {number(round(told.active))} buyers, {number(round(float(told.buyers[ARRIVALS])))} of them new, "
            f"and {number(round(told.revenue))} {currency}. The last of those periods, from {last.start}, brought "
            f"{number(round(float(last.buyers.sum())))} buyers and {number(round(float(last.spend.sum())))} {currency}."
        ),
        Text(_verdict(found.backtest)),
        Picture(
            "stages",
            stages_figure(found.stages),
            f"How many customers were in each stage, every {days} days until {found.now}.",
        ),
        Table(
            "next_period", _next(found), f"On {found.now}, and what the {days} days from then on are expected to bring."
        ),
        Heading("Who moves"),
        Picture(
            "transitions",
            movements_figure(
                found.averages.counts.rename(index=_worded, columns=_worded),
                title="From stage to stage",
                subtitle=f"share of each row, and customers, over {n} periods of {days} days until {found.now}",
                xlabel=f"stage {days} days later",
                ylabel="stage",
            ),
            f"Of the customers of each stage, how many are in which stage {days} days later; arrivals were no "
            "customers before.",
        ),
        Table(
            "transitions",
            found.averages.shares.rename(index=_worded, columns=_worded).map(percent).rename_axis("stage"),
            f"Where the customers of each stage are {days} days later.",
        ),
    ]
    if not found.backtest.empty:
        parts += [
            Heading("How far off such forecasts were"),
            Picture(
                "backtest",
                backtest_figure(found.backtest, currency=currency, period_days=days),
                "What happened in each period, what the stages at its start foretold, and what the period before would "
                "have.",
            ),
            Table(
                "backtest",
                _errors(found.backtest),
                "Forecast over truth, less 1: above 0 is too high. Days kept sealed test no forecast.",
            ),
        ]
    parts += [Text(note, "note") for note in found.notes]
    parts += [
        Text(
            "Rules: "
            + "; ".join(_rule(stage, ranges) for stage, ranges in options.stages.items())
            + ". The first that "
            "fits counts. Customers first seen right after the data begin may have bought long before: they are not "
            "new. Averages know no season.",
            "note",
        )
    ]
    return Section("lifecycle", parts)


def stages_figure(stages: pd.DataFrame) -> Figure:
    """Customers in each stage over time, stacked.

    Parameters
    ----------
    stages : DataFrame
        A row for each cutoff, a column for each stage.
    """
    require(stages, ())
    figure = Figure(figsize=(max(6.4, 2.6 + 0.55 * len(stages)), 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    at, below = np.arange(len(stages)), np.zeros(len(stages))
    for color, stage in zip(cycle(PALETTE), stages.columns, strict=False):
        axes.bar(at, stages[stage], bottom=below, width=0.78, color=color, label=_worded(stage))
        below += stages[stage].to_numpy(dtype=float)
    axes.set_xticks(at, [str(day) for day in stages.index], rotation=45, ha="right", fontsize=8.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    dress(axes, title="Customers in each stage", subtitle="at the start of each period", xlabel="", ylabel="customers")
    axes.grid(False, axis="x")
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside right upper", reverse=True)
    return figure


def backtest_figure(backtest: pd.DataFrame, *, currency: str, period_days: int) -> Figure:
    """Revenue and buyers of each period beside what was foretold.

    Parameters
    ----------
    backtest : DataFrame
        As `analysis.lifecycle.backtest` returns it.
    """
    require(backtest, ("revenue", "active"))
    figure = Figure(figsize=(9.6, 3.9), dpi=120, layout="constrained")
    panels = figure.subplots(1, 2)
    at = np.arange(len(backtest))
    for axes, what, title, unit in zip(
        panels, ("revenue", "active"), ("Revenue", "Buyers"), (currency, "customers"), strict=True
    ):
        for column, label, color, style in (
            (what, "happened", BLUE, "-"),
            (f"{what}_forecast", "by stages", ORANGE, "--"),
            (f"{what}_naive", "as in the last period", GREY, ":"),
        ):
            axes.plot(at, backtest[column], label=label, color=color, linestyle=style, marker="o", markersize=5)
        axes.set_xticks(at, [str(day) for day in backtest.index], rotation=45, ha="right", fontsize=8.5)
        axes.set_ylim(0, 1.25 * float(np.nanmax(backtest[[what, f"{what}_forecast", f"{what}_naive"]].to_numpy())))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        dress(axes, title=title, subtitle=f"in the {period_days} days from each date", xlabel="", ylabel=unit)
    panels[0].legend(frameon=False, loc="lower left", fontsize=9)
    return figure


def _verdict(backtest: pd.DataFrame) -> str:
    """How far off such forecasts were, and how far the last period would have been."""
    if backtest.empty:
        return "How far off that may be cannot be said: the history is too short for a back-test."
    own, naive = (
        " and ".join(
            f"{percent(float(backtest[f'{what}{kind}'].abs().mean()))} of the {label}"
            for what, label in (("revenue", "revenue"), ("active", "buyers"))
        )
        for kind in ("_error", "_naive_error")
    )
    periods = f"{len(backtest)} periods" if len(backtest) > 1 else "one period"
    return (
        f"In the back-test over {periods} such forecasts were off by {own} on average; to expect as much as in the "
        f"period before was off by {naive}. The stages say where revenue comes from."
    )


def _next(found: Lifecycle) -> pd.DataFrame:
    told = found.forecast
    rows = pd.DataFrame(
        {
            "customers now": found.present.reindex(told.spend.index).map(_whole),
            "customers after": told.customers.reindex(told.spend.index).map(_whole),
            "who buy": told.buyers.map(_whole),
            "revenue": told.spend.map(_whole),
            "share of revenue": (told.spend / (told.revenue or np.nan)).map(percent),
        }
    )
    return rows.rename(index=_worded).rename_axis("stage")


def _whole(value: float) -> str:
    return number(round(value)) if np.isfinite(value) else "-"


def _errors(backtest: pd.DataFrame) -> pd.DataFrame:
    names = {
        "revenue_error": "revenue, by stages",
        "revenue_naive_error": "revenue, as in the last period",
        "active_error": "buyers, by stages",
        "active_naive_error": "buyers, as in the last period",
    }
    table = backtest[list(names)].map(lambda error: f"{error:+.1%}" if np.isfinite(error) else "-")
    return table.rename(columns=names).rename_axis("period from")


def _worded(stage: object) -> str:
    return str(stage).replace("_", " ")


def _rule(stage: str, ranges: dict[str, list[float | None]]) -> str:
    told = [
        f"{_worded(feature)} "
        + (
            f"{low:g}"
            if low == high
            else f"up to {high:g}"
            if low is None
            else f"from {low:g} on"
            if high is None
            else f"{low:g} to {high:g}"
        )
        for feature, (low, high) in ranges.items()
        if (low, high) != (None, None)
    ]
    return f"{_worded(stage)}: {', '.join(told) or 'all others'}"
