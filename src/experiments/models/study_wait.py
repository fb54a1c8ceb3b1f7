"""The regressor of the reported case study, asked for what lies ahead: scikit-learn's gradient boosting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor

from experiments.models.base import finite_columns
from experiments.models.scaling import location_and_scale
from experiments.models.waits import HORIZON_DAYS, WaitTable, check_rows
from features.errors import InputError

READS = (
    "days_since_last_purchase",
    "frequency",
    "monetary_value",
    "T",
    "recency",
    "purchase_day_rate",
    "gap_median_days",
    "gap_latest_mean_days",
    "overdue_ratio",
)
LEAF = -1


class StudyWait(WaitTable):
    """Gradient boosting of min(wait, horizon) on standardised features, with a distribution from its residuals.

    The study regressed the average interval on features that it is a formula of. Here the same regressor predicts the
    wait ahead. A prediction is one number. It becomes the distribution of the training rows that got about the same
    number from a regressor that had not learnt from them: half of the customers are predicted by the other half.

    Parameters
    ----------
    n_estimators : int
        Number of trees.
    learning_rate : float
        Shrinkage of each tree.
    max_depth : int
        Greatest depth of a tree.
    min_samples_leaf : int
        Fewest training rows in a leaf.
    subsample : float in (0, 1]
        Share of the rows that each tree learns from.
    bins : int
        Number of bins of the predicted wait.
    seed : int
        Seed of the draws of rows.
    horizon_days : int

    Attributes
    ----------
    means_, scales_ : array of shape (n_features,)
        Of the features in `READS`.
    level_ : float
        Prediction before the first tree.
    trees_ : list of dict
        For each tree `feature` (-1 in a leaf), `threshold`, `left`, `right` and `value` of its nodes.
    edges_, curves_
        As in `WaitTable`.

    References
    ----------
    Friedman (2001), Greedy function approximation: a gradient boosting machine, Annals of Statistics 29.

    Examples
    --------
    >>> X = pd.DataFrame({name: np.repeat([1.0, 5.0, 9.0], 60) for name in READS})
    >>> y = pd.DataFrame({"days": X["frequency"] + 1, "observed": 1.0})
    >>> StudyWait(min_samples_leaf=5, bins=3, horizon_days=10).fit(X, y).predict(X)[::60, 0].tolist()
    [2.0, 6.0, 10.0]
    """

    def __init__(
        self,
        n_estimators: int = 80,
        learning_rate: float = 0.08,
        max_depth: int = 3,
        min_samples_leaf: int = 30,
        subsample: float = 0.5,
        bins: int = 30,
        seed: int = 0,
        horizon_days: int = HORIZON_DAYS,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.subsample = subsample
        self.bins = bins
        self.seed = seed
        self.horizon_days = horizon_days

    def _fit(self, X: pd.DataFrame, days: np.ndarray, observed: np.ndarray) -> None:
        read = np.ascontiguousarray(finite_columns(X, READS))
        self.means_, self.scales_ = location_and_scale(read, "standard")
        Z, half = (read - self.means_) / self.scales_, _halves(X)
        for size in np.bincount(half):
            check_rows(size, 2, "a half of the customers")
        unseen = np.empty(len(days))
        for part in (0, 1):
            if (half == part).any():
                known = half != part if (half != part).any() else half == part
                self._take(self._grown(Z[known], days[known]))
                unseen[half == part] = self._boosted(Z[half == part])
        self._take(self._grown(Z, days))
        self._fill(unseen, days, observed)

    def _grown(self, Z: np.ndarray, days: np.ndarray) -> GradientBoostingRegressor:
        if not self.n_estimators >= 1:
            found = str(self.n_estimators)
            raise InputError("n_estimators is out of range", where="n_estimators", expected=">= 1", found=found)
        return GradientBoostingRegressor(
            n_estimators=self.n_estimators,
            learning_rate=self.learning_rate,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_samples_leaf,
            subsample=self.subsample,
            random_state=self.seed,
        ).fit(Z, days.astype(float))

    def _take(self, grown: GradientBoostingRegressor) -> None:
        """Keep the trees as lists of numbers: nothing is pickled, and a reloaded model predicts the same bits."""
        self.level_ = float(grown.init_.constant_.ravel()[0])
        trees = [tree.tree_ for tree in grown.estimators_[:, 0]]
        self.trees_ = [
            {
                "feature": np.where(tree.children_left == LEAF, LEAF, tree.feature).tolist(),
                "threshold": tree.threshold.tolist(),
                "left": tree.children_left.tolist(),
                "right": tree.children_right.tolist(),
                "value": tree.value.ravel().tolist(),
            }
            for tree in trees
        ]

    def _at(self, X: pd.DataFrame) -> np.ndarray:
        read = np.ascontiguousarray(finite_columns(X, READS))
        return self._boosted((read - self.means_) / self.scales_)

    def _boosted(self, Z: np.ndarray) -> np.ndarray:
        """Return the predicted waits of standardised rows: array of shape (n_rows,)."""
        Z = Z.astype(np.float32)  # the trees were split on it
        total = np.full(len(Z), self.level_)
        for tree in self.trees_:
            total += self.learning_rate * _leaf_values({name: np.array(nodes) for name, nodes in tree.items()}, Z)
        return total

    def get_state(self) -> dict[str, Any]:
        own = {"means": self.means_.tolist(), "scales": self.scales_.tolist()}
        return {**super().get_state(), **own, "level": self.level_, "trees": self.trees_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.means_, self.scales_ = np.array(state["means"]), np.array(state["scales"])
        self.level_, self.trees_ = state["level"], state["trees"]
        return super().set_state(state)


def _leaf_values(tree: Mapping[str, np.ndarray], Z: np.ndarray) -> np.ndarray:
    """Return the value of the leaf that each row falls into."""
    at, rows = np.zeros(len(Z), dtype=int), np.arange(len(Z))
    while (inner := tree["feature"][at] != LEAF).any():
        node, row = at[inner], rows[inner]
        is_left = Z[row, tree["feature"][node]] <= tree["threshold"][node]
        at[inner] = np.where(is_left, tree["left"][node], tree["right"][node])
    return tree["value"][at]


def _halves(X: pd.DataFrame) -> np.ndarray:
    """Assign rows to two halves: every other customer, or row where there are no customers."""
    if "customer_id" not in X.index.names:
        return np.arange(len(X)) % 2
    return pd.factorize(X.index.get_level_values("customer_id"), sort=True)[0] % 2
