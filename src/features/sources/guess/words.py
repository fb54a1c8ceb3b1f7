"""Names of columns in the languages of shops: how well a name says that a column has a role."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

CLEAR, LOOSE = 1.0, 0.6  # a phrase that says it, and one that says it among others
COMPOUND = 5  # letters of a word that ends a longer one, such as Betrag in Nettobetrag
AVOIDED = 0.15  # of a name with a word that speaks against the role


@dataclass(frozen=True)
class Words:
    """Phrases of a role.

    Attributes
    ----------
    clear, loose : str
        Phrases, separated by commas: those that name the role, and those that may name others, too.
    against : str
        Words that speak against it.
    """

    clear: str
    loose: str = ""
    against: str = ""


ROLES: Mapping[str, Words] = {
    "order_id": Words(
        clear="order id, order no, order nr, order number, invoice, invoice no, invoice id, invoice number, "
        "transaction id, transaction no, receipt, receipt no, receipt id, receipt number, basket id, basket, ticket, "
        "ticket no, bill no, sale id, bon, bon nr, bonnummer, beleg, beleg nr, belegnummer, rechnung, rechnungs nr, "
        "rechnungsnr, rechnungsnummer, bestellung, bestell nr, bestellnr, bestellnummer, auftrag, auftrags nr, "
        "auftragsnr, auftragsnummer, pedido, id pedido, numero pedido, n pedido, num pedido, commande, id commande, "
        "numero commande, n commande, facture, factura, n factura, fattura, nota fiscal, scontrino, ordine, ordre nr, "
        "billing document, sales document, "
        "bestelnummer, zamowienie, заказ, номер заказа, чек, 주문번호, 주문 번호, 거래번호, 注文番号, 订单号, 订单编号",
        loose="order, name, transaction, trans id, increment id, check, cheque, bill, nota, venda, id venda, visit id, "
        "kassenbon, document, document no, docnum, belnr, vbeln",
        against="date, time, datum, status, total, amount, customer, product, item, line, row, dow, hour, qty, value, "
        "discount, country, city, note, notes, type, currency, source, payment, billing, shipping, sequence, "
        "sequential",
    ),
    "customer_id": Words(
        clear="customer id, customer, customer no, customer nr, customer number, customer unique id, customer code, "
        "cust id, cust code, cust no, client id, client no, client code, user id, member id, buyer id, account id, "
        "household key, household id, loyalty card, loyalty id, loyalty no, loyalty number, card id, uid, visitor id, "
        "shopper id, player id, subscriber id, guest id, user pseudo id, sold to, sold to party, bill to customer, "
        "kunde, kunden nr, kundennr, kundennummer, kundenkarte, kundenkarten nr, mitglieds nr, carte fidelite, "
        "kd nr, debitor, debitoren nr, cliente, id cliente, codigo cliente, cod cliente, n cliente, "
        "client, id client, acheteur, klant, klantnummer, kund, asiakas, klient, клиент, id клиента, 고객번호, 고객, "
        "고객id, 회원번호, 회원id, 顧客番号, 会員番号, 客户id, 客户编号, 用户id",
        loose="user, member, buyer, email, e mail, mail, customer email, email billing, billing email, account, "
        "household, card, cpf, phone, telefon, consumer, "
        "email address, from email address, customer email address, buyer email address",
        against="name, city, country, state, segment, group, type, age, gender, zip, postcode, note, notes, address, "
        "lifestage, sensitivity, date, time, first, last, company, ip, agent, role, username, marketing, accepts, "
        "method",
    ),
    "timestamp": Words(
        clear="order date, order datetime, order time, order purchase timestamp, purchase date, purchase time, "
        "created at, invoice date, transaction date, transaction dt, transaction time, transaction timestamp, date, "
        "datetime, sale date, sales date, trans date, shop date, datum, belegdatum, bestelldatum, rechnungsdatum, "
        "buchungsdatum, kaufdatum, auftragsdatum, verkaufsdatum, fecha, fecha pedido, fecha compra, fecha venta, "
        "fecha factura, data, data pedido, data compra, data da compra, data venda, data da venda, data ordine, "
        "date commande, date de commande, date achat, date facture, orderdatum, besteldatum, data zamowienia, дата, "
        "дата заказа, 주문일, 주문일자, 주문일시, 구매일, 구매일자, 거래일자, 일자, 날짜, 注文日, 購入日, 日付, "
        "订单日期, 日期, 下单时间",
        loose="timestamp, event time, time, ordered at, paid at, processed at, day, zeit, zeitpunkt, tag, ts, when, "
        "order approved at, placed, purchased at, event timestamp, occurred at, posted",
        against="ship, shipped, shipping, delivery, delivered, due, birth, update, updated, modified, expiry, "
        "cancelled, canceled, fulfilled, registration, estimated, limit, weekday, hour, dow, week, month, since, "
        "liefer, lieferdatum, versanddatum, entrega, completed, carrier, review, signup",
    ),
    "time": Words(
        clear="time, uhrzeit, zeit, hora, heure, ora, tijd, order time, transaction time, trans time, 시간, 시각, "
        "時刻, 时间, время, shop hour, hour, stunde"
    ),
    "product_id": Words(
        clear="product id, product code, product no, product sku, sku, stock code, item id, item code, item no, "
        "item number, article, article id, article no, artikel, artikel nr, artikelnr, artikelnummer, art nr, "
        "material, produkt id, produkt nr, produktnummer, produto, id produto, codigo produto, cod produto, producto, "
        "id producto, codigo, reference, ref, upc, ean, gtin, plu, isbn, lineitem sku, prod code, prod id, 상품코드, "
        "상품번호, 商品コード, 商品编号, 商品id, артикул",
        loose="product, item, description, product name, item name, lineitem name, artikelbezeichnung, bezeichnung, "
        "descripcion, descricao, nome produto, designation, 상품명, 商品名, goods, prod, title, товар, "
        "model, modell, modelo, modele",
        against="category, subclass, class, price, quantity, count, group, type, subcategory, weight, length, "
        "department, brand, vendor, country, city, note, tax, discount, amount, total",
    ),
    "quantity": Words(
        clear="quantity, qty, menge, anzahl, stuck, stuckzahl, stk, cantidad, quantidade, qtd, qtde, quantite, qte, "
        "quantita, units, units sold, pieces, pcs, aantal, antal, ilosc, lineitem quantity, item quantity, "
        "quantity refund, order quantity, quantity sold, количество, кол во, 수량, 구매수량, 数量",
        loose="amount, count, items, number, unit, volume, einheiten",
        against="price, total, value, fulfillable, stock, days, order item id, discount, account",
    ),
    "unit_price": Words(
        clear="unit price, price, price per unit, unitprice, item price, item cost, product price, avg price, "
        "selling price, sale price, list price, einzelpreis, stuckpreis, preis, vk preis, precio, precio unitario, "
        "preco, preco unitario, valor unitario, prix, prix unitaire, pu, prezzo, prezzo unitario, prijs, stukprijs, "
        "pris, cena, lineitem price, цена, 단가, 판매단가, 가격, 単価, 价格, 单价",
        loose="sales price, unit cost, base price, unit value, rate, cost",
        against="total, compare, line, shipping, discount, tax, delivery, elastic, sensitivity, freight, order",
    ),
    "amount": Words(
        clear="amount, total, line total, total amount, total price, total value, sales, sales value, sales amount, "
        "revenue, net revenue, net amount, net sales, item total, order total, order total amount, order amount, "
        "order value, order subtotal amount, subtotal, grand total, spend, spent, turnover, umsatz, betrag, summe, "
        "gesamt, gesamtpreis, gesamtbetrag, positionsbetrag, zeilensumme, importe, importe total, valor, valor total, "
        "total linea, montant, montant total, total ttc, importo, totale, bedrag, totaal, belopp, kwota, wartosc, "
        "payment value, сумма, стоимость, выручка, 금액, 판매금액, 구매금액, 결제금액, 매출, "
        "매출액, 金額, 売上, 金额, 销售额",
        loose="price, value, net, netto, brutto, gross, sum, sales price, profit, paid, payment, cost, preis, "
        "amount paid, purchase amount, transaction amount",
        against="discount, tax, vat, mwst, shipping, freight, refund, refunded, asset, margin, quantity, unit, "
        "outstanding, fee, delivery, duties, installments, sequential, cart, weight, item cost",
    ),
    "discount": Words(
        clear="discount, discount amount, discount value, line discount, cart discount, cart discount amount, rabatt, "
        "nachlass, descuento, desconto, remise, reduction, sconto, korting, discount pct, discount rate, 할인, "
        "할인금액, 割引, 折扣, скидка",
        loose="coupon disc, retail disc, lineitem discount, coupon discount, promotion discount",
        against="code, tax, name, type, method, date",
    ),
    "refund": Words(
        clear="refunded amount, refund amount, refund, order refund amount, refund total, erstattung, reembolso, "
        "remboursement",
        against="date, reason, id, quantity",
    ),
    "status": Words(
        clear="status, order status, financial status, payment status, bestellstatus, auftragsstatus, estado, "
        "estado pedido, status pedido, situacao, statut, stato, 주문상태, 상태, 状态, 订单状态, статус",
        loose="state, order state, event type, event, action, behavior type, activity, transaction type, type, "
        "vorgang, vorgangsart, belegart, tipo, art, order type, record type, sale type",
        against="fulfillment, coupon, marital, customer, lineitem, billing, shipping, tracking",
    ),
    "store_id": Words(
        clear="store, store id, store no, store code, shop id, branch, outlet, filiale, filial nr, filialnummer, "
        "markt, tienda, loja, magasin, negozio, winkel, 매장, 점포, 店舗, 门店",
        loose="location, warehouse, werk, plant",
        against="name, city, region, type, format, address, zip",
    ),
    "till": Words(
        clear="till, till no, register, pos, pos id, terminal, terminal id, kasse, kassen nr, kassennr, caja, caixa, "
        "caisse, cassa, checkout, lane, kassa",
        against="name, type, user, cashier",
    ),
    "currency": Words(
        clear="currency, wahrung, moneda, moeda, devise, valuta, waehrung, 통화, 通貨, 货币, currency code"
    ),
    "country": Words(
        clear="country, land, pais, pays, paese, kraj, billing country, customer country, country code, "
        "shipping country, 국가, 国, 国家, страна, country billing"
    ),
}


@cache
def tokens(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without accents and marks.

    >>> tokens("InvoiceNo"), tokens("Stückpreis (EUR)"), tokens("order_purchase_timestamp")
    (('invoice', 'no'), ('stuckpreis', 'eur'), ('order', 'purchase', 'timestamp'))
    """
    plain = "".join(mark for mark in unicodedata.normalize("NFKD", name) if not unicodedata.combining(mark))
    plain = unicodedata.normalize("NFC", plain).replace("ß", "ss")
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return tuple(re.findall(r"\w+", parted.lower().replace("_", " ")))


