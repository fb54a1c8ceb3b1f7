"""Equal parts of customers by what they spent so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from experiments.models.base import finite_columns
from experiments.models.segments import Segments, check_at_least, latest_spend
from features.errors import InputError, UnsuitableDataError, did_you_mean, listing

SPENT = ("total_spend", "total_spend_rate")  # what quantile bins are cut by


class QuantileBins(Segments):
    """Customers in equal parts by what they spent so far: what a marketer would do without a model.

    Edges are quantiles over the latest cutoff's customers. Totals grow and outgrow their edges by the next cutoff;
    spend a day of the data has the same order at one cutoff, and edges that last if the shop goes on as it was. Equal
    values share a bin, so that there may be fewer bins than asked for. Bins are numbered by mean `y`, from 1 = most
    valuable.

    Parameters
    ----------
    by : {"total_spend", "total_spend_rate"}
        Feature that is cut.
    n_clusters : int >= 2
        Bins asked for; equal values share one.

    Attributes
    ----------
    edges_ : array of shape (n_bins - 1,)
        Highest value of each bin but the last, in the feature's unit.
    """

    def __init__(self, by: str = "total_spend", n_clusters: int = 4) -> None:
        self.by = by
        self.n_clusters = n_clusters

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Learn the edges, and what the customers of each bin spent afterwards.

        Raises
        ------
        UnsuitableDataError
            If all customers spent the same so far.
        """
        check_at_least("n_clusters", self.n_clusters, 2)
        if self.by not in SPENT:
            raise InputError(f"bins are not cut by {self.by!r}", where="by", hint=did_you_mean(str(self.by), SPENT))
        X, y = latest_spend(X, y)
        spent = self._spent(X)
        shares = np.arange(1, self.n_clusters) / self.n_clusters
        edges = np.unique(np.quantile(spent, shares, method="inverted_cdf"))
        self.edges_ = edges[edges < spent.max()]
        if not len(self.edges_):
            raise UnsuitableDataError(
                f"{self.by} does not tell customers apart",
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
        return finite_columns(X, [self.by])[self.by].to_numpy()

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "edges": self.edges_.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        super().set_state(state)
        self.edges_ = np.array(state["edges"])
        return self
