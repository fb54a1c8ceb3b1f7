"""The end of each order: a column of statuses, and which of its words are sales."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from features.engines import DuckDB
from features.errors import InputError, listing
from features.sources.files.trials import distinct_texts, gives_days
from features.sources.guess.facts import Facts, frequencies
from features.sources.guess.mapping import Guess, flow
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.times import ISO, ZONE, Days
from features.sources.guess.words import OF_PRODUCTS, ROLES, phrases, score, tokens
from features.sources.meanings import ZONES
from features.tables.returns import CANCELLATION, EXCLUDE, RETURN, SALE

NAMED = 0.5
CLEARLY = 0.9  # of a name, from which words that are not known are asked for
MOST_WORDS = 20  # of a column that are still statuses
FEW_WORDS = 12  # likewise, where no name says that they are
AS_SALES = "status=none (they are sales)"
KINDS: Mapping[str, str] = {
    SALE: "paid, complete, completed, processing, delivered, shipped, invoiced, closed, fulfilled, approved, success, "
    "successful, settled, captured, sent, dispatched, "
    "shipping, to ship, to receive, in transit, ready to ship, "
    "partially shipped, awaiting fulfillment, awaiting shipment, awaiting pickup, "
    "partially refunded, partially paid, authorized, confirmed, "
    "received, finished, done, ok, open, bezahlt, versendet, versandt, abgeschlossen, geliefert, zugestellt, "
    "erledigt, pago, aprovado, entregue, enviado, concluido, faturado, pagado, entregado, completado, paye, payee, "
    "livre, livree, expedie, terminee, pagato, spedito, consegnato, betaald, verzonden, оплачен, доставлен, выполнен, "
    "결제완료, 배송완료, 구매확정, 支払済み, 発送済み, 入金済み, 完了, 出荷済み, 配送完了, 已完成, 已付款, 已发货, "
    "已签收, 已收货, 待发货, 交易成功, 交易完成, 卖家已发货 等待买家确认, 买家已付款, "
    "买家已付款 等待卖家发货, 等待卖家发货, "
    "等待买家确认收货, succeeded, ordered, placed, accepted, complete payment, "
    "zrealizowane, zrealizowany, wysłane, wysłano, opłacone, "
    "zakończone, dostarczone, zapłacone, vyřízená, vyřízeno, odesláno, odeslaná, doručeno, zaplaceno, expedováno, "
    "tamamlandı, teslim edildi, kargoya verildi, kargolandı, ödendi, onaylandı, concluída, enviada, "
    "entregue ao cliente, pago confirmado, pagamento aprovado, afgerond, geleverd, betald, skickad, levererad, "
    "slutförd, завершен, выполнено, доставлено, отправлен, оплачено, получен, "
    "maksettu, toimitettu, valmis, lähetetty, noudettu, käsitelty, vahvistettu, betalt, leveret, levert, "
    "sendt, afsluttet, fullført, gennemført, fizetve, kifizetve, teljesítve, kiszállítva, kézbesítve, "
    "feladva, plătit, plătită, livrat, livrată, finalizat, finalizată, expediat, expediată, πληρωμένη, "
    "πληρωμένο, ολοκληρωμένη, ολοκληρώθηκε, παραδόθηκε, απεστάλη",
    CANCELLATION: "cancelled, canceled, voided, void, storniert, abgebrochen, cancelado, cancelada, anulado, annule, "
    "annulee, annullato, geannuleerd, anulowane, anulowano, anulowany, stornována, stornováno, zrušena, zrušeno, "
    "zrušená, iptal, iptal edildi, cancelado pelo cliente, avbruten, makulerad, отменен, отменено, отменён, "
    "аннулирован, 취소, 주문취소, キャンセル, キャンセル済み, 注文取消し, 取消, 已取消, 交易关闭, 订单关闭, 已关闭, "
    "peruttu, peruutettu, mitätöity, annulleret, annullert, kansellert, avbestilt, afbestilt, törölve, "
    "törölt, lemondva, visszavonva, sztornózva, anulat, anulată, ακυρώθηκε, ακυρωμένη, ακυρωμένο",
    EXCLUDE: "failed, pending, on hold, unpaid, draft, expired, declined, rejected, unavailable, test, abandoned, "
    "training, training mode, no sale, schulung, "
    "trash, error, created, checkout draft, pending payment, awaiting payment, payment error, incomplete, "
    "offen, unbezahlt, pendente, pendiente, en attente, "
    "결제대기, 待付款, 未付款, 等待买家付款, "
    "未入金, 入金待ち, pagamento pendente, aguardando pagamento, boleto emitido, "
    "nieopłacone, oczekuje na płatność, nezaplaceno, čeká na platbu, ödeme bekliyor, ödenmedi, onbetaald, obetald, "
    "не оплачен, ожидает оплаты, черновик, "
    "odottaa maksua, maksamatta, maksu odottaa, kesken, luonnos, hylätty, afventer betaling, "
    "venter på betaling, ubetalt, ikke betalt, fizetésre vár, kifizetetlen, nincs fizetve, "
    "în așteptarea plății, neplătit, neplătită, αναμονή πληρωμής, σε αναμονή πληρωμής, απλήρωτη",
    RETURN: "refunded, returned, return, refund, credit, gutschrift, ruckgabe, storno, devolucion, devolucao, retour, "
    "chargeback, charged back, erstattet, retourniert, retoure, devolvido, reembolsado, devuelto, rembourse, "
    "retournee, reso, rimborsato, возврат, возвращен, возвращено, zwrot, zwrócone, zwrócono, vráceno, vrácená, iade, "
    "iade edildi, estornado, reembolsada, devolvida, geretourneerd, terugbetaald, returnerad, återbetald, 환불, 반품, "
    "返品, 返品済み, 返金済み, 已退款, 退货, 退款成功, "
    "palautettu, hyvitetty, refunderet, refundert, returneret, returnert, visszaküldve, visszatérítve, "
    "visszáru, returnat, returnată, rambursat, rambursată, επιστράφηκε, επιστροφή",
}
EVENTS = {
    SALE: "purchase, purchased, buy, sale, order, transaction, checkout completed, sold, kauf, compra, achat",
    EXCLUDE: "view, pv, click, cart, add to cart, addtocart, remove from cart, fav, wishlist, impression, search, "
    "visit, session start, pageview, page view, detail, checkout, begin checkout",
}
OF_EVENTS = {phrase: kind for kind, words in EVENTS.items() for phrase in phrases(words)}
WORDS = {phrase: kind for kind, words in KINDS.items() for phrase in phrases(words)}
MAY_BE_OTHERS = set(
    phrases("credit, retour, test, training, error, created, draft, trash, unavailable, pending, open, offen")
)
OF_OTHERS = {"payment", "method", "shipping", "delivery", "customer", "card", "group", "device", "campaign", "variant"}
BECAME = {RETURN: "came back", CANCELLATION: "were cancelled"}
PAID = phrases("paid, bezahlt, pago, pagado, paye, payee, pagato, betaald, betald, betalt, opłacone, zaplaceno, ödendi")
UNPAID = phrases(
    "unpaid, awaiting payment, pending payment, pending, offen, unbezahlt, pendente, pendiente, en attente, impayee, "
    "onbetaald, obetald, nieopłacone, nezaplaceno, ödenmedi, maksamatta, ubetalt, kifizetetlen, neplătit, не оплачен, "
    "未付款, 未入金, 결제대기"
)
INVOICES = ("invoice", "rechnung", "facture", "factura", "fattura", "faktura", "fatura", "faktuur", "bill")
PAYMENTS = phrases(
    "cash, card, debit, debit card, credit card, visa, mastercard, amex, american express, maestro, paypal, klarna, "
    "check, cheque, wire, gift card, apple pay, google pay, bank transfer, cod, cash on delivery, bar, bargeld, ec, "
    "ec karte, girocard, karte, kreditkarte, lastschrift, überweisung, vorkasse, nachnahme, efectivo, tarjeta, "
    "tarjeta de crédito, débito, contado, transferencia, dinheiro, cartão, cartão de crédito, pix, boleto, carte, "
    "carte bancaire, espèces, chèque, virement, contanti, bancomat, carta, bonifico, contant, pin, ideal, gotówka, "
    "karta, przelew, blik, hotovost, hotově, převod, nakit, kart, kredi kartı, havale, kontant, kort, swish, vipps, "
    "mobilepay, käteinen, kortti, készpénz, kártya, utánvét, numerar, ramburs, μετρητά, κάρτα, наличные, карта, "
    "现金, 支付宝, 微信, 微信支付, 银行卡, 現金, クレジット, クレジットカード, 代引き, 현금, 카드, 신용카드"
)
OF_PAYMENTS = (  # how words of the names of such columns begin
    *("payment", "paying", "tender", "pago", "pagamento", "paiement", "zahl", "betaal", "betal", "platb", "platn"),
    *("odeme", "maksu", "fizet", "πληρωμ", "оплат", "支払", "支付", "付款", "결제"),
)
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
BACK = phrases(
    "refunded at, returned at, cancelled at, canceled at, refund date, return date, cancel date, refunded on, "
    "refunded date, date refunded, cancelled date, canceled date, cancellation date, refund time, return time, "
    "returned on, cancelled on, canceled on, date returned, returned date, retourniert am, ruckgabedatum, retourdatum, "
    "storniert am, stornodatum, erstattet am, devuelto el, fecha devolucion, fecha de devolucion, anulado el, "
    "reembolsado el, devolvido em, data devolucao, data da devolucao, cancelado em, retourne le, date retour, "
    "date de retour, rembourse le, annule le, reso il, data reso, rimborsato il, annullato il, zwrocono, data zwrotu, "
    "anulowano, дата возврата, возвращен, дата отмены, 返品日, 返金日, キャンセル日, 반품일, 반품일자, 환불일, 취소일, "
    "취소일자, 退货日期, 退款日期"
)


@dataclass(frozen=True)
class Status:
    """The column of statuses.

    Attributes
    ----------
    guesses : mapping of str to Guess
        status, columns.returned_at and, where it tells orders apart that have no number, the column as order_key,
        within data.tables.transactions.
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


