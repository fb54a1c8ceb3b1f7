"""Figures of an evaluation, as its tables allow: the model beside the baseline."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from experiments.reports.cluster_charts import elbow_figure, pca_figure, profile_figure, sizes_figure
from experiments.reports.figures import (
    calibration_figure,
    comparison_figure,
    cumulative_gain_figure,
    reliability_figure,
)
from experiments.reports.material import Evaluated
from experiments.reports.profit_charts import profit_figure
from experiments.reports.section import Heading, Part, Picture
from experiments.reports.wait_charts import wait_calibration_figure

CAPTIONS = {
    "calibration": "Mean actual beside mean predicted spend of customers in groups by what was predicted. Points on "
    "the dashed line were predicted right, points above it too low.",
    "cumulative_gain": "Of all that was to be reached, the share that the customers ranked first bring. The higher the "
    "line is above the dashed one, a random order, the more the ranking is worth; the dotted one is the perfect order.",
    "profit": "What the customers ranked first spent, less the cost of addressing them (task.contact_cost), by how "
    "many are addressed. It compares orders and lengths of lists, and says nothing of an effect.",
    "reliability": "Of customers with about the same predicted probability, the share that had the event. Points on "
    "the dashed line were predicted right, points above it too low. Bars below: how many customers.",
    "wait_calibration": "Mean actual beside mean predicted days to the next purchase of customers in tenths. Points on "
    "the dashed line were predicted right; customers of points above it bought later than predicted.",
}
"""Pictures of an evaluation that a report shows, with their captions."""


def evaluation_parts(evaluated: Evaluated | None, *, currency: str, horizon_days: int) -> list[Part]:
    """Return the pictures of how right a model in use was; nothing where it is not known.

    Parameters
    ----------
    evaluated : Evaluated or None
    currency, horizon_days
        As of `draw`.
    """
    if evaluated is None:
        return []
    figures = draw(evaluated.tables, currency=currency, horizon_days=horizon_days, window=evaluated.window)
    pictures = [Picture(name, figures[name], caption) for name, caption in CAPTIONS.items() if name in figures]
    return [Heading(f"How right it was in the {evaluated.window}"), *pictures] if pictures else []


def draw(
    tables: Mapping[str, Mapping[str, pd.DataFrame]], *, currency: str, horizon_days: int, window: str
) -> dict[str, Figure]:
    """Draw the tables that an evaluation has.

    Parameters
    ----------
    tables : mapping of model to mapping of table name to frame
        As `Evaluation.tables`; the model in question first, then those it is compared with.
    currency : str
    horizon_days : int
    window : str
        What the figures are about, such as "validation from 2017-07-05"; written below each.

    Returns
    -------
    dict of table name to figure
    """
    own = next(iter(tables.values()))
    figures = {}
    if "calibration" in own:
        figures["calibration"] = calibration_figure(own["calibration"], currency=currency, horizon_days=horizon_days)
    if "cumulative_gain" in own:
        curves = {model: named["cumulative_gain"] for model, named in tables.items() if "cumulative_gain" in named}
        perfect = {"perfect": own["perfect_gain"]} if "perfect_gain" in own else {}
        figures["cumulative_gain"] = cumulative_gain_figure({**curves, **perfect}, horizon_days=horizon_days)
    if "profit" in own:
        profits = {model: named["profit"] for model, named in tables.items() if "profit" in named}
        figures["profit"] = profit_figure(profits, currency=currency, horizon_days=horizon_days)
    if "comparison" in own:
        figures["comparison"] = comparison_figure(own["comparison"])
    if "reliability" in own:
        figures["reliability"] = reliability_figure(
            {model: named["reliability"] for model, named in tables.items() if "reliability" in named},
            horizon_days=horizon_days,
        )
    if "wait_calibration" in own:
        figures["wait_calibration"] = wait_calibration_figure(own["wait_calibration"], horizon_days=horizon_days)
    if "elbow" in own:
        figures["elbow"] = elbow_figure(own["elbow"], chosen=len(own["sizes"]))
        figures["map"] = pca_figure(own["map"])
        figures["profile"] = profile_figure(own["profile"])
        figures["sizes"] = sizes_figure(own["sizes"], currency=currency, horizon_days=horizon_days)
    for figure in figures.values():
        figure.supxlabel(f"{next(iter(tables))}: {window}", x=0.99, ha="right", fontsize=8, color="#555b66")
    return figures
