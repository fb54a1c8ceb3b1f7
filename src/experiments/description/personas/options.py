"""Options of the description of groups of customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class PersonaOptions:
    """Options of personas. Values and their meaning are in conf/personas/.

    Attributes
    ----------
    q : float
        False discovery rate of the habits that are named.
    min_cell : int
        Fewest customers of a cell that is shown.
    min_index : float
        Smallest index that matters; 100 is as all customers do.
    most : int
        Most values of a habit that are named.
    largest : int
        Values of a habit that count on their own: the most common ones.
    strategy : dict of group to language to str
        What to do about each group.
    proposals : dict of group to language to str
        What the case study proposed to its own shop, where there is no strategy.
    wording : dict of language to sentences
        See `wording.Wording`.
    """

    q: float
    min_cell: int
    min_index: float
    most: int
    largest: int
    strategy: dict[str, dict[str, str]]
    proposals: dict[str, dict[str, str]]
    wording: dict[str, dict[str, Any]]
