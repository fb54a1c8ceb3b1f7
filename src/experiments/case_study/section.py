"""The case study as a section of the report: its figures as reported, reproduced here, and honest, with reasons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, PercentFormatter

from experiments.case_study.options import CaseStudyOptions
from experiments.case_study.result import COLUMNS, Figure, Result, Skipped
from experiments.reports.cluster_charts import elbow_figure
from experiments.reports.figures import BLUE, GREY, ORANGE, WIDTH, dress, require
from experiments.reports.material import Material
from experiments.reports.section import Heading, Part, Picture, Record, Table, Text, Topic, number, percent

WEIGHT = "weight_"


class CaseStudyMaterial(Material, Protocol):
    """Material of the section, in addition to that of any section."""

    @property
    def case_study_options(self) -> CaseStudyOptions: ...

    @property
    def case_study(self) -> Sequence[Result | Skipped]:
        """Its parts, as `study.run_parts` returns them."""


def case_study_parts(results: Sequence[Result | Skipped]) -> list[Part]:
    """Return all parts: reported, reproduced, honest and why; those that were skipped say so."""
    parts: list[Part] = []
    for result in results:
        if isinstance(result, Skipped):
            parts.append(Text(f"The case study's {result.part}: left out, because {result.reason}.", "note"))
            continue
        parts += [Heading(result.title), Text(result.verdict, "lead")]
        parts += [Text(f"{fault.capitalize()}: {reason}.") for fault, reason in result.faults.items()]
        parts.append(
            Table(
                result.part,
                comparison(result.figures),
                "Figures as reported, reproduced on these data, and honest. Predictions are evaluated before the "
                "sealed window; descriptions use all days.",
            )
        )
        parts += DRAWN[result.part](result)
        parts += [Text(note, "note") for note in result.notes]
        parts.append(
            Record(
                name=f"case study: {result.part}",
                tags=result.tags,
                params=result.params,
                metrics=result.metrics,
                note=f"{result.verdict} No model is kept.",
            )
        )
    return parts


def comparison(figures: Sequence[Figure]) -> pd.DataFrame:
    """Return the figures as they are read; the column `reported` only where the case study reports something."""
    frame = pd.DataFrame(
        [
            {
                "figure": figure.label,
                **{column: _read(getattr(figure, column), figure.kind) for column in COLUMNS},
                "why": figure.why,
            }
            for figure in figures
        ]
    )
    return frame if any(math.isfinite(figure.reported) for figure in figures) else frame.drop(columns="reported")


def _read(value: float, kind: str) -> str:
    if not math.isfinite(value):
        return "-"
    return {"share": lambda: percent(value), "count": lambda: number(int(value))}.get(kind, lambda: number(value))()


def _segments(result: Result) -> list[Part]:
    tiers = result.tables["tiers"]
    shares = tiers[["spend_share", "mean_amount_share"]].map(percent)
    shown = tiers.assign(**shares).rename(
        columns={"spend_share": "share of spend", "mean_amount_share": "share of mean amounts"}
    )
    reported = {
        figure.name.removeprefix(WEIGHT): figure.reported
        for figure in result.figures
        if figure.name.startswith(WEIGHT) and math.isfinite(figure.reported)
    }
    taught = result.tables["surrogate"]
    return [
        Table("tiers", shown, "Tiers of the weighted score, equal parts as far as equal scores allow."),
        Picture(
            "surrogate_accuracy",
            surrogate_figure(taught),
            "Accuracy of a classifier on cluster labels, and on labels of clusters of permuted columns.",
        ),
        Picture(
            "surrogate_weights",
            weights_figure(taught, reported),
            "Importances that become weights, one dot for each seed.",
        ),
        Picture(
            "elbow",
            elbow_figure(result.tables["elbow"], chosen=result.params["n_clusters"]),
            "Inertia and silhouette by number of clusters, with the silhouette of permuted columns.",
        ),
    ]


def _interval(result: Result) -> list[Part]:
    return [
        Picture(
            "interval_predicted",
            interval_figure(result.tables["predictions"]),
            "Predicted against actual average interval: near the line with the variables of its formula, far from it "
            "without them.",
        )
    ]


def _products(result: Result) -> list[Part]:
    rules = result.tables["rules"].astype({"support": float})
    rates = result.tables["hit_rates"]
    return [
        Picture("hit_rates", hit_rates_figure(rates), "Hit rates of lists by lift and of the most popular products."),
        Table("rules", rules, "Rules with the highest lift."),
    ]


DRAWN: Mapping[str, Callable[[Result], list[Part]]] = {
    "segments": _segments,
    "interval": _interval,
    "products": _products,
}


def surrogate_figure(taught: pd.DataFrame) -> Canvas:
    """Draw a classifier's accuracy on labels of clusters and of clusters of permuted columns, a dot for each seed.

    Parameters
    ----------
    taught : DataFrame indexed by seed
        accuracy and null_accuracy.
    """
    require(taught, ("accuracy", "null_accuracy"))
    figure = Canvas(figsize=(WIDTH, 2.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    rows = {"clusters of customers": ("accuracy", BLUE), "clusters of permuted columns": ("null_accuracy", GREY)}
    for at, (column, color) in enumerate(rows.values()):
        values = taught[column]
        axes.scatter(values, np.full(len(values), at), color=color, s=52, alpha=0.75, zorder=2)
        axes.annotate(
            f"mean {values.mean():.1%}",
            (values.mean(), at),
            xytext=(0, 10),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=color,
        )
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    dress(
        axes,
        title="A classifier recovers cluster labels",
        subtitle=f"{len(taught)} seeds; it also recovers clusters of permuted columns, which mean nothing",
        xlabel="accuracy on held-out customers (%)",
        ylabel="",
    )
    return figure


def weights_figure(taught: pd.DataFrame, reported: Mapping[str, float]) -> Canvas:
    """Draw each variable's share of the classifier's splits, a dot for each seed, and the reported weight if any.

    Parameters
    ----------
    taught : DataFrame indexed by seed
        One column per variable beside accuracy and null_accuracy.
    reported : mapping of variable to weight
    """
    weights = taught.drop(columns=["accuracy", "null_accuracy"])
    figure = Canvas(figsize=(WIDTH, 1.8 + 0.4 * weights.shape[1]), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    names = list(weights)
    for at, name in enumerate(names):
        label = f"{len(weights)} seeds" if at == 0 else None
        axes.plot([weights[name].min(), weights[name].max()], [at, at], color=BLUE, linewidth=1.4, zorder=1)
        axes.scatter(weights[name], np.full(len(weights), at), color=BLUE, s=40, alpha=0.75, label=label, zorder=2)
    if reported:
        at = [names.index(name) for name in reported]
        axes.scatter(list(reported.values()), at, marker="D", s=52, color=ORANGE, label="reported", zorder=3)
    axes.axvline(1 / len(names), color=GREY, linewidth=1.2, linestyle="--", label="equal weights", zorder=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.1 * max(float(weights.max().max()), *reported.values(), 1 / len(names)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))
    dress(
        axes,
        title="Importances that become weights",
        subtitle="share of the splits by which trees reproduce the clusters",
        xlabel="weight",
        ylabel="",
    )
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def interval_figure(predictions: pd.DataFrame) -> Canvas:
    """Draw predicted against actual average interval, out of fold, with and without the variables of its formula.

    Parameters
    ----------
    predictions : DataFrame
        actual, predicted, predicted_without_formula, in days.
    """
    require(predictions, ("actual", "predicted", "predicted_without_formula"))
    figure = Canvas(figsize=(WIDTH, 3.6), dpi=120, layout="constrained")
    high = float(predictions.to_numpy().max()) * 1.04
    low = min(0.0, float(predictions.to_numpy().min()))
    panels = {
        "predicted": ("With the formula's variables", BLUE),
        "predicted_without_formula": ("Without them", ORANGE),
    }
    for axes, (column, (title, color)) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        axes.plot([0, high], [0, high], color=GREY, linewidth=1.2, linestyle="--", label="the formula", zorder=1)
        axes.scatter(predictions["actual"], predictions[column], s=12, color=color, alpha=0.5, linewidths=0, zorder=2)
        axes.set(xlim=(-0.02 * high, high), ylim=(low * 1.05 - 0.02 * high, high))
        dress(
            axes,
            title=title,
            subtitle=f"{len(predictions):,} customers, out of fold",
            xlabel="actual average interval (days)",
            ylabel="predicted (days)" if column == "predicted" else "",
        )
        axes.legend(frameon=False, loc="upper left")
    return figure


def hit_rates_figure(table: pd.DataFrame) -> Canvas:
    """Draw hit rates of several lists as bars.

    Parameters
    ----------
    table : DataFrame indexed by list
        hit_rate and mean_support; the last list is the honest one.
    """
    require(table, ("hit_rate", "mean_support"))
    figure = Canvas(figsize=(WIDTH, 1.5 + 0.5 * len(table)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    colors = [BLUE] * (len(table) - 1) + [ORANGE]
    named = [f"{name}\n(on {support:.0%} of customer-days)" for name, support in table["mean_support"].items()]
    bars = axes.barh(named, table["hit_rate"], color=colors, height=0.6)
    axes.bar_label(bars, [f"{rate:.0%}" for rate in table["hit_rate"]], fontsize=9, padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    dress(
        axes,
        title="Hit rate of five products",
        subtitle="of customers who come back; in brackets: how common the products are",
        xlabel="hit rate (%)",
        ylabel="",
    )
    axes.grid(False, axis="y")
    return figure


def _write(material: CaseStudyMaterial) -> list[Part]:
    return case_study_parts(material.case_study)


CASE_STUDY = Topic("as_reported", "Case study, reproduced", 90, _write, reads_models=False)
