"""Candidate, champion and baselines in the sealed window, on the same rows. Nothing else reads its outcomes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.evaluation.bootstrap import Draws, paired_bootstrap
from experiments.evaluation.controls import permuted_within_cutoff
from experiments.evaluation.metrics import defined
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


@dataclass(frozen=True)
class SealedEvaluations:
    """Evaluations of all models that are compared, on the same rows of the sealed window.

    Attributes
    ----------
    candidate : Evaluation
    baselines : mapping of name to Evaluation
    champion : Evaluation or None
    backtest : mapping of day to mapping of baseline to float
        The candidate's gain in the primary metric over each baseline, from several origins: see `backtest`.
    controls : mapping of metric to float
        See `sealed_controls`.
    """

    candidate: Evaluation
    baselines: Mapping[str, Evaluation]
    champion: Evaluation | None
    backtest: Mapping[str, Mapping[str, float]]
    controls: Mapping[str, float]

    def rivals(self) -> dict[str, Evaluation]:
        """Return the evaluations that the candidate is compared with: of all baselines, then of the champion."""
        return {**self.baselines, **({CHAMPION: self.champion} if self.champion else {})}

    def predictions(self) -> dict[str, pd.Series | pd.DataFrame]:
        """Return the predictions of each model."""
        everyone = {CANDIDATE: self.candidate, **self.rivals()}
        return {name: evaluation.prediction for name, evaluation in everyone.items()}

    def metrics(self) -> dict[str, float]:
        """Return all metrics under `sealed/`: the candidate's without a name, each rival's under its own."""
        metrics = {f"sealed/{name}": value for name, value in self.candidate.metrics.items()}
        for rival, evaluation in self.rivals().items():
            metrics |= {f"sealed/{rival}/{name}": value for name, value in evaluation.metrics.items()}
        return {**metrics, **{f"sealed/control/{name}": value for name, value in self.controls.items()}}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the candidate's tables, and one of the outcomes with the predictions of every model."""
        columns = {}
        for name, values in {"actual": self.candidate.y, **self.predictions()}.items():
            parts = values.items() if isinstance(values, pd.DataFrame) else [("", values)]
            columns |= {f"{name}.{part}" if part else name: column for part, column in parts}
        predictions = pd.DataFrame(columns).reset_index()
        return {
            **{f"sealed_{name}": table for name, table in self.candidate.tables.items()},
            "sealed_predictions": predictions.drop(columns="cutoff") if len(self._cutoffs) == 1 else predictions,
        }

    @property
    def _cutoffs(self) -> pd.Index:
        return self.candidate.y.index.unique("cutoff")


def evaluate_sealed(
    task: Task,
    shop: Shop,
    splits: Splits,
    candidate: Version,
    champion: Version | None,
    *,
    n_origins: int,
    n_controls: int,
    seed: int,
) -> SealedEvaluations:
    """Evaluate candidate, baselines and champion in the sealed window, each on its own features.

    A champion that predicts what one of the baselines does, as when that one is in use, is not compared twice.

    Parameters
    ----------
    task : Task
    shop : Shop
    splits : Splits
    candidate : Version
    champion : Version or None
    n_origins : int
        Of the back-test, the sealed window counted.
    n_controls, seed : int
        Permutations of the outcomes, and the seed of the first.
    """
    logger.info("opening the sealed window %s, %d days", splits.sealed, task.horizon_days)
    dataset = task.dataset(shop, candidate.features, splits.sealed_cutoffs)
    train = task.dataset(shop, candidate.features, splits.refit())
    fitted = {name: build().fit(train.X, train.target) for name, build in task.baselines(candidate.params).items()}
    baselines = {name: task.evaluate(model, dataset) for name, model in fitted.items()}
    own = task.evaluate(candidate.estimator, dataset)
    rival = None
    if champion is not None:
        rival = task.evaluate(champion, task.dataset(shop, champion.features, splits.sealed_cutoffs))
        if any(np.array_equal(rival.prediction, other.prediction) for other in baselines.values()):
            rival = None
    figure = {name: _figure(task, evaluation) for name, evaluation in {CANDIDATE: own, **baselines}.items()}
    gains = {name: figure[CANDIDATE] - figure[name] for name in baselines}
    return SealedEvaluations(
        candidate=own,
        baselines=baselines,
        champion=rival,
        backtest={**backtest(task, shop, splits, candidate, n_origins - 1), str(splits.sealed): gains},
        controls=sealed_controls(task, task.judged_rows(dataset), own, n_controls=n_controls, seed=seed),
    )


def backtest(task: Task, shop: Shop, splits: Splits, candidate: Version, n_origins: int) -> dict[str, dict[str, float]]:
    """Compute the candidate's gain in the primary metric over each baseline, from origins before the sealed window.

    At each of them its parameters are refitted, and the baselines too, on windows that ended by then. The parameters
    themselves were chosen at the validation cutoffs among them.

    Returns
    -------
    dict of day to dict of baseline to gain
        NaN where a model refused what there was to learn from.
    """
    baselines = task.baselines(candidate.params)
    models = {CANDIDATE: partial(task.build, candidate.tags["model"], candidate.params), **baselines}
    gains = {}
    for training, cutoffs in splits.origins(n_origins):
        dataset = task.dataset(shop, candidate.features, [*training, *cutoffs])
        train, held_out = dataset.at(*training), task.judged_rows(dataset.at(*cutoffs))
        try:
            figures = {
                name: task.metric(held_out.target, task.predict(model().fit(train.X, train.target), held_out.X))
                for name, model in models.items()
            }
        except UnsuitableDataError as error:
            logger.warning("no back-test from %s: %s", cutoffs[0], error.problem)
            figures = dict.fromkeys(models, math.nan)
        gains[str(cutoffs[0])] = {name: figures[CANDIDATE] - figures[name] for name in baselines}
    return gains


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


def _figure(task: Task, evaluation: Evaluation) -> float:
    """Return the primary metric; the gate does not decide on one that is undefined.

    Raises
    ------
    UnsuitableDataError
    """
    return defined(task.primary_metric, evaluation.metrics, evaluation.undefined)


def resample(task: Task, sealed: SealedEvaluations, *, n_resamples: int, seed: int) -> Draws:
    """Draw the grain's resampled units with replacement, the same ones for every model, and measure each resample.

    Customers are drawn one by one, the steps of a series in blocks.
    """
    y = sealed.candidate.y
    units = y.index.get_level_values(task.grain.resampled)
    return paired_bootstrap(
        task.metric,
        y,
        sealed.predictions(),
        units.to_numpy(),
        n_resamples=n_resamples,
        seed=seed,
        block=min(task.grain.block, units.nunique()),
    )
