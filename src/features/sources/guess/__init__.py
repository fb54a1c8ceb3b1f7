"""A mapping of a shop's own tables, guessed from the names and values of their columns.

Each module here is one question: which files hold which tables (`opened`), which rows are none (`totals`), what columns
are called (`words`) and look like (`facts`), when an order was (`times`), whose it is and what tells it from others
(`orders`), what it costs (`money`), which tables belong together (`joins`), where the shop is (`places`), and which
rules its rows call for (`rules`). `mapping` writes the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.engines import staging_engine
from features.errors import InputError
from features.sources.files import config as checked
from features.sources.guess.joins import joined_tables
from features.sources.guess.lines import Lines, lines_of
from features.sources.guess.mapping import Draft, Guess
from features.sources.guess.opened import Opened, open_path
from features.sources.guess.places import currency_of, timezone_of
from features.sources.guess.rules import add_rules

__all__ = ["Draft", "Guess", "guess"]

TABLE = "tables.transactions"


def guess(
    shop: str, path: str, template: Mapping[str, Any], scratch: Path, currency: str | None, timezone: str | None
) -> Draft:
    """Guess how the tables of a path are mapped.

    Parameters
    ----------
    shop : str
        Names the mapping.
    path : str
        A file, several with commas between them, a pattern or a folder.
    template : mapping
        conf/data/files.yaml, as a plain dictionary: values of the keys that no guess names.
    scratch : pathlib.Path
        An empty folder.
    currency, timezone : str or None
        Those of the shop, where they are known.

    Raises
    ------
    InputError
        If nothing can be read, or the tables have no lines of orders.
    """
    engine = staging_engine(scratch)
    try:
        missing = checked.missing_words(template["missing"])
        tables = open_path(path, engine, scratch, missing)
        if not tables:
            raise InputError(
                f"there is no table in {path}",
                where="path",
                expected="a header and records with , ; | or a tab between their columns",
                hint="export it as CSV with a header",
            )
        opened, others = joined_tables(tables, engine)
        lines = lines_of(opened, engine, checked.days(template["dates"]))
        draft = _draft(shop, lines, currency, timezone)
        draft.notes += [*opened.notes, *others, *lines.notes]
        if not draft.unknown():
            draft.problem = add_rules(draft, lines, template, scratch)
    finally:
        engine.connection.disconnect()
    return draft


def _draft(shop: str, lines: Lines, currency: str | None, timezone: str | None) -> Draft:
    draft = Draft()
    opened: Opened = lines.opened
    draft.add("shop", Guess(shop))
    signs = [str(lines.style.numbers.currency_sign)] if lines.style.numbers.currency_sign else []
    draft.add("currency", currency_of(opened, lines.facts, signs, currency))
    draft.add("timezone", timezone_of(opened, lines.facts, timezone))
    for key, each in {**opened.reading, **lines.style.guesses, **lines.guesses}.items():
        draft.add(f"{TABLE}.{key}", each)
    if lines.order_spans_days:
        draft.add("order_spans_days", lines.order_spans_days)
    return draft
