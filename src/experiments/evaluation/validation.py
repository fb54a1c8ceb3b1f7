"""Rows of a task, a model's predictions for them, and its validation over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from experiments.evaluation.metrics import mean_metrics


class Estimator(Protocol):
    """Model with scikit-learn's `fit`, which is all that validation needs."""

    def fit(self, X: pd.DataFrame, y: pd.Series | pd.DataFrame) -> Any: ...


@dataclass(frozen=True)
class Dataset:
    """Features and outcome, one row for each key of a grain and cutoff.

    Attributes
    ----------
    X : DataFrame of float64
        Features, indexed (*key, cutoff).
    y : DataFrame of float64, same index
        The outcome's columns: y; or days, observed; or treated, y.
    """

    X: pd.DataFrame
    y: pd.DataFrame

    @property
    def target(self) -> pd.Series | pd.DataFrame:
        """Outcome as `fit` and metrics take it: a Series if it has one column, else a DataFrame."""
        return self.y.iloc[:, 0] if self.y.shape[1] == 1 else self.y

    def at(self, *cutoffs: date) -> Dataset:
        """Return the rows of the given cutoffs.

        Raises
        ------
        KeyError
            If a cutoff has no rows.
        """
        wanted = pd.DatetimeIndex(cutoffs)
        days = self.X.index.get_level_values("cutoff")
        absent = wanted.difference(days)
        if len(absent):
            raise KeyError(f"the dataset has no rows at {', '.join(str(day.date()) for day in absent)}")
        return self.where(days.isin(wanted))

    def where(self, rows: Any) -> Dataset:
        """Return the rows where `rows` is True.

        Parameters
        ----------
        rows : bool array of shape (n_rows,)
        """
        return Dataset(self.X[rows], self.y[rows])


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions and the outcomes, with the metrics of both.

    Attributes
    ----------
    y : Series or DataFrame
        `Dataset.target` of the evaluated rows.
    prediction : Series or DataFrame, same index
    metrics : mapping of metric name to value
        Metrics that are defined on these rows.
    undefined : mapping of metric name to str
        The reason why each other metric has no value.
    tables : mapping of name to DataFrame, for the task's reports
    """

    y: pd.Series | pd.DataFrame
    prediction: pd.Series | pd.DataFrame
    metrics: Mapping[str, float]
    undefined: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Fold:
    """One fold of a validation.

    Attributes
    ----------
    training : tuple of date
        Training cutoffs.
    cutoff : date
        Held-out cutoff; for a series, the first one.
    model : Estimator
        As fitted on the training cutoffs.
    evaluation : Evaluation
        At the held-out cutoffs.
    """

    training: tuple[date, ...]
    cutoff: date
    model: Estimator
    evaluation: Evaluation


@dataclass(frozen=True)
class Validation:
    """Evaluations at the validation cutoffs, each of a model that was trained only on windows that ended by then."""

    folds: tuple[Fold, ...]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Mean of each metric over the cutoffs."""
        return mean_metrics([fold.evaluation.metrics for fold in self.folds])

    @cached_property
    def undefined(self) -> dict[str, str]:
        """Reasons why metrics have no value at some cutoff."""
        return {
            name: f"at {fold.cutoff} {why}" for fold in self.folds for name, why in fold.evaluation.undefined.items()
        }

    @property
    def last(self) -> Evaluation:
        """Evaluation at the latest cutoff."""
        return self.folds[-1].evaluation


Folds = Sequence[tuple[Sequence[date], Sequence[date]]]
"""Training cutoffs and held-out cutoffs of each fold; several cutoffs are held out for a series."""


def validate(
    evaluate: Callable[[Any, Dataset], Evaluation],
    build: Callable[[], Estimator],
    dataset: Dataset,
    folds: Folds,
    after_fold: Callable[[int, Validation], Any] = lambda step, validation: None,
) -> Validation:
    """Train a model for each fold, and evaluate it at the held-out cutoffs.

    Parameters
    ----------
    evaluate : callable
        `(model, dataset) -> Evaluation`, as `Task.evaluate`.
    build : callable
        Returns an untrained model.
    dataset : Dataset
        Rows of all cutoffs named in `folds`.
    folds : sequence of (training cutoffs, held-out cutoffs)
    after_fold : callable, optional
        Called with (step, validation so far) after each fold; it may raise an exception to stop early.
    """
    done: list[Fold] = []
    for step, (training, held_out) in enumerate(folds):
        model = _fitted(build, dataset.at(*training))
        done.append(Fold(tuple(training), held_out[0], model, evaluate(model, dataset.at(*held_out))))
        after_fold(step, Validation(tuple(done)))
    return Validation(tuple(done))


def validate_all(
    evaluate: Callable[[Any, Dataset], Evaluation],
    builds: Mapping[str, Callable[[], Estimator]],
    dataset: Dataset,
    folds: Folds,
) -> dict[str, Validation]:
    """Validate several models, by name, on the same folds; parameters are those of `validate`."""
    done: dict[str, list[Fold]] = {name: [] for name in builds}
    for training, held_out in folds:  # the rows of a fold are gathered once for all models
        train, judged = dataset.at(*training), dataset.at(*held_out)
        for name, build in builds.items():
            model = _fitted(build, train)
            done[name].append(Fold(tuple(training), held_out[0], model, evaluate(model, judged)))
    return {name: Validation(tuple(of_model)) for name, of_model in done.items()}


def _fitted(build: Callable[[], Estimator], train: Dataset) -> Any:
    return build().fit(train.X, train.target)
