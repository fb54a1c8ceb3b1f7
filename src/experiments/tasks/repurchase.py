"""Will this customer come back within `horizon_days`; or, its complement, stay away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from experiments.evaluation.probability_metrics import (
    expected_calibration_error,
    log_loss,
    probability_metrics,
    reliability_table,
    roc_auc,
)
from experiments.models import PROBABILITIES
from experiments.models.base import Model, check_terms, require_columns
from experiments.models.probabilities import Recalibrated, calibration_map, check_event, recalibrated
from experiments.tasks.base import (
    Build,
    Dataset,
    Evaluation,
    Task,
    Validation,
    check_guards,
    check_minimum,
    check_primary_metric,
)
from features import outcomes
from features.errors import InputError
from features.shop import Shop

logger = logging.getLogger(__name__)

HIGHER_IS_BETTER = ("roc_auc", "average_precision")
TARGETS = {"purchase": outcomes.purchased, "inactivity": outcomes.inactive}
NAMES = {"purchase": "repurchase", "inactivity": "inactivity"}
OF_ACTIVE = "_of_active"
ABILITIES = {"purchase": "tells who will come back", "inactivity": "tells who will stay away"}
BY_GROUP = {"roc_auc": roc_auc, "expected_calibration_error": expected_calibration_error}
SINCE = "days_since_last_purchase"
ACTIVE_DAYS = 28  # who bought so lately is reported apart, where `active_within_days` says nothing else


@dataclass(frozen=True)
class Repurchase(Task):
    """Whether each customer buys in the `horizon_days` after a cutoff.

    y = 1 where the event happens in [cutoff, cutoff + horizon_days), else 0. Churn without a contract is a
    matter of definition: "inactive for 28 days" is event=inactivity, "active before, gone now" the same among
    customers who bought in the last `active_within_days`.

    Attributes
    ----------
    horizon_days : int
    event : {"purchase", "inactivity"}
        At least one purchase day in the horizon, or none.
    active_within_days : int or None
        Judge only customers with days_since_last_purchase < active_within_days. Models learn from all
        customers, as those of purchase histories must, and predict all.
    threshold : float in (0, 1)
        Probability from which `accuracy` counts the event as foretold.
    primary_metric : str
        One of `HIGHER_IS_BETTER`: what the search maximises and the gate decides on.
    min_effect : float
        Smallest gain in the primary metric that is worth a change of champion.
    guards : mapping of metric to (lowest, highest)
    minimum : mapping of what is counted to the least that each window must hold
        See `sufficiency.COUNTS`.
    """

    horizon_days: int
    event: str
    active_within_days: int | None
    threshold: float
    primary_metric: str
    min_effect: float
    guards: Mapping[str, tuple[float, float]]
    minimum: Mapping[str, int]

    needs: ClassVar[tuple[str, ...]] = ("transactions",)
    grain: ClassVar[str] = "customer x cutoff"

    def __post_init__(self) -> None:
        check_primary_metric(self.primary_metric, HIGHER_IS_BETTER)
        check_event(self.event, where="task.event")
        if self.active_within_days is not None and self.active_within_days < 1:
            raise InputError(
                "active_within_days is out of range",
                where="task.active_within_days",
                expected=">= 1, or null",
                found=str(self.active_within_days),
            )
        if not 0 < self.threshold < 1:
            raise InputError(
                "threshold is out of range", where="task.threshold", expected="in (0, 1)", found=str(self.threshold)
            )
        check_guards(self.guards, self._metrics)
        check_minimum(self.minimum)
        check_terms(self.horizon_days, margin=1.0, discount_rate=0.0)

    @property
    def name(self) -> str:
        """repurchase or inactivity, `_of_active` customers alone: who stays away is not the question who comes back."""
        return NAMES[self.event] + ("" if self.active_within_days is None else OF_ACTIVE)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return (*NAMES.values(), *(name + OF_ACTIVE for name in NAMES.values()))

    @property
    def objective(self) -> str:
        return self.primary_metric

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.judged,)

    @property
    def judged(self) -> str:
        return f"p_{self.name}"

    @property
    def ability(self) -> str:
        return ABILITIES[self.event]

    @property
    def target(self) -> str:
        """The target in one string: models of different targets are never compared."""
        among = "" if self.active_within_days is None else f"_active_within_{self.active_within_days}d"
        return f"{self.event}_{self.horizon_days}d{among}"

    @property
    def population(self) -> str:
        """Who is judged."""
        if self.active_within_days is None:
            return super().population
        return f"customers who bought in the last {self.active_within_days} days before the cutoff"

    @property
    def _metrics(self) -> Mapping[str, Callable[..., float]]:
        return probability_metrics(self.threshold)

    def dataset(self, shop: Shop, features: Sequence[str], cutoffs: Sequence[date]) -> Dataset:
        """Features before, and whether the event happened after, each cutoff, of all customers."""
        return Dataset(
            X=shop.features(features, cutoffs),
            y=shop.target(TARGETS[self.event], cutoffs, self.horizon_days, f"{self.event}_{self.horizon_days}d"),
        )

    def candidates(self) -> Mapping[str, Build]:
        terms = {"horizon_days": self.horizon_days, "event": self.event}
        return {
            name: partial(model, **{term: value for term, value in terms.items() if term in model().get_params()})
            for name, model in PROBABILITIES.items()
        }

    def metric(self) -> Callable[..., float]:
        return self._metrics[self.primary_metric]

    def judged_rows(self, dataset: Dataset) -> Dataset:
        """Those who bought in the last `active_within_days`."""
        if self.active_within_days is None:
            return dataset
        since = require_columns(dataset.X, [SINCE])[SINCE]
        judged = (since < self.active_within_days).to_numpy()
        return Dataset(dataset.X[judged], dataset.y[judged])

    def evaluate(self, model: Model, dataset: Dataset) -> Evaluation:
        """Predict and measure the judged customers; one-day, repeat and recently active ones also apart."""
        dataset = self.judged_rows(dataset)
        history = require_columns(dataset.X, ["frequency", SINCE])
        prediction = pd.Series(model.predict(dataset.X), index=dataset.y.index, name="prediction")
        groups = {
            "one_day": history["frequency"] == 0,
            "repeat": history["frequency"] > 0,
            "active": history[SINCE] < (self.active_within_days or ACTIVE_DAYS),
        }
        return Evaluation(
            y=dataset.y,
            prediction=prediction,
            metrics={
                **{name: metric(dataset.y, prediction) for name, metric in self._metrics.items()},
                **_apart(dataset.y, prediction, groups),
            },
            tables={"reliability": reliability_table(dataset.y, prediction)},
        )

    def recalibrate(self, model: Model, validation: Validation) -> Model:
        """Move the probabilities to where the outcomes of the validation windows were, and keep their order.

        How many customers come back differs from season to season, and some models are too sure of it. The map
        is learnt from the predictions at all validation cutoffs, which lie outside of what the predicting models
        were trained on; the metrics of those cutoffs are of the probabilities as they were before. One season's
        shift need not be the next one's: the map is carried only where maps learnt in the same way from the cutoffs
        before would have lowered the log loss at the later ones, which a single cutoff cannot show.
        """
        folds = [fold.evaluation for fold in validation.folds]
        later = folds[1:]
        moved = [
            recalibrated(fold.prediction.to_numpy(), *_calibration_map(folds[:step]))
            for step, fold in enumerate(later, start=1)
        ]
        if not later:
            logger.info("not recalibrated: one validation cutoff does not show whether its map holds at a later one")
            return model
        y = np.concatenate([fold.y for fold in later])
        before = log_loss(y, np.concatenate([fold.prediction for fold in later]))
        after = log_loss(y, np.concatenate(moved))
        shown = f"maps of earlier validation cutoffs move the log loss at later ones from {before:.4f} to {after:.4f}"
        if not after < before:
            logger.info("not recalibrated: %s", shown)
            return model
        intercept, slope = _calibration_map(folds)
        logger.info("recalibrated, logit(p) -> %.3f + %.3f logit(p): %s", intercept, slope, shown)
        return Recalibrated(model, intercept, slope).set_state({"model": model.get_state()})


def _calibration_map(folds: Sequence[Evaluation]) -> tuple[float, float]:
    return calibration_map(
        np.concatenate([fold.y for fold in folds]), np.concatenate([fold.prediction for fold in folds])
    )


def _apart(y: pd.Series, prediction: pd.Series, groups: Mapping[str, pd.Series]) -> dict[str, float]:
    """Metrics of each group of customers; a group without both outcomes has none."""
    metrics = {}
    for group, members in groups.items():
        inside = members.to_numpy()
        if y[inside].nunique() < 2:
            logger.info("no figures of %s customers apart: %d, all with the same outcome", group, inside.sum())
            continue
        metrics |= {f"{group}/{name}": metric(y[inside], prediction[inside]) for name, metric in BY_GROUP.items()}
    return metrics