@cache
def score(name: str, role: str) -> float:
    """Return how well a name says that a column has a role, from 0 to 1.

    >>> score("CustomerID", "customer_id"), score("Ship Date", "timestamp") < 0.2, score("Country", "quantity")
    (1.0, True, 0.0)
    """
    words, said = tokens(name), ROLES[role]
    if "after" in words[1:]:
        words = words[: words.index("after")]  # a total after a discount is a total
    best = max(
        CLEAR * _match(words, said.clear),
        LOOSE * _match(words, said.loose),
    )
    against = {token for phrase in phrases(said.against) for token in phrase}
    whole = [phrase for phrase in (*phrases(said.clear), *phrases(said.loose)) if phrase == words]
    named = {token for phrase in whole for token in phrase}
    return best * AVOIDED if (set(words) & against) - named else best


@cache
def phrases(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of each of the phrases that a text separates by commas."""
    return tuple(tokens(phrase.strip()) for phrase in text.split(",") if phrase.strip())


def _match(words: tuple[str, ...], text: str) -> float:
    """Return 1 where a phrase of a text is the whole name, less where it is a part of it."""
    best = 0.0
    for phrase in phrases(text):
        if phrase == words or "".join(phrase) == "".join(words):
            return 1.0
        length = len(phrase)
        if any(words[start : start + length] == phrase for start in range(len(words) - length + 1)):
            best = max(best, 0.4 + 0.5 * length / len(words))
        if length == 1 and len(phrase[0]) >= COMPOUND and any(word.endswith(phrase[0]) for word in words):
            best = max(best, 0.4 + 0.3 / len(words))
    return best
