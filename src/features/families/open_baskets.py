"""Candidates of open baskets: the basket, the product, and scores that were learnt from earlier orders."""

from __future__ import annotations

import ibis.expr.types as ir

from features.families.registry import family
from features.open_baskets import BASKETS, FACTS, KEY, SCORES, completions
from features.tables import Tables

FEATURES = {**FACTS, **SCORES}


@family(
    grain=BASKETS,
    needs=("transactions",),
    complete=True,
    features=FEATURES,
    ranges={"basket_ease": (None, None), "basket_factors": (None, None)},
)
def open_baskets(past: Tables) -> ir.Table:
    """Score the products that may complete an open basket."""
    return completions(past).select(*KEY, *FEATURES)
