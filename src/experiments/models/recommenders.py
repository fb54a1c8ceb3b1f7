"""Recommenders: a score for each candidate pair of a customer and a product, by which the customer's list is ordered.

The scores of single methods (rules, neighbours, EASE) are features that were learnt before the cutoff. So a model here
reads one of them, adds several up, or learns from all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from experiments.models.base import Model, require_columns
from experiments.models.boosting import LightGBM, read_booster
from features.errors import InputError, UnsuitableDataError
from features.seasons import CUTOFF_DAY

POPULARITY = "product_recent_buyer_share"
TIES = 1e-6  # weight of the popularity, which orders pairs of equal score
OWN_ORDERS = "own_orders"


class ByScore(Model):
    """Order by one feature; of equal values, the product that more customers bought lately comes first.

    prediction = score + 1e-6 x ties. Nothing is learnt from `y`.

    Parameters
    ----------
    score : str
        Feature.
    ties : str
        Feature that orders rows of equal score: a share of customers or orders.

    Examples
    --------
    >>> X = pd.DataFrame({"ease": [0.25, 0.5, 0.25], "product_recent_buyer_share": [0.1, 0.1, 0.2]})
    >>> np.argsort(-ByScore("ease").fit(X, None).predict(X)).tolist()
    [1, 2, 0]
    """

    def __init__(self, score: str = "own_frequency", ties: str = POPULARITY) -> None:
        self.score = score
        self.ties = ties

    def fit(self, X: pd.DataFrame, y: pd.DataFrame | None) -> Self:
        """Check that the feature is there."""
        require_columns(X, dict.fromkeys([self.score, self.ties]))
        return self.set_state({})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the score of each row: array of shape (n_rows,)."""
        found = require_columns(X, dict.fromkeys([self.score, self.ties]))
        return (found[self.score] + TIES * found[self.ties]).to_numpy(dtype=float)

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.is_fitted_ = True
        return self


