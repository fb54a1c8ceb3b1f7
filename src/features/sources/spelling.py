"""Spellings under which texts of several tables meet that are written in different ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import ibis.expr.types as ir


@dataclass(frozen=True)
class Spelling:
    """A way to write ids alike: what it means, and the function of a column of texts."""

    meaning: str
    spell: Callable[[ir.StringColumn], ir.StringColumn]


SPELLINGS: Mapping[str, Spelling] = {
    "lower_case": Spelling("in lower case", lambda texts: texts.lower()),
    "no_decimals": Spelling("without the zeros behind a point", lambda texts: texts.re_replace(r"\.0+$", "")),
    "no_marks": Spelling("without blanks and marks", lambda texts: texts.re_replace(r"[^\pL\pN]+", "").nullif("")),
    "digits": Spelling("by their digits alone", lambda texts: texts.re_replace("[^0-9]+", "").nullif("")),
    "no_leading_zeros": Spelling("without leading zeros", lambda texts: texts.re_replace("^0+([^0])", r"\1")),
}


def spelled(texts: ir.StringColumn, names: Iterable[str]) -> ir.StringColumn:
    """Write texts in one spelling after another."""
    for name in names:
        texts = SPELLINGS[name].spell(texts)
    return texts
