"""Candidate, champion and baselines in the sealed window and in others that they were not chosen on.

Nothing else reads the sealed window's outcomes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from experiments.evaluation.bootstrap import PooledDraws, paired_bootstrap
from experiments.evaluation.controls import permuted_within_cutoff
from experiments.evaluation.metrics import defined, mean_metrics
from experiments.evaluation.splits import Splits
from experiments.evaluation.validation import Dataset, Evaluation
from experiments.gate.standing import CONSTANT, PERMUTED, control_metrics
from experiments.tasks.base import Task
from features.errors import UnsuitableDataError
from features.shop import Shop

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

CANDIDATE, CHAMPION = "candidate", "champion"
SEALED, BASELINE = "sealed_", "baseline_"  # begin the names of tables
LEAST_TRAINING = 1 / 2  # of the rows of the final training, for a refit that is measured: see ADR 21


@dataclass(frozen=True)
class Evidence:
    """Evaluations of all models that are compared, in each window that the model was not chosen on.

    Attributes
    ----------
    windows : mapping of str to mapping of model to Evaluation
        By first day, in order of time, the sealed window last; all models of a window on the same rows. Baselines are
        in every window, the candidate and the model in use only in some: see `gather`.
    in_use : str or None
        Name of the model in use: `CHAMPION`, the candidate, or the baseline that predicts the same; None if there is
        none.
    controls : mapping of metric to float
        See `sealed_controls`.
    """

    windows: Mapping[str, Mapping[str, Evaluation]]
    in_use: str | None
    controls: Mapping[str, float]

    @property
    def sealed(self) -> Mapping[str, Evaluation]:
        """The sealed window: evaluations of the candidate, of all baselines and of the model in use."""
        return self.windows[list(self.windows)[-1]]

    @property
    def candidate(self) -> Evaluation:
        """The candidate in the sealed window."""
        return self.sealed[CANDIDATE]

    @property
    def baselines(self) -> list[str]:
        return [name for name in self.sealed if name not in (CANDIDATE, CHAMPION)]

    def candidate_metrics(self) -> dict[str, float]:
        """Return the mean of each of the candidate's metrics over its windows."""
        return mean_metrics([models[CANDIDATE].metrics for models in self.windows.values() if CANDIDATE in models])

    def metrics(self) -> dict[str, float]:
        """Return all metrics under `sealed/`: the candidate's without a name, each rival's under its own."""
        metrics = {f"sealed/{name}": value for name, value in self.candidate.metrics.items()}
        for rival, evaluation in self.sealed.items():
            if rival != CANDIDATE:
                metrics |= {f"sealed/{rival}/{name}": value for name, value in evaluation.metrics.items()}
        return {**metrics, **{f"sealed/control/{name}": value for name, value in self.controls.items()}}

    def tables(self, baseline: str) -> dict[str, pd.DataFrame]:
        """Return the tables of candidate and best baseline, and one of outcomes with the predictions of every model."""
        columns = {}
        predictions = {name: evaluation.prediction for name, evaluation in self.sealed.items()}
        for name, values in {"actual": self.candidate.y, **predictions}.items():
            parts = values.items() if isinstance(values, pd.DataFrame) else [("", values)]
            columns |= {f"{name}.{part}" if part else name: column for part, column in parts}
        table = pd.DataFrame(columns).reset_index()
        is_one_day = len(self.candidate.y.index.unique("cutoff")) == 1
        return {
            **{f"{SEALED}{name}": own for name, own in self.candidate.tables.items()},
            **{f"{SEALED}{BASELINE}{name}": own for name, own in self.sealed[baseline].tables.items()},
            "sealed_predictions": table.drop(columns="cutoff") if is_one_day else table,
        }


def gather(
    task: Task,
    shop: Shop,
    splits: Splits,
    candidate: Version,
    champion: Version | None,
    *,
    n_origins: int,
    n_controls: int,
    seed: int,
) -> Evidence:
    """Evaluate candidate, baselines and champion in the sealed window and in earlier ones, each on its own features.

    A model is evaluated only where it was not chosen:

    - a baseline, which nothing was chosen of, in the validation windows, in windows before them and in the sealed one,
      each time fitted on windows that ended by then;
    - the candidate in windows that began after its training, the sealed one among them; and, refitted on windows that
      ended by then, in windows that ended before its validation, if at least `LEAST_TRAINING` of its rows are then left
      to learn from: with fewer it would be judged for what it had not learned yet;
    - the champion in windows that began after its training.

    Parameters
    ----------
    task : Task
    shop : Shop
    splits : Splits
    candidate : Version
    champion : Version or None
        The version in use, which may be the candidate.
    n_origins : int
        Windows at most, besides those of validation, the sealed one counted.
    n_controls, seed : int
        Permutations of the outcomes, and the seed of the first.

    Raises
    ------
    UnsuitableDataError
        If the primary metric is undefined in the sealed window. An earlier window is left out instead.
    """
    logger.info("%s: opening the sealed window from %s, %d days", task.name, splits.sealed, task.horizon_days)
    windows: dict[str, Mapping[str, Evaluation]] = {}
    known = {*splits.refit(), *splits.sealed_cutoffs}
    everything = task.dataset(shop, candidate.features, sorted(known))
    least_rows = LEAST_TRAINING * len(everything.at(*splits.refit()).X)
    for training, cutoffs in splits.origins(n_origins - 1):
        try:
            days = {*training, *cutoffs}
            dataset = everything if days <= known else task.dataset(shop, candidate.features, sorted(days))
            models = _evaluated(task, shop, splits, dataset, training, cutoffs, candidate, champion, least_rows)
            _check_defined(task, models)
        except UnsuitableDataError as error:
            logger.warning("the window from %s is left out: %s", cutoffs[0], error.problem)
            continue
        windows[str(cutoffs[0])] = models
    training, cutoffs = splits.refit(), splits.sealed_cutoffs
    sealed = _evaluated(task, shop, splits, everything, training, cutoffs, candidate, champion)
    _check_defined(task, sealed)
    in_use = _in_use(sealed, candidate, champion)
    if in_use != CHAMPION:  # it is one of the others, which is not compared twice
        sealed = _without_champion(sealed)
        windows = {day: _without_champion(models) for day, models in windows.items()}
    rows = task.judged_rows(everything.at(*cutoffs))
    return Evidence(
        windows={**windows, str(splits.sealed): sealed},
        in_use=in_use,
        controls=sealed_controls(task, rows, sealed[CANDIDATE], n_controls=n_controls, seed=seed),
    )


