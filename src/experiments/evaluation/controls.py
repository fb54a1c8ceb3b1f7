"""Negative controls: what a figure comes to where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pandas as pd


def permuted_within_cutoff(y: pd.Series, seed: int) -> pd.Series:
    """Targets dealt out anew among the customers of each cutoff: their distribution stays, what tells them is gone.

    Parameters
    ----------
    y : Series, indexed (customer_id, cutoff)
    seed : int
        Same rows, in whatever order, and seed give the same permutation.

    Returns
    -------
    Series, same index
    """
    rng = np.random.default_rng(seed)
    ordered = y.sort_index()
    dealt = ordered.groupby(level="cutoff").transform(lambda values: rng.permutation(values.to_numpy()))
    return dealt.reindex(y.index)
