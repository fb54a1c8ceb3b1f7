"""Figures draw the values of their tables, label units, and leave no pyplot state."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from experiments.evaluation.probability_metrics import reliability_table
from experiments.evaluation.profit import profit_curve
from experiments.evaluation.spend_metrics import calibration_table, cumulative_gain
from experiments.reports.figures import (
    calibration_figure,
    comparison_figure,
    cumulative_gain_figure,
    dress,
    png,
    reliability_figure,
)
from experiments.reports.profit_charts import profit_figure
from features.errors import InputError

rng = np.random.default_rng(0)
p = rng.lognormal(4, 1.2, 500)
y = p * rng.gamma(2, 0.5, 500)


def test_very_long_names_are_cut_in_pictures():
    def bars(name):
        figure = Figure(layout="constrained")
        axes = figure.add_subplot()
        axes.barh([0, 1], [1, 2], label=name)
        axes.set_yticks([0, 1], [name, "b"])
        dress(axes, title=name, subtitle=name, xlabel=name, ylabel="")
        axes.legend()
        return figure

    long, short = bars("x" * 5000), bars("b")
    drawn = png(long)
    assert [label.get_text() for label in long.axes[0].get_yticklabels()] == ["x" * 39 + "…", "b"]
    assert max(len(text.get_text()) for text in long.findobj(Text)) == 160
    assert len(long.axes[0].get_legend().get_texts()[0].get_text()) == 40
    png(short)
    assert long.axes[0].get_position().width > 0.5 * short.axes[0].get_position().width
    assert drawn.startswith(b"\x89PNG")


def test_calibration_figure_draws_every_quantile_on_fitting_axes(tmp_path):
    table = calibration_table(y, p)
    figure = calibration_figure(table, currency="USD", horizon_days=90)
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    points = axes.get_lines()[1]
    np.testing.assert_allclose(points.get_xydata(), table[["mean_predicted", "mean_actual"]])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlabel() == "mean predicted spend in 90 days (USD)"
    figure.savefig(tmp_path / "calibration.png")
    linear = calibration_figure(calibration_table(y * (y > np.median(y)), p), currency="USD", horizon_days=90)
    assert linear.axes[0].get_xscale() == "linear"


def test_cumulative_gain_figure_draws_each_curve_and_the_random_order(tmp_path):
    curves = {"model": cumulative_gain(y, p), "naive": cumulative_gain(y, y[::-1]), "perfect": cumulative_gain(y, y)}
    figure = cumulative_gain_figure(curves, horizon_days=90)
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.get_lines()] == [*curves, "random"]
    np.testing.assert_allclose(axes.get_lines()[0].get_xydata(), curves["model"])
    assert "90 days" in axes.texts[0].get_text()
    figure.savefig(tmp_path / "gain.png")


def test_profit_figure_draws_each_curve_and_the_band_of_the_model():
    curves = {"model": profit_curve(y, p, contact_cost=20.0), "naive": profit_curve(y, y[::-1], contact_cost=20.0)}
    (axes,) = profit_figure(curves, currency="USD", horizon_days=90).axes
    for line, curve in zip(axes.get_lines(), curves.values(), strict=False):
        np.testing.assert_allclose(line.get_ydata(), curve["profit"])
    assert len(axes.collections) == 1
    assert axes.get_ylabel() == "profit in 90 days (USD)"


def test_reliability_figure_draws_shares_with_their_intervals_and_counts(tmp_path):
    chance = rng.random(500)
    happened = (rng.random(500) < chance).astype(float)
    tables = {"model": reliability_table(happened, chance), "naive": reliability_table(happened, np.full(500, 0.5))}
    figure = reliability_figure(tables, horizon_days=28)
    shares, counts = figure.axes
    np.testing.assert_allclose(
        shares.containers[0].lines[0].get_xydata(), tables["model"][["mean_predicted", "observed_share"]]
    )
    assert sum(bar.get_height() for bar in counts.containers[0]) == 500
    assert len(counts.containers[1]) == 1
    figure.savefig(tmp_path / "reliability.png")


def test_comparison_figure_draws_a_dot_for_every_row_and_rejects_an_unknown_kind():
    table = pd.DataFrame(
        {
            "model": ["blend", "past total", "constant", "permuted", "permuted"],
            "kind": ["model", "baseline", "control", "control", "control"],
            "gini": [0.5, 0.4, 0.0, 0.1, -0.1],
        }
    )
    (axes,) = comparison_figure(table).axes
    drawn = np.concatenate([dots.get_offsets() for dots in axes.collections])
    assert sorted(drawn[:, 0]) == sorted(table["gini"])
    with pytest.raises(InputError, match="naive"):
        comparison_figure(table.replace("baseline", "naive"))


def test_degenerate_tables_are_drawn_and_wrong_ones_raise(tmp_path):
    for actual, predicted in (([5.0], [4.0]), ([0.0, 0.0], [0.0, 0.0])):
        table = calibration_table(actual, predicted)
        calibration_figure(table, currency="USD", horizon_days=90).savefig(tmp_path / "calibration.png")
    cumulative_gain_figure({"model": cumulative_gain([0.0, 0.0], [1.0, 2.0])}, horizon_days=90).savefig(
        tmp_path / "gain.png"
    )
    with pytest.raises(InputError, match="mean_actual"):
        calibration_figure(pd.DataFrame({"customers": [1], "mean_predicted": [1.0]}), currency="USD", horizon_days=90)


def test_no_pyplot_state_is_touched():
    before = "matplotlib.pyplot" in sys.modules
    calibration_figure(calibration_table(y, p), currency="USD", horizon_days=90)
    assert before or "matplotlib.pyplot" not in sys.modules