def kinds_of(words: Iterable[str], is_invoice: bool = False) -> dict[str, str | None]:
    """Return what each word says about an order: beside words for paid, open may be an order or a bill.

    A bill that is not paid yet may be a sale on credit.

    >>> kinds_of(["Paid", "Open"]), kinds_of(["Open", "Closed"])
    ({'Paid': 'sale', 'Open': None}, {'Open': 'sale', 'Closed': 'sale'})
    >>> kinds_of(["Paid", "Awaiting payment"], is_invoice=True)
    {'Paid': 'sale', 'Awaiting payment': None}
    """
    has_paid = any(tokens(word) in PAID for word in words)
    unsure = (*((("open",),) if has_paid else ()), *(UNPAID if is_invoice else ()))
    return {word: None if tokens(word) in unsure else kind_of(word) for word in words}


def is_of_payments(name: str, words: Iterable[str]) -> bool:
    """Check whether a column says how orders were paid: there, credit is a card and takes nothing back.

    >>> [is_of_payments("Tender", ["x"]), is_of_payments("type", ["Cash", "Credit"])]
    [True, True]
    >>> [is_of_payments("Payment status", ["x"]), is_of_payments("type", ["CN", "INV"])]
    [False, False]
    """
    named = any(token.startswith(OF_PAYMENTS) for token in tokens(name)) and score(name, "status") < NAMED
    return named or any(tokens(word) in PAYMENTS for word in words)


