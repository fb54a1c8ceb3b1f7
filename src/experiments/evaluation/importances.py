"""Importances of features: how much a model's metric falls when their values are permuted among the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

MOST_ROWS = 5_000


def importances(
    metric: Callable[[pd.DataFrame], float], X: pd.DataFrame, blocks: Sequence[Sequence[str]], seed: int
) -> pd.Series:
    """Compute the fall of a metric when the features of a block are permuted together.

    Parameters
    ----------
    metric : callable
        Takes some rows of X, perhaps with other values, and returns the model's metric on them.
    X : DataFrame of shape (n_rows, n_features)
        Of more than 5,000 rows, 5,000 are drawn.
    blocks : sequence of sequence of str
        Columns of X.
    seed : int

    Returns
    -------
    Series indexed by the names of the block
        The largest first. About 0 where the model does not need the block.
    """
    rng = np.random.default_rng(seed)
    sample = X.take(np.sort(rng.choice(len(X), min(len(X), MOST_ROWS), replace=False)))
    figure, falls = metric(sample), {}
    for block in blocks:
        order = rng.permutation(len(sample))
        falls[", ".join(block)] = figure - metric(sample.assign(**{name: sample[name].array[order] for name in block}))
    return pd.Series(falls, dtype=float).sort_values(ascending=False, kind="stable")


def drivers(contributions: pd.DataFrame, X: pd.DataFrame) -> pd.DataFrame:
    """Compute how much each feature moves predictions, and in which direction.

    share = mean |contribution| / sum of these over all features, in [0, 1]. direction = rank correlation of a feature's
    values and contributions, in [-1, 1]; NaN where either is constant.

    Parameters
    ----------
    contributions : DataFrame of shape (n_rows, n_features)
        SHAP values.
    X : DataFrame with these columns

    Returns
    -------
    DataFrame indexed by feature
        share, direction; the largest share first.
    """
    size = contributions.abs().mean()
    moved = pd.DataFrame({"share": size / (size.sum() or np.nan)})
    moved["direction"] = contributions.rank().corrwith(X[list(contributions)].rank())
    return moved.sort_values("share", ascending=False, kind="stable")


def linked(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Group features that limit each other's values: permuted alone, they would contradict each other.

    >>> linked(["recency", "T", "spend"], [("recency", "T")])
    [['recency', 'T'], ['spend']]
    """
    blocks = {name: [name] for name in names}
    for one, other in pairs:
        if one in blocks and other in blocks and blocks[one] is not blocks[other]:
            blocks[one] += blocks[other]
            blocks.update(dict.fromkeys(blocks[other], blocks[one]))
    return list({id(block): block for block in blocks.values()}.values())
