"""The lifecycle as a section of the report."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.description.lifecycle.lifecycle import Lifecycle, lifecycle
from experiments.description.lifecycle.options import ARRIVALS, LifecycleOptions
from experiments.description.lifecycle.stages import in_stages
from experiments.description.material import DescriptionMaterial
from experiments.reports.cluster_charts import PALETTE
from experiments.reports.figures import BLUE, GREY, ORANGE, dress, require
from experiments.reports.group_charts import movements_figure
from experiments.reports.section import Heading, Part, Picture, Table, Text, Topic, number, percent


def lifecycle_parts(found: Lifecycle, options: LifecycleOptions, *, currency: str) -> list[Part]:
    """Describe who is in which stage, how customers move, the forecast, and the errors of such forecasts.

    Parameters
    ----------
    found : Lifecycle
    options : LifecycleOptions
    currency : str
    """
    days, expected = options.period_days, found.forecast
    n, last = min(options.n_periods, len(found.periods)), found.periods[-1]
    present = ", ".join(
        f"{_worded(stage)} {customers:,} ({percent(customers / max(int(found.present.sum()), 1))})"
        for stage, customers in found.present.items()
    )
    parts: list[Part] = [
        Text(f"On {found.now} the shop's {found.present.sum():,} customers are {present}. {_advice(found)}", "lead"),
        Text(
            f"If customers behave as in the {n} periods of {days} days before {found.now}, the next {days} days bring "
            f"{number(round(expected.active))} buyers, {number(round(float(expected.buyers[ARRIVALS])))} of them new, "
            f"and {number(round(expected.revenue))} {currency}. The last of those periods, from {last.start}, brought "
            f"{number(round(float(last.buyers.sum())))} buyers and {number(round(float(last.spend.sum())))} {currency}."
        ),
        Text(_verdict(found.backtest)),
        Picture(
            "stages",
            stages_figure(found.stages),
            f"Customers in each stage, every {days} days until {found.now}.",
        ),
        Table(
            "next_period", _next(found), f"Stages on {found.now}, and the forecast of the next {days} days, {currency}."
        ),
        Heading("Moves between stages"),
        Picture(
            "transitions",
            movements_figure(
                found.averages.counts.rename(index=_worded, columns=_worded),
                title="Moves between stages",
                subtitle=f"share of each row, and customers, over {n} periods of {days} days until {found.now}",
                xlabel=f"stage {days} days later",
                ylabel="stage",
            ),
            f"Stage {days} days later of the customers of each stage; arrivals bought for the first time.",
        ),
        Table(
            "transitions",
            found.averages.shares.rename(index=_worded, columns=_worded).map(percent).rename_axis("stage"),
            f"Stage {days} days later, as shares of the customers of each stage.",
        ),
    ]
    if not found.backtest.empty:
        parts += [
            Heading("Errors of past forecasts"),
            Picture(
                "backtest",
                backtest_figure(found.backtest, currency=currency, period_days=days),
                "Actual figures of each period, the forecast by stages, and the baseline: the period before.",
            ),
            Table(
                "backtest",
                _errors(found.backtest),
                "Forecast / actual - 1: above 0 is too high. The sealed window tests no forecast.",
            ),
        ]
    return [
        *parts,
        *(Text(note, "note") for note in found.notes),
        Text(
            "Rules: "
            + "; ".join(_rule(stage, ranges) for stage, ranges in options.stages.items())
            + ". The first rule that fits counts. Customers first seen right after the data begin may have bought long "
            "before: they are not new. Averages ignore seasons.",
            "note",
        ),
    ]


def stages_figure(stages: pd.DataFrame) -> Figure:
    """Draw customers in each stage over time, stacked.

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
    """Draw revenue and buyers of each period beside the forecast and the baseline.

    Parameters
    ----------
    backtest : DataFrame
        As `lifecycle.forecast.backtest` returns it.
    """
    require(backtest, ("revenue", "active"))
    figure = Figure(figsize=(9.6, 3.9), dpi=120, layout="constrained")
    panels = figure.subplots(1, 2)
    at = np.arange(len(backtest))
    for axes, what, title, unit in zip(
        panels, ("revenue", "active"), ("Revenue", "Buyers"), (currency, "customers"), strict=True
    ):
        for column, label, color, style in (
            (what, "actual", BLUE, "-"),
            (f"{what}_forecast", "forecast by stages", ORANGE, "--"),
            (f"{what}_baseline", "baseline: the period before", GREY, ":"),
        ):
            axes.plot(at, backtest[column], label=label, color=color, linestyle=style, marker="o", markersize=5)
        axes.set_xticks(at, [str(day) for day in backtest.index], rotation=45, ha="right", fontsize=8.5)
        axes.set_ylim(0, 1.25 * float(np.nanmax(backtest[[what, f"{what}_forecast", f"{what}_baseline"]].to_numpy())))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        dress(axes, title=title, subtitle=f"in the {period_days} days from each date", xlabel="", ylabel=unit)
    panels[0].legend(frameon=False, loc="lower left", fontsize=9)
    return figure