def is_of_back(name: str) -> bool:
    """Check whether a column is called after the day on which orders came back, perhaps with its zone.

    >>> is_of_back("Refunded date (UTC)"), is_of_back("Date returned"), is_of_back("Returned")
    (True, True, False)
    """
    words = tokens(name)
    return (words[:-1] if words[1:] and words[-1].upper() in {"UTC", "GMT", *ZONES} else words) in BACK


def status_of(
    opened: Opened,
    facts: Mapping[str, Facts],
    typed: ir.Table,
    engine: DuckDB,
    days: Days,
    form: str | None = ISO,
    given: str | None = None,
    order: str | None = None,
    of_rows: bool = False,
) -> tuple[Status, list[str]]:
    """Find the column that says what became of orders, if some of its words are no sales; and notes on others.

    Of the column that is given, all words are sorted, and those that are not known are asked for. With `of_rows`
    nothing numbers orders, and what a customer bought on one day may be several.

    Raises
    ------
    InputError
        If the column that is given has too many words.
    """
    notes: list[str] = []
    is_invoice = any(word.startswith(INVOICES) for word in tokens(order or ""))
    if given is not None:
        words = _words_given(opened, facts[given])
        kinds = kinds_of(words, is_invoice)
        kinds |= (
            {"": SALE} if facts[given].filled < opened.rows and _is_missing_from_orders(opened, given, typed) else {}
        )
        return _status(opened, facts, given, words, kinds, engine, days, form, of_rows), notes
    named = sorted((name for name in facts if score(name, "status") >= NAMED), key=lambda name: -score(name, "status"))
    for name in named:
        if not 1 < facts[name].distinct <= MOST_WORDS:
            continue
        words = frequencies(opened, name, MOST_WORDS)
        kinds = kinds_of(words, is_invoice)
        if OF_ROWS & set(tokens(name)):  # documents of their own: see `documents`
            kinds = {word: SALE if kind == RETURN else kind for word, kind in kinds.items()}
        if SALE in kinds.values() and {EXCLUDE, RETURN, CANCELLATION} & set(kinds.values()):
            if facts[name].filled < opened.rows and _is_missing_from_orders(opened, name, typed):
                kinds[""] = SALE
            return _status(opened, facts, name, words, kinds, engine, days, form, of_rows), notes
        if None in kinds.values() and score(name, "status") >= CLEARLY:
            return _asked(name, words, kinds, facts[name].filled < opened.rows), notes
        if None in kinds.values():
            said = ", ".join(f"{word} ({rows:,} rows)" for word, rows in list(words.items())[:5])
            notes.append(f"{name} may say that some orders are no sales: {said}. If so, write status: see data=files")
    return Status(dict(_day_alone(opened, facts, engine, days, form)), {}), notes


