"""Candidate pairs of customer and product: the score of a network, which takes longer to learn than all others."""

from __future__ import annotations

import ibis.expr.types as ir

from features.candidates import BY_NETWORK, CANDIDATES, KEY, network_scores
from features.families.registry import family
from features.tables import Tables


@family(
    grain=CANDIDATES,
    needs=("transactions",),
    complete=True,
    features=BY_NETWORK,
    ranges=dict.fromkeys(BY_NETWORK, (None, None)),
)
def autoencoder(past: Tables) -> ir.Table:
    """Score the products that a customer may buy next by a denoising autoencoder."""
    return network_scores(past).select(*KEY, *BY_NETWORK)
