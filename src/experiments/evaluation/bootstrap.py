"""Paired bootstrap over customers: how far metrics, and differences of metrics, vary with who the customers are.

Intervals are about these customers in this window; another season is another draw of the window itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from features.errors import InputError, did_you_mean

CELLS_AT_ONCE = 4_000_000  # resamples x rows held in memory


@dataclass(frozen=True)
class Distribution:
    """A figure and its bootstrap draws.

    Attributes
    ----------
    estimate : float
        On the rows as they are.
    draws : array of shape (n_resamples,)
        On each resample; NaN where the metric is undefined there. Those are left out of intervals.
    """

    estimate: float
    draws: np.ndarray

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided percentile interval that covers with probability `confidence`, such as .95."""
        tail = (1 - confidence) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def lower_bound(self, alpha: float) -> float:
        """One-sided: the truth lies below with probability `alpha` at most, such as .05."""
        return self.quantile(alpha)

    def upper_bound(self, alpha: float) -> float:
        """One-sided: the truth lies above with probability `alpha` at most."""
        return self.quantile(1 - alpha)

    @property
    def standard_error(self) -> float:
        """Standard deviation of the draws."""
        defined = self.draws[~np.isnan(self.draws)]
        return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")

    def quantile(self, level: float) -> float:
        """Quantile of the draws; NaN if there is none."""
        defined = self.draws[~np.isnan(self.draws)]
        return float(np.quantile(defined, level)) if len(defined) else float("nan")


@dataclass(frozen=True)
class Draws:
    """A metric's distribution for each model, all on the same resamples.

    `draws["model"]` is one model's distribution, `draws.gain("model", "naive")` that of the difference.
    """

    distributions: Mapping[str, Distribution]

    def __getitem__(self, name: str) -> Distribution:
        if name not in self.distributions:
            raise InputError(f"there are no draws of {name!r}", hint=did_you_mean(name, self.distributions))
        return self.distributions[name]

    def gain(self, model: str, reference: str) -> Distribution:
        """Metric of `model` minus metric of `reference`, resample by resample."""
        a, b = self[model], self[reference]
        return Distribution(a.estimate - b.estimate, a.draws - b.draws)


def resample_weights(customer_ids: ArrayLike, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is in each resample: customers are drawn with replacement, with all their rows.

    Parameters
    ----------
    customer_ids : array of shape (n_rows,)
    n_resamples : int
    seed : int
        Same customers and seed give the same resamples.

    Yields
    ------
    array of shape (n_chunk, n_rows)
        Consecutive resamples, as many as fit in memory; `n_resamples` in all.
    """
    if n_resamples < 1:
        raise InputError("a bootstrap needs resamples", where="n_resamples", expected=">= 1", found=str(n_resamples))
    customers, row_of = np.unique(np.asarray(customer_ids), return_inverse=True)
    n = len(customers)
    rng = np.random.default_rng(seed)
    chunk = max(1, CELLS_AT_ONCE // len(row_of))
    for start in range(0, n_resamples, chunk):
        size = min(chunk, n_resamples - start)
        counts = np.empty((size, n))
        for resample in counts:
            resample[:] = np.bincount(rng.integers(n, size=n), minlength=n)
        yield np.take(counts, row_of, axis=1)


def paired_bootstrap(
    metric: Callable[..., float],
    y: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    customers: ArrayLike,
    *,
    n_resamples: int,
    seed: int,
) -> Draws:
    """Recompute a metric for each model on the same resamples of customers.

    Parameters
    ----------
    metric : callable
        As in `evaluation.metrics`: takes a matrix of weights.
    y : array of shape (n_rows,)
    predictions : mapping of name to array of shape (n_rows,)
    customers : array of shape (n_rows,)
        Customer of each row; a customer's rows are in a resample together.
    n_resamples, seed : int

    Examples
    --------
    >>> from experiments.evaluation.metrics import gini
    >>> draws = paired_bootstrap(gini, [0, 1, 5], {"a": [0, 1, 2], "b": [1, 1, 1]}, [1, 2, 3], n_resamples=9, seed=0)
    >>> draws.gain("a", "b").estimate
    1.0
    """
    if np.shape(customers) != np.shape(y):
        raise InputError(
            "each row needs its customer", expected=f"{np.shape(y)} customers", found=f"{np.shape(customers)}"
        )
    chunks: dict[str, list[np.ndarray]] = {name: [] for name in predictions}
    for weights in resample_weights(customers, n_resamples, seed):
        for name, prediction in predictions.items():
            chunks[name].append(np.atleast_1d(metric(y, prediction, weights=weights)))
    return Draws(
        {
            name: Distribution(float(metric(y, prediction)), np.concatenate(chunks[name]))
            for name, prediction in predictions.items()
        }
    )