def _words_given(opened: Opened, facts: Facts) -> dict[str, int]:
    """Return the words of the column that is given, with their rows."""
    if facts.distinct > MOST_WORDS:
        raise InputError(
            f"{facts.name} has too many words for a status",
            where="status=",
            expected=f"a column of at most {MOST_WORDS} words",
            found=f"{facts.distinct:,}, such as {listing(frequencies(opened, facts.name, 3))}",
            hint="status={column: …, sale: […], cancellation: […]} lists them; or name another column",
        )
    return frequencies(opened, facts.name, MOST_WORDS)


def asked_by_words(
    opened: Opened, facts: Mapping[str, Facts], typed: ir.Table, amount: str | None = None
) -> Guess | None:
    """Ask for a column that no name explains, that has one word on all lines of an order, one of them of no sale.

    Rows whose `amount` (a column of `typed`) is below 0 say by their minus that they came back.
    """
    for name, each in facts.items():
        if not 1 < each.distinct <= FEW_WORDS or each.is_number or _is_explained(name):
            continue
        words = frequencies(opened, name, FEW_WORDS)
        of_no_sale = [
            word for word in words if WORDS.get(tokens(word), SALE) != SALE and tokens(word) not in MAY_BE_OTHERS
        ]
        if not of_no_sale or _are_below_0(opened, name, of_no_sale, typed, amount):
            continue
        if not _is_of_orders(opened, name, typed):
            continue
        kinds = kinds_of(words)
        kinds |= {"": SALE} if each.filled < opened.rows and _is_missing_from_orders(opened, name, typed) else {}
        said = f"{name} may be a status; rows: {_counted(words)}"
        unknown = [word for word, kind in kinds.items() if kind is None]
        said += f"; not known, taken for sales: {', '.join(unknown)}" if unknown else ""
        ways = (f"status={shlex.quote(flow(_listed(name, kinds)))}", AS_SALES)
        return Guess(None, said, ways, is_open=True)
    return None


