"""Paired bootstrap over customers: sampling distributions of metrics and of their differences.

Intervals describe the variation of customers within this window. They do not cover the variation between seasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from joblib import cpu_count
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from experiments.evaluation.metrics import Metric
from experiments.evaluation.weighted import ratio
from features.errors import InputError, did_you_mean

CELLS_AT_ONCE = 16_000_000  # resamples x (rows, or units if there are more of them) held in memory, a byte each
JACKKNIFE_GROUPS = 200
MOST_GROUPS = 1000  # of units, where there are few: a kurtosis of fewer groups varies with how they are drawn
Measured = Callable[[np.ndarray, ThreadPoolExecutor], list[np.ndarray]]


@dataclass(frozen=True)
class Distribution:
    """A metric's estimate and its bootstrap draws; bounds by percentiles, or by BCa with jackknife values.

    BCa is bias-corrected and accelerated. The bound at a level is the draws' quantile at
    Phi(z0 + (z0 + z) / (1 - a (z0 + z))), with z = Phi^-1(level). z0 measures the distance of the estimate from the
    draws' median. a measures how fast the standard error changes with the true value. Percentiles are the case
    z0 = a = 0. BCa has better coverage for heavy-tailed means and worse for gains in Gini (benchmarks/coverage.md).

    Percentiles cover too little above the estimate where a few units make the figure: resamples that lack them say too
    little. So, with the values without each group of units, an upper bound at a level is the draws' quantile at Phi(t),
    where t is the level's quantile of Student's t with `degrees` degrees of freedom. Lower bounds stay.

    Attributes
    ----------
    estimate : float
        The metric on the original rows.
    draws : array of shape (n_resamples,)
        The metric on each resample; NaN if it is undefined there. NaN is left out of bounds.
    jackknife : array of shape (n_groups,)
        The metric without each group of customers; empty for percentiles.
    without : array of shape (n_groups,)
        Likewise, for the upper bounds of percentiles; empty for those of the draws alone.
    n_units : int
        Units that the groups are made of.

    References
    ----------
    Efron (1987), Better bootstrap confidence intervals, JASA 82.
    """

    estimate: float
    draws: np.ndarray
    jackknife: np.ndarray = field(default_factory=lambda: np.empty(0))
    without: np.ndarray = field(default_factory=lambda: np.empty(0))
    n_units: int = 0

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the two-sided interval with coverage `confidence`, such as 0.95."""
        tail = (1 - confidence) / 2
        return self.bound(tail), self.bound(1 - tail)

    def lower_bound(self, alpha: float) -> float:
        """Return the one-sided bound that the true value is below with probability `alpha` at most, such as 0.05."""
        return self.bound(alpha)

    def upper_bound(self, alpha: float) -> float:
        """Return the one-sided bound that the true value is above with probability `alpha` at most."""
        return self.bound(1 - alpha)

    def bound(self, level: float) -> float:
        """Return the bound that the true value is below with probability `level`; NaN without draws."""
        if not len(self._sorted):
            return float("nan")
        shifted = self.bias + self._widened(level)
        stretch = 1 - self.acceleration * shifted
        adjusted = ndtr(self.bias + shifted / stretch) if stretch > 0 else float(shifted > 0)
        return float(np.quantile(self._sorted, adjusted))

    def p_at_most(self, threshold: float) -> float:
        """Compute the one-sided p-value of "the true value is at most `threshold`".

        It is below alpha if and only if the lower bound at alpha is above `threshold`. The smallest value is
        1 / (n_resamples + 1), the resolution of the draws. NaN without draws.
        """
        return self._p_value(self._level_of(threshold, "right"))

    def p_at_least(self, threshold: float) -> float:
        """Compute the one-sided p-value of "the true value is at least `threshold`".

        It is below alpha if and only if the upper bound at alpha is below `threshold`.
        """
        return self._p_value(1 - self._level_of(threshold, "left"))

    @cached_property
    def degrees(self) -> float:
        """Degrees of freedom of the standard error: the number of units that it is made of, less 1; at least 1.

        (sum of v^2)^2 / (sum of v^4), where v is the influence of a unit. Of N units it is N / kurtosis of v. Of groups
        of m units, the kurtosis of a unit is 3 + m x (that of the groups - 3). Infinite if nothing is known.
        """
        pulls = self.without[~np.isnan(self.without)]
        pulls = pulls - pulls.mean() if len(pulls) else pulls
        if not pulls.any():
            return np.inf
        kurtosis = len(pulls) * np.sum(pulls**4) / np.sum(pulls**2) ** 2
        size = max(self.n_units / len(pulls), 1.0)
        if size > 1:
            kurtosis = 3 + size * max(kurtosis - 3, 0.0)
        return float(max(max(self.n_units, len(pulls)) / kurtosis - 1, 1.0))

    def _widened(self, level: float) -> float:
        """Return the normal quantile of a level; above the middle, that of Student's t."""
        return float(stdtrit(self.degrees, level) if level > 0.5 and np.isfinite(self.degrees) else ndtri(level))

    @cached_property
    def bias(self) -> float:
        """z0: normal quantile of the share of draws below the estimate; draws equal to it count half."""
        if not len(self.jackknife):
            return 0.0
        n = len(self._sorted)
        below = (np.sum(self._sorted < self.estimate) + np.sum(self._sorted <= self.estimate)) / 2
        return float(ndtri(np.clip(below / n, 1 / (n + 1), n / (n + 1))))

    @cached_property
    def acceleration(self) -> float:
        """a: a sixth of the negative skewness of the jackknife values; 0 if there are none or all are equal."""
        values = self.jackknife[~np.isnan(self.jackknife)]
        pulls = values.mean() - values if len(values) else values
        spread = np.sum(pulls**2)
        return float(np.sum(pulls**3) / (6 * spread**1.5)) if spread > 0 else 0.0

    @property
    def standard_error(self) -> float:
        """Standard deviation of the draws."""
        return float(np.std(self._sorted, ddof=1)) if len(self._sorted) > 1 else float("nan")

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.sort(self.draws[~np.isnan(self.draws)])

    def _level_of(self, threshold: float, side: str) -> float:
        """Return the level whose bound is `threshold`; 0 or 1 outside the draws.

        Of several such levels, side "right" takes the highest and "left" the lowest.
        """
        draws, n = self._sorted, len(self._sorted)
        if not n or np.isnan(threshold):
            return float("nan")
        below = int(np.searchsorted(draws, threshold, side=side))
        if below in (0, n):
            return float(below == n)
        low, high = draws[below - 1 : below + 1]
        quantile = (below - 1 + (threshold - low) / (high - low)) / (n - 1)
        if quantile in (0.0, 1.0):  # at an extreme draw, whose normal quantile is infinite
            return float(quantile)
        shifted = ndtri(quantile) - self.bias
        stretch = 1 + self.acceleration * shifted
        if stretch <= 0:
            return float(shifted > 0)
        normal = shifted / stretch - self.bias
        return float(stdtr(self.degrees, normal) if normal > 0 and np.isfinite(self.degrees) else ndtr(normal))

    def _p_value(self, p: float) -> float:
        return float(np.clip(p, 1 / (len(self._sorted) + 1), 1.0))


