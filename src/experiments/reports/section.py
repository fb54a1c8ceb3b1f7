"""What a report is made of: sections of texts, tables and pictures, in the order in which they are read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TypeVar

import pandas as pd
from matplotlib.figure import Figure

from experiments.reports.figures import png


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    text : str
        Plain; the page escapes it.
    kind : str
        "lead" (what to remember), "plain", or "note" (how it was measured, what was left out).
    lang : str, optional
        BCP 47, where it is not the page's English: "ko".
    """

    text: str
    kind: str = "plain"
    lang: str | None = None


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    name : str
        Of its file, unique in the section.
    frame : DataFrame
        Columns are headings as they are read; a named index is shown first. Whole numbers and floats are formatted by
        `number`; what is to be read otherwise (shares, intervals) is text already.
    caption : str
        What it shows, a sentence.
    """

    name: str
    frame: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : str
        Of its file, unique in the section.
    figure : Figure
    caption : str
        What is to be seen, for those too who cannot see it.
    """

    name: str
    figure: Figure
    caption: str

    @cached_property
    def png(self) -> bytes:
        """As it is shown, drawn once."""
        return png(self.figure)


TITLES = {  # of the sections of a report, in the order of reading
    "verdicts": "What can be foretold, and what cannot",
    "tiers": "Tiers of customers",
    "personas": "Who they are",
    "behaviour": "What the tiers buy, and when",
    "hypotheses": "What was believed of the tiers",
    "value": "What they are worth",
    "return": "Who will come back",
    "lifecycle": "Stages of a customer's life",
    "as_reported": "The case study as reported",
}

Part = Text | Heading | Table | Picture
Kept = TypeVar("Kept", Table, Picture)


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes
    ----------
    name : str
        One of TITLES; its anchor, and the folder of its files.
    parts : sequence of Part
    """

    name: str
    parts: Sequence[Part]

    @property
    def title(self) -> str:
        """As a marketer reads it, whether there is something in it or it was left out."""
        return TITLES[self.name]

    def files(self, kind: type[Kept]) -> dict[str, Kept]:
        """Its tables, or its pictures, by their files: groups may be called `../VIP`, or alike but for case."""
        named: dict[str, Kept] = {}
        for part in self.parts:
            if isinstance(part, kind):
                stem = re.sub(r"\W+", "_", part.name.lower()).strip("_")
                free = (stem if n == 1 else f"{stem}_{n}" for n in count(1))
                named[next(name for name in free if name not in named)] = part
        return {f"{self.name}/{name}": part for name, part in named.items()}


def number(value: object) -> str:
    """A number as it is read: thousands apart; three significant digits, no fewer than stand before the point.

    >>> number(12345), number(1234.56), number(0.01234), number(float("nan"))
    ('12,345', '1,235', '0.0123', '-')
    """
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def percent(share: float, decimals: int = 0) -> str:
    """A share in [0, 1] as it is read; "-" where there is none.

    >>> percent(0.283), percent(0.0283, 1)
    ('28%', '2.8%')
    """
    return f"{share:.{decimals}%}" if math.isfinite(share) else "-"


def fine_percent(share: float) -> str:
    """A share as it is read, with a decimal where it is small.

    >>> fine_percent(0.283), fine_percent(0.0119), fine_percent(0.0)
    ('28%', '1.2%', '0%')
    """
    return percent(share, 1 if 0 < share < 0.095 else 0)


def between(low: float, high: float, decimals: int | None = None) -> str:
    """An interval as it is read, of shares in percent where `decimals` is given.

    >>> between(0.12, 0.34), between(0.12, 0.34, 0)
    ('0.120 to 0.340', '12% to 34%')
    """
    shown = [number(float(end)) if decimals is None else percent(end, decimals) for end in (low, high)]
    return " to ".join(shown)


def enumerated(names: Sequence[str]) -> str:
    """Names as they are read.

    >>> enumerated(["a", "b", "c"]), enumerated(["a"])
    ('a, b and c', 'a')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
