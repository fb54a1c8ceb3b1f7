"""What every marketing question has in common: data, candidates, evaluation, validation over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from experiments.models.base import Model
from features.errors import InputError, did_you_mean
from features.shop import Shop

Build = Callable[[], Model]


@dataclass(frozen=True)
class Dataset:
    """Features and target, one row per customer and cutoff.

    Attributes
    ----------
    X : DataFrame of float64, indexed (customer_id, cutoff)
    y : Series of float64, same index
    """

    X: pd.DataFrame
    y: pd.Series

    def at(self, *cutoffs: date) -> Dataset:
        """The rows of some cutoffs."""
        rows = self.X.index.get_level_values("cutoff").isin(pd.DatetimeIndex(cutoffs))
        return Dataset(self.X[rows], self.y[rows])


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions beside what happened.

    Attributes
    ----------
    y, prediction : Series, indexed (customer_id, cutoff)
    metrics : mapping of metric name to value
    tables : mapping of name to frame, as the task's reports need them
    """

    y: pd.Series
    prediction: pd.Series
    metrics: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


class Task(Protocol):
    """One marketing question."""

    name: str
    needs: tuple[str, ...]
    grain: str
    horizon_days: int
    primary_metric: str
    min_effect: float
    guards: Mapping[str, tuple[float, float]]
    target: str
    outputs: tuple[str, ...]

    def dataset(self, shop: Shop, features: Sequence[str], cutoffs: Sequence[date]) -> Dataset:
        """Features before, and the target after, each cutoff."""

    def candidates(self) -> Mapping[str, Build]:
        """Untrained models by name; the naive ones carry `is_naive`."""

    def metric(self) -> Callable[..., float]:
        """The primary metric as a function (y, prediction, *, weights=None)."""

    def evaluate(self, model: Model, dataset: Dataset) -> Evaluation:
        """Predict, and measure the predictions."""


def build(task: Task, name: str, params: Mapping[str, Any]) -> Model:
    """One of the task's candidates, untrained, with these parameters.

    Raises
    ------
    InputError
        For an unknown candidate or parameter.
    """
    candidates = task.candidates()
    if name not in candidates:
        raise InputError(
            f"{task.name} has no candidate {name!r}", where="model.name", hint=did_you_mean(name, candidates)
        )
    model = candidates[name]()
    known = model.get_params()
    for param in params:
        if param not in known:
            raise InputError(
                f"{name} has no parameter {param!r}", where="model.params", hint=did_you_mean(param, known)
            )
    return model.set_params(**params)


def naive_models(task: Task) -> list[str]:
    """The candidates that a marketer would reckon by hand."""
    return [name for name, model in task.candidates().items() if model().is_naive]


@dataclass(frozen=True)
class Fold:
    """One validation cutoff and its evaluation."""

    cutoff: date
    evaluation: Evaluation


@dataclass(frozen=True)
class Validation:
    """Evaluations over the validation cutoffs, each by a model trained only on windows that ended before it."""

    folds: tuple[Fold, ...]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Each metric's mean over the cutoffs."""
        names = self.folds[0].evaluation.metrics
        return {name: float(np.mean([fold.evaluation.metrics[name] for fold in self.folds])) for name in names}

    @property
    def last(self) -> Evaluation:
        """The evaluation at the latest cutoff."""
        return self.folds[-1].evaluation


def validate(
    task: Task,
    build: Build,
    dataset: Dataset,
    folds: Sequence[tuple[Sequence[date], date]],
    after_fold: Callable[[int, Validation], Any] = lambda step, validation: None,
) -> Validation:
    """Train before, and evaluate at, each validation cutoff in turn.

    Parameters
    ----------
    task : Task
    build : callable
        Returns an untrained model.
    dataset : Dataset
        Rows of all cutoffs named in `folds`.
    folds : sequence of (training cutoffs, validation cutoff)
    after_fold : callable, optional
        Called with (step, validation so far); may raise to stop early.
    """
    done: list[Fold] = []
    for step, (training, cutoff) in enumerate(folds):
        train = dataset.at(*training)
        model = build().fit(train.X, train.y)
        done.append(Fold(cutoff, task.evaluate(model, dataset.at(cutoff))))
        after_fold(step, Validation(tuple(done)))
    return Validation(tuple(done))
