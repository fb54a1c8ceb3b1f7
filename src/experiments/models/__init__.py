"""Scikit-learn estimators, by the names that configuration uses. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from experiments.models.base import Model, dump, load
from experiments.models.blend import Blend, blend
from experiments.models.boosting import LightGBMSpend
from experiments.models.naive import Constant, NaiveSpend
from experiments.models.probabilistic import BGNBD, MBGNBD, PROBABILISTIC, ParetoNBD
from experiments.models.segmentation import QuantileBins, Segmentation, Segments

MODELS: Mapping[str, Callable[..., Model]] = {
    "naive_lifetime_rate": partial(NaiveSpend, rate="lifetime_spend_rate"),
    "naive_last_91_days_rate": partial(NaiveSpend, rate="last_91_days_spend_rate"),
    "naive_past_total": partial(NaiveSpend, rate="total_spend"),
    **PROBABILISTIC,
    "lightgbm": LightGBMSpend,
    "blend": blend,
}

SEGMENTATIONS: Mapping[str, Callable[..., Segments]] = {"segmentation": Segmentation, "quantile_bins": QuantileBins}

__all__ = [
    "BGNBD",
    "MBGNBD",
    "MODELS",
    "SEGMENTATIONS",
    "Blend",
    "Constant",
    "LightGBMSpend",
    "Model",
    "NaiveSpend",
    "ParetoNBD",
    "QuantileBins",
    "Segmentation",
    "Segments",
    "dump",
    "load",
]
