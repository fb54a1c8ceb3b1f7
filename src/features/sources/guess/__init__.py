"""A mapping of a shop's own tables, guessed from the names and values of their columns.

Each module here is one question: which files hold which tables (`opened`, `databases`), which rows are none (`totals`)
or no goods (`others`), what columns are called (`words`) and look like (`facts`), what the user says of them (`given`),
when an order was (`times`), whose it is and what tells it from others (`orders`), what became of it (`statuses`,
`documents`, `refunds`, `originals`), what it costs (`money`, `sides`), which tables belong together (`joins`), what
lines say of products (`products`), where the shop is (`places`), which rules its rows call for (`rules`), and which
columns are left (`unused`). `mapping` writes the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from features.engines import staging_engine
from features.errors import InputError, listing
from features.sources.files import config as checked
from features.sources.guess.databases import is_url, open_database
from features.sources.guess.given import Given, check_columns
from features.sources.guess.joins import beside, joined_tables, other_orders
from features.sources.guess.lines import Lines, lines_of
from features.sources.guess.mapping import Draft, Guess
from features.sources.guess.opened import Opened, open_path
from features.sources.guess.places import both_only, codes_of, country_of, currency_of, one_currency, timezone_of
from features.sources.guess.products import products_beside, products_of
from features.sources.guess.refunds import in_one_way, refunds_beside, refunds_of
from features.sources.guess.rules import add_rules
from features.sources.guess.unused import unused_note

__all__ = ["Answer", "Draft", "Given", "Guess", "guess"]

TABLE = "tables.transactions"
Answer = Callable[[Draft, Sequence[str]], None]


def guess(
    shop: str,
    path: str,
    template: Mapping[str, Any],
    scratch: Path,
    currency: str | None,
    timezone: str | None,
    answer: Answer | None = None,
    given: Given | None = None,
) -> Draft:
    """Guess how the tables of a path are mapped.

    Parameters
    ----------
    shop : str
        Names the mapping.
    path : str
        A file, several with commas between them, a pattern, a folder, or the address of a database.
    template : mapping
        conf/data/files.yaml, or database.yaml above it, as a plain dictionary: values of the keys that no guess names.
    scratch : pathlib.Path
        An empty folder.
    currency, timezone : str or None
        Those of the shop, where they are known.
    answer : callable, optional
        Of the draft and its open keys: fills in what no table says, such as by asking.
    given : mapping, optional
        Keys of the lines that the user settles: see `given.GIVEN`.

    Raises
    ------
    InputError
        If nothing can be read, the tables have no lines of orders, or no column is called as is given.
    """
    given = given or {}
    engine = staging_engine(scratch)
    try:
        missing = checked.missing_words(template["missing"])
        of_database: dict[str, Guess] = {}
        if is_url(path):
            tables, of_database = open_database(path, engine, scratch, missing)
        else:
            tables = open_path(path, engine, scratch, missing, checked.encoding(given.get("encoding"), "encoding"))
        if not tables:
            raise InputError(
                f"there is no table in {path}",
                where="path",
                expected="a header and records with , ; | or a tab between their columns",
                hint="export it as CSV with a header",
            )
        opened, others = joined_tables(tables, engine)
        days = checked.days(template["dates"])
        check_columns(given, opened.columns, opened.name)
        lines = lines_of(opened, engine, days, given)
        refunds, keys = refunds_of(lines, others, engine, days)
        told: list[str] = []
        beside_lines: dict[str, Guess] = {}
        if refunds:
            lines, keys, told = in_one_way(lines, refunds, keys)
        else:
            lines, beside_lines = refunds_beside(lines, given)
        draft = _draft(shop, lines, of_database, currency, timezone, given)
        for key, each in keys.items():
            draft.add(f"tables.returns.{key}", each)
        for key, each in beside_lines.items():
            draft.add(f"tables.{key}", each)
        products, said_of_products = products_beside(lines, [each for each in others if each is not refunds])
        for key, each in (said_of_products or products_of(lines)).items():
            draft.add(f"tables.products.{key}", each)
        unused = [table.name for table in others if table is not refunds and table is not products]
        further_orders = other_orders(lines.opened, [each for each in others if each is not refunds])
        for key in ("path", "sql", "table") if further_orders else ():
            if draft.has(f"{TABLE}.{key}"):
                draft.add(f"{TABLE}.{key}", beside(draft[f"{TABLE}.{key}"], further_orders))
        further = [f"not read: {listing(unused)}: map what they say by hand, see docs/own-tables.md"] if unused else []
        draft.notes += [*(note for table in tables for note in table.notes), *further, *told, *lines.notes]
        _finish(draft, lines, template, scratch, answer)
        unused_columns = unused_note(draft, lines)
        draft.notes[:0] = [unused_columns] if unused_columns else []
    finally:
        engine.connection.disconnect()
    return draft


def _finish(draft: Draft, lines: Lines, template: Mapping[str, Any], scratch: Path, answer: Answer | None) -> None:
    """Add the rules, once nothing is unknown; what is open is asked for, and what the rules leave open after them."""
    asked = draft.open_keys
    if answer:
        answer(draft, asked)
    if draft.unknown():
        return
    draft.problem = add_rules(draft, lines, template, scratch)
    if answer:
        answer(draft, [key for key in draft.open_keys if key not in asked])


def _draft(
    shop: str,
    lines: Lines,
    of_database: Mapping[str, Guess],
    currency: str | None,
    timezone: str | None,
    given: Given,
) -> Draft:
    draft = Draft(begins_from="database" if of_database else "files")
    opened: Opened = lines.opened
    draft.add("shop", Guess(shop))
    codes, country = codes_of(opened, lines.facts), country_of(opened, lines.facts)
    draft.add("currency", currency_of(codes, lines.style.numbers.currency_sign, country, currency))
    draft.add("timezone", timezone_of(country, timezone))
    for key, each in of_database.items():
        draft.add(key, each)
    for key, each in {**opened.reading, **lines.style.guesses, **lines.guesses}.items():
        draft.add(f"{TABLE}.{key}", each)
    of_currency = None if "only" in given else one_currency(codes, currency)
    if of_currency:
        draft.add(f"{TABLE}.only", both_only(lines.guesses.get("only"), of_currency))
    if lines.order_spans_days:
        draft.add("order_spans_days", lines.order_spans_days)
    return draft
