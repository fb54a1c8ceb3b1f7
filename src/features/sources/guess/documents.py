"""Documents of several kinds in one table: credit notes and voided lines whose amounts are above 0, as if sold."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features.sources.files.config import ORIGINAL
from features.sources.guess.facts import Facts, frequencies
from features.sources.guess.mapping import Guess, flow
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.originals import Original, original_of
from features.sources.guess.statuses import MOST_WORDS, OF_ROWS, is_of_payments, kind_of
from features.sources.guess.words import tokens
from features.tables.returns import CANCELLATION, EXCLUDE, RETURN, SALE

TYPES = OF_ROWS | {"typ", "kind", "doctype", "status", "nature", "vbtyp", "fkart"}  # words of a name
TYPES |= {"belegtyp", "document", "doc", "rodzaj", "тип", "вид", "movimento", "operation", "operacion", "区分", "種別"}
TYPES |= {"伝票区分", "取引区分", "유형", "구분", "거래유형", "类型"}
CREDITS = {"credit", "credits", "refund", "refunds", "refunded", "return", "returns", "returned", "reversal"}
CREDITS |= {"gutschrift", "gutschriften", "storno", "stornorechnung", "retoure", "avoir", "avoirs", "remboursement"}
CREDITS |= {"abono", "devolucion", "devolucao", "estorno", "reso", "g2", "s1", "s2", "cn", "crn", "kredit", "korekta"}
CREDITS |= {"zwrot", "возврат", "返品", "赤伝", "반품", "환불", "退货", "cancellation", "annulation", "rimborso"}
FLAGS = {"void", "voided", "cancelled", "canceled", "cancel", "storno", "storniert", "anulado", "annule"}
FLAGS |= {"training", "test", "demo", "practice", "schulung", "ubung", "probe"} | CREDITS
YES = {"1", "y", "yes", "true", "t", "x", "ja", "j", "si", "s", "sim", "oui", "o", "tak", "да", "はい"}
NO = {"0", "n", "no", "false", "f", "nein", "non", "nao", "nie", "нет", "いいえ"}
MATCHED = 0.9  # of the credits, whose customer bought the same for the same money: from which they are documents apart
COUNTED = 5  # credits


@dataclass(frozen=True)
class Sold:
    """Lines with the money of each.

    Attributes
    ----------
    typed : ibis table
    amount : str
        The column of `typed` with the money, or with a price that it is made of.
    same : tuple of str
        Columns of `typed` by which a credit finds its sale: customer, product.
    used : collection of str
        Columns of the file that have another role.
    refund : str, optional
        The column of `typed` with money given back: rows that have it are told by it.
    """

    typed: ir.Table
    amount: str
    same: tuple[str, ...]
    used: Collection[str]
    refund: str | None = None


def documents_of(
    opened: Opened, facts: Mapping[str, Facts], sold: Sold, status: Mapping[str, Sequence[str]] | None
) -> Iterator[tuple[str, Guess]]:
    """Yield what becomes of rows that a column of few words calls credits or voided, and whose amounts are above 0.

    Parameters
    ----------
    opened, facts
        The lines.
    sold : Sold
    status : mapping or None
        The status that is settled already: only its sales are looked at.
    """
    rows = opened.table
    if status:
        said = rows[str(status["column"])].fill_null("")
        rows = rows.filter(said.isin(list(status[SALE])))
    found: list[tuple[_Said, float, Original | None]] = []
    for name, each in facts.items():
        if name in sold.used or (status and name == status["column"]) or not 0 < each.distinct <= MOST_WORDS:
            continue
        words = frequencies(opened, name, MOST_WORDS)
        back = words_back(name, list(words))
        if not back or (len(back) == len(words) and each.filled == opened.rows):
            continue
        held = rows.select(ROW, word=rows[name]).join(sold.typed, ROW)
        taken = held.filter(held.word.isin(back))
        told = (taken[sold.refund] != 0).cast("int64").sum() if sold.refund else ibis.literal(0)
        figures = taken.aggregate(rows=taken.count(), above=(taken[sold.amount] > 0).cast("int64").sum(), told=told)
        row = figures.to_pyarrow().to_pylist()[0]
        if (row["above"] or 0) <= row["rows"] / 2 or (row["told"] or 0) >= MATCHED * row["rows"]:
            continue
        said = _Said(name, words, back, row["above"], has_gaps=each.filled < opened.rows, within=_is_within(held, back))
        found.append((said, _matched(held, back, sold), _named(opened, facts, held, said, sold)))
    if not found:
        return
    first, matched, named = found[0]
    if named and len(found) == 1:
        yield f"columns.{ORIGINAL}", named.guess
        matched = 1.0
    yield _settled(first, matched, status, [said for said, *_ in found[1:]], named)


def _named(opened: Opened, facts: Mapping[str, Facts], held: ir.Table, said: _Said, sold: Sold) -> Original | None:
    """Return the column in which nearly all credits name the sale that they take back."""
    if not {"order", "time"} <= {*held.columns}:
        return None
    is_back = held.word.isin(said.back).fill_null(False)
    rows = held.select(ROW, "order", "time", money=held[sold.amount], is_back=is_back)
    found = original_of(opened, facts, rows, {*sold.used, said.name})
    credits = sum(rows for word, rows in said.words.items() if word in said.back)
    return found if found and found.known >= MATCHED * credits else None


def is_flag(opened: Opened, facts: Facts) -> bool:
    """Check whether a column says yes or no."""
    return facts.distinct <= 2 and all(word.lower() in YES | NO for word in frequencies(opened, facts.name, MOST_WORDS))


def words_back(name: str, words: Sequence[str]) -> list[str]:
    """Return the words of a column that say that something was taken back or never sold.

    >>> words_back("doc_type", ["INV", "CN"]), words_back("country", ["UK", "CN"]), words_back("void", ["N", "Y"])
    (['CN'], [], ['Y'])
    >>> words_back("payment method", ["Cash", "Credit"])
    []
    """
    of_name = set(tokens(name))
    if is_of_payments(name, words):
        return []
    if of_name & FLAGS and all(word.lower() in YES | NO for word in words):
        return [word for word in words if word.lower() in YES]
    found = [word for word in words if kind_of(word) in (RETURN, CANCELLATION)]
    if of_name & TYPES or any(name.endswith(each) for each in TYPES if not each.isascii()):
        found += [word for word in words if word not in found and CREDITS & set(tokens(word))]
    return [word for word in words if word in found]


def _matched(held: ir.Table, back: Sequence[str], sold: Sold) -> float:
    """Return the share of the credits whose customer bought the same for the same money; 0 where they are few."""
    if not sold.same:
        return 0.0
    typed = held.mutate(size=held[sold.amount].abs())
    keys = [*sold.same, "size"]
    is_back = typed.word.isin(back).fill_null(False)
    credits, sales = typed.filter(is_back), typed.filter(~is_back).select(*keys).distinct()
    number = int(credits.count().execute())
    return int(credits.semi_join(sales, keys).count().execute()) / number if number >= COUNTED else 0.0


def _is_within(held: ir.Table, back: Sequence[str]) -> bool:
    """Check whether an order has rows that are taken back, and others that are not."""
    if "order" not in held.columns:
        return False
    is_back = held.word.isin(back).fill_null(False)
    orders = held.filter(held.order.notnull()).group_by("order").aggregate(some=is_back.any(), all=is_back.all())
    return bool(orders.filter(orders.some & ~orders.all).limit(1).count().execute())


@dataclass(frozen=True)
class _Said:
    """A column that calls rows credits or voided.

    Attributes
    ----------
    words : mapping of str to int
        Rows of each word.
    back : sequence of str
        The words that do.
    above : int
        Rows with such a word and an amount above 0.
    has_gaps, within : bool
        Rows have no word; an order has several.
    """

    name: str
    words: Mapping[str, int]
    back: Sequence[str]
    above: int
    has_gaps: bool
    within: bool

    @property
    def kept(self) -> list[str]:
        """Return the words of sales."""
        others = [word for word in self.words if word not in self.back and kind_of(word) != EXCLUDE]
        return [*others, *([""] if self.has_gaps else [])]

    @property
    def counted(self) -> str:
        return ", ".join(f"{word} {rows:,}" for word, rows in self.words.items())


def _settled(
    said: _Said,
    matched: float,
    status: Mapping[str, Sequence[str]] | None,
    others: Sequence[_Said],
    named: Original | None,
) -> tuple[str, Guess]:
    """Return the key and the guess: a minus for credits whose sales are there, and else a question.

    Other columns that call rows voided are named, and left out by the same argument.
    """
    name, back = said.name, said.back
    evidence = f"rows: {said.counted}"
    minus = {name: list(back)}
    if matched >= MATCHED and not others:
        by = (
            f"{named.column} names their sale" if named else f"{matched:.0%} have a sale of the same customer and money"
        )
        why = f"{', '.join(back)} take sales back: {by}"
        return "credits", Guess(minus, f"{evidence}; {why}; their amounts are read with a minus")
    evidence += (
        f"; {said.above:,} of the rows with {', '.join(back)} have amounts above 0: as sales they would count, and "
        "nothing says whether they take back another row (a minus) or were never sold (left out)"
    )
    evidence += "".join(f"; likewise {other.name}: {other.counted}" for other in others)
    ways = [f"credits={shlex.quote(flow(minus))} (a minus)"]
    sale = said.kept
    if others:
        kept = {each.name: each.kept for each in (said, *others)}
        ways.append(f"only={shlex.quote(flow(kept))} (all of them left out)")
    elif said.within:  # a status is that of an order; these rows are left out one by one
        ways.append(f"only={shlex.quote(flow({name: sale}))} (left out)")
    elif status is None:
        value = {"column": name, SALE: sale, EXCLUDE: [word for word in said.words if word not in sale]}
        ways.append(f"status={shlex.quote(flow(value))} (left out)")
    key = "credits" if status else "status"
    return key, Guess(None, evidence, (*ways, f"{key}=none (they are sales)"), is_open=True)
