"""Checks that the data suffice to train and to evaluate a task; messages state the missing amount."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from experiments.tasks.base import Task
from features.data_profile import missing_tables
from features.errors import InsufficientDataError

if TYPE_CHECKING:
    from features.shop import Shop


def check_tables(task: Task, shop: Shop) -> None:
    """Check that the shop has every table that the task needs, and names products where its rows are of products.

    Raises
    ------
    InsufficientDataError
    """
    present = shop.tables.present()
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
    if task.grain.of_products and not shop.names_products:
        raise InsufficientDataError(
            f"{task.name} needs products, and no line of an order names its product",
            where="transactions.product_id",
            expected="ids of products",
            hint="add them to the source",
        )


def check_sufficiency(task: Task, counts: pd.DataFrame) -> None:
    """Check that each window holds at least `task.minimum`; the error says how much more data is needed.

    More customers, or rows of a grain without customers: the missing count divided by the share that customers of the
    window have. More weeks: cutoffs are set from the end of the data, so each week of data moves them by a week. The
    count then grows as it grew per week between the first window and the last. No number of weeks is stated if it did
    not grow.

    Parameters
    ----------
    task : Task
    counts : DataFrame
        As `Task.counts` returns it.

    Raises
    ------
    InsufficientDataError
        Names every count that is too low, each in the window with the lowest count.
    """
    short = {name: needed for name, needed in task.minimum.items() if counts[name].min() < needed}
    if not short:
        return
    way_out = _what_it_takes(counts, short, unit=next(iter(task.counted)))
    raise InsufficientDataError(
        f"not enough data to train or to evaluate {task.name}",
        where="; ".join(f"{name} in the window from {counts[name].idxmin():%Y-%m-%d}" for name in short),
        expected="; ".join(f"{needed:,} {task.counted[name]}" for name, needed in short.items()),
        found="; ".join(f"{counts[name].min():,}" for name in short),
        hint=f"add {way_out}; or set a lower task.minimum at your own risk",
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
    return " or ".join(ways) or "data of another shop: these data hold none so far, and the count does not grow"
