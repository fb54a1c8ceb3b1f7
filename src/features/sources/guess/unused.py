"""Columns that a mapping does not use, with some of their values, so that nothing is left out without a word."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from features.sources.files.config import LINE_DISCOUNT, OF_LINES, ORDER_DISCOUNT
from features.sources.guess.facts import MOST, Facts, examples
from features.sources.guess.lines import Lines
from features.sources.guess.mapping import Draft, Guess, flow
from features.sources.guess.opened import Opened

SHOWN, OF_VALUES = 20, 3  # columns shown with values, and values of each
LONGEST = 30  # letters of a value
TABLES = (("tables", "transactions"), ("tables", "products"))  # that are made of the lines
COLUMNS = "tables.transactions.columns"


def unused_note(draft: Draft, lines: Lines) -> str | None:
    """Return a note with all columns that no key of the mapping names; None where each is used or asked for.

    The first 20 columns are shown with up to three values, the most frequent ones. E-mail addresses are not shown.
    """
    opened, facts = lines.opened, lines.facts
    of_lines = [guess for key, guess in draft.guesses.items() if key[:2] in TABLES]
    used = {text for guess in of_lines for text in _texts(guess.value)} | {lines.refund}
    left = [name for name in opened.columns if name not in used and not any(_is_asked(name, each) for each in of_lines)]
    if not left:
        return None
    shown = [f"{name} ({_values(opened, facts[name])})" for name in left[:SHOWN] if name in facts]
    further = [name for name in left if name not in facts or name in left[SHOWN:]]
    advice = "; ".join(_missing(draft))
    asked = f"\nIf one of them says it, type the command again with its name: {advice}." if advice else ""
    return f"not used: {'; '.join([*shown, *further])}.{asked}"


def _is_asked(name: str, guess: Guess) -> bool:
    """Check whether one of the arguments that would settle an open key names a column."""
    written = f"{re.escape(flow(name))}|{re.escape(shlex.quote(name))}"
    argument = rf"=(?:'?\{{(?:column: )?)?({written})(?=$|[ :,}}'])"
    return guess.is_open and any(re.search(argument, way) for way in guess.others)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of a value of the mapping, and keys of mappings such as {Status: [paid]}."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from map(str, value)
        yield from _texts(value.get("column"))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _values(opened: Opened, facts: Facts) -> str:
    if facts.mail >= MOST:
        return "e-mail addresses"
    texts = [text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in examples(opened, facts.name, OF_VALUES)]
    return f"{', '.join(texts)}{', …' if facts.distinct > OF_VALUES else ''}" if texts else "empty"


def _missing(draft: Draft) -> Iterator[str]:
    """Yield the facts of orders that the mapping lacks, with the arguments that name their columns."""
    if not draft.has("tables.transactions.status"):
        yield "status=COLUMN, where it says that orders were cancelled or not paid"
    if not any(draft.has(f"{COLUMNS}.{name}") for name in (*OF_LINES, ORDER_DISCOUNT)):
        yield f"{ORDER_DISCOUNT}=COLUMN or {LINE_DISCOUNT}=COLUMN, where it is a discount of an order or of a line"
    if not draft.has(f"{COLUMNS}.product_id"):
        yield "product_id=COLUMN, where it is the product"
