"""The end of each order: a column of statuses, and which of its words are sales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.files.trials import distinct_texts, gives_days
from features.sources.guess.facts import Facts, frequencies
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.times import ISO, ZONE, Days
from features.sources.guess.words import phrases, score, tokens
from features.tables.returns import CANCELLATION, EXCLUDE, RETURN, SALE

NAMED = 0.5
MOST_WORDS = 20  # of a column that are still statuses
KINDS: Mapping[str, str] = {
    SALE: "paid, complete, completed, processing, delivered, shipped, invoiced, closed, fulfilled, approved, success, "
    "successful, settled, captured, sent, dispatched, partially refunded, partially paid, authorized, confirmed, "
    "received, finished, done, ok, open, bezahlt, versendet, versandt, abgeschlossen, geliefert, zugestellt, erledigt, "
    "pago, aprovado, entregue, enviado, concluido, faturado, pagado, entregado, completado, paye, payee, livre, "
    "livree, expedie, terminee, pagato, spedito, consegnato, betaald, verzonden, оплачен, доставлен, выполнен, "
    "결제완료, 배송완료, 구매확정, 支払済み, 発送済み, 已完成, 已付款, 已发货",
    CANCELLATION: "cancelled, canceled, voided, void, storniert, abgebrochen, cancelado, cancelada, anulado, annule, "
    "annulee, annullato, geannuleerd, anulowane, отменен, 취소, 주문취소, キャンセル, 已取消",
    EXCLUDE: "failed, pending, on hold, unpaid, draft, expired, declined, rejected, unavailable, test, abandoned, "
    "trash, error, created, checkout draft, pending payment, offen, unbezahlt, pendente, pendiente, en attente, "
    "결제대기, 待付款",
    RETURN: "refunded, returned, return, refund, credit, gutschrift, ruckgabe, storno, devolucion, devolucao, retour, "
    "chargeback, charged back, erstattet, retourniert, retoure, devolvido, reembolsado, "
    "devuelto, rembourse, retournee, reso, rimborsato, возврат, 환불, 반품, 返品, 已退款, 退货",
}
EVENTS = {
    SALE: "purchase, purchased, buy, sale, order, transaction, checkout completed, sold, kauf, compra, achat",
    EXCLUDE: "view, pv, click, cart, add to cart, addtocart, remove from cart, fav, wishlist, impression, search, "
    "visit, session start, pageview, page view, detail, checkout, begin checkout",
}
OF_EVENTS = {phrase: kind for kind, words in EVENTS.items() for phrase in phrases(words)}
WORDS = {phrase: kind for kind, words in KINDS.items() for phrase in phrases(words)}
OF_ROWS = {
    "type",
    "event",
    "action",
    "activity",
    "vorgang",
    "vorgangsart",
    "belegart",
    "tipo",
    "art",
}  # words of a name
BACK = phrases("refunded at, returned at, cancelled at, canceled at, refund date, return date, cancel date")


@dataclass(frozen=True)
class Status:
    """The column of statuses.

    Attributes
    ----------
    guesses : mapping of str to Guess
        status and columns.returned_at, within data.tables.transactions.
    rules : mapping of str to Guess
        What happens to rows of a rule.
    """

    guesses: Mapping[str, Guess]
    rules: Mapping[str, Guess]


def kind_of(word: str) -> str | None:
    """Return what a status says about an order; None where it is not known.

    >>> kind_of("wc-completed"), kind_of("Storniert"), kind_of("partially_refunded"), kind_of("X7")
    ('sale', 'cancellation', 'sale', None)
    """
    said = tokens(word)
    return WORDS.get(said) or WORDS.get(said[1:]) or OF_EVENTS.get(said)  # behind a prefix such as wc-


def status_of(
    opened: Opened, facts: Mapping[str, Facts], typed: ir.Table, engine: DuckDB, days: Days
) -> tuple[Status, list[str]]:
    """Find the column that says what became of orders, if some of its words are no sales; and notes on others."""
    notes: list[str] = []
    named = sorted((name for name in facts if score(name, "status") >= NAMED), key=lambda name: -score(name, "status"))
    for name in named:
        if not 1 < facts[name].distinct <= MOST_WORDS:
            continue
        words = frequencies(opened, name, MOST_WORDS)
        kinds = {word: kind_of(word) for word in words}
        if SALE in kinds.values() and {EXCLUDE, RETURN, CANCELLATION} & set(kinds.values()):
            if facts[name].filled < opened.rows and _is_missing_from_orders(opened, name, typed):
                kinds[""] = SALE
            return _status(opened, facts, name, words, kinds, engine, days), notes
        if None in kinds.values():
            said = ", ".join(f"{word} ({rows:,} rows)" for word, rows in list(words.items())[:5])
            notes.append(f"{name} may say that some orders are no sales: {said}. If so, write status: see data=files")
    return Status({}, {}), notes


def _status(
    opened: Opened,
    facts: Mapping[str, Facts],
    name: str,
    words: Mapping[str, int],
    kinds: Mapping[str, str | None],
    engine: DuckDB,
    days: Days,
) -> Status:
    by_kind = {
        kind: [word for word in kinds if (kinds[word] or SALE) == kind]
        for kind in (SALE, RETURN, CANCELLATION, EXCLUDE)
    }
    unknown = [word for word, kind in kinds.items() if kind is None]
    evidence = f"rows: {', '.join(f'{word} {rows:,}' for word, rows in words.items())}"
    evidence += f"; not known, and taken for sales: {', '.join(unknown)}" if unknown else ""
    if OF_ROWS & set(tokens(name)) and by_kind[RETURN]:
        evidence += f"; {', '.join(by_kind[RETURN])} are rows of their own, which take others back: left out, so that "
        evidence += "amounts are gross; a query may give them a minus, and rules.negative_amount keeps them as returns"
        by_kind |= {EXCLUDE: [*by_kind[EXCLUDE], *by_kind[RETURN]], RETURN: []}
    value = {"column": name} | {kind: listed for kind, listed in by_kind.items() if listed}
    guesses = {"status": Guess(value, evidence)}
    rules: dict[str, Guess] = {}
    if {tokens(word) for word in by_kind[EXCLUDE]} & OF_EVENTS.keys():
        rules["mixed_status"] = Guess("keep", "events: each row has its own")
    came_back = [*by_kind[RETURN], *by_kind[CANCELLATION]]
    if came_back:
        back = _returned_at(opened, facts, name, came_back, engine, days)
        if back:
            guesses["columns.returned_at"] = Guess(back, "filled wherever the status says that the order came back")
        else:
            rules["undated_return"] = undated(value)
    return Status(guesses, rules)


def undated(status: Mapping[str, Sequence[str]]) -> Guess:
    """Return what happens to orders that came back on a day that no column has; asked where some were cancelled."""
    words = [*status.get(RETURN, ()), *status.get(CANCELLATION, ())]
    said = f"no column has the day on which orders came back ({', '.join(words)})"
    if CANCELLATION not in status:
        return Guess("keep", f"{said}: they count as sold", ("drop",))
    evidence = f"{said}: drop leaves them out, also before a day on which nobody knew; keep counts them as sold"
    return Guess("drop", evidence, ("keep",), is_open=True)


def _is_missing_from_orders(opened: Opened, name: str, typed: ir.Table) -> bool:
    """Check whether there are orders without a status on any line."""
    if "order" not in typed.columns:
        return True
    status = opened.table.select(ROW, status=opened.table[name])
    lines = typed.select(ROW, "order").join(status, ROW)
    orders = lines.group_by("order").aggregate(said=lines.status.count())
    return bool(orders.filter(orders.said == 0).limit(1).count().execute())


def _returned_at(
    opened: Opened, facts: Mapping[str, Facts], status: str, words: list[str], engine: DuckDB, days: Days
) -> str | None:
    """Return the column with the day on which orders came back, where all of them have one."""
    rows: ir.Table = opened.table.filter(opened.table[status].isin(words))
    for name in facts:
        if tokens(name) in BACK and facts[name].filled:
            texts = distinct_texts(opened.table[name], engine)
            if not int(rows.filter(rows[name].isnull()).count().execute()) and gives_days(texts, ISO, *days, ZONE):
                return name
    return None
