"""Sections of a report: texts, tables and pictures, in the order in which they are read, and how they are declared."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pandas as pd

from features.errors import InputError

if TYPE_CHECKING:  # matplotlib takes a second to import, and not every command draws
    from matplotlib.figure import Figure

    from experiments.reports.material import Material

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    text : str
        Plain; the page escapes it.
    kind : str
        "lead" (finding and advice), "plain", or "note" (method, and what was left out).
    lang : str, optional
        BCP 47, where a text is there in several languages or not in English: "ko".
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
        from experiments.reports.figures import png

        return png(self.figure)


@dataclass(frozen=True)
class Record:
    """A run of its own in MLflow, below that of the report; the page does not show it.

    Attributes
    ----------
    name : str
    tags : mapping of str to str
    params : mapping
    metrics : mapping of str to float
    note : str
        What to read first.
    """

    name: str
    tags: Mapping[str, str]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    note: str


Part = Text | Heading | Table | Picture | Record
Kept = TypeVar("Kept", Table, Picture, Record)
M = TypeVar("M", bound="Material")


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes
    ----------
    name : str
        Its anchor, and the folder of its files.
    parts : sequence of Part
    title : str
        As a marketer reads it; made from the name when empty.
    order : int
        Place among the sections, from the lowest on.
    """

    name: str
    parts: Sequence[Part]
    title: str = ""
    order: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name.replace("_", " ").capitalize())

    def files(self, kind: type[Kept]) -> dict[str, Kept]:
        """Return its parts of one kind by their files: groups may be called `../VIP`, or alike but for case."""
        named: dict[str, Kept] = {}
        for part in self.parts:
            if isinstance(part, kind):
                stem = re.sub(r"\W+", "_", part.name.lower()).strip("_")
                free = (stem if n == 1 else f"{stem}_{n}" for n in count(1))
                named[next(name for name in free if name not in named)] = part
        return {f"{self.name}/{name}": part for name, part in named.items()}


@dataclass(frozen=True)
class Topic(Generic[M]):
    """Declaration of a section, beside the analysis that it shows; a report finds it by itself.

    Attributes
    ----------
    name, title, order
        As of the section.
    write : callable
        Takes the report's material and returns the parts; raises an InputError where data or configuration do not
        allow them.
    columns : callable, optional
        Takes the material and returns what the section knows of each customer, a Series indexed customer_id by the
        name of its column in the list of customers.
    reads_models : bool
        False if it reads no model in use: it can be written while models are still searched.
    """

    name: str
    title: str
    order: int
    write: Callable[[M], Sequence[Part]]
    columns: Callable[[M], Mapping[str, pd.Series]] | None = None
    reads_models: bool = True

    def section(self, material: M) -> Section:
        """Write the section; one that cannot be written says why."""
        try:
            parts = self.write(material)
        except InputError as error:
            logger.warning("%s is left out: %s", self.name, error.sentence)
            parts = [left_out(error)]
        return Section(self.name, parts, self.title, self.order)


def left_out(error: InputError) -> Text:
    """Return the note on a part that the data or the configuration do not allow."""
    return Text(f"Left out: {error.sentence}", "note")


def joined(*sentences: str) -> str:
    """Return a paragraph of the sentences that are not empty."""
    return " ".join(sentence for sentence in sentences if sentence)


def number(value: object) -> str:
    """Return a number as it is read: with thousands separators, and three significant digits or all whole ones.

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


def percent(share: float, decimals: int = 1) -> str:
    """Return a share in [0, 1] as it is read; "-" where there is none.

    >>> percent(0.2834), percent(0.2, 0)
    ('28.3%', '20%')
    """
    return f"{share:.{decimals}%}" if math.isfinite(share) else "-"


def between(low: float, high: float) -> str:
    """Return an interval as it is read.

    >>> between(0.12, 0.34)
    '0.120 to 0.340'
    """
    return f"{number(float(low))} to {number(float(high))}"


def enumerated(names: Sequence[str]) -> str:
    """Return names as they are read.

    >>> enumerated(["a", "b", "c"]), enumerated(["a"])
    ('a, b and c', 'a')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