def _advice(found: Lifecycle) -> str:
    """Return from which stage most of the next period's revenue is expected."""
    spend = found.forecast.spend
    if not spend.sum() > 0:
        return "The forecast expects no revenue in the next period."
    stage = spend.idxmax()
    who = "Win new customers" if stage == ARRIVALS else f"Look after customers in stage {_worded(stage)}"
    return f"{who} first: the forecast expects {percent(spend.max() / spend.sum())} of revenue from them."


def _verdict(backtest: pd.DataFrame) -> str:
    """Return the errors of such forecasts, and those of the baseline."""
    if backtest.empty:
        return "The error of this forecast is unknown: the history is too short for a back-test."
    own, baseline = (
        " and ".join(
            f"{percent(float(backtest[f'{what}{kind}'].abs().mean()))} of the {label}"
            for what, label in (("revenue", "revenue"), ("active", "buyers"))
        )
        for kind in ("_error", "_baseline_error")
    )
    periods = f"{len(backtest)} periods" if len(backtest) > 1 else "one period"
    return (
        f"In the back-test over {periods} such forecasts were off by {own} on average; the baseline, the figures of "
        f"the period before, was off by {baseline}. Use the stages to see where revenue comes from."
    )


def _next(found: Lifecycle) -> pd.DataFrame:
    expected = found.forecast
    rows = pd.DataFrame(
        {
            "customers now": found.present.reindex(expected.spend.index).map(_whole),
            "customers after": expected.customers.reindex(expected.spend.index).map(_whole),
            "who buy": expected.buyers.map(_whole),
            "revenue": expected.spend.map(_whole),
            "share of revenue": (expected.spend / (expected.revenue or np.nan)).map(percent),
        }
    )
    return rows.rename(index=_worded).rename_axis("stage")


def _whole(value: float) -> str:
    return number(round(value)) if np.isfinite(value) else "-"


def _errors(backtest: pd.DataFrame) -> pd.DataFrame:
    names = {
        "revenue_error": "revenue, forecast by stages",
        "revenue_baseline_error": "revenue, baseline",
        "active_error": "buyers, forecast by stages",
        "active_baseline_error": "buyers, baseline",
    }
    table = backtest[list(names)].map(lambda error: f"{error:+.1%}" if np.isfinite(error) else "-")
    return table.rename(columns=names).rename_axis("period from")


def _worded(stage: object) -> str:
    return str(stage).replace("_", " ")


def _rule(stage: str, ranges: dict[str, list[float | None]]) -> str:
    limits = [
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
    return f"{_worded(stage)}: {', '.join(limits) or 'all others'}"


def _write(material: DescriptionMaterial) -> list[Part]:
    options = material.lifecycle_options
    found = lifecycle(material.shop, material.splits.sealed, options, material.as_of)
    return lifecycle_parts(found, options, currency=material.shop.staged.currency)


def _columns(material: DescriptionMaterial) -> dict[str, pd.Series]:
    found = in_stages(material.shop, [material.as_of], material.lifecycle_options)
    return {"stage": found["stage"].droplevel("cutoff")}


LIFECYCLE = Topic("lifecycle", "Lifecycle", 80, _write, _columns, reads_models=False)
