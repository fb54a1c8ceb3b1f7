"""A window that no model has learnt from: outcomes, and predictions of the model in use and of its rivals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from experiments.case_study.result import NAN, Difference
from experiments.evaluation.bootstrap import Distribution, Draws, paired_bootstrap
from experiments.evaluation.metrics import Metric
from experiments.reports.material import InUse

Predictions = pd.Series | pd.DataFrame
MODEL = "in use"


@dataclass(frozen=True)
class HeldOut:
    """Rows of a task's population at its last validation cutoff, with predictions by name.

    The model is that in use, fitted anew on the windows that had ended by the cutoff: the one that is registered has
    learnt from later ones.

    Attributes
    ----------
    model : InUse
    cutoff : date
    horizon_days : int
    metrics : mapping of name to Metric
        Those of the task.
    X : DataFrame indexed (*key, cutoff)
        Features.
    y : Series or DataFrame, same index
    predictions : mapping of name to Series or DataFrame, same index
        Those of the model are named `MODEL`.
    n_resamples, seed : int
        Of the bootstrap, which draws customers.
    confidence : float in (0, 1)
        Of two-sided intervals.
    """

    model: InUse
    cutoff: date
    horizon_days: int
    metrics: Mapping[str, Metric]
    X: pd.DataFrame
    y: Predictions
    predictions: Mapping[str, Predictions]
    n_resamples: int
    seed: int
    confidence: float

    @property
    def customers(self) -> pd.Index:
        """Customer of each row."""
        return self.y.index.get_level_values("customer_id")

    def among(self, customers: pd.Index) -> HeldOut:
        """Return the rows of some customers."""
        rows = self.customers.isin(customers)
        predictions = {name: prediction[rows] for name, prediction in self.predictions.items()}
        return replace(self, X=self.X[rows], y=self.y[rows], predictions=predictions)

    def beside(self, name: str, prediction: Predictions) -> HeldOut:
        """Return the rows with one more prediction, indexed as they are."""
        return replace(self, predictions={**self.predictions, name: prediction})

    def draws(self, metric: str) -> Draws:
        """Return the distribution of a metric of each prediction, all on the same resamples of customers."""
        return paired_bootstrap(
            self.metrics[metric],
            self.y,
            self.predictions,
            self.customers,
            n_resamples=self.n_resamples,
            seed=self.seed,
            widened=True,
        )

    def interval(self, distribution: Distribution) -> Difference:
        """Return the estimate and the interval of a figure, or of a difference."""
        if not np.isfinite(distribution.estimate):
            return Difference(NAN, NAN, NAN)
        return Difference(distribution.estimate, *distribution.interval(self.confidence))
