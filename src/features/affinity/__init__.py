"""Affinity of customers and products: counts, rules and scorers that recommend. Arrays in, arrays out; no tables."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.affinity.autoencoder import Autoencoder
    from features.affinity.content import Content
    from features.affinity.decayed_neighbours import DecayedNeighbours
    from features.affinity.ease import Ease
    from features.affinity.factors import Factors
    from features.affinity.pairs import pair_counts
    from features.affinity.popularity import BestSellers, OwnFrequency
    from features.affinity.purchases import Purchases
    from features.affinity.ranking import best
    from features.affinity.reasons import OrderCounts, Reasons
    from features.affinity.rules import rule_table
    from features.affinity.scorer import ItemScorer, Scorer
    from features.affinity.similarity import ItemNeighbours, Rules

_PLACES = {  # imported when first asked for: scorers need libraries that take seconds to import
    "Autoencoder": "autoencoder",
    "BestSellers": "popularity",
    "Content": "content",
    "DecayedNeighbours": "decayed_neighbours",
    "Ease": "ease",
    "Factors": "factors",
    "ItemNeighbours": "similarity",
    "ItemScorer": "scorer",
    "OrderCounts": "reasons",
    "OwnFrequency": "popularity",
    "Purchases": "purchases",
    "Reasons": "reasons",
    "Rules": "similarity",
    "Scorer": "scorer",
    "best": "ranking",
    "pair_counts": "pairs",
    "rule_table": "rules",
}

__all__ = [
    "Autoencoder",
    "BestSellers",
    "Content",
    "DecayedNeighbours",
    "Ease",
    "Factors",
    "ItemNeighbours",
    "ItemScorer",
    "OrderCounts",
    "OwnFrequency",
    "Purchases",
    "Reasons",
    "Rules",
    "Scorer",
    "best",
    "pair_counts",
    "rule_table",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
