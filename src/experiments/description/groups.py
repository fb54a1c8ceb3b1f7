"""Customers in ordered groups: cut by shares or thresholds, and how they move between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from features.errors import InputError, listing

BY = ("quantile", "score")


def check_cuts(
    names: Sequence[str], cut_points: Sequence[float], where: str, lowest: float = 0.0, highest: float = 1.0
) -> None:
    """Refuse names that are none, and cut points that do not rise, lie out of range or are not one fewer than names.

    Parameters
    ----------
    names : sequence of str
        Of the groups.
    cut_points : sequence of float
        To lie between `lowest` and `highest`, both exclusive.
    where : str
        Configuration key that both stand under.

    Raises
    ------
    InputError
    """
    if not names or len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise InputError(
            "the groups need different names", where=f"{where}.names", expected="different names", found=str(names)
        )
    if len(cut_points) != len(names) - 1:
        raise InputError(
            f"{len(names)} groups need {len(names) - 1} cut points, not {len(cut_points)}",
            where=f"{where}.cut_points",
            expected=f"{len(names) - 1} rising numbers for {listing(names, limit=len(names))}",
            found=str(list(cut_points)),
        )
    if not all(lowest < point < highest for point in cut_points):
        raise InputError(
            "a cut point is out of range",
            where=f"{where}.cut_points",
            expected=f"numbers between {lowest:g} and {highest:g}",
            found=str(list(cut_points)),
        )
    if any(later <= earlier for earlier, later in pairwise(cut_points)):
        raise InputError(
            "cut points do not rise",
            where=f"{where}.cut_points",
            expected="each larger than the one before",
            found=str(list(cut_points)),
        )


def places(values: np.ndarray, ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count for each value those below it, and those equal to it, among values in rising order."""
    below = np.searchsorted(ordered, values, side="left")
    return below, np.searchsorted(ordered, values, side="right") - below


def cut(
    score: pd.Series,
    names: Sequence[str],
    cut_points: Sequence[float],
    by: str = "quantile",
    among: np.ndarray | None = None,
) -> pd.Series:
    """Put customers into groups by their score; equal scores are never torn apart.

    Parameters
    ----------
    score : Series indexed by customer_id
        The higher the better.
    names : sequence of str
        Of the groups, the best first.
    cut_points : sequence of float
        Rising. By "quantile", shares of customers counted from the best: [0.2, 0.5] puts the best fifth into the first
        group. Equal scores have their middle place, and with it one group. By "score", thresholds: [2, 3] puts a score
        of 3 and more into the first group, of 2 and more into the second.
    by : str
        "quantile" or "score".
    among : array, optional
        Scores of the customers whose shares count; `score` when left out.

    Returns
    -------
    Series indexed as `score`
        Ordered categorical whose categories are `names`; a group may be empty.

    Examples
    --------
    >>> cut(pd.Series([9.0, 7.0, 7.0, 7.0, 1.0]), ["high", "mid", "low"], [0.2, 0.8]).tolist()
    ['high', 'mid', 'mid', 'mid', 'low']
    """
    if by == "quantile":
        ordered = np.sort(score.to_numpy() if among is None else among)
        below, equal = places(score.to_numpy(), ordered)
        place = (len(ordered) - below - equal / 2) / max(len(ordered), 1)  # from the best; equals in their middle
        group = np.searchsorted(cut_points, place, side="left")
    elif by == "score":
        group = len(cut_points) - np.searchsorted(cut_points, score, side="right")
    else:
        raise InputError(f"groups cannot be cut by {by!r}", where="by", expected=" or ".join(BY), found=by)
    return pd.Series(pd.Categorical.from_codes(group, list(names), ordered=True), index=score.index, name="tier")


def movements(before: pd.Series, after: pd.Series, arrivals: str) -> pd.DataFrame:
    """Count the customers who went from each group to each other one.

    Parameters
    ----------
    before, after : Series of categories, indexed by customer_id
        At an earlier and at a later cutoff.
    arrivals : str
        Name of the row of those who have a group at the later cutoff alone.

    Returns
    -------
    DataFrame of int
        A row for each group at the earlier cutoff, and one for arrivals; a column for each at the later one.
    """
    groups = [*before.cat.categories, arrivals]
    then = before.astype(object).reindex(after.index).fillna(arrivals)
    counts = pd.crosstab(pd.Categorical(then, groups), pd.Categorical(after, after.cat.categories), dropna=False)
    return counts.rename_axis(index=None, columns=None).reindex(index=groups, columns=after.cat.categories)
