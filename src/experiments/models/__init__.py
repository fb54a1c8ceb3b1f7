"""Scikit-learn estimators, and the one registry of them. No I/O."""

from __future__ import annotations

import importlib

_PLACES = {  # imported when first asked for: scikit-learn takes a second, and not every command trains
    "BGNBD": "buy_till_you_die",
    "Blend": "blend",
    "CANDIDATES": "registry",
    "Calibrated": "calibrated",
    "Candidate": "registry",
    "Constant": "baselines",
    "Ensemble": "ensemble",
    "Estimator": "estimator",
    "HistGradientBoosting": "estimator",
    "LightGBMProbability": "boosting",
    "LightGBMSpend": "boosting",
    "LogisticRFM": "probabilities",
    "MBGNBD": "buy_till_you_die",
    "Model": "base",
    "NaiveProbability": "probabilities",
    "NaiveSpend": "baselines",
    "ParetoNBD": "buy_till_you_die",
    "PastTotal": "baselines",
    "ProbabilityBlend": "blend",
    "PurchaseProbability": "probabilities",
    "QuantileBins": "quantile_bins",
    "Segmentation": "segmentation",
    "Segments": "segments",
    "dump": "base",
    "load": "base",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
