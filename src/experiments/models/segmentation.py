"""Clusters of customers who are similar in some variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans, ward_tree
from sklearn.mixture import GaussianMixture
from threadpoolctl import ThreadpoolController

from experiments.models.base import HORIZON_DAYS, finite_columns, require_columns
from experiments.models.buy_till_you_die import MBGNBD
from experiments.models.memo import kept
from experiments.models.scaling import check_scaling, location_and_scale, unrolled
from experiments.models.segments import Segments, check_at_least, latest_spend
from features.errors import InputError, UnsuitableDataError, did_you_mean, listing

ALGORITHMS = ("kmeans", "gaussian_mixture", "agglomerative", "hdbscan")
DERIVED = ("clv", "p_alive")
OUTLIER_COLUMNS = ("frequency", "monetary_value", "total_spend")
MOST_ROWS = 10_000  # training rows of algorithms that compare all pairs of rows


@dataclass(frozen=True)
class Partition:
    """A partition of space into cells: by the nearest centre, or by the likeliest component of a mixture.

    Attributes
    ----------
    centers : array of shape (k, d)
        Centres, or means of the components.
    weights : array of shape (k,), optional
        Weights of the components; None for cells by the nearest centre.
    precisions_cholesky : array of shape (k, d, d), optional
        Precisions of the components, as in `sklearn.mixture.GaussianMixture`.
    """

    centers: np.ndarray
    weights: np.ndarray | None = None
    precisions_cholesky: np.ndarray | None = None

    def assign(self, Z: np.ndarray) -> np.ndarray:
        """Return the cell of each row, from 0: int array of shape (n_rows,)."""
        if self.weights is not None:
            mixture = GaussianMixture(len(self.centers))
            mixture.weights_, mixture.means_ = self.weights, self.centers
            mixture.precisions_cholesky_ = self.precisions_cholesky
            return mixture.predict(Z)
        return np.argmin([((Z - center) ** 2).sum(axis=1) for center in self.centers], axis=0)

    def take(self, cells: np.ndarray) -> Partition:
        """Return a partition of the given cells, in that order."""
        return Partition(*(None if values is None else values[cells] for values in vars(self).values()))

    def get_state(self) -> dict[str, Any]:
        return {name: None if values is None else values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Partition:
        return cls(**{name: None if values is None else np.array(values) for name, values in state.items()})


class Segmentation(Segments):
    """Clusters of customers who are similar in some variables, numbered from 1 = most valuable.

    The variables of the latest cutoff's customers are scaled, outliers are set aside, and the others are clustered.
    Every row then gets a segment, including new rows and outliers. With k-means, agglomerative and HDBSCAN it is the
    segment of the nearest centre (the mean of a cluster), with a Gaussian mixture the likeliest one. Training rows are
    labelled in the same way, including the noise of HDBSCAN. A cluster that is nearest to no row is dropped.

    Parameters
    ----------
    n_clusters : int >= 2
        No effect with "hdbscan", which finds the number itself.
    algorithm : {"kmeans", "gaussian_mixture", "agglomerative", "hdbscan"}
        Agglomerative (Ward) and HDBSCAN learn from at most 10,000 rows, drawn with `seed`.
    scaling : {"none", "standard", "minmax", "log_standard"}
        Scaling of each variable: unchanged; z-scores; to [0, 1]; z-scores of sign(x) log(1 + abs(x)), for skewed
        amounts.
    outlier_quantile : float in (0, 1), optional
        Customers above this quantile of frequency, monetary_value or total_spend are set aside, if the model reads that
        column. They do not affect scaling or clusters, but they count in their segment's mean spend.
    variables : list of str, optional
        Clustering variables: columns of `X`, and clv and p_alive with `with_value`. By default, both of these and all
        columns of `X` except `recency`, which only the value model reads.
    with_value : bool
        Add clv (currency over the horizon) and p_alive, from an MBG/NBD x gamma-gamma fitted on the same customers. It
        reads frequency, recency, T and monetary_value.
    min_cluster_size : int >= 2
        Minimum number of customers in a cluster, for "hdbscan" only.
    n_init : int
        Number of starts of k-means; the best one is kept. A mixture starts once, from k-means.
    seed : int
        Seed of the starts and of the drawn rows.
    horizon_days : float
        Horizon of clv, and of the spend in `y`.

    Attributes
    ----------
    variables_ : list of str
        Clustering variables, sorted.
    partition_ : Partition
        Cells in the space of scaled variables.
    offset_, scale_ : array of shape (n_variables,)
        A variable is scaled as (x - offset_) / scale_, after the logarithm if any; constants have scale 1.
    outlier_thresholds_ : dict of column to value
    value_model_ : MBGNBD or None

    Examples
    --------
    >>> X = pd.DataFrame({"total_spend": [1.0, 2.0, 90.0, 99.0]})
    >>> model = Segmentation(n_clusters=2, with_value=False).fit(X, pd.Series([0.0, 2.0, 50.0, 70.0]))
    >>> model.segment(X).tolist(), model.predict(X).tolist()
    ([2, 2, 1, 1], [1.0, 1.0, 60.0, 60.0])
    """

    def __init__(
        self,
        n_clusters: int = 4,
        algorithm: str = "kmeans",
        scaling: str = "log_standard",
        outlier_quantile: float | None = None,
        variables: Sequence[str] | None = None,
        with_value: bool = True,
        min_cluster_size: int = 50,
        n_init: int = 5,
        seed: int = 0,
        horizon_days: float = HORIZON_DAYS,
    ) -> None:
        self.n_clusters = n_clusters
        self.algorithm = algorithm
        self.scaling = scaling
        self.outlier_quantile = outlier_quantile
        self.variables = variables
        self.with_value = with_value
        self.min_cluster_size = min_cluster_size
        self.n_init = n_init
        self.seed = seed
        self.horizon_days = horizon_days

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Cluster the customers of the latest cutoff, and compute the mean next-period spend of each segment.

        Raises
        ------
        InputError
            If the algorithm, scaling or a variable is unknown, a parameter is out of range, or there are more clusters
            than distinct customers.
        UnsuitableDataError
            If a value is not finite, or if fewer than two clusters are found.
        """
        self._check_parameters()
        X, y = latest_spend(X, y)
        self.variables_ = sorted(set(self._chosen(X)))
        derived = self.with_value and not set(DERIVED).isdisjoint(self.variables_)
        self.value_model_ = MBGNBD(horizon_days=self.horizon_days).fit(X) if derived else None
        values = self.values(X)
        self.outlier_thresholds_ = self._outlier_thresholds(X)
        usual = ~self.is_outlier(X)
        self.offset_, self.scale_ = location_and_scale(self._unrolled(values[usual]), self.scaling)
        Z = self.transform(X)
        partition = self._partition(Z[usual], self.n_clusters)
        cells = partition.assign(Z.to_numpy())
        if len(partition.centers) < 2:
            raise UnsuitableDataError(
                f"{self.algorithm} finds fewer than two clusters",
                where=f"{len(Z):,} customers, variables {listing(self.variables_)}",
                expected="at least 2",
                found=str(len(partition.centers)),
                hint="lower min_cluster_size, change scaling or variables, or use algorithm=kmeans",
            )
        self.partition_ = partition
        self._learn_spend(cells, y)
        return self

    def values(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the variables without scaling, with clv and p_alive: one column per variable, indexed as X."""
        if self.value_model_ is None:
            derived = {}
        else:
            derived = {"clv": self.value_model_.predict(X), "p_alive": self.value_model_.p_alive(X)}
        given = require_columns(X, [name for name in self.variables_ if name not in derived]).astype(float)
        for name in given:
            wrong = given[name][~np.isfinite(given[name])]
            if len(wrong):
                raise UnsuitableDataError(
                    f"{name} has values that are not finite numbers",
                    where=f"column {name}",
                    expected="finite numbers",
                    found=listing(wrong),
                )
        return given.assign(**derived)[self.variables_]

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the scaled variables, as they are clustered: one column per variable, indexed as X."""
        values = self.values(X)
        return pd.DataFrame((self._unrolled(values) - self.offset_) / self.scale_, values.index, values.columns)

    def cluster(self, Z: ArrayLike, n_clusters: int | None = None) -> np.ndarray:
        """Cluster scaled variables as `fit` does: for resampled or permuted rows, or another number of clusters.

        The model does not have to be fitted.

        Parameters
        ----------
        Z : array of shape (n_rows, n_variables)
            As `transform` returns it.
        n_clusters : int, optional
            By default the model's own.

        Returns
        -------
        int array of shape (n_rows,)
            Labels from 0, not ordered by value; all 0 if HDBSCAN finds fewer than two clusters.
        """
        Z = np.asarray(Z, dtype=float)
        return self._partition(Z, self.n_clusters if n_clusters is None else n_clusters).assign(Z)

    def is_outlier(self, X: pd.DataFrame) -> np.ndarray:
        """Return True for each row that `fit` would set aside as an outlier: bool array of shape (n_rows,)."""
        columns = finite_columns(X, self.outlier_thresholds_, below_zero=True)
        return (columns > pd.Series(self.outlier_thresholds_, dtype=float)).any(axis=1).to_numpy()

    def _cells(self, X: pd.DataFrame) -> np.ndarray:
        return self.partition_.assign(self.transform(X).to_numpy())

    def _check_parameters(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise InputError(
                f"unknown algorithm {self.algorithm!r}",
                where="algorithm",
                hint=did_you_mean(str(self.algorithm), ALGORITHMS),
            )
        check_scaling(self.scaling)
        for name, lowest in (("n_clusters", 2), ("min_cluster_size", 2), ("n_init", 1)):
            check_at_least(name, getattr(self, name), lowest)
        if self.outlier_quantile is not None and not 0 < self.outlier_quantile < 1:
            raise InputError(
                "outlier_quantile is out of range",
                where="outlier_quantile",
                expected="between 0 and 1, such as 0.995, or null for no outliers",
                found=str(self.outlier_quantile),
            )

    def _chosen(self, X: pd.DataFrame) -> list[str]:
        """Return the names of the clustering variables, after checking them."""
        derived = DERIVED if self.with_value else ()
        if self.variables is None:
            chosen = [name for name in X.columns if not (self.with_value and name == "recency")] + [*derived]
        else:
            chosen = list(self.variables)
            require_columns(X, [name for name in chosen if name not in derived])
        if not chosen:
            raise InputError("there is no variable to cluster on", where="variables", expected="at least one variable")
        return chosen

    def _outlier_thresholds(self, X: pd.DataFrame) -> dict[str, float]:
        if self.outlier_quantile is None:
            return {}
        read = {*self.variables_, *(("frequency", "monetary_value") if self.value_model_ is not None else ())}
        columns = [name for name in OUTLIER_COLUMNS if name in read]
        if not columns:
            raise InputError(
                "outlier_quantile has no column to apply to",
                where="outlier_quantile",
                expected=f"one of {listing(OUTLIER_COLUMNS)} among the variables",
                found=listing(self.variables_),
                hint="set outlier_quantile=null",
            )
        return {
            name: float(finite_columns(X, [name], below_zero=True)[name].quantile(self.outlier_quantile))
            for name in columns
        }

    def _unrolled(self, values: pd.DataFrame) -> np.ndarray:
        return unrolled(values.to_numpy(), self.scaling)

    def _partition(self, Z: ArrayLike, n_clusters: int) -> Partition:
        """Cluster rows in any order; every cell of the partition holds at least one row."""
        Z = np.asarray(Z, dtype=float)
        Z = Z[np.lexsort(Z.T)]
        distinct = 1 + int(np.any(Z[1:] != Z[:-1], axis=1).sum())
        if self.algorithm != "hdbscan" and n_clusters > distinct:
            refusal = InputError if distinct > 1 else UnsuitableDataError  # all customers are alike
            raise refusal(
                "there are more clusters than distinct customers",
                where="n_clusters",
                expected=f"at most {distinct:,}",
                found=str(n_clusters),
                hint="lower n_clusters, or cluster on more variables",
            )
        # Threads add up their partial sums in a random order.
        with _threads().limit(limits=1):
            partition = self._learned(Z, n_clusters)
        return partition.take(np.unique(partition.assign(Z)))

    def _learned(self, Z: np.ndarray, n_clusters: int) -> Partition:
        if self.algorithm == "kmeans":
            kmeans = KMeans(n_clusters, n_init=self.n_init, random_state=self.seed)
            return Partition(kmeans.fit(Z).cluster_centers_)
        if self.algorithm == "gaussian_mixture":
            mixture = GaussianMixture(n_clusters, random_state=self.seed)
            try:
                mixture.fit(Z)
            except ValueError as error:
                raise UnsuitableDataError(
                    "the Gaussian mixture collapses onto too few customers",
                    where="algorithm",
                    found=str(error),
                    hint="use fewer clusters, another scaling, or algorithm=kmeans",
                ) from error
            return Partition(mixture.means_, mixture.weights_, mixture.precisions_cholesky_)
        if len(Z) > MOST_ROWS:
            Z = Z[np.sort(np.random.default_rng(self.seed).choice(len(Z), MOST_ROWS, replace=False))]
        if self.algorithm == "agglomerative":
            return Partition(_means(Z, AgglomerativeClustering(n_clusters, memory=_Trees()).fit_predict(Z)))
        labels = HDBSCAN(min_cluster_size=min(self.min_cluster_size, len(Z)), copy=True).fit_predict(Z)
        found = labels >= 0
        return Partition(_means(Z[found], labels[found]) if found.any() else Z.mean(axis=0, keepdims=True))

    def get_state(self) -> dict[str, Any]:
        return {
            **super().get_state(),
            "variables": self.variables_,
            "partition": self.partition_.get_state(),
            "offset": self.offset_.tolist(),
            "scale": self.scale_.tolist(),
            "outlier_thresholds": self.outlier_thresholds_,
            "value_model": None if self.value_model_ is None else self.value_model_.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> Self:
        super().set_state(state)
        self.variables_ = list(state["variables"])
        self.partition_ = Partition.from_state(state["partition"])
        self.offset_, self.scale_ = np.array(state["offset"]), np.array(state["scale"])
        self.outlier_thresholds_ = dict(state["outlier_thresholds"])
        value_model = state["value_model"]
        self.value_model_ = value_model and MBGNBD(horizon_days=self.horizon_days).set_state(value_model)
        return self


_ward_tree = kept(ward_tree)


class _Trees:
    """Memory of trees of merges, which are the same for any number of clusters; scikit-learn asks it by `cache`."""

    def cache(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return _ward_tree if function is ward_tree else function


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()  # inspects all loaded libraries, which takes as long as a k-means


def _means(Z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute the mean of the rows of each label."""
    return np.stack([Z[labels == label].mean(axis=0) for label in np.unique(labels)])
