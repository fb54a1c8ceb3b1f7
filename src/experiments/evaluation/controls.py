"""Negative controls: what a figure comes to where there is nothing to find."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pandas as pd

Outcomes = TypeVar("Outcomes", pd.Series, pd.DataFrame)


def permuted_within_cutoff(y: Outcomes, seed: int) -> Outcomes:
    """Deal the outcomes out anew among the rows of each cutoff: their distribution stays, what predicts them is gone.

    Parameters
    ----------
    y : Series or DataFrame with an index level "cutoff"
        Of a frame, the columns of a row stay together: a censored time keeps its censoring.
    seed : int
        Same rows, in any order, and seed give the same permutation.

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