def _are_below_0(opened: Opened, name: str, words: Sequence[str], typed: ir.Table, amount: str | None) -> bool:
    """Check whether all words came back, and their rows have a minus."""
    if amount is None or {kind_of(word) for word in words} - {RETURN, CANCELLATION}:
        return False
    said = opened.table.select(ROW, word=opened.table[name])
    rows = typed.select(ROW, amount=typed[amount]).join(said.filter(said.word.isin(words)), ROW)
    return not int(rows.filter((rows.amount >= 0).fill_null(True)).limit(1).count().execute())


def _is_explained(name: str) -> bool:
    is_other = OF_OTHERS & set(tokens(name))
    return bool(is_other) or max(score(name, role) for role in (*ROLES, *OF_PRODUCTS)) >= NAMED


def _is_of_orders(opened: Opened, name: str, typed: ir.Table) -> bool:
    """Check whether the lines of an order have one word."""
    if "order" not in typed.columns:
        return True
    lines = typed.select(ROW, "order").join(opened.table.select(ROW, status=opened.table[name]), ROW)
    orders = lines.group_by("order").aggregate(words=lines.status.nunique())
    return not int(orders.filter(orders.words > 1).limit(1).count().execute())


def _counted(words: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {rows:,}" for word, rows in words.items())


def _listed(name: str, kinds: Mapping[str, str | None]) -> dict[str, str | list[str]]:
    """Return the key status, with the words that are not known among the sales."""
    by_kind = {
        kind: [word for word in kinds if (kinds[word] or SALE) == kind]
        for kind in (SALE, RETURN, CANCELLATION, EXCLUDE)
    }
    return {"column": name} | {kind: listed for kind, listed in by_kind.items() if listed}


def _asked(name: str, words: Mapping[str, int], kinds: Mapping[str, str | None], has_gaps: bool) -> Status:
    """Leave open what became of orders by words that are not known: some may be no sales."""
    unknown = ", ".join(word for word, kind in kinds.items() if kind is None)
    value = {"column": name, SALE: [*words, *([""] if has_gaps else [])]}
    evidence = (
        f"rows: {_counted(words)}; not known: {unknown}; name those that are no sales in return, cancellation, exclude"
    )
    ways = (f"status={shlex.quote(flow(value))}", AS_SALES)
    return Status({"status": Guess(None, evidence, ways, is_open=True)}, {})


def _status(
    opened: Opened,
    facts: Mapping[str, Facts],
    name: str,
    words: Mapping[str, int],
    kinds: Mapping[str, str | None],
    engine: DuckDB,
    days: Days,
    form: str | None,
    of_rows: bool,
) -> Status:
    unknown = [word for word, kind in kinds.items() if kind is None]
    evidence = f"rows: {_counted(words)}"
    value = _listed(name, kinds)
    if unknown:
        said = f"{evidence}; not known: {', '.join(unknown)}; or in return, cancellation, exclude, each in one list"
        asked = Guess(None, said, (f"status={shlex.quote(flow(value))}",), is_open=True)
        return Status({"status": asked}, {})
    guesses = {"status": Guess(value, evidence)}
    rules: dict[str, Guess] = {}
    if {tokens(word) for word, kind in kinds.items() if kind == EXCLUDE} & OF_EVENTS.keys():
        rules["mixed_status"] = Guess("keep", "events: each row has its own")
    elif of_rows and facts[name].filled == opened.rows:
        if key := key_with(value, opened, facts):
            guesses |= key
        else:
            rules["mixed_status"] = Guess("keep", "no column numbers orders: each row has its own status", ("drop",))
    back = back_by(value, opened, facts, engine, days, form)
    return Status({**guesses, **back.guesses}, {**rules, **back.rules})


def back_by(
    status: object, opened: Opened, facts: Mapping[str, Facts], engine: DuckDB, days: Days, form: str | None
) -> Status:
    """Return the day on which orders came back that a status says so of, or what becomes of them without one.

    Nothing where no row has such a status.
    """
    if not isinstance(status, Mapping):
        return Status({}, {})
    name = str(status.get("column"))
    words = [str(word) for kind in (RETURN, CANCELLATION) for word in status.get(kind, ())]
    if name not in facts or not words:
        return Status({}, {})
    rows = opened.table.filter(opened.table[name].lower().isin([word.lower() for word in words]))
    if not int(rows.limit(1).count().execute()):
        return Status({}, {})
    back = _returned_at(opened, facts, rows, engine, days, form)
    if back:
        evidence = "filled wherever the status says that the order came back"
        return Status({"columns.returned_at": Guess(back, evidence)}, {})
    return Status({}, {"undated_return": undated(status)})


def key_with(status: object, opened: Opened, facts: Mapping[str, Facts]) -> dict[str, Guess]:
    """Return the column of a status as `order_key`: it tells orders without a number apart.

    Nothing where it is not filled, or several words are sales: a basket may have lines of both, such as shipped and
    delivered.
    """
    if not isinstance(status, Mapping):
        return {}
    name, sales = str(status.get("column")), status.get(SALE)
    is_one = isinstance(sales, list) and len(sales) == 1
    return {"order_key": Guess(name)} if is_one and name in facts and facts[name].filled == opened.rows else {}


def undated(status: Mapping[str, Sequence[str]]) -> Guess:
    """Return what happens to orders that came back on a day that no column has; asked where some were cancelled."""
    words = [*status.get(RETURN, ()), *status.get(CANCELLATION, ())]
    what = " or ".join(done for kind, done in BECAME.items() if kind in status)
    said = f"no column has the day on which orders {what} ({', '.join(words)})"
    drop = "drop leaves them out, as if they had never been placed"
    if CANCELLATION not in status:
        return Guess("keep", f"{said}: keep counts them as sold; {drop}", ("drop",), is_open=True)
    evidence = f"{said}: {drop}; keep counts them as sold"
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
    opened: Opened,
    facts: Mapping[str, Facts],
    rows: ir.Table,
    engine: DuckDB,
    days: Days,
    form: str | None,
) -> str | None:
    """Return the column with the day on which orders came back, where all of these rows have one."""
    for name in facts:
        if is_of_back(name) and facts[name].filled:
            texts = distinct_texts(opened.table[name], engine)
            if not int(rows.filter(rows[name].isnull()).count().execute()) and gives_days(texts, form, *days, ZONE):
                return name
    return None


def _day_alone(
    opened: Opened, facts: Mapping[str, Facts], engine: DuckDB, days: Days, form: str | None
) -> Iterator[tuple[str, Guess]]:
    """Yield the column with the day on which some rows came back, where no status says more."""
    for name, each in facts.items():
        if not (is_of_back(name) and 0 < each.filled < opened.rows):
            continue
        if gives_days(distinct_texts(opened.table[name], engine), form, *days, ZONE):
            yield "columns.returned_at", Guess(name, f"{each.filled:,} rows have such a day: they came back on it")
            return