@dataclass(frozen=True)
class Draws:
    """A metric's distribution for each model, all on the same resamples.

    `draws["model"]` is the distribution of one model, `draws.gain("model", "naive")` that of the difference.
    """

    distributions: Mapping[str, Distribution]

    def __getitem__(self, name: str) -> Distribution:
        if name not in self.distributions:
            raise InputError(f"there are no draws of {name!r}", hint=did_you_mean(name, self.distributions))
        return self.distributions[name]

    def gain(self, model: str, reference: str) -> Distribution:
        """Return the distribution of the metric of `model` minus that of `reference`, resample by resample."""
        a, b = self[model], self[reference]
        return Distribution(
            a.estimate - b.estimate, a.draws - b.draws, a.jackknife - b.jackknife, a.without - b.without, a.n_units
        )


@dataclass(frozen=True)
class PooledDraws:
    """A metric's distribution for each model in several windows: its mean over the windows that models share.

    The draws of all windows must be of the same resamples of units (`among` of `paired_bootstrap`). A customer with
    rows in several windows is then drawn as often in each, so the pooled intervals allow for the dependence.

    Attributes
    ----------
    windows : mapping of str to Draws
        By first day, in order of time; a model need not be in all of them.
    """

    windows: Mapping[str, Draws]

    def shared(self, *models: str) -> tuple[str, ...]:
        """Return the windows in which all the models were measured."""
        return tuple(day for day, draws in self.windows.items() if set(models) <= set(draws.distributions))

    def figure(self, model: str, *others: str) -> Distribution:
        """Return the distribution of a model's mean metric over the windows that it shares with the others."""
        return _mean([self.windows[day][model] for day in self.shared(model, *others)])

    def gain(self, model: str, reference: str) -> Distribution:
        """Return the distribution of the mean gain of `model` over `reference`, in the windows that they share."""
        return _mean([self.windows[day].gain(model, reference) for day in self.shared(model, reference)])


