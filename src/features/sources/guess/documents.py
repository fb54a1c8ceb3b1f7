"""Documents of several types in one table: credit notes whose amounts are above 0, as if they were sales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import ibis.expr.types as ir

from features.sources.guess.facts import Facts, frequencies
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.statuses import MOST_WORDS, OF_ROWS, kind_of
from features.sources.guess.words import tokens
from features.tables.returns import EXCLUDE, RETURN, SALE

TYPES = OF_ROWS | {"typ", "kind", "doctype", "status", "nature", "vbtyp", "fkart"}  # words of a name
CREDITS = {"credit", "credits", "refund", "refunds", "refunded", "return", "returns", "returned", "reversal"}
CREDITS |= {"gutschrift", "gutschriften", "storno", "stornorechnung", "retoure", "avoir", "avoirs", "remboursement"}
CREDITS |= {"abono", "devolucion", "devolucao", "estorno", "reso", "g2", "s1", "s2", "cn"}


def documents_of(
    opened: Opened, facts: Mapping[str, Facts], typed: ir.Table, amount: str | None
) -> Iterator[tuple[str, Guess]]:
    """Yield the status to ask for, where a column of types has credit notes with amounts above 0.

    Parameters
    ----------
    opened, facts
        The lines.
    typed : ibis table
        Their numbers.
    amount : str or None
        The column of `typed` with the money, or with a price that it is made of.
    """
    for name, each in facts.items():
        if amount is None or not TYPES & set(tokens(name)) or not 1 < each.distinct <= MOST_WORDS:
            continue
        words = frequencies(opened, name, MOST_WORDS)
        back = [word for word in words if kind_of(word) == RETURN or CREDITS & set(tokens(word))]
        if not back or len(back) == len(words):
            continue
        rows = opened.table.select(ROW, word=opened.table[name]).join(typed.select(ROW, money=typed[amount]), ROW)
        above = int(rows.filter(rows.word.isin(back) & (rows.money > 0)).count().execute())
        if above > sum(words[word] for word in back) / 2:
            value = {"column": name, SALE: [word for word in words if word not in back], EXCLUDE: back}
            evidence = (
                f"rows: {', '.join(f'{word} {rows:,}' for word, rows in words.items())}; {', '.join(back)} look like "
                f"credit notes, and {above:,} of these rows have amounts above 0: as sales they would count twice. The "
                "guess leaves them out, so that amounts are gross; a query may give them a minus"
            )
            yield "status", Guess(value, evidence, is_open=True)
            return
