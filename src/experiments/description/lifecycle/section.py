"""The lifecycle as a section of the report."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.description.lifecycle.forecast import BASELINE, is_better, mean_error, next_error
from experiments.description.lifecycle.lifecycle import Lifecycle, lifecycle
from experiments.description.lifecycle.options import ARRIVALS, LifecycleOptions
from experiments.description.lifecycle.stages import in_stages
from experiments.description.material import DescriptionMaterial
from experiments.reports.cluster_charts import PALETTE
from experiments.reports.figures import BLUE, GREY, ORANGE, WIDTH, dress, require
from experiments.reports.group_charts import movements_figure, staying
from experiments.reports.section import Heading, Part, Picture, Table, Text, Topic, number, percent

TOO_WRONG = 0.25  # mean absolute error of a forecast, above which no number is given
MEASURES = {"active": "buyers", "revenue": "revenue"}  # forecast, in words


def lifecycle_parts(found: Lifecycle, options: LifecycleOptions, *, currency: str) -> list[Part]:
    """Describe who is in which stage, how customers move, the forecast, and the errors of such forecasts.

    Parameters
    ----------
    found : Lifecycle
    options : LifecycleOptions
    currency : str
    """
    days = options.period_days
    n = min(options.n_periods, len(found.periods))
    present = ", ".join(
        f"{_worded(stage)} {customers:,} ({percent(customers / max(int(found.present.sum()), 1))})"
        for stage, customers in found.present.items()
    )
    parts: list[Part] = [
        Text(f"On {found.now} the shop's {found.present.sum():,} customers are {present}. {_advice(found)}", "lead"),
        Text(_outlook(found, n, days, currency)),
        Text(_verdict(found.backtest)),
        Picture(
            "stages",
            stages_figure(found.stages),
            f"Customers in each stage, every {days} days until {found.now}.",
        ),
        Table(
            "next_period",
            _next(found),
            f"Stages on {found.now}, and the next {days} days ({currency}) if customers of a stage behave as before.",
        ),
        Heading("Moves between stages"),
        Picture(
            "transitions",
            movements_figure(
                found.averages.counts.rename(index=_worded, columns=_worded),
                title=staying(found.averages.counts.drop(index=ARRIVALS), "stage"),
                subtitle=f"share of each row, and customers; {n} periods of {days} days until {found.now}",
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
    figure = Figure(figsize=(WIDTH, 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    at, below = np.arange(len(stages)), np.zeros(len(stages))
    for color, stage in zip(cycle(PALETTE), stages.columns, strict=False):
        axes.bar(at, stages[stage], bottom=below, width=0.78, color=color, label=_worded(stage))
        below += stages[stage].to_numpy(dtype=float)
    axes.set_xticks(at, [str(day) for day in stages.index], rotation=45, ha="right", fontsize=8.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    last = stages.iloc[-1]
    title = f"{_worded(last.idxmax()).capitalize()}: {last.max():,} of {last.sum():,} customers"
    dress(axes, title=title, subtitle="at the start of each period", xlabel="", ylabel="customers")
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
    figure = Figure(figsize=(WIDTH, 3.9), dpi=120, layout="constrained")
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
        off = percent(mean_error(backtest, what))
        dress(
            axes,
            title=f"{title}: off by {off}",
            subtitle=f"in the {period_days} days from each date",
            xlabel="",
            ylabel=unit,
        )
    panels[0].legend(frameon=False, loc="lower left", fontsize=9)
    return figure


def _advice(found: Lifecycle) -> str:
    """Return from which stage most revenue comes.

    That is of the next period where forecasts by stages passed the back-test, else of the last one, which stands in.
    """
    is_forecast = is_better(found.backtest, "revenue")
    spend = found.forecast.spend if is_forecast else found.periods[-1].spend
    if not spend.sum() > 0:
        return (
            "The forecast expects no revenue in the next period." if is_forecast else "The last period had no revenue."
        )
    stage = spend.idxmax()
    who = "Win new customers" if stage == ARRIVALS else f"Look after customers in stage {_worded(stage)}"
    share = percent(spend.max() / spend.sum())
    if is_forecast:
        return f"{who} first: the forecast expects {share} of revenue from them."
    return f"{who} first: they brought {share} of the last period's revenue."


def _outlook(found: Lifecycle, n: int, days: int, currency: str) -> str:
    """Return buyers and revenue of the next period: by stages where the back-test shows that this is better."""
    by_stages = {what: is_better(found.backtest, what) for what in MEASURES}
    last, expected = found.periods[-1], found.forecast
    buyers = expected.buyers if by_stages["active"] else last.buyers
    spend = expected.spend if by_stages["revenue"] else last.spend
    said = (
        f"The next {days} days are expected to bring {_whole(float(buyers.sum()))} buyers, {_whole(buyers[ARRIVALS])} "
        f"of them new, and {_whole(float(spend.sum()))} {currency}"
    )
    stages = f"customers of each stage behave as in the {n} periods of {days} days before {found.now}"
    brought = (
        f"The last period, from {last.start}, brought {_whole(float(last.buyers.sum()))} buyers and "
        f"{_whole(float(last.spend.sum()))} {currency}."
    )
    errors = {what: _least_error(found.backtest, what) for what in MEASURES}
    if max(errors.values()) > TOO_WRONG:
        off = " and ".join(f"{MEASURES[what]} by {percent(error)}" for what, error in errors.items())
        return (
            f"No number is given for the next {days} days: in the back-test the better of both ways was off in {off} "
            f"on average. {brought} See what the models in use predict."
        )
    if all(by_stages.values()):
        return f"{said}, if {stages}. {brought}"
    if not any(by_stages.values()):
        return f"{said}, as in the last period, from {last.start}: {_reason(found.backtest, list(MEASURES))}."
    kept, replaced = sorted(MEASURES, key=lambda what: not by_stages[what])
    return (
        f"{said}: {MEASURES[kept]} if {stages}, {MEASURES[replaced]} as in the last period, because "
        f"{_reason(found.backtest, [replaced])}. {brought}"
    )


def _least_error(backtest: pd.DataFrame, what: str) -> float:
    """Return the mean absolute error of the better of forecast and baseline; 0 where none was tested."""
    errors = [mean_error(backtest, what, kind) for kind in ("", BASELINE)]
    return min(errors) if np.isfinite(errors).all() else 0.0


def _reason(backtest: pd.DataFrame, measures: list[str]) -> str:
    """Return why the last period stands in for the forecast by stages."""
    if backtest.empty:
        return "whether a forecast by stages is better is unknown"
    return f"forecasts of {' and '.join(MEASURES[what] for what in measures)} by stages were no better in the back-test"


def _verdict(backtest: pd.DataFrame) -> str:
    """Return the errors of forecasts by stages, and those of the baseline."""
    if backtest.empty:
        return "The history is too short for a back-test."
    own, baseline = (
        " and ".join(f"{percent(mean_error(backtest, what, kind))} of {MEASURES[what]}" for what in MEASURES)
        for kind in ("", BASELINE)
    )
    periods = f"{len(backtest)} periods" if len(backtest) > 1 else "one period"
    coming = " and ".join(f"{percent(next_error(backtest, what))} of {MEASURES[what]}" for what in MEASURES)
    return (
        f"In the back-test over {periods} forecasts by stages were off by {own} on average; the baseline, the figures "
        f"of the period before, was off by {baseline}. The next forecast by stages may be off by {coming} (90% "
        f"confidence, from {periods}). Use the stages to see where revenue comes from."
    )


def _next(found: Lifecycle) -> pd.DataFrame:
    """Return each stage's customers, and what they are expected to do where the forecast by stages is used."""
    expected = found.forecast
    columns = {
        "customers now": found.present.reindex(expected.spend.index).map(_whole),
        "customers after": expected.customers.reindex(expected.spend.index).map(_whole),
    }
    if is_better(found.backtest, "active"):
        columns["who buy"] = expected.buyers.map(_whole)
    if is_better(found.backtest, "revenue"):
        columns["revenue"] = expected.spend.map(_whole)
    columns["share of revenue"] = (expected.spend / (expected.revenue or np.nan)).map(percent)
    return pd.DataFrame(columns).rename(index=_worded).rename_axis("stage")


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