def _mean(distributions: Sequence[Distribution]) -> Distribution:
    """Average distributions of the same resamples, and of the same groups of units; one is returned as it is."""
    if not distributions:
        raise InputError("the models share no window", where="bootstrap", expected="at least one window")
    if len(distributions) == 1:
        return distributions[0]
    return Distribution(
        float(np.mean([distribution.estimate for distribution in distributions])),
        np.mean([distribution.draws for distribution in distributions], axis=0),
        without=_mean_without([distribution.without for distribution in distributions]),
        n_units=min(distribution.n_units for distribution in distributions),
    )


def _mean_without(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Average the values without each group; nothing is known where windows have other groups."""
    return np.mean(parts, axis=0) if len({len(part) for part in parts}) == 1 else np.empty(0)


def resample_weights(
    units: ArrayLike, n_resamples: int, seed: int, block: int = 1, among: ArrayLike | None = None
) -> Iterator[np.ndarray]:
    """Draw resamples of units with replacement, and count how often each row is in each resample.

    All rows of a unit are drawn together.

    Parameters
    ----------
    units : array of shape (n_rows,)
        Resampled unit of each row: its customer, or its week.
    n_resamples : int
    seed : int
        The same units and seed give the same resamples.
    block : int
        Number of consecutive units, in the order of their names, that are drawn together: a week resembles the week
        before it. Blocks may overlap; the last block is cut when the resample is complete.
    among : array, optional
        All units that are drawn, such as the customers of several windows; those of the rows when left out. The same
        units and seed draw the same customers for the rows of each window.

    Yields
    ------
    array of uint8, of shape (n_chunk, n_rows)
        Consecutive resamples, as many as fit in memory; `n_resamples` in total. uint8 suffices: one of many customers
        is drawn more than 255 times with a probability of 1e-507.

    References
    ----------
    Kuensch (1989), The jackknife and the bootstrap for general stationary observations, Annals of Statistics 17.
    """
    if n_resamples < 1:
        raise InputError("a bootstrap needs resamples", where="n_resamples", expected=">= 1", found=str(n_resamples))
    names = np.unique(np.asarray(units if among is None else among))
    row_of = np.searchsorted(names, np.asarray(units))
    n = len(names)
    if not 1 <= block <= n:
        raise InputError(
            "the blocks of the bootstrap do not fit", where="block", expected=f"1 to {n:,} units", found=str(block)
        )
    rng = np.random.default_rng(seed)
    chunk = max(1, CELLS_AT_ONCE // max(n, len(row_of)))
    for start in range(0, n_resamples, chunk):
        size = min(chunk, n_resamples - start)
        counts = np.empty((size, n), dtype=np.uint8)
        for resample in counts:
            resample[:] = np.bincount(_drawn(rng, n, block), minlength=n)
        yield np.take(counts, row_of, axis=1)


def _drawn(rng: np.random.Generator, n: int, block: int) -> np.ndarray:
    """Draw n of n units with replacement, in blocks."""
    if block == 1:
        return rng.integers(n, size=n)
    starts = rng.integers(n - block + 1, size=-(-n // block))
    return (starts[:, None] + np.arange(block)).ravel()[:n]


def jackknife_weights(
    customer_ids: ArrayLike, seed: int, among: ArrayLike | None = None, n_groups: int = JACKKNIFE_GROUPS
) -> np.ndarray:
    """Return weights that leave out one group of customers after another.

    Customers are assigned at random to `n_groups` groups of nearly equal size; fewer customers get a group
    each. The skewness that BCa needs is then that of delete-one values, at a constant cost. `among` are all customers,
    as of `resample_weights`: the same customers and seed give the same groups in each window.

    Returns
    -------
    array of uint8, of shape (n_groups, n_rows)
    """
    customers = np.unique(np.asarray(customer_ids if among is None else among))
    row_of = np.searchsorted(customers, np.asarray(customer_ids))
    n = len(customers)
    group_of = np.random.default_rng(seed).permutation(n) % n_groups
    return (group_of[row_of] != np.arange(min(n, n_groups))[:, None]).astype(np.uint8)


def paired_bootstrap(
    metric: Metric | Callable[..., float],
    y: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    units: ArrayLike,
    *,
    n_resamples: int,
    seed: int,
    block: int = 1,
    among: ArrayLike | None = None,
    bca: bool = False,
    widened: bool = False,
) -> Draws:
    """Compute a metric for each model on the same resamples of customers, or of other units.

    Parameters
    ----------
    metric : Metric or callable
        A plain callable is a metric of the whole sample, under the conventions of `evaluation.weighted`: it takes a
        matrix of weights.
    y : array of shape (n_rows,), or as the metric takes it
    predictions : mapping of name to array of shape (n_rows,), or as the metric takes it
    units : array of shape (n_rows,)
        Resampled unit of each row, such as its customer; all rows of a unit are drawn together.
    n_resamples, seed : int
    block, among
        See `resample_weights`.
    bca : bool
        Compute jackknife values too, for bounds by BCa. Use it if the metric is a mean of heavy-tailed amounts.
    widened : bool
        Compute them for upper bounds that allow for figures that a few units make: see `Distribution`.

    Examples
    --------
    >>> from experiments.evaluation.spend_metrics import gini
    >>> draws = paired_bootstrap(gini, [0, 1, 5], {"a": [0, 1, 2], "b": [1, 1, 1]}, [1, 2, 3], n_resamples=9, seed=0)
    >>> draws.gain("a", "b").estimate
    1.0
    """
    if np.shape(units) != np.shape(y)[:1]:
        raise InputError(
            "each row needs a resampled unit", expected=f"{np.shape(y)[:1]} units", found=f"{np.shape(units)}"
        )
    metric = metric if isinstance(metric, Metric) else Metric("", "", metric)
    rows = np.asarray(units)
    names = np.sort(pd.unique(rows))
    measured = _of_units(metric, y, predictions, names) if metric.per_unit else _of_samples(metric, y, predictions)
    weighed = names if metric.per_unit else rows
    with ThreadPoolExecutor(cpu_count()) as pool:  # NumPy works on several arrays at once
        chunks = [measured(weights, pool) for weights in resample_weights(weighed, n_resamples, seed, block, among)]
        nothing = [np.empty(0)] * len(predictions)
        n_groups = JACKKNIFE_GROUPS if bca else int(np.clip(CELLS_AT_ONCE / len(rows), JACKKNIFE_GROUPS, MOST_GROUPS))
        without = measured(jackknife_weights(weighed, seed, among, n_groups), pool) if bca or widened else nothing
    return Draws(
        {
            name: Distribution(
                float(metric(y, prediction)),
                np.concatenate(draws),
                jackknife=left if bca else np.empty(0),
                without=left if widened else np.empty(0),
                n_units=len(names),
            )
            for (name, prediction), draws, left in zip(
                predictions.items(), zip(*chunks, strict=True), without, strict=True
            )
        }
    )


def _of_samples(metric: Metric, y: ArrayLike, predictions: Mapping[str, ArrayLike]) -> Measured:
    """Return a function of weights and a pool that computes a metric of the whole sample for each model."""
    figure = metric.figure or metric.fn

    def measured(weights: np.ndarray, pool: ThreadPoolExecutor) -> list[np.ndarray]:
        models = list(predictions.values()) + ([y] if metric.figure else [])
        values = list(pool.map(lambda model: np.atleast_1d(figure(y, model, weights=weights)), models))
        return [ratio(value, values[-1]) for value in values[:-1]] if metric.figure else values

    return measured


def _of_units(metric: Metric, y: ArrayLike, predictions: Mapping[str, ArrayLike], names: np.ndarray) -> Measured:
    """Return a function of weights of units and a pool that averages a metric's values per unit for each model."""
    values = [metric.values(y, prediction).reindex(names) for prediction in predictions.values()]
    known = [(value.notna().to_numpy(dtype=float), value.fillna(0.0).to_numpy()) for value in values]

    def measured(weights: np.ndarray, pool: ThreadPoolExecutor) -> list[np.ndarray]:
        w = weights.astype(float)
        return [ratio(w @ value, w @ there) for there, value in known]

    return measured
