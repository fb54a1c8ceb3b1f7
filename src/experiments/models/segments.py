"""Numbered segments of customers, each with the mean spend of its customers in the next period.

A segment predicts the mean spend of its customers, so segmentations are evaluated as models of spend. Algorithm,
scaling and variables may differ; the metric is how much of later spend the segments explain.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import Model
from features.errors import InputError, UnsuitableDataError, listing


class Segments(Model):
    """Base class of segmentations: numbered segments, each with the mean spend of its customers.

    Segments are numbered from 1 = most valuable (highest mean of `y`) to k = least valuable. `relabel` replaces these
    numbers by those of another version. If `X` has several cutoffs, only the latest is fitted.

    Attributes
    ----------
    segments_ : int array of shape (k,)
        Segment number of each cell.
    segment_spend_ : array of shape (k,)
        Mean of `y` over the customers of each cell, in currency.
    """

    @abstractmethod
    def _cells(self, X: pd.DataFrame) -> np.ndarray:
        """Return the cell of each row, from 0: int array of shape (n_rows,)."""

    def segment(self, X: pd.DataFrame) -> np.ndarray:
        """Return the segment number of each row: int array of shape (n_rows,)."""
        check_is_fitted(self)
        return self.segments_[self._cells(X)]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the mean next-period spend of each row's segment, in currency: array of shape (n_rows,)."""
        check_is_fitted(self)
        return self.segment_spend_[self._cells(X)]

    def outputs(self, X: pd.DataFrame) -> np.ndarray:
        """Return segment and segment_spend of each row: array of shape (n_rows, 2)."""
        check_is_fitted(self)
        cells = self._cells(X)
        return np.column_stack([self.segments_[cells].astype(float), self.segment_spend_[cells]])

    def relabel(self, mapping: Mapping[int, int]) -> Self:
        """Replace segment numbers, for example by those that `match_labels` finds.

        A segment that `mapping` does not name gets a number above all new numbers.

        Raises
        ------
        InputError
            If two segments would share a number, or if `mapping` names an unknown segment.
        """
        check_is_fitted(self)
        current = [int(number) for number in self.segments_]
        numbers = list(mapping.values())
        if len(set(numbers)) < len(numbers) or not set(mapping) <= set(current):
            raise InputError(
                "the mapping is not one to one on the segments",
                where="relabel",
                expected=f"different numbers for some of the segments {listing(current)}",
                found=listing(f"{old} -> {new}" for old, new in mapping.items()),
            )
        unnamed = [number for number in current if number not in mapping]
        above = max(numbers, default=0) + 1
        complete = {**mapping, **{number: above + i for i, number in enumerate(unnamed)}}
        self.segments_ = np.array([complete[number] for number in current])
        return self

    def _learn_spend(self, cells: np.ndarray, y: np.ndarray) -> None:
        ordered = np.lexsort((y, cells))  # a sum of doubles depends on its order
        self.segment_spend_ = np.bincount(cells[ordered], weights=y[ordered]) / np.bincount(cells)
        self.segments_ = 1 + np.argsort(np.argsort(-self.segment_spend_, kind="stable"))

    def get_state(self) -> dict[str, Any]:
        return {"segments": self.segments_.tolist(), "segment_spend": self.segment_spend_.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.segments_ = np.array(state["segments"])
        self.segment_spend_ = np.array(state["segment_spend"])
        return self


def match_labels(new: ArrayLike, old: ArrayLike) -> dict[int, int]:
    """Match new segments to old ones, so that most customers keep their segment number.

    Parameters
    ----------
    new, old : int array of shape (n_customers,)
        Segments of the same customers by two segmentations.

    Returns
    -------
    dict of new label to the label to use
        One to one. A new segment without a partner gets a number above all old ones, so no number changes its
        meaning. That happens if there are more new segments than old ones, or if it shares no customer.

    References
    ----------
    Kuhn (1955), The Hungarian method for the assignment problem, Naval Research Logistics Quarterly 2.

    Examples
    --------
    >>> match_labels([1, 1, 2, 3], [2, 2, 1, 1])
    {1: 2, 2: 1, 3: 3}
    """
    new, old = np.asarray(new, dtype=int), np.asarray(old, dtype=int)
    if new.shape != old.shape or not new.size:
        raise InputError(
            "the two arrays of segments do not pair up",
            where="match_labels",
            expected="two arrays of one length, at least 1",
            found=f"shapes {new.shape} and {old.shape}",
        )
    new_labels, rows = np.unique(new, return_inverse=True)
    old_labels, columns = np.unique(old, return_inverse=True)
    overlap = np.zeros((len(new_labels), len(old_labels)), dtype=int)
    np.add.at(overlap, (rows, columns), 1)
    partners = {
        int(new_labels[i]): int(old_labels[j])
        for i, j in zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
        if overlap[i, j]
    }
    unmatched = [int(label) for label in new_labels if label not in partners]
    above = int(old_labels[-1]) + 1
    mapping = {**partners, **{label: above + i for i, label in enumerate(unmatched)}}
    return dict(sorted(mapping.items()))


def latest_spend(X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows and spend of the latest cutoff, which holds the history of the earlier ones."""
    y = np.asarray(y, dtype=float)
    if y.shape != (len(X),) or not len(X) or not np.isfinite(y).all():
        raise UnsuitableDataError(
            "segments need the spend of each customer in the next period",
            where="y",
            expected=f"{max(len(X), 1):,} finite numbers, one per row of X",
            found=f"shape {y.shape}, {(~np.isfinite(y)).sum():,} of them not finite",
        )
    if "cutoff" not in X.index.names:
        return X, y
    cutoffs = X.index.get_level_values("cutoff")
    latest = np.asarray(cutoffs == cutoffs.max())
    return X[latest], y[latest]


def check_at_least(name: str, value: object, lowest: int) -> None:
    if not isinstance(value, int | np.integer) or value < lowest:
        raise InputError(
            f"{name} is out of range", where=name, expected=f"a whole number >= {lowest}", found=repr(value)
        )
