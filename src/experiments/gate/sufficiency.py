"""Check that the data hold enough to train and to evaluate a task; say what is missing, with figures."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import pandas as pd

from experiments.tasks.base import Task
from features.data_profile import missing_tables
from features.errors import InsufficientDataError


def check_tables(task: Task, present: Collection[str]) -> None:
    """Refuse a shop without a table that the task needs.

    Raises
    ------
    InsufficientDataError
    """
    missing = missing_tables({task.name: task.needs}, present)[task.name]
    absent = list(dict.fromkeys([*missing, *task.grain.lacks(present)]))
    if absent:
        raise InsufficientDataError(
            f"{task.name} needs tables that this shop does not have: {', '.join(absent)}",
            where="tables",
            expected=", ".join(dict.fromkeys([*task.needs, *absent])),
            found=", ".join(present),
            hint="add them to the source",
        )


def check_sufficiency(task: Task, counts: pd.DataFrame) -> None:
    """Refuse windows that hold less than `task.minimum`, and say how much more it would take.

    More customers, or of whatever `task.counted` names first: as many as the missing ones are, at the share that these
    have. More weeks: cutoffs are laid out from the end of the data, so that each week of data moves them on by one, and
    the count with them by what it grew in a week between the first window and the last; none where it did not grow.

    Parameters
    ----------
    task : Task
    counts : DataFrame
        As `Task.counts` returns it.

    Raises
    ------
    InsufficientDataError
        Naming all that is short, each in the window that has least of it.
    """
    short = {name: needed for name, needed in task.minimum.items() if counts[name].min() < needed}
    if not short:
        return
    way_out = _what_it_takes(counts, short, unit=next(iter(task.counted)))
    raise InsufficientDataError(
        f"{task.name} has not enough data to train or to evaluate",
        where="; ".join(f"{name} in the window from {counts[name].idxmin():%Y-%m-%d}" for name in short),
        expected="; ".join(f"{needed:,} {task.counted[name]}" for name, needed in short.items()),
        found="; ".join(f"{counts[name].min():,}" for name in short),
        hint=f"it would take {way_out}; a lower task.minimum goes on at your own risk",
    )


def _what_it_takes(counts: pd.DataFrame, short: Mapping[str, int], unit: str) -> str:
    units, weeks = 0.0, 0.0
    span = (counts.index.max() - counts.index.min()).days / 7
    for name, needed in short.items():
        scarcest = counts.loc[counts[name].idxmin()]
        found, missing = scarcest[name], needed - scarcest[name]
        units = max(units, missing / (found / scarcest[unit]) if found else math.inf)
        growth = (counts[name].iloc[-1] - counts[name].iloc[0]) / span if span else 0.0
        weeks = max(weeks, missing / growth if growth > 0 else math.inf)
    ways = []
    if math.isfinite(units):
        ways.append(f"some {math.ceil(units):,} more {unit} like these")
    if math.isfinite(weeks):
        ways.append(f"some {math.ceil(weeks):,} more weeks of data like these")
    return " or ".join(ways) or "another shop's data: there is none so far, and it does not grow"