class NoOrder(Model):
    """Control that gives every row the score 0."""

    def fit(self, X: pd.DataFrame, y: pd.DataFrame | None) -> Self:
        """Learn nothing."""
        return self.set_state({})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return 0 for each row."""
        return np.zeros(len(X))

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.is_fitted_ = True
        return self


class Hybrid(Model):
    """Weighted sum of what customers prefer, what goes together, and what is alike.

    prediction = own f(own_frequency) + interaction f(neighbours) + similarity f(content) + popularity f(popularity),
    where f divides by the feature's standard deviation over the training rows.

    Parameters
    ----------
    neighbours : str
        Feature of interaction: "ease", "item_neighbours", "factors" or "rule_confidence".
    own : float
        Weight of the customer's own frequency.
    interaction, similarity, popularity : float
        Weights beside it, at least 0.

    Attributes
    ----------
    weights_ : dict of feature to float
        Each weight divided by the standard deviation.

    Examples
    --------
    >>> X = pd.DataFrame({"own_frequency": [2.0, 0.0], "ease": [0.0, 1.0], "product_recent_buyer_share": [0.1, 0.1]})
    >>> Hybrid(own=1.0, interaction=0.5).fit(X, None).predict(X).tolist()
    [2.0, 1.0]
    """

    def __init__(
        self,
        neighbours: str = "ease",
        own: float = 1.0,
        interaction: float = 0.3,
        similarity: float = 0.0,
        popularity: float = 0.1,
    ) -> None:
        self.neighbours = neighbours
        self.own = own
        self.interaction = interaction
        self.similarity = similarity
        self.popularity = popularity

    def fit(self, X: pd.DataFrame, y: pd.DataFrame | None) -> Self:
        """Measure the features.

        Raises
        ------
        InputError
            If a weight is below 0, or all are 0.
        """
        weights = {
            "own_frequency": self.own,
            self.neighbours: self.interaction,
            "content": self.similarity,
            POPULARITY: self.popularity,
        }
        if min(weights.values()) < 0 or not any(weights.values()):
            raise InputError(
                "the weights of a hybrid are out of range",
                where="model.params",
                expected="numbers of at least 0, one of them above 0",
                found=str(weights),
            )
        used = {name: weight for name, weight in weights.items() if weight > 0}
        spread = require_columns(X, used).std(ddof=0)
        return self.set_state(
            {"weights": {name: weight / spread[name] if spread[name] > 0 else 0.0 for name, weight in used.items()}}
        )

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the score of each row: array of shape (n_rows,)."""
        found = require_columns(X, self.weights_)
        parts = (weight * found[name].to_numpy(dtype=float) for name, weight in self.weights_.items())
        return np.asarray(sum(parts))  # a product of matrices gives a row other bits beside other rows

    def get_state(self) -> dict[str, Any]:
        return {"weights": self.weights_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.weights_ = {str(name): float(weight) for name, weight in state["weights"].items()}
        return self


class Ranker(LightGBM):
    """LightGBM that orders each customer's candidates, on all columns of `X`: LambdaMART.

    Trees are grown on the gradient of NDCG within each list, the rows that differ in their product alone. A list
    without a purchase says nothing of order and is left out. See `LightGBM` for the other parameters.

    Parameters
    ----------
    truncation : int
        Places at the top of a list that count.
    latest_cutoffs : int
        Training cutoffs that are learnt from, the latest ones: lists are many, and older ones are less like the next.
    new_alone : bool
        Learn from products that are new to the customer alone.

    References
    ----------
    Burges (2010), From RankNet to LambdaRank to LambdaMART: an overview.

    Examples
    --------
    >>> names = ["customer_id", "product_id", "cutoff"]
    >>> index = pd.MultiIndex.from_product([range(50), range(10), [pd.Timestamp("2020-06-01")]], names=names)
    >>> X = pd.DataFrame({"ease": np.tile(np.arange(10.0), 50)}, index=index)
    >>> scores = Ranker(n_estimators=5).fit(X, (X["ease"] >= 8).astype(float)).predict(X)
    >>> bool(scores[9] > scores[0])
    True
    """

    def __init__(
        self,
        truncation: int = 15,
        latest_cutoffs: int = 2,
        new_alone: bool = False,
        n_estimators: int = 100,
        learning_rate: float = 0.08,
        num_leaves: int = 15,
        min_child_samples: int = 100,
        reg_lambda: float = 1.0,
        colsample_bytree: float = 0.7,
        subsample: float = 1.0,
        seed: int = 0,
        n_jobs: int = -1,
    ) -> None:
        self.truncation = truncation
        self.latest_cutoffs = latest_cutoffs
        self.new_alone = new_alone
        super().__init__(
            n_estimators,
            learning_rate,
            num_leaves,
            min_child_samples,
            reg_lambda,
            colsample_bytree,
            subsample,
            seed,
            n_jobs,
        )

    def fit(self, X: pd.DataFrame, y: pd.DataFrame | pd.Series) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : DataFrame indexed (customer_id, product_id, cutoff), or with further levels such as order_id
        y : DataFrame or Series
            Its first column is 1 for a product that was bought, else 0.

        Raises
        ------
        UnsuitableDataError
            If no list has both a product that was bought and one that was not.
        """
        bought = (y.iloc[:, 0] if isinstance(y, pd.DataFrame) else y).to_numpy(dtype=float)
        found = f"{len(X):,} candidates, {int(bought.sum()):,} of them bought"
        days = _positions(X.index, "cutoff")
        kept = days >= np.unique(days)[-self.latest_cutoffs :][0]
        if self.new_alone:
            kept &= require_columns(X, [OWN_ORDERS])[OWN_ORDERS].to_numpy() == 0
        X, bought = X.loc[kept, sorted(X.columns.drop(CUTOFF_DAY, errors="ignore"))], bought[kept]
        of_list = np.zeros(len(X), dtype=np.int64)
        for level in ("cutoff", *(name for name in X.index.names if name not in ("cutoff", "product_id"))):
            position = _positions(X.index, level)
            of_list = np.unique(of_list * (position.max(initial=0) + 1) + position, return_inverse=True)[1]
        hits, sizes = np.bincount(of_list, bought), np.bincount(of_list)
        rows = np.flatnonzero(((hits > 0) & (hits < sizes))[of_list])
        if not len(rows):
            raise UnsuitableDataError(
                "no list can teach an order",
                where="y",
                expected="customers who buy some of their candidates, and not all of them",
                found=found,
                hint="use a longer horizon_days",
            )
        rows = rows[np.lexsort((_positions(X.index, "product_id")[rows], of_list[rows]))]
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        groups = np.unique(of_list[rows], return_counts=True)[1]
        trees = self._trained(X.to_numpy(dtype=np.float64)[rows], bought[rows], groups)
        self.booster_ = read_booster(trees.model_to_string())
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the score of each row, which has no unit: array of shape (n_rows,)."""
        return self._raw(self._rows(X))

    def _check_target(self, y: np.ndarray) -> None:
        """Accept what `fit` has checked."""

    def _objective_options(self) -> dict[str, Any]:
        return {"objective": "lambdarank", "lambdarank_truncation_level": self.truncation}


def _positions(index: pd.MultiIndex, level: str) -> np.ndarray:
    """Return the position of each row's value among the sorted values of a level."""
    at = index.names.index(level)
    order = np.argsort(index.levels[at].to_numpy(), kind="stable")
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    return position[index.codes[at]]
