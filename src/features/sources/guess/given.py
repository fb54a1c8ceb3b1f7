"""Columns of roles, and keys of the mapping, that the user settles beside the path of a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from features.errors import InputError, did_you_mean, listing
from features.sources.files.config import OF_LINES, ORDER_DISCOUNT
from features.sources.guess.facts import Facts
from features.sources.guess.mapping import Guess

Given = Mapping[str, object]
COLUMNS = (  # canonical columns
    *("order_id", "customer_id", "timestamp", "product_id", "amount", "quantity", "unit_price"),
    *(*OF_LINES, ORDER_DISCOUNT),
)
OF_ORDERS = ("store_id", "channel")  # canonical columns that are written as they are given
STATUS = "status"  # a column, whose words are then sorted; or the whole key as the mapping has it
REFUND = "refund"  # money given back that stands beside an order's own: no canonical column of transactions
READ_FIRST = ("date_format", "encoding", "cents")  # keys that say how values are read
WRITTEN = (STATUS, "credits", "only", "order_key")  # keys that are written as they are given
IN_YAML = (*WRITTEN, "cents")  # date_format, too, where it is a mapping
GIVEN = (*COLUMNS, *OF_ORDERS, REFUND, *READ_FIRST, *WRITTEN)
SAID = "as given"


def check_columns(given: Given, columns: Collection[str], where: str) -> None:
    """Refuse a column that the table does not have.

    Raises
    ------
    InputError
    """
    of_words = [STATUS] if isinstance(given.get(STATUS), str) else []
    for role in (*COLUMNS, *OF_ORDERS, REFUND, *of_words):
        name = given.get(role)
        if name is not None and name not in columns:
            raise InputError(
                f"there is no column {name!r} for {role}",
                where=where,
                expected="the name of a column, or none",
                found=listing(columns, limit=30),
                hint=did_you_mean(str(name), columns),
            )


def column_of(given: Given, role: str) -> str | None:
    """Return the column that is given for a role."""
    name = given.get(role)
    return name if isinstance(name, str) else None


def left_for(facts: Mapping[str, Facts], given: Given, role: str) -> dict[str, Facts]:
    """Return the columns that may have a role: the one that is given, and else those not given for another role."""
    if role in given:
        return {name: each for name, each in facts.items() if name == given[role]}
    taken = {given[other] for other in COLUMNS if given.get(other) is not None}
    return {name: each for name, each in facts.items() if name not in taken}


def written(given: Given) -> dict[str, Guess]:
    """Return the keys, and columns of orders, that are written as they are given."""
    is_column = column_of(given, STATUS) is not None
    keys = [key for key in WRITTEN if key in given and not (key == STATUS and is_column)]
    columns = {f"columns.{role}": Guess(given[role], SAID) for role in OF_ORDERS if given.get(role)}
    return {**{key: Guess(given[key], SAID) for key in keys}, **columns}


def as_given(guesses: Mapping[str, Guess], given: Given) -> dict[str, Guess]:
    """Return the guesses, with columns that the user names said to be so and not found by their name."""
    found = dict(guesses)
    for role in COLUMNS:
        guess = found.get(f"columns.{role}")
        if guess is not None and role in given and guess.value == given[role]:
            found[f"columns.{role}"] = replace(guess, evidence=guess.evidence.replace("by its name", SAID))
    return found
