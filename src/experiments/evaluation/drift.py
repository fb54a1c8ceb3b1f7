"""Drift: how far the distribution of each feature has moved between two days, and how far it would move by chance.

Both populations are the same shop's, so most customers have a row in each. The test keeps that: if nothing changed, a
customer's two rows could as well be the other way round.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

BINS = 32  # thresholds of a feature, at quantiles of both populations together
MOST_CUSTOMERS = 5_000  # drawn where there are more: a distance of 0.1 is plain in fewer
CONFIDENCE = 0.95  # of the expected range
DRAWS_AT_ONCE = 250
DECILES = np.linspace(0.1, 0.9, 9)


def shifts(before: pd.DataFrame, now: pd.DataFrame, *, n_resamples: int = 1_000, seed: int = 0) -> pd.DataFrame:
    """Compare the distribution of each column in two populations of customers.

    The distance is Kolmogorov and Smirnov's: the largest difference of the two distribution functions, at 32 quantiles
    at most, in [0, 1]. Without a change, a customer's contribution to the difference has as often one sign as the
    other: random signs give the distribution of the distance by chance, and that of the largest one of all columns,
    each relative to its own spread (Westfall & Young's single-step maxT).

    Parameters
    ----------
    before, now : DataFrame indexed by customer, same columns
        Finite numbers, one row for each customer.
    n_resamples : int
        Draws of signs; the smallest p-value is 1 / (n_resamples + 1).
    seed : int

    Returns
    -------
    DataFrame indexed by column, the largest distance first
        `distance`; `expected`, below which it is in 95% of draws without a change; `p`, the probability that any column
        moves as far relative to its spread without a change; `psi`, the population stability index over deciles of
        `before`; `before` and `now`, the medians.

    References
    ----------
    Westfall & Young (1993), Resampling-based multiple testing, Wiley.
    """
    rng = np.random.default_rng(seed)
    before, now = _some(before), _some(now)
    names, pulls, starts = _pulls(before, now)
    distance = _largest(pulls.sum(axis=0), starts)
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([np.empty((0, len(names))), *_by_chance(pulls, starts, n_resamples, rng)])
    spread = drawn.std(axis=0)
    relative = np.divide(drawn, spread, out=np.zeros_like(drawn), where=spread > 0).max(axis=1, initial=0.0)
    own = np.divide(distance, spread, out=np.zeros(len(names)), where=spread > 0)
    found = pd.DataFrame(
        {
            "distance": distance,
            "expected": np.quantile(drawn, CONFIDENCE, axis=0) if len(drawn) else np.nan,
            "p": [(1 + (relative >= each - 1e-9).sum()) / (1 + n_resamples) for each in own],
            "psi": [psi(before[name].to_numpy(), now[name].to_numpy()) for name in names],
            "before": [before[name].median() for name in names],
            "now": [now[name].median() for name in names],
        },
        index=pd.Index(names, name="feature"),
    )
    return found.sort_values("distance", ascending=False, kind="stable")


def distances(before: pd.DataFrame, now: pd.DataFrame) -> pd.Series:
    """Return the distance of each column's distributions alone: see `shifts`."""
    names, pulls, starts = _pulls(_some(before), _some(now))
    return pd.Series(_largest(pulls.sum(axis=0), starts), index=pd.Index(names, name="feature"), dtype=float)


def _pulls(before: pd.DataFrame, now: pd.DataFrame) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return columns, each customer's part in the differences of their distribution functions, and where each begins.

    A column with one value on either day, such as the day itself, has no distribution and is left out.
    """
    names = [name for name in before.columns if name in now and before[name].nunique() > 1 and now[name].nunique() > 1]
    thresholds = {name: _thresholds(before[name].to_numpy(), now[name].to_numpy()) for name in names}
    customers = before.index.union(now.index)
    sizes = [len(thresholds[name]) for name in names]
    pulls = np.zeros((len(customers), sum(sizes)), dtype=np.float32)
    for frame, sign in ((now, 1.0), (before, -1.0)) if names else ():
        below = np.hstack([frame[[name]].to_numpy() <= thresholds[name] for name in names])
        pulls[customers.get_indexer(frame.index)] += np.float32(sign / len(frame)) * below
    return names, pulls, np.cumsum([0, *sizes])[:-1]


def _largest(differences: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the largest difference of each column, over the last axis."""
    if not len(starts):
        return np.empty((*differences.shape[:-1], 0))
    return np.maximum.reduceat(np.abs(differences), starts, axis=-1)


def psi(before: np.ndarray, now: np.ndarray) -> float:
    """Compute the population stability index over the deciles of `before`.

    sum((q - p) ln(q / p)) over the classes, with shares p of `before` and q of `now`; at least 0. Half a row is added
    to each class, so that an empty one does not make it infinite. By custom, 0.1 is some change and 0.25 a large one.

    >>> psi(np.arange(1000.0), np.arange(1000.0))
    0.0
    """
    edges = np.unique(np.quantile(before, DECILES))
    shares = []
    for values in (before, now):
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    p, q = shares
    return float(((q - p) * np.log(q / p)).sum())


def _some(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of at most so many customers; in both populations mostly the same, by a hash of the customer."""
    if len(frame) <= MOST_CUSTOMERS:
        return frame
    rank = pd.util.hash_array(frame.index.to_numpy().astype(str).astype(object)).argsort()
    return frame.iloc[np.sort(rank[:MOST_CUSTOMERS])]


def _thresholds(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    both = np.concatenate([before, now])
    found = np.unique(np.quantile(both, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    found = found[found < both.max()]
    return found if len(found) else np.array([both.min()])  # nearly all have the largest value


def _by_chance(pulls: np.ndarray, starts: np.ndarray, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the distances of draws in which each customer's rows change places or do not."""
    sizes = [DRAWS_AT_ONCE] * (n // DRAWS_AT_ONCE) + ([n % DRAWS_AT_ONCE] if n % DRAWS_AT_ONCE else [])
    signs = (rng.integers(0, 2, (size, len(pulls))).astype(np.float32) * 2 - 1 for size in sizes)
    return [_largest(drawn @ pulls, starts) for drawn in signs]
