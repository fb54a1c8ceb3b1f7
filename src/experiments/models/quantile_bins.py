"""Baseline of segments: groups of equal size by past spend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from experiments.models.base import finite_columns
from experiments.models.segments import Segments, check_at_least, latest_spend
from features.errors import InputError, UnsuitableDataError, did_you_mean, listing

SPENT = ("total_spend", "total_spend_rate")  # features that can be cut into bins


class QuantileBins(Segments):
    """Baseline that divides customers into groups of equal size by past spend.

    Edges are quantiles over the customers of the latest cutoff. Totals grow, so they outgrow their edges by the next
    cutoff. Spend per day of the data gives the same order at one cutoff, and its edges last while the shop stays the
    same. Equal values share a bin, so there may be fewer bins than requested. Bins are numbered by mean `y`, from
    1 = most valuable.

    Parameters
    ----------
    by : {"total_spend", "total_spend_rate"}
        Feature that is cut.
    n_clusters : int >= 2
        Requested number of bins; equal values share one.

    Attributes
    ----------
    edges_ : array of shape (n_bins - 1,)
        Highest value of each bin but the last, in the feature's unit.

    Examples
    --------
    >>> X = pd.DataFrame({"total_spend": [1.0, 2.0, 8.0, 9.0]})
    >>> bins = QuantileBins(n_clusters=2).fit(X, pd.Series([0.0, 2.0, 6.0, 8.0]))
    >>> bins.segment(X).tolist(), bins.predict(X).tolist()
    ([2, 2, 1, 1], [1.0, 1.0, 7.0, 7.0])
    """

    def __init__(self, by: str = "total_spend", n_clusters: int = 4) -> None:
        self.by = by
        self.n_clusters = n_clusters

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Compute the edges, and the mean next-period spend of each bin.

        Raises
        ------
        UnsuitableDataError
            If all customers spent the same so far.
        """
        check_at_least("n_clusters", self.n_clusters, 2)
        if self.by not in SPENT:
            raise InputError(
                f"{self.by!r} is not a feature that bins can be cut by",
                where="by",
                hint=did_you_mean(str(self.by), SPENT),
            )
        X, y = latest_spend(X, y)
        spent = self._spent(X)
        shares = np.arange(1, self.n_clusters) / self.n_clusters
        edges = np.unique(np.quantile(spent, shares, method="inverted_cdf"))
        self.edges_ = edges[edges < spent.max()]
        if not len(self.edges_):
            raise UnsuitableDataError(
                f"{self.by} does not distinguish customers",
                where=f"column {self.by}",
                expected="quantiles that differ",
                found=listing(np.unique(spent)),
                hint="raise n_clusters, or use a later cutoff",
            )
        self._learn_spend(self._cells(X), y)
        return self

    def _cells(self, X: pd.DataFrame) -> np.ndarray:
        return np.searchsorted(self.edges_, self._spent(X))

    def _spent(self, X: pd.DataFrame) -> np.ndarray:
        return finite_columns(X, [self.by], below_zero=True)[self.by].to_numpy()

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "edges": self.edges_.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        super().set_state(state)
        self.edges_ = np.array(state["edges"])
        return self
