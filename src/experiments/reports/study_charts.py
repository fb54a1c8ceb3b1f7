"""Figures of a study: its trials in time, the importance of parameters, and each parameter against the value."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from experiments.reports.figures import BLUE, GREY, ORANGE, dress

MOST_SLICES = 9


def study_figures(trials: pd.DataFrame, importances: pd.Series, *, metric: str, model: str) -> dict[str, Figure]:
    """Draw a study, as far as it has complete trials.

    Parameters
    ----------
    trials : DataFrame indexed by trial
        Columns `model`, `state`, `value`, `best` and `<model>.<parameter>`.
    importances : Series indexed by parameter
        Empty if there are too few trials.
    metric : str
    model : str
        The model whose parameters are drawn: that of the best trial.

    Returns
    -------
    dict of name to figure
        `history`, and `importance` and `slice` where the model has parameters to draw.
    """
    complete = trials[trials["value"].notna()]
    if complete.empty:
        return {}
    figures = {"history": _history(complete, metric)}
    if len(importances):
        figures["importance"] = _importance(importances, model)
    own = complete[complete["model"] == model]
    names = [name for name in own.columns if name.startswith(f"{model}.") and own[name].nunique() > 1]
    if names:
        figures["slice"] = _slices(own, names[:MOST_SLICES], metric, model)
    return figures


def _history(trials: pd.DataFrame, metric: str) -> Figure:
    figure = Figure(figsize=(6.8, 4.0), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for place, (model, own) in enumerate(trials.groupby("model")):
        marker = "osD^vPX*"[place % 8]
        inside = own["state"] == "complete"
        axes.scatter(own.index[inside], own["value"][inside], s=22, marker=marker, label=model)
        axes.scatter(own.index[~inside], own["value"][~inside], s=22, marker=marker, facecolors="none", edgecolors=GREY)
    axes.step(trials.index, trials["best"], where="post", color=ORANGE, linewidth=1.6, label="best so far")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    last = trials["best"].dropna()
    found = f"best {last.iloc[-1]:.4f}" if len(last) else "none within the guards"
    subtitle = f"mean {metric} over the validation cutoffs; hollow: outside a guard"
    dress(axes, title=f"{len(trials)} complete trials: {found}", subtitle=subtitle, xlabel="trial", ylabel=metric)
    return figure


def _importance(importances: pd.Series, model: str) -> Figure:
    ordered = importances.sort_values()
    figure = Figure(figsize=(6.8, 1.6 + 0.32 * len(ordered)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.barh([name.removeprefix(f"{model}.") for name in ordered.index], ordered, color=BLUE)
    title = f"{ordered.index[-1].removeprefix(f'{model}.')} matters most"
    dress(axes, title=title, subtitle=f"parameters of {model}, PED-ANOVA", xlabel="share", ylabel="")
    return figure


def _slices(trials: pd.DataFrame, names: list[str], metric: str, model: str) -> Figure:
    n_columns = min(3, len(names))
    n_rows = -(-len(names) // n_columns)
    figure = Figure(figsize=(6.8, 0.6 + 2.0 * n_rows), dpi=120, layout="constrained")
    figure.suptitle(f"{metric} by each parameter of {model}", x=0.01, ha="left", fontsize=13, fontweight="bold")
    for place, name in enumerate(names):
        axes = figure.add_subplot(n_rows, n_columns, place + 1)
        values = trials[name].dropna()
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        axes.scatter(values if is_number else values.astype(str), trials["value"][values.index], s=14, color=BLUE)
        if is_number and values.min() > 0 and values.max() / values.min() > 100:
            axes.set_xscale("log")
        axes.set_title(name.removeprefix(f"{model}."), fontsize=7, loc="left")
        axes.tick_params(labelsize=7)
        axes.margins(0.08)
    return figure
