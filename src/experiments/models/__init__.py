"""Scikit-learn estimators, and the one registry of them. No I/O."""

from __future__ import annotations

from experiments.models.base import Model, dump, load
from experiments.models.baselines import Constant, NaiveSpend, PastTotal
from experiments.models.blend import Blend, ProbabilityBlend, blend, probability_blend
from experiments.models.boosting import LightGBMProbability, LightGBMSpend
from experiments.models.buy_till_you_die import BGNBD, MBGNBD, ParetoNBD
from experiments.models.probabilities import LogisticRFM, NaiveProbability, PurchaseProbability, Recalibrated
from experiments.models.quantile_bins import QuantileBins
from experiments.models.registry import CANDIDATES, Candidate
from experiments.models.segmentation import Segmentation
from experiments.models.segments import Segments

__all__ = [
    "BGNBD",
    "CANDIDATES",
    "MBGNBD",
    "Blend",
    "Candidate",
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
    "blend",
    "dump",
    "load",
    "probability_blend",
]
