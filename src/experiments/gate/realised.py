"""Windows that have ended since a model was judged: its realised figure beside baselines and what was promised.

The model is the one in use, as it was registered; nothing is chosen here, so no look is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from experiments.evaluation.bootstrap import Draws, paired_bootstrap
from experiments.evaluation.splits import Splits
from experiments.evaluation.validation import Dataset
from experiments.tasks.base import Task
from features.errors import UnsuitableDataError
from features.shop import Shop

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

IN_USE = "in use"
COLUMNS = ["window", "until", "figure", "low", "high", "baseline", "baseline_figure", "gain", "gain_low", "gain_high"]


def windows_after(splits: Splits, since: date, end: date) -> Iterator[tuple[date, ...]]:
    """Yield the cutoffs of each whole part that begins at or after `since` and whose outcomes have ended by `end`.

    A part has the cutoffs of the sealed one, moved; parts do not overlap.
    """
    days = (splits.sealed_end - splits.sealed).days
    start = since
    while start + timedelta(days=days) <= end:
        yield tuple(start + (cutoff - splits.sealed) for cutoff in splits.sealed_cutoffs)
        start += timedelta(days=days)


def realised(
    task: Task,
    shop: Shop,
    splits: Splits,
    version: Version,
    since: date,
    *,
    n_resamples: int,
    alpha: float,
    seed: int,
) -> pd.DataFrame:
    """Measure the model in use and all baselines in the windows that have ended since a day.

    Baselines are fitted on windows that ended before each of them. Intervals are of these customers in this window, by
    a paired bootstrap: the model and the baseline on the same resamples.

    Parameters
    ----------
    task : Task
    shop : Shop
    splits : Splits
        Of today's data: the lengths of windows and the cutoffs before them.
    version : Version
        The one in use.
    since : date
        First day that was neither learnt from nor judged on.
    n_resamples : int
    alpha : float
        Probability that the true value lies below `low`, and that it lies above `high`.
    seed : int

    Returns
    -------
    DataFrame
        A row for each window, in order of time: its first day `window` and the first day after it `until`; the primary
        metric of the model with bounds; the best baseline there, its figure, and the gain over it with bounds.
    """
    rows = []
    for cutoffs in windows_after(splits, since, shop.tables.end):
        until = cutoffs[-1] + timedelta(days=task.horizon_days)
        try:
            rows.append(
                {"window": str(cutoffs[0]), "until": str(until)}
                | _measured(task, shop, splits, version, cutoffs, n_resamples=n_resamples, alpha=alpha, seed=seed)
            )
        except UnsuitableDataError as error:
            logger.warning("the window from %s is left out: %s", cutoffs[0], error.problem)
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(
    task: Task,
    shop: Shop,
    splits: Splits,
    version: Version,
    cutoffs: Sequence[date],
    *,
    n_resamples: int,
    alpha: float,
    seed: int,
) -> dict[str, object]:
    training = [day for day in splits.cutoffs() if day + timedelta(days=task.horizon_days) <= cutoffs[0]]
    dataset = task.dataset(shop, version.features, [*training, *cutoffs])
    train, held_out = dataset.at(*training), dataset.at(*cutoffs)
    draws = draws_beside_baselines(task, version, version, train, held_out, n_resamples=n_resamples, seed=seed)
    own = draws[IN_USE]
    found = {"figure": own.estimate, "low": own.lower_bound(alpha), "high": own.upper_bound(alpha)}
    best = best_of_others(draws)
    if best is None:
        return found
    gain = draws.gain(IN_USE, best)
    return found | {
        "baseline": best,
        "baseline_figure": draws[best].estimate,
        "gain": gain.estimate,
        "gain_low": gain.lower_bound(alpha),
        "gain_high": gain.upper_bound(alpha),
    }


def draws_beside_baselines(
    task: Task, version: Version, model: Any, train: Dataset, held_out: Dataset, *, n_resamples: int, seed: int
) -> Draws:
    """Evaluate a model, as `IN_USE`, and baselines that are fitted on `train`, on the same rows and resamples.

    Parameters
    ----------
    task : Task
    version : Version
        Whose parameters the baselines take; the one of the same name is left out.
    model : Model or Version
    train, held_out : Dataset
    n_resamples, seed : int
    """
    evaluations = {IN_USE: task.evaluate(model, held_out)}
    for name, build in task.baselines(version.params).items():
        if name != version.tags["model"]:
            evaluations[name] = task.evaluate(build().fit(train.X, train.target), held_out)
    y = evaluations[IN_USE].y
    units = y.index.get_level_values(task.grain.resampled)
    return paired_bootstrap(
        task.metric,
        y,
        {name: evaluation.prediction for name, evaluation in evaluations.items()},
        units.to_numpy(),
        n_resamples=n_resamples,
        seed=seed,
        block=min(task.grain.block, units.nunique()),
    )


def best_of_others(draws: Draws) -> str | None:
    """Return the baseline with the best figure; None without baselines."""
    others = [name for name in draws.distributions if name != IN_USE]
    return max(others, key=lambda name: draws[name].estimate, default=None)
