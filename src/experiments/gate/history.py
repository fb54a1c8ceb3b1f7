"""Worth of promotions: the gate's decision at each origin that data hold, and the gain in the next window."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd

from experiments.evaluation.splits import Splits
from experiments.gate.realised import IN_USE, best_of_others, draws_beside_baselines
from experiments.tasks.base import Task
from features.errors import UnsuitableDataError
from features.shop import Shop

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

COLUMNS = ["window", "baseline", "gain", "gain_low", "is_promoted", "next_window", "next_gain"]


def promotions(
    task: Task, shop: Shop, splits: Splits, version: Version, *, n_resamples: int, alpha: float, seed: int
) -> pd.DataFrame:
    """Take the gate's decision at each origin, with what was known there, and measure the gain in the window after it.

    At an origin, the model and all baselines are fitted on windows that ended by then. The model would have been
    promoted if its gain over the best baseline there has a lower bound above 0 and is at least `min_effect`. In the
    next window the same fitted model is compared with the same baseline, which is fitted anew: it needs no gate.

    The parameters are those of the version, which were chosen with validation windows that are among these: gains there
    are a little too large, and so is what is kept of them.

    Parameters
    ----------
    task : Task
    shop : Shop
        See `Task.opened`.
    splits : Splits
        The sealed window is the last one: of a version that the gate has judged there.
    version : Version
        Whose recipe is fitted anew.
    n_resamples : int
    alpha : float
        Of the lower bound.
    seed : int

    Returns
    -------
    DataFrame
        A row for each origin that another follows, in order of time: `window`, its first day; `baseline`, the best
        there; `gain` over it with its lower bound `gain_low`; `is_promoted`; `next_window` and `next_gain`. Empty where
        the data hold fewer than two windows.
    """
    rows = []
    origins = [*splits.origins(len(splits.cutoffs())), (splits.refit(), splits.sealed_cutoffs)]
    for (training, cutoffs), (later, following) in pairwise(origins):
        try:
            dataset = task.dataset(shop, version.features, sorted({*later, *cutoffs, *following}))
            train = dataset.at(*training)
            model = task.build(version.tags["model"], version.params).fit(train.X, train.target)
            then = draws_beside_baselines(
                task, version, model, train, dataset.at(*cutoffs), n_resamples=n_resamples, seed=seed
            )
            best = best_of_others(then)
            if best is None:
                break
            # Of the next window the estimate alone is read, which no resample changes.
            after = draws_beside_baselines(
                task, version, model, dataset.at(*later), dataset.at(*following), n_resamples=1, seed=seed
            )
        except UnsuitableDataError as error:
            logger.warning("the window from %s is left out: %s", cutoffs[0], error.problem)
            continue
        gain, low = then.gain(IN_USE, best).estimate, then.gain(IN_USE, best).lower_bound(alpha)
        rows.append(
            {
                "window": str(cutoffs[0]),
                "baseline": best,
                "gain": gain,
                "gain_low": low,
                "is_promoted": low > 0 and gain >= task.min_effect,
                "next_window": str(following[0]),
                "next_gain": after.gain(IN_USE, best).estimate,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def regret(found: pd.DataFrame) -> Iterator[str]:
    """Yield how many promotions kept the sign of their gain, and by how much gains shrank, in words."""
    if found.empty:
        yield "promotions of the past are not known: the data hold fewer than two windows"
        return
    promoted = found[found["is_promoted"].astype(bool)]
    yield f"at {len(promoted)} of {len(found)} earlier origins the model would have been promoted"
    if len(promoted):
        kept, then, after = (promoted["next_gain"] > 0).sum(), promoted["gain"].mean(), promoted["next_gain"].mean()
        yield (
            f"{kept} of {len(promoted)} kept the sign of their gain in the next window; the mean gain was {then:.4f}, "
            f"and {after:.4f} in the next window ({after / then:.0%})"
        )
