"""Claims: what a hypothesis is made of, one for each tier or column, each with its effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from experiments.description.purchasing.window import Window
from experiments.evaluation.bootstrap import Distribution
from features.errors import InputError, listing

TOGETHER = "these tiers together"  # reported beside the claims, and no claim itself


@dataclass(frozen=True)
class Claim:
    """One of the claims that a hypothesis is made of: of one tier, or one column.

    Attributes
    ----------
    name : str
    effect : Distribution
        On the scale on which 0 is no effect, the hypothesis' direction upwards.
    details : mapping
        What a table shows beside it.
    """

    name: str
    effect: Distribution
    details: Mapping[str, object]


def large_enough(tiers: pd.Series, window: Window) -> tuple[list[str], list[str]]:
    """Return the tiers that hold enough customers to be resampled, best first, and a note on the others.

    Raises
    ------
    InputError
        If there are not two.
    """
    held = tiers.value_counts().reindex(tiers.cat.categories)
    large = [tier for tier in held.index if held[tier] >= window.min_customers]
    small = listing((f"{tier} ({held[tier]})" for tier in held.index if tier not in large), limit=20)
    if len(large) < 2:
        raise InputError(
            "too few customers bought",
            expected=f"at least {window.min_customers} in at least 2 tiers",
            found=f"fewer in {small}",
            hint="tiers as of a later day hold more of them",
        )
    too_few = f"Left out, because fewer than {window.min_customers} customers bought: {small}."
    return large, [too_few] if small else []
