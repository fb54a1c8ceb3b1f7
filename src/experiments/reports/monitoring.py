"""Findings of monitoring, as parts of a page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from experiments.reports.section import Heading, Part, Table, Text, percent

LISTED = 15  # features, the largest distances first


def monitored_parts(
    model: str,
    promised: str,
    metric: str,
    drift: pd.DataFrame,
    windows: pd.DataFrame,
    promotions: pd.DataFrame,
    alarms: Sequence[str],
    notes: Sequence[str],
) -> list[Part]:
    """Describe one model in use: alarms first, then realised figures, then what moved.

    Parameters
    ----------
    model, promised, metric : str
        The version in use, what the gate measured, and in what metric.
    drift, windows, promotions : DataFrame
        See `evaluation.drift.shifts`, `gate.realised.realised` and `gate.history.promotions`; empty where not known.
    alarms, notes : sequence of str
    """
    lead = "; ".join(alarms) if alarms else "nothing crossed a threshold"
    parts: list[Part] = [Text(f"{model}, measured by the gate at {promised}: {lead}.", "lead")]
    parts += [Text(f"{note[0].upper()}{note[1:]}.", "note") for note in notes]
    if not windows.empty:
        table = pd.DataFrame(
            {
                "from": windows["window"],
                "until": windows["until"],
                metric: [_between(row.figure, row.low, row.high) for row in windows.itertuples()],
                "best baseline": [f"{row.baseline} {row.baseline_figure:.3f}" for row in windows.itertuples()],
                "gain over it": [_between(row.gain, row.gain_low, row.gain_high) for row in windows.itertuples()],
            }
        )
        parts += [
            Heading("Windows that have ended since"),
            Table("windows", table, "With intervals of these customers in this window; other quarters vary too."),
        ]
    if not promotions.empty:
        table = pd.DataFrame(
            {
                "window": promotions["window"],
                "best baseline": promotions["baseline"],
                "gain over it": promotions["gain"].map("{:.4f}".format),
                "promoted": promotions["is_promoted"].map({True: "yes", False: "no"}),
                "next window": promotions["next_window"],
                "gain there": promotions["next_gain"].map("{:.4f}".format),
            }
        )
        about = "The same fitted model beside the same baseline. Parameters were chosen later than most windows."
        parts += [Heading("What promotions were worth"), Table("promotions", table, about)]
    if not drift.empty:
        shown = drift.head(LISTED)
        table = pd.DataFrame(
            {
                "feature": [str(name).replace("_", " ") for name in shown.index],
                "distance": shown["distance"].map("{:.3f}".format).to_numpy(),
                "by chance up to": shown["expected"].map("{:.3f}".format).to_numpy(),
                "in the months before": ["" if pd.isna(each) else f"{each:.3f}" for each in shown["usual"]],
                "p": shown["p"].map("{:.3f}".format).to_numpy(),
                "PSI": shown["psi"].map("{:.3f}".format).to_numpy(),
                "median at training": shown["before"].to_numpy(),
                "median now": shown["now"].to_numpy(),
            }
        )
        if "year_distance" in shown:
            table.insert(5, "distance to a year before", shown["year_distance"].map("{:.3f}".format).to_numpy())
        about = (
            "Largest difference of the distribution functions (Kolmogorov-Smirnov), 0 to 1, of features computed from "
            "pasts of equal length. p: the chance that any of them moves as far without a change."
        )
        parts += [Heading("What moved since training"), Table("drift", table, about)]
    return parts


def values_parts(values: pd.DataFrame, alarms: Sequence[str]) -> list[Part]:
    """Describe new and missing values of order lines."""
    if values.empty:
        return [Text("No later lines than those of training to compare with.", "note")]
    table = pd.DataFrame(
        {
            "column": [str(name).replace("_", " ") for name in values.index],
            "missing": values["missing"].map(percent).to_numpy(),
            "missing at training": values["missing_before"].map(percent).to_numpy(),
            "not seen in training": ["" if pd.isna(share) else percent(share) for share in values["new"]],
        }
    )
    lead = "; ".join(alarms) if alarms else "no code is new and nothing more is missing than at training"
    return [Text(f"{lead[0].upper()}{lead[1:]}.", "lead"), Table("values", table, "Shares of lines.")]


def _between(estimate: float, low: float, high: float) -> str:
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"
