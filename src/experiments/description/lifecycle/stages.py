"""Stages of a customer's life: who is in which at a cutoff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from experiments.description.lifecycle.options import LifecycleOptions
from features.shop import Shop

SPENT, LAST_BOUGHT = "total_spend", "days_since_last_purchase"


def stage_of(X: pd.DataFrame, options: LifecycleOptions) -> pd.Series:
    """Return the stage of each customer: the first whose ranges all hold, else the last.

    Parameters
    ----------
    X : DataFrame with the features that the rules name

    Returns
    -------
    Series of ordered categories, indexed as `X`
    """
    names = list(options.stages)
    code = np.full(len(X), len(names) - 1)
    for number in reversed(range(len(names) - 1)):
        fits = np.ones(len(X), dtype=bool)
        for feature, (low, high) in options.stages[names[number]].items():
            fits &= (True if low is None else X[feature] >= low) & (True if high is None else X[feature] <= high)
        code[fits] = number
    return pd.Series(pd.Categorical.from_codes(code, names, ordered=True), index=X.index, name="stage")


def in_stages(shop: Shop, cutoffs: Sequence[date], options: LifecycleOptions) -> pd.DataFrame:
    """Return each customer's stage at each cutoff and the features behind it: indexed (customer_id, cutoff).

    Raises
    ------
    InputError
        If the rules do not go together.
    """
    options.check()
    X = shop.features(list(dict.fromkeys([*options.features, SPENT, LAST_BOUGHT])), list(cutoffs))
    return X.assign(stage=stage_of(X, options))
