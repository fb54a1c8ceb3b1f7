"""Rows of a task, a model's predictions on them, and its validation over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from experiments.evaluation.metrics import mean_metrics


class Estimator(Protocol):
    """A model as scikit-learn has it: all that validation asks of one."""

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
        """What `fit` and metrics take: a Series where the outcome has one column, else all of its columns."""
        return self.y.iloc[:, 0] if self.y.shape[1] == 1 else self.y

    def at(self, *cutoffs: date) -> Dataset:
        """Return the rows of some cutoffs, each of which must be there.

        Raises
        ------
        KeyError
        """
        wanted = pd.DatetimeIndex(cutoffs)
        days = self.X.index.get_level_values("cutoff")
        absent = wanted.difference(days)
        if len(absent):
            raise KeyError(f"the dataset has no rows at {', '.join(str(day.date()) for day in absent)}")
        return self.where(days.isin(wanted))

    def where(self, rows: Any) -> Dataset:
        """Return some of the rows.

        Parameters
        ----------
        rows : bool array of shape (n_rows,)
        """
        return Dataset(self.X[rows], self.y[rows])


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions beside what happened.

    Attributes
    ----------
    y : Series or DataFrame
        `Dataset.target` of the judged rows.
    prediction : Series or DataFrame, same index
    metrics : mapping of metric name to value
        Those that are defined on these rows.
    undefined : mapping of metric name to str
        Why each other one has no value.
    tables : mapping of name to frame, as the task's reports need them
    """

    y: pd.Series | pd.DataFrame
    prediction: pd.Series | pd.DataFrame
    metrics: Mapping[str, float]
    undefined: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Fold:
    """One validation cutoff and its evaluation; of a series, the first cutoff of the fold."""

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

    @cached_property
    def undefined(self) -> dict[str, str]:
        """Why metrics have no value at some cutoff."""
        return {
            name: f"at {fold.cutoff} {why}" for fold in self.folds for name, why in fold.evaluation.undefined.items()
        }

    @property
    def last(self) -> Evaluation:
        """The evaluation at the latest cutoff."""
        return self.folds[-1].evaluation


Folds = Sequence[tuple[Sequence[date], Sequence[date]]]
"""For each fold the training cutoffs and the held-out ones: one, or those of a part of a series."""


def validate(
    evaluate: Callable[[Any, Dataset], Evaluation],
    build: Callable[[], Estimator],
    dataset: Dataset,
    folds: Folds,
    after_fold: Callable[[int, Validation], Any] = lambda step, validation: None,
) -> Validation:
    """Train before, and evaluate at, each validation cutoff in turn.

    Parameters
    ----------
    evaluate : callable
        `(model, dataset) -> Evaluation`: a task's.
    build : callable
        Returns an untrained model.
    dataset : Dataset
        Rows of all cutoffs named in `folds`.
    folds : sequence of (training cutoffs, held-out cutoffs)
    after_fold : callable, optional
        Called with (step, validation so far); may raise to stop early.
    """
    done: list[Fold] = []
    for step, (training, held_out) in enumerate(folds):
        train = dataset.at(*training)
        model = build().fit(train.X, train.target)
        done.append(Fold(held_out[0], evaluate(model, dataset.at(*held_out))))
        after_fold(step, Validation(tuple(done)))
    return Validation(tuple(done))
