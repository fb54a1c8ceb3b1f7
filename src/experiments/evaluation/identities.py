"""Search for targets that are a formula of the features, by exact arithmetic and by fits that are too good.

A future outcome is never an exact function of the past, and no model predicts it nearly perfectly. A target with an
exact formula or a nearly perfect fit is therefore the features in another form, and predicting it is useless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations

import lightgbm as lgb
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.model_selection import GroupKFold

TOLERANCE = 1e-9  # relative
SCREENED_ROWS = 200
SCREENING_TOLERANCE = 1e-6
MOST_NAMED = 3
TREES = {
    "objective": "regression",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 10,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
N_TREES = 150

Predict = Callable[[np.ndarray], np.ndarray]
Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]

SYMMETRIC: Mapping[str, Combine] = {
    "{a} + {b}": lambda a, b: a + b,
    "{a} - {b}": lambda a, b: a - b,
    "{a} x {b}": lambda a, b: a * b,
    "({a} + 1) x ({b} + 1)": lambda a, b: (a + 1) * (b + 1),
}
DIRECTED: Mapping[str, Combine] = {
    "{a} / {b}": lambda a, b: a / b,
    "{a} / ({b} + 1)": lambda a, b: a / (b + 1),
    "{a} / ({b} - 1)": lambda a, b: a / (b - 1),
    "({a} + 1) / {b}": lambda a, b: (a + 1) / b,
    "({a} - 1) / {b}": lambda a, b: (a - 1) / b,
    "({a} + 1) / ({b} + 1)": lambda a, b: (a + 1) / (b + 1),
    "{a} / ({a} + {b})": lambda a, b: a / (a + b),
    "{a} x ({b} + 1)": lambda a, b: a * (b + 1),
    "{a} x ({b} - 1)": lambda a, b: a * (b - 1),
}


@dataclass(frozen=True)
class Identity:
    """Formula that equals the target on every row where it is defined.

    Attributes
    ----------
    arithmetic : str
        The formula, such as "recency / frequency", with a constant factor other than 1.
    features : tuple of str
    rows, of : int
        Rows where it is defined and the target is not 0, and all rows.
    """

    arithmetic: str
    features: tuple[str, ...]
    rows: int
    of: int


def identities(
    X: pd.DataFrame, y: ArrayLike, *, min_rows: int, min_distinct: int, seed: int, limit: int = MOST_NAMED
) -> list[Identity]:
    """Find single features, or else pairs of them, that equal y exactly up to a constant factor.

    y = c f(a, b) on every row where f is defined (no division by 0), to 1e-9 relative. f is one of a, a + b, a - b,
    a b, a / b, and variants that add or subtract 1. Candidates are found on about 200 rows, and checked on all.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    y : array of shape (n,)
    min_rows : int
        Minimum number of rows with y other than 0 that must satisfy an identity.
    min_distinct : int
        Minimum number of different values of y among them, because a few may agree by coincidence.
    seed : int
        Seed of the rows that are checked first.
    limit : int
        Maximum number of identities.

    Returns
    -------
    list of Identity
        Only the simplest ones: if a single feature equals the target, pairs are not searched.
    """
    y = np.asarray(y, dtype=float)
    values = {str(name): X[name].to_numpy(dtype=float) for name in X if X[name].nunique() > 1}
    sample = _sample(y, seed)
    drawn = {name: column[sample] for name, column in values.items()}
    for candidates in (_singles, _pairs):
        found = []
        for arithmetic, names, combine in candidates(drawn, y[sample]):
            identity = _verified(arithmetic, names, combine, values, y, min_rows, min_distinct)
            if identity:
                found.append(identity)
                if len(found) == limit:
                    break
        if found:
            return found
    return []


def _sample(y: np.ndarray, seed: int) -> np.ndarray:
    """Draw the rows to check first, up to three quarters of them with y other than 0."""
    rng = np.random.default_rng(seed)
    other, zero = (rng.permutation(np.flatnonzero(rows)) for rows in (y != 0, y == 0))
    first = other[: SCREENED_ROWS * 3 // 4]
    return np.concatenate([first, zero[: SCREENED_ROWS - len(first)]])


Candidate = tuple[str, tuple[str, ...], Combine]


def _singles(values: Mapping[str, np.ndarray], y: np.ndarray) -> Iterator[Candidate]:
    for name, a in values.items():
        if _proportional(a[:, None], y)[0]:
            yield "{a}", (name,), lambda a, _: a


def _pairs(values: Mapping[str, np.ndarray], y: np.ndarray) -> Iterator[Candidate]:
    names = list(values)
    if len(names) < 2:
        return
    columns = np.column_stack(list(values.values()))
    for forms, pairs in ((SYMMETRIC, combinations), (DIRECTED, permutations)):
        wanted = set(pairs(range(len(names)), 2))
        for arithmetic, combine in forms.items():
            for i, name in enumerate(names):
                with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                    hits = np.flatnonzero(_proportional(combine(columns[:, [i]], columns), y))
                for j in hits:
                    if (i, j) in wanted:
                        yield arithmetic, (name, names[j]), combine


def _proportional(f: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return True for each column of f of which y may be a constant multiple, where f is defined."""
    y = y[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(np.isfinite(f) & (f != 0), y / f, np.nan)
    enough = (np.isfinite(ratio) & (y != 0)).sum(axis=0) >= 3
    least, most = np.fmin.reduce(ratio, axis=0), np.fmax.reduce(ratio, axis=0)
    constant = most - least <= SCREENING_TOLERANCE * np.maximum(abs(most), abs(least))
    return enough & constant


def _verified(
    arithmetic: str,
    names: tuple[str, ...],
    combine: Combine,
    values: Mapping[str, np.ndarray],
    y: np.ndarray,
    min_rows: int,
    min_distinct: int,
) -> Identity | None:
    """Return the identity if it holds on all rows and enough rows show it, else None."""
    parts = [values[name] for name in names]
    a, b = parts[0], parts[-1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        f = combine(a, b)
    defined = np.isfinite(f)
    borne = defined & (f != 0) & (y != 0)
    if borne.sum() < min_rows or len(np.unique(y[borne])) < min_distinct:
        return None
    if any(len(np.unique(part[borne])) == 1 for part in parts):
        return None  # with a constant, it is not a pair
    largest = np.flatnonzero(borne)[np.argmax(np.abs(f[borne]))]
    factor = y[largest] / f[largest]
    size = np.maximum(np.abs(y), np.abs(factor * f))
    if "+" in arithmetic or "-" in arithmetic:  # cancellation leaves the rounding errors of the parts
        size = np.maximum(size, np.abs(factor) * np.minimum(np.abs(a) + np.abs(b), np.abs(f) * 1e6))
    if (np.abs(y - factor * f)[defined] > TOLERANCE * size[defined]).any():
        return None
    return Identity(_written(arithmetic, names, factor), names, int(borne.sum()), len(y))


def _written(arithmetic: str, names: tuple[str, ...], factor: float) -> str:
    """Write the formula with its feature names, and with its constant factor if that is not 1."""
    a, b = names[0], names[-1]
    if abs(factor + 1) <= TOLERANCE and arithmetic == "{a} - {b}":
        return arithmetic.format(a=b, b=a)
    text = arithmetic.format(a=a, b=b)
    if abs(factor - 1) <= TOLERANCE:
        return text
    return f"{factor:.6g} x ({text})" if len(names) > 1 else f"{factor:.6g} x {text}"


@dataclass(frozen=True)
class Fit:
    """Best of several simple models, evaluated out of fold.

    Attributes
    ----------
    model : str
        "trees", "linear", or "log-linear" (products and ratios are linear in logarithms).
    r2 : float in (-inf, 1]
        1 - squared error / squared deviation from the mean, out of fold; in logarithms for the log-linear model.
    losses : Series indexed by feature
        Decrease of r2 when the feature is permuted out of fold, largest first; empty if r2 is too low.
    """

    model: str
    r2: float
    losses: pd.Series


def best_fit(
    X: pd.DataFrame, y: ArrayLike, customers: ArrayLike, *, explained_above: float, n_folds: int, seed: int
) -> Fit:
    """Cross-validate trees, a linear and a log-linear model of y on all of X, and keep the best.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    y : array of shape (n,)
    customers : array of shape (n,)
        Rows of one customer stay in one fold.
    explained_above : float
        The r2 above which the losses of the features are computed.
    n_folds : int
    seed : int
        Seed of the folds and permutations.
    """
    y = np.asarray(y, dtype=float)
    customers = np.unique(np.asarray(customers), return_inverse=True)[1]  # whole numbers: folds search them faster
    values = X.to_numpy(dtype=float)
    problems = {"trees": (values, y, customers), "linear": (values, y, customers)}
    positive = y > 0
    if len(np.unique(customers[positive])) >= 10 * n_folds:
        logs = np.sign(values) * np.log1p(np.abs(values))
        exact = (values[positive] > 0).all(axis=0)
        logs[:, exact] = np.log(np.where(values[:, exact] > 0, values[:, exact], 1.0))
        problems["log-linear"] = (logs[positive], np.log(y[positive]), customers[positive])
    best: tuple[float, str] = (-np.inf, "trees")
    folds_of = {}
    for name, (x, target, groups) in problems.items():
        learn = _trees if name == "trees" else _linear
        splits = list(GroupKFold(n_folds, shuffle=True, random_state=seed).split(x, target, groups))
        fits = Parallel(n_jobs=-1, prefer="threads")(  # one thread for each fold, so results stay the same
            delayed(learn)(x[train], target[train], seed) for train, _ in splits
        )
        folds = [(fit, test) for fit, (_, test) in zip(fits, splits, strict=True)]
        folds_of[name] = folds
        r2 = _r2(folds, x, target)
        best = max(best, (r2, name))
    r2, name = best
    x, target, _ = problems[name]
    explained = r2 > explained_above
    return Fit(
        name, r2, _losses(folds_of[name], x, target, r2, X.columns, seed) if explained else pd.Series(dtype=float)
    )


def _trees(x: np.ndarray, y: np.ndarray, seed: int) -> Predict:
    return lgb.train({**TREES, "seed": seed}, lgb.Dataset(x, y), N_TREES).predict


def _linear(x: np.ndarray, y: np.ndarray, _: int) -> Predict:
    """Fit least squares on standardised columns; predictions clip each column to its training range."""
    mean, spread, low, high = x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0)
    spread = np.where(spread > 0, spread, np.inf)
    weights = np.linalg.lstsq((x - mean) / spread, y - y.mean(), rcond=1e-10)[0]
    return lambda new: y.mean() + ((np.clip(new, low, high) - mean) / spread) @ weights


def _r2(folds: list[tuple[Predict, np.ndarray]], x: np.ndarray, y: np.ndarray) -> float:
    error = sum(float(((predict(x[test]) - y[test]) ** 2).sum()) for predict, test in folds)
    variation = float(((y - y.mean()) ** 2).sum())
    return 1 - error / variation if variation > 0 else 0.0


def _losses(
    folds: list[tuple[Predict, np.ndarray]], x: np.ndarray, y: np.ndarray, r2: float, names: pd.Index, seed: int
) -> pd.Series:
    rng = np.random.default_rng(seed)
    losses = []
    for column in range(x.shape[1]):
        permuted = x.copy()
        for _, test in folds:
            permuted[test, column] = rng.permutation(x[test, column])
        losses.append(r2 - _r2(folds, permuted, y))
    return pd.Series(losses, index=pd.Index(names, name="feature")).sort_values(ascending=False, kind="stable")
