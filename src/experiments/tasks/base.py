"""What every marketing question has in common: data, candidates, evaluation, validation over time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import pandas as pd

from experiments.models.base import Model
from features.errors import InputError, check_type, did_you_mean, listing
from features.shop import Shop

Build = Callable[[], Model]

COUNTS: Mapping[str, str] = {
    "customers": "customers who are judged",
    "repeat_customers": "of them with purchases on two days or more",
    "positives": "of them with a target above 0",
    "negatives": "of them with a target of 0",
}


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
        """The rows of some cutoffs, each of which must be there."""
        wanted = pd.DatetimeIndex(cutoffs)
        days = self.X.index.get_level_values("cutoff")
        absent = wanted.difference(days)
        if len(absent):
            raise KeyError(f"the dataset has no rows at {', '.join(str(day.date()) for day in absent)}")
        rows = days.isin(wanted)
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
    """One marketing question. Tasks inherit from it, and with it what most have in common."""

    name: str  # of the question: its models, ledger and champion go by it
    needs: tuple[str, ...]
    grain: str
    horizon_days: int
    objective: str  # what the search maximises
    primary_metric: str  # what the gate decides on
    min_effect: float
    guards: Mapping[str, tuple[float, float]]
    minimum: Mapping[str, int]  # what each window must hold, as `sufficiency.COUNTS` names it
    outputs: tuple[str, ...]
    judged: str  # which of the outputs the metrics are about
    keeps_labels: bool = False  # whether `align` has anything to do
    nulls: Mapping[str, str] = {}  # the task's metrics that are negative controls, by their names under control/

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """All names that configurations of the task may have."""
        return (cls.name,)

    @property
    def target(self) -> str:
        """The target in one string: models of different targets are never compared."""
        ...

    @property
    def ability(self) -> str:
        """What a better primary metric means to a marketer: "the model … better than another"."""
        return f"does in {self.primary_metric}"

    @property
    def population(self) -> str:
        """Who is judged: models judged on different customers are never compared."""
        return "customers who bought before the cutoff"

    def dataset(self, shop: Shop, features: Sequence[str], cutoffs: Sequence[date]) -> Dataset:
        """Features before, and the target after, each cutoff."""
        ...

    def candidates(self) -> Mapping[str, Build]:
        """Untrained models by name; the naive ones carry `is_naive`."""
        ...

    def metric(self) -> Callable[..., float]:
        """The primary metric as a function (y, prediction, *, weights=None)."""
        ...

    def evaluate(self, model: Model, dataset: Dataset) -> Evaluation:
        """Predict, and measure the predictions."""
        ...

    def diagnose(self, model: Model, dataset: Dataset) -> Evaluation | None:
        """What is worth a look at a candidate, and too slow for every trial."""
        return None

    def judged_rows(self, dataset: Dataset) -> Dataset:
        """The rows of the population; models learn from all and predict all."""
        return dataset

    def recalibrate(self, model: Model, validation: Validation) -> Model:
        """The model with its figures moved by what the validation cutoffs showed; itself where nothing is to move."""
        return model

    def align(self, model: Model, X: pd.DataFrame, champion: Model, champion_X: pd.DataFrame) -> None:
        """Make what a new model calls things agree with the champion, on the same customers."""


def check_primary_metric(metric: str, known: Sequence[str]) -> None:
    """Refuse a metric to choose models by that is none of those of which more is better.

    Raises
    ------
    InputError
    """
    if metric not in known:
        raise InputError(
            f"{metric!r} is no metric to choose models by",
            where="task.primary_metric",
            expected=listing(known),
            hint=did_you_mean(metric, known),
        )


def check_guards(guards: Mapping[str, Sequence[float]], metrics: Iterable[str]) -> None:
    """Refuse a guard of an unknown metric, or one that is no range.

    Raises
    ------
    InputError
    """
    for metric, bounds in guards.items():
        if metric not in metrics:
            raise InputError(f"there is no metric {metric!r}", where="task.guards", hint=did_you_mean(metric, metrics))
        check_type(bounds, "Sequence[float]", f"task.guards.{metric}")
        numbers = [bound for bound in bounds if isinstance(bound, int | float)]
        if len(bounds) != 2 or len(numbers) != 2 or not numbers[0] <= numbers[1]:
            raise InputError(
                f"the guard of {metric} is no range",
                where=f"task.guards.{metric}",
                expected="[lowest, highest]",
                found=str(bounds),
            )


def check_minimum(minimum: Mapping[str, int]) -> None:
    """Refuse a minimum of what is not counted, or one that is no count.

    Raises
    ------
    InputError
    """
    for name, number in minimum.items():
        where = f"task.minimum.{name}"
        if name not in COUNTS:
            raise InputError(f"{name!r} is not counted", where="task.minimum", hint=did_you_mean(name, COUNTS))
        check_type(number, "int", where)
        if number < 0:
            raise InputError("there is no such minimum", where=where, expected=">= 0", found=str(number))


def excess(task: Task, metrics: Mapping[str, float]) -> dict[str, float]:
    """How far each guarded metric that was measured lies outside its range; 0 or less within."""
    guards = {name: guard for name, guard in task.guards.items() if name in metrics}
    return {name: max(low - metrics[name], metrics[name] - high) for name, (low, high) in guards.items()}


def outside_guards(task: Task, metrics: Mapping[str, float]) -> float:
    """The largest excess, 0 within all guards; of a naive model's segments, for one, no stability is measured."""
    return max([*excess(task, metrics).values(), 0.0])


def build(task: Task, name: str, params: Mapping[str, Any]) -> Model:
    """One of the task's candidates, untrained, with these parameters.

    Raises
    ------
    InputError
        For an unknown candidate or parameter, or a parameter of the wrong type.
    """
    candidates = task.candidates()
    if name not in candidates:
        raise InputError(
            f"{task.name} has no candidate {name!r}", where="model.name", hint=did_you_mean(name, candidates)
        )
    model = candidates[name]()
    known = model.get_params()
    for param, value in params.items():
        if param not in known:
            raise InputError(
                f"{name} has no parameter {param!r}", where="model.params", hint=did_you_mean(param, known)
            )
        part, _, own = param.rpartition("__")  # of a blend, the part that takes it
        stated = inspect.signature(type(known[part] if part else model)).parameters[own].annotation
        check_type(value, stated, f"model.params.{param}")
    return model.set_params(**params)


def naive_models(task: Task, params: Mapping[str, Any]) -> dict[str, Build]:
    """The candidates that a marketer would reckon by hand, to stand beside a model of these parameters.

    A naive model takes over the parameters that it shares, such as the number of segments.
    """
    naive = {name: candidate().get_params() for name, candidate in task.candidates().items() if candidate().is_naive}
    return {
        name: partial(build, task, name, {param: value for param, value in params.items() if param in known})
        for name, known in naive.items()
    }


def mean_metrics(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each metric's mean over the folds; what one of them lacks, such as a group without customers, is left out."""
    names = [name for name in folds[0] if all(name in fold for fold in folds)] if folds else []
    return {name: float(np.mean([fold[name] for fold in folds])) for name in names}


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
        return mean_metrics([fold.evaluation.metrics for fold in self.folds])

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
