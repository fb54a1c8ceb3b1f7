"""Negative controls: data without any signal, to show what a metric reaches by chance."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pandas as pd

Outcomes = TypeVar("Outcomes", pd.Series, pd.DataFrame)


def permuted_within_cutoff(y: Outcomes, seed: int) -> Outcomes:
    """Permute the outcomes among the rows of each cutoff: their distribution stays, but no feature predicts them.

    Parameters
    ----------
    y : Series or DataFrame with an index level "cutoff"
        The columns of a DataFrame's row stay together: a censored time keeps its censoring.
    seed : int
        The same rows, in any order, and the same seed give the same permutation.

    Returns
    -------
    Series or DataFrame, same index
    """
    rng = np.random.default_rng(seed)
    ordered = y.sort_index()
    rows = pd.Series(np.arange(len(ordered)), index=ordered.index)
    source = rows.groupby(level="cutoff").transform(lambda positions: rng.permutation(positions.to_numpy()))
    dealt = ordered.take(source.to_numpy()).set_axis(ordered.index, axis=0)
    return dealt.reindex(y.index)
