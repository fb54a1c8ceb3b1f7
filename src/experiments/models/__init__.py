"""Scikit-learn estimators, by the names that configuration uses. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from experiments.models.base import Model, dump, load
from experiments.models.baselines import Constant, NaiveSpend, PastTotal
from experiments.models.blend import Blend, ProbabilityBlend, blend, probability_blend
from experiments.models.boosting import LightGBMProbability, LightGBMSpend
from experiments.models.buy_till_you_die import BGNBD, MBGNBD, PROBABILISTIC, ParetoNBD
from experiments.models.probabilities import LogisticRFM, NaiveProbability, PurchaseProbability, Recalibrated
from experiments.models.segmentation import QuantileBins, Segmentation, Segments

MODELS: Mapping[str, Callable[..., Model]] = {
    "naive_lifetime_rate": partial(NaiveSpend, rate="lifetime_spend_rate"),
    "naive_last_91_days_rate": partial(NaiveSpend, rate="last_91_days_spend_rate"),
    "naive_past_total": PastTotal,
    **PROBABILISTIC,
    "lightgbm": LightGBMSpend,
    "blend": blend,
}

PROBABILITIES: Mapping[str, Callable[..., Model]] = {
    "naive_recency": partial(NaiveProbability, feature="days_since_last_purchase"),
    "naive_frequency": partial(NaiveProbability, feature="frequency"),
    "naive_visits": partial(NaiveProbability, feature="purchase_days_last_91_days"),
    "naive_constant": Constant,
    "purchase_probability": PurchaseProbability,
    "logistic": LogisticRFM,
    "lightgbm_probability": LightGBMProbability,
    "probability_blend": probability_blend,
}

SEGMENTATIONS: Mapping[str, Callable[..., Segments]] = {
    "segmentation": Segmentation,
    "quantile_bins": QuantileBins,
    "quantile_bins_rate": partial(QuantileBins, by="total_spend_rate"),
}

__all__ = [
    "BGNBD",
    "MBGNBD",
    "MODELS",
    "PROBABILITIES",
    "SEGMENTATIONS",
    "Blend",
    "Constant",
    "LightGBMProbability",
    "LightGBMSpend",
    "LogisticRFM",
    "Model",
    "NaiveProbability",
    "NaiveSpend",
    "ParetoNBD",
    "PastTotal",
    "ProbabilityBlend",
    "PurchaseProbability",
    "QuantileBins",
    "Recalibrated",
    "Segmentation",
    "Segments",
    "dump",
    "load",
]