def _evaluated(
    task: Task,
    shop: Shop,
    splits: Splits,
    dataset: Dataset,
    training: Sequence[date],
    cutoffs: Sequence[date],
    candidate: Version,
    champion: Version | None,
    least_rows: float = 0.0,
) -> dict[str, Evaluation]:
    """Evaluate each model in one window that it was not chosen on: the candidate first, then baselines, the champion.

    The training cutoffs are those whose windows ended by the first of the held-out ones. A candidate is refitted on
    `least_rows` at least.
    """
    train, held_out = dataset.at(*training), dataset.at(*cutoffs)
    end = cutoffs[-1] + timedelta(days=task.horizon_days)
    models: dict[str, Any] = {}
    if _is_trained_before(candidate, cutoffs[0]):
        models[CANDIDATE] = candidate.estimator
    elif str(end) <= _validated_from(candidate, splits) and len(train.X) >= least_rows:
        fresh = task.build(candidate.tags["model"], candidate.params)
        models[CANDIDATE] = fresh.fit(train.X, train.target)
    for name, build in task.baselines(candidate.params).items():
        models[name] = build().fit(train.X, train.target)
    evaluations = {name: task.evaluate(model, held_out) for name, model in models.items()}
    if champion is not None and champion.number != candidate.number and _is_trained_before(champion, cutoffs[0]):
        own = task.dataset(shop, champion.features, cutoffs)
        evaluations[CHAMPION] = task.evaluate(champion, own)
    return evaluations


def _is_trained_before(version: Version, day: date) -> bool:
    return version.tags["trained_through"] <= str(day)


def _validated_from(version: Version, splits: Splits) -> str:
    """Return the first day of the windows that the version was chosen on; "" if it is not known."""
    if "validated_from" in version.tags:
        return version.tags["validated_from"]
    is_of_these_splits = version.tags.get("sealed_from") == str(splits.sealed)
    return str(splits.validation[0]) if is_of_these_splits else ""


def _in_use(sealed: Mapping[str, Evaluation], candidate: Version, champion: Version | None) -> str | None:
    """Return the name under which the model in use is compared: a baseline is a rule, of whatever day it was fitted."""
    if champion is None:
        return None
    if champion.number == candidate.number:
        return CANDIDATE
    name = champion.tags["model"]
    return name if champion.is_baseline and name in sealed else CHAMPION


def _without_champion(models: Mapping[str, Evaluation]) -> dict[str, Evaluation]:
    return {name: evaluation for name, evaluation in models.items() if name != CHAMPION}


def _check_defined(task: Task, models: Mapping[str, Evaluation]) -> None:
    """Check that the primary metric of every model is defined: the gate does not decide on one that is not.

    Raises
    ------
    UnsuitableDataError
    """
    for evaluation in models.values():
        defined(task.primary_metric, evaluation.metrics, evaluation.undefined)


def sealed_controls(
    task: Task, rows: Dataset, candidate: Evaluation, *, n_controls: int, seed: int
) -> dict[str, float]:
    """Compute the primary metric of one prediction for all, and of the candidate on permuted outcomes, if defined."""
    metric, name, y = task.metric, task.primary_metric, candidate.y
    constant = task.predict(task.control().fit(rows.X, rows.target), rows.X)
    draws = range(seed, seed + n_controls)
    permuted = np.array([metric(permuted_within_cutoff(y, draw), candidate.prediction) for draw in draws])
    of_constant = float(metric(y, constant))
    return {
        **({} if math.isnan(of_constant) else {f"{CONSTANT}/{name}": of_constant}),
        **control_metrics(f"{PERMUTED}/{name}", permuted),
    }


def resample(task: Task, evidence: Evidence, *, n_resamples: int, seed: int) -> PooledDraws:
    """Draw the grain's resampled units with replacement, the same ones for every model, and measure each resample.

    Customers are drawn one by one, each with its rows of all windows. The steps of a series are drawn in blocks, in
    each window apart.
    """
    resampled = task.grain.resampled
    units = {
        day: models[next(iter(models))].y.index.get_level_values(resampled) for day, models in evidence.windows.items()
    }
    everyone = np.unique(np.concatenate([of_window.unique().to_numpy() for of_window in units.values()]))
    is_series = resampled == "cutoff"
    return PooledDraws(
        {
            day: paired_bootstrap(
                task.metric,
                next(iter(models.values())).y,
                {name: evaluation.prediction for name, evaluation in models.items()},
                units[day].to_numpy(),
                n_resamples=n_resamples,
                seed=seed + number if is_series else seed,
                block=min(task.grain.block, units[day].nunique()),
                among=None if is_series else everyone,
                widened=True,
            )
            for number, (day, models) in enumerate(evidence.windows.items())
        }
    )
