"""Features that move a model's predictions, of all customers or of one, in words and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.reports.section import Part, Table, Text, enumerated, percent
from experiments.reports.words import worded
from features.errors import InputError
from features.families import feature_meanings

CLEAR = 0.5  # rank correlation from which a feature moves predictions in one direction
NAMED, LISTED = 4, 10  # features
SMALL = 0.05  # share of all contributions to one prediction, below which a feature is not named


@dataclass(frozen=True)
class Reason:
    """One feature of a row, beside the median of all rows, and whether it raises or lowers the row's prediction."""

    feature: str
    value: float
    median: float
    raises: bool

    def __str__(self) -> str:
        does = "raised" if self.raises else "lowered"
        return f"{does} by {worded(self.feature)}: {shown(self.value)} (median {shown(self.median)})"


def reasons(contributions: pd.Series, row: pd.Series, medians: pd.Series) -> tuple[Reason, ...]:
    """Return the features that moved one prediction most, the largest first.

    Parameters
    ----------
    contributions : Series
        SHAP values of the row by feature: see `Model.contributions`.
    row, medians : Series
        Values of the row's features, and their medians over all rows.
    """
    sizes = contributions.abs().sort_values(ascending=False, kind="stable").head(NAMED)
    named = sizes[sizes > SMALL * contributions.abs().sum()]
    return tuple(Reason(str(name), row[name], medians[name], contributions[name] > 0) for name in named.index)


def shown(value: object) -> str:
    """Write a value for people: whole numbers as such, others with two decimals, small ones with two digits.

    >>> shown(1234.5), shown(3.0), shown(0.01234), shown("Gold")
    ('1,234.50', '3', '0.012', 'Gold')
    """
    if not isinstance(value, int | float):
        return str(value)
    if pd.isna(value):
        return "not known"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


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
            **_meanings(list(map(str, listed.index))),
            "share": listed["share"].map(percent).to_numpy(),
            "more of it": [_direction(each) for each in listed["direction"]],
        }
    )
    about = "Share of all contributions to predictions (SHAP values of the trees), and what more of a feature does."
    return [Text(drivers_text(moved)), Table("drivers", table, about)]


def _meanings(features: Sequence[str]) -> dict[str, list[str]]:
    """Return a column with the meanings of features; none where one of them is not of a family."""
    try:
        return {"what it is": list(feature_meanings(features).values())}
    except InputError:
        return {}


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
