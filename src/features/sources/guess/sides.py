"""Money in two columns, one for what comes in and one for what goes out, as in accounts and settlements."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

from features.sources.guess.facts import Facts
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import Opened
from features.sources.guess.words import tokens
from features.sources.reading import sql_name

SIDES = (  # words of the names of both columns
    *(("debit", "credit"), ("debits", "credits"), ("soll", "haben"), ("debe", "haber"), ("dare", "avere")),
    *(("debito", "credito"), ("af", "bij"), ("in", "out"), ("借方", "貸方"), ("借方", "贷方"), ("차변", "대변")),
    *(("debet", "kredit"), ("winien", "ma"), ("дебет", "кредит"), ("收入", "支出"), ("입금", "출금")),
)
NOTHING = r"^[-+]?0*([.,]0+)?$"
EITHER = 0.98  # of the rows that have one side and not the other


def two_sided(opened: Opened, facts: Mapping[str, Facts]) -> tuple[str, str] | None:
    """Return the two columns of which each row has one, the one that most rows have first."""
    numbers = [name for name, each in facts.items() if each.is_number]
    table = opened.table
    for left, right in permutations(numbers, 2):
        if not any(_differ(left, right, *words) for words in SIDES):
            continue
        has = [table[name].notnull() & ~table[name].re_search(NOTHING).fill_null(False) for name in (left, right)]
        figures = table.aggregate(either=(has[0] != has[1]).mean(), left=has[0].sum(), right=has[1].sum())
        row = figures.to_pyarrow().to_pylist()[0]
        if (row["either"] or 0) >= EITHER and row["left"] and row["right"]:
            return (left, right) if row["left"] >= row["right"] else (right, left)
    return None


def signed(opened: Opened, sold: str, back: str) -> Guess:
    """Leave the amount open, with the query that gives one side a minus, which some accounts write themselves."""
    one, other = sql_name(sold), sql_name(back)
    source = opened.source or "'your file'"
    amount = f"CASE WHEN regexp_matches(coalesce({one}, ''), '[1-9]') THEN {one} ELSE '-' || ltrim({other}, '+- ') END"
    return Guess(
        None,
        f"each row has either {sold} or {back}: money in and money out. A query makes them one, in place of path, with "
        f"amount: signed: sql: SELECT *, {amount} AS signed FROM {source}",
        is_open=True,
    )


def _differ(left: str, right: str, one: str, other: str) -> bool:
    """Check whether two names are the same but for a word of each.

    >>> _differ("Gross Debit (GC)", "Gross Credit (GC)", "debit", "credit"), _differ("Out", "In stock", "out", "in")
    (True, False)
    """
    return one in tokens(left) and tuple(other if word == one else word for word in tokens(left)) == tokens(right)
