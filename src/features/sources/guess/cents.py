"""Money in hundredths: amounts of whole cents, as interfaces of payments write them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import ibis.expr.types as ir

from features.sources.guess.discounts import is_on_top
from features.sources.guess.facts import Facts
from features.sources.guess.given import SAID, Given
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import Opened
from features.sources.guess.words import score, tokens

NAMES = {
    *("cent", "cents", "minor", "pence", "centimes", "centavos", "centesimi", "grosze", "groszy", "grosz", "kurus"),
    *("ore", "oren", "halere", "haleru", "kopecks", "копеиках", "копеики", "копеек", "пени", "paise", "分", "セント"),
}
WITHOUT_CENTS = {"JPY", "KRW", "VND", "CLP", "ISK", "PYG", "UGX", "XAF", "XOF", "XPF", "RWF", "IDR", "HUF", "TWD"}
MONEY = ("amount", "unit_price", "discount", "refund")
NAMED = 0.3
LEAST = 100  # median, from which whole amounts may be cents
WAYS = ("cents=true (1234 is 12.34)", "cents=false (1234 is 1,234)")


def cents_of(
    opened: Opened,
    facts: Mapping[str, Facts],
    mapped: Collection[str],
    codes: Mapping[str, Mapping[str, float]],
    given: Given,
) -> Guess | None:
    """Return whether money is in whole cents: by its name, or asked for beside a currency; None where it is not.

    Parameters
    ----------
    opened, facts
        The lines.
    mapped : collection of str
        Columns of the file that amounts are made of.
    codes : mapping
        Columns of currencies, with the share of each code.
    given : mapping
    """
    if "cents" in given:
        return Guess(bool(given["cents"]), SAID)
    if not mapped:
        return None
    said = [name for name in mapped if NAMES & set(tokens(name))]
    if said and len(said) == len(mapped):
        return Guess(True, f"by the name of {', '.join(said)}")
    if said:
        return Guess(None, f"{', '.join(said)} may be in cents, and the others not", WAYS, is_open=True)
    named = {code.upper() for shares in codes.values() for code in shares}
    if not named or named <= WITHOUT_CENTS or any(_has_point(opened.table, facts[name]) for name in _money(facts)):
        return None
    median = opened.table.select(**{name: opened.table[name].try_cast("float64").abs() for name in mapped})
    row = median.aggregate(**{name: median[name].median() for name in mapped}).to_pyarrow().to_pylist()[0]
    if any((row[name] or 0) < LEAST for name in mapped):
        return None
    middle = ", ".join(f"{name} {row[name]:,.0f}" for name in mapped)
    evidence = f"all money is in whole numbers beside {', '.join(sorted(named))}, half of the rows at least {middle}"
    return Guess(None, f"{evidence}: cents, or no cents are written", WAYS, is_open=True)


def _money(facts: Mapping[str, Facts]) -> list[str]:
    """Return the columns that are called money of any kind."""
    return [
        name
        for name, each in facts.items()
        if each.is_number and (is_on_top(name) or max(score(name, role) for role in MONEY) >= NAMED)
    ]


def _has_point(table: ir.Table, facts: Facts) -> bool:
    """Check whether numbers are written with a point or a comma."""
    return facts.whole < 1 or bool(table.filter(table[facts.name].re_search("[.,]")).limit(1).count().execute())
