"""Features that move a model's predictions, in words and as a table."""

from __future__ import annotations

import pandas as pd

from experiments.reports.section import Part, Table, Text, enumerated, percent
from experiments.reports.words import worded

CLEAR = 0.5  # rank correlation from which a feature moves predictions in one direction
NAMED, LISTED = 4, 10  # features


def drivers_parts(moved: pd.DataFrame | None) -> list[Part]:
    """Describe what moves predictions; nothing where it is not known.

    Parameters
    ----------
    moved : DataFrame or None
        See `evaluation.importances.drivers`.
    """
    if moved is None or not (moved["share"] > 0).any():
        return []
    listed = moved[moved["share"] > 0].head(LISTED)
    table = pd.DataFrame(
        {
            "feature": [worded(str(name)) for name in listed.index],
            "share": listed["share"].map(percent).to_numpy(),
            "more of it": [_direction(each) for each in listed["direction"]],
        }
    )
    about = "Share of all contributions to predictions (SHAP values of the trees), and what more of a feature does."
    return [Text(drivers_text(moved)), Table("drivers", table, about)]


def drivers_text(moved: pd.DataFrame) -> str:
    """Write the features that move predictions most, in words.

    >>> drivers_text(pd.DataFrame({"share": [1.0], "direction": [-0.9]}, index=["gap_days"]))
    "In the model's trees, predictions move most with gap days (100%; more of it lowers them)."
    """
    named = [
        f"{worded(str(name))} ({percent(row.share, 0)}; more of it {_direction(row.direction)})"
        for name, row in zip(moved.index, moved.itertuples(), strict=True)
    ][:NAMED]
    return f"In the model's trees, predictions move most with {enumerated(named)}."


def _direction(correlation: float) -> str:
    if abs(correlation) >= CLEAR:
        return "raises them" if correlation > 0 else "lowers them"
    return "moves them both ways"
