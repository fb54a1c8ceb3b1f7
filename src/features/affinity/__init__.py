"""Affinity of customers and products: counts, rules and scorers that recommend. Arrays in, arrays out; no tables."""

from features.affinity.autoencoder import Autoencoder
from features.affinity.content import Content
from features.affinity.decayed_neighbours import DecayedNeighbours
from features.affinity.ease import Ease
from features.affinity.factors import Factors
from features.affinity.pairs import pair_counts
from features.affinity.popularity import BestSellers, OwnFrequency
from features.affinity.purchases import Purchases
from features.affinity.ranking import best
from features.affinity.reasons import Reasons
from features.affinity.rules import rule_table
from features.affinity.scorer import ItemScorer, Scorer
from features.affinity.similarity import ItemNeighbours, Rules

__all__ = [
    "Autoencoder",
    "BestSellers",
    "Content",
    "DecayedNeighbours",
    "Ease",
    "Factors",
    "ItemNeighbours",
    "ItemScorer",
    "OwnFrequency",
    "Purchases",
    "Reasons",
    "Rules",
    "Scorer",
    "best",
    "pair_counts",
    "rule_table",
]
