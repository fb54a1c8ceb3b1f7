"""Candidate pairs of customer and product: own purchases of it, and scores that were learnt from the past."""

from __future__ import annotations

import ibis.expr.types as ir

from features.candidates import CANDIDATES, KEY, NEVER_DAYS, OF_PRODUCTS, OWN_FACTS, SCORES, candidates
from features.families.registry import family
from features.tables import Tables

FEATURES = {**OWN_FACTS, **OF_PRODUCTS, **SCORES}


@family(
    grain=CANDIDATES,
    needs=("transactions",),
    complete=True,
    features=FEATURES,
    fallbacks={"own_since_days": NEVER_DAYS},
    ranges={"ease": (None, None), "factors": (None, None)},
)
def affinity(past: Tables) -> ir.Table:
    """Score the products that a customer may buy next."""
    return candidates(past).select(*KEY, *FEATURES)
