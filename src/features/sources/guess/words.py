"""Names of columns in the languages of shops: how well a name says that a column has a role."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

CLEAR, LOOSE = 1.0, 0.6  # a phrase that says it, and one that says it among others
COMPOUND = 5  # letters of a word that ends a longer one, such as Betrag in Nettobetrag
COMPOUND_UNSPACED = 2  # likewise in scripts without blanks, such as 金額 in 請求金額
UNSPACED = r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]"
AVOIDED = 0.15  # of a name with a word that speaks against the role
WITH = ("with", "without", "inc", "incl", "including", "ex", "exc", "excl", "excluding")
TAXES = ("vat", "tax", "gst")
WITHOUT_MARKS = str.maketrans(
    {"ß": "ss", "ł": "l", "Ł": "L", "ı": "i", "ø": "o", "Ø": "O", "đ": "d", "æ": "ae", "œ": "oe"}
)


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
        clear="رقم الطلب, الطلب, رقم الفاتورة, الفاتورة, شماره سفارش, شماره فاکتور, "
        "order id, order no, order nr, order number, invoice, invoice no, invoice id, invoice number, "
        "transaction id, transaction no, receipt, receipt no, receipt id, receipt number, basket id, basket, ticket, "
        "ticket no, bill no, sale id, bon, bon nr, bonnummer, beleg, beleg nr, belegnummer, rechnung, rechnungs nr, "
        "rechnungsnr, rechnungsnummer, bestellung, bestell nr, bestellnr, bestellnummer, auftrag, auftrags nr, "
        "auftragsnr, auftragsnummer, pedido, id pedido, numero pedido, n pedido, num pedido, commande, id commande, "
        "numero commande, n commande, facture, factura, n factura, fattura, nota fiscal, scontrino, ordine, ordre nr, "
        "billing document, sales document, bestelnummer, zamowienie, заказ, номер заказа, чек, 주문번호, 주문 번호, "
        "거래번호, 注文番号, 订单号, 订单编号, numer zamówienia, nr zamówienia, zamówienie, id zamówienia, "
        "numer faktury, nr faktury, paragon, nr paragonu, číslo objednávky, objednávka, kód objednávky, "
        "id objednávky, účtenka, číslo faktury, číslo dokladu, sipariş no, sipariş numarası, sipariş id, sipariş, "
        "fiş no, fatura no, número do pedido, n do pedido, código do pedido, id do pedido, código pedido, "
        "número da nota, ordernummer, bestelling, bestelnr, factuurnummer, factuurnr, kvittonummer, kvitto, "
        "fakturanummer, ordernr, 注文id, 受注番号, 受注id, 伝票番号, レシート番号, 取引番号, 单号, 订单id, 流水号, "
        "交易号, 小票号, номер чека, код заказа, id заказа, № заказа, номер накладной, "
        "kuittinro, kuitti nro, kuittinumero, kuitin numero, kuitti, tilausnumero, tilausnro, tilaus nro, "
        "tilaus, tilaustunnus, laskunumero, laskunro, tositenumero, tapahtumanumero, bestillingsnummer, "
        "kvitteringsnummer, ordre, rendelésszám, rendelés száma, rendelés azonosító, számlaszám, nyugtaszám, "
        "număr comandă, nr comandă, comandă, număr factură, bon fiscal, αριθμός παραγγελίας, παραγγελία, "
        "αριθμός απόδειξης, αριθμός τιμολογίου",
        loose="order, name, order reference, payment reference, transaction reference, psp reference, transaction, "
        "trans id, increment id, check, cheque, bill, nota, venda, id venda, "
        "visit id, kassenbon, document, document no, docnum, belnr, vbeln",
        against="date, time, datum, status, total, amount, customer, product, item, line, row, dow, hour, qty, value, "
        "discount, country, city, note, notes, type, currency, source, payment, billing, shipping, sequence, "
        "sequential, to, first, last, email, e mail, klient",
    ),
    "customer_id": Words(
        clear="رقم العميل, كود العميل, العميل, الزبون, کد مشتری, شماره مشتری, مشتری, "
        "customer id, customer, customer no, customer nr, customer number, customer unique id, customer code, "
        "cust id, cust code, cust no, client id, client no, client code, user id, member id, buyer id, account id, "
        "household key, household id, loyalty card, loyalty id, loyalty no, loyalty number, card id, uid, visitor id, "
        "shopper id, player id, subscriber id, guest id, user pseudo id, sold to, sold to party, bill to customer, "
        "kunde, kunden nr, kundennr, kundennummer, kundenkarte, kundenkarten nr, mitglieds nr, carte fidelite, kd nr, "
        "debitor, debitoren nr, cliente, id cliente, codigo cliente, cod cliente, n cliente, client, id client, "
        "acheteur, klant, klantnummer, kund, asiakas, klient, клиент, id клиента, 고객번호, 고객, 고객id, 회원번호, "
        "회원id, 顧客番号, 会員番号, 客户id, 客户编号, 用户id, "
        "买家id, 买家账号, 买家会员名, 会员名, 买家昵称, 구매자id, 주문자id, 購入者id, 注文者id, "
        "id klienta, numer klienta, nr klienta, kod klienta, "
        "kupujący, kontrahent, zákazník, číslo zákazníka, id zákazníka, kód zákazníka, müşteri, müşteri no, "
        "müşteri id, müşteri kodu, cari kodu, código do cliente, id do cliente, código cliente, klantnr, klant id, "
        "klantcode, kundnummer, kundnr, kund id, medlemsnummer, 会員id, 会員コード, 顧客id, 顧客コード, お客様番号, "
        "お客様id, 会员号, 会员编号, 会员卡号, 会员id, 顾客编号, 客户代码, 客户, 客户号, код клиента, номер клиента, "
        "клиент id, покупатель, контрагент, номер карты, карта лояльности, "
        "asiakasnro, asiakas nro, asiakasnumero, asiakastunnus, asiakas id, kanta asiakasnro, "
        "kanta asiakasnumero, kanta asiakas, jäsennumero, jäsennro, kundenummer, kundenr, medlemsnr, vevő, "
        "vevőkód, vevő azonosító, vevőszám, ügyfél, ügyfélszám, ügyfél azonosító, törzsvásárló szám, "
        "cod client, număr client, clientul, πελάτης, κωδικός πελάτη, αριθμός πελάτη",
        loose="user, member, buyer, shopper, shopper reference, customer reference, username, buyer username, "
        "username buyer, email, e mail, mail, "
        "customer email, email billing, billing email, account, "
        "household, card, cpf, phone, telefon, consumer, email address, from email address, customer email address, "
        "buyer email address, adres e mail, e posta, eposta, emailadres, mejl, メールアドレス, メール, 邮箱, 手机号, "
        "电话, почта, эл почта, телефон",
        against="name, city, country, state, segment, group, type, age, gender, zip, postcode, note, notes, address, "
        "lifestage, sensitivity, date, time, first, last, company, ip, agent, role, username, marketing, accepts, "
        "method",
    ),
    "timestamp": Words(
        clear="تاريخ الطلب, تاريخ الفاتورة, تاريخ البيع, التاريخ, تاریخ, تاریخ سفارش, "
        "order date, order datetime, order time, order purchase timestamp, purchase date, purchase time, "
        "created at, invoice date, transaction date, transaction dt, transaction time, transaction timestamp, date, "
        "datetime, sale date, sales date, trans date, shop date, datum, belegdatum, bestelldatum, rechnungsdatum, "
        "buchungsdatum, kaufdatum, auftragsdatum, verkaufsdatum, fecha, fecha pedido, fecha compra, fecha venta, "
        "fecha factura, data, data pedido, data compra, data da compra, data venda, data da venda, data ordine, "
        "date commande, date de commande, date achat, date facture, orderdatum, besteldatum, data zamowienia, дата, "
        "дата заказа, 주문일, 주문일자, 주문일시, 구매일, 구매일자, 거래일자, 일자, 날짜, 注文日, 購入日, 日付, "
        "订单日期, 日期, 下单时间, created, data złożenia, data sprzedaży, data zakupu, data wystawienia, "
        "data transakcji, datum objednávky, datum vytvoření, datum prodeje, datum nákupu, datum a čas, vytvořeno, "
        "tarih, sipariş tarihi, satış tarihi, fatura tarihi, işlem tarihi, data do pedido, data de criação, "
        "data criação, data emissão, data de compra, factuurdatum, verkoopdatum, aankoopdatum, köpdatum, "
        "försäljningsdatum, beställningsdatum, fakturadatum, 注文日時, 受注日, 受注日時, 購入日時, 売上日, 販売日, "
        "取引日, 取引日時, 创建时间, 购买时间, 交易时间, 下单日期, 销售日期, дата продажи, дата создания, "
        "дата покупки, дата и время, дата чека, дата оформления, "
        "päivä, päivämäärä, pvm, tilauspäivä, tilauspvm, ostopäivä, myyntipäivä, laskupäivä, kuittipäivä, "
        "dato, ordredato, salgsdato, købsdato, kjøpsdato, bestillingsdato, dátum, rendelés dátuma, "
        "vásárlás dátuma, dată, data comenzii, data comandă, data vânzării, ημερομηνία, "
        "ημερομηνία παραγγελίας",
        loose="timestamp, event time, time, ordered at, paid at, processed at, day, zeit, zeitpunkt, tag, ts, when, "
        "order approved at, placed, purchased at, event timestamp, occurred at, posted",
        against="ship, shipped, shipping, delivery, delivered, due, birth, update, updated, modified, expiry, "
        "cancelled, canceled, fulfilled, registration, estimated, limit, weekday, hour, dow, week, month, since, "
        "liefer, lieferdatum, versanddatum, entrega, completed, carrier, review, signup, 付款, 支付, 发货, 发送, "
        "発送, 入金, 更新, 生日, 誕生, 출고, 배송, 생년, doręczenia, wysyłki, doručení, odeslání, teslim, kargo, "
        "envio, verzend, leverans, доставки, рождения, отгрузки, регистрации",
    ),
    "time": Words(
        clear="time, uhrzeit, zeit, hora, heure, ora, tijd, order time, transaction time, trans time, 시간, 시각, "
        "時刻, 时间, время, shop hour, hour, stunde, "
        "klo, kello, kellonaika, aika, klokkeslæt, klokkeslett, tidspunkt, időpont, ora vânzării, ώρα",
    ),
    "product_id": Words(
        clear="رمز المنتج, كود المنتج, رقم الصنف, كود الصنف, المنتج, کد کالا, "
        "product id, product code, product no, product sku, sku, stock code, item id, item code, item no, "
        "item number, article, article id, article no, artikel, artikel nr, artikelnr, artikelnummer, art nr, "
        "material, produkt id, produkt nr, produktnummer, produto, id produto, codigo produto, cod produto, producto, "
        "id producto, codigo, reference, ref, upc, ean, gtin, plu, isbn, lineitem sku, prod code, prod id, 상품코드, "
        "상품번호, 商品コード, 商品编号, 商品id, артикул, kod produktu, kod towaru, indeks, symbol, sku produktu, "
        "id produktu, kód zboží, kód produktu, katalogové číslo, číslo zboží, ürün kodu, stok kodu, ürün no, barkod, "
        "código do produto, código, referência, artikelcode, productcode, varunummer, 商品番号, 品番, 型番, "
        "品目コード, 商品编码, 货号, 商品代码, 条码, код товара, id товара, штрихкод, "
        "tuotekoodi, tuotenumero, tuotenro, tuotetunnus, tuote id, viivakoodi, varenummer, varenr, "
        "produktnr, cikkszám, termékkód, termék azonosító, vonalkód, cod produs, cod articol, cod de bare, "
        "κωδικός προϊόντος, κωδικός είδους",
        loose="product, item, description, product name, item name, lineitem name, artikelbezeichnung, bezeichnung, "
        "descripcion, descricao, nome produto, designation, 상품명, 商品名, goods, prod, title, товар, model, modell, "
        "modelo, modele, nazwa produktu, nazwa towaru, towar, produkt, název zboží, název produktu, zboží, ürün, "
        "ürün adı, nome do produto, productnaam, artikelnaam, produktnamn, artikelnamn, benämning, 商品, 品名, 品目, "
        "商品名称, 品名规格, наименование, номенклатура, название, "
        "tuote, tuotenimi, tuotteen nimi, varenavn, vare, termék, termék neve, terméknév, produs, "
        "nume produs, denumire produs, προϊόν, είδος, περιγραφή",
        against="category, subclass, class, price, quantity, count, group, type, subcategory, weight, length, "
        "department, brand, vendor, country, city, note, tax, discount, amount, total",
    ),
    "quantity": Words(
        clear="الكمية, العدد, تعداد, مقدار, "
        "quantity, qty, menge, anzahl, stuck, stuckzahl, stk, cantidad, quantidade, qtd, qtde, quantite, qte, "
        "quantita, units, units sold, pieces, pcs, aantal, antal, ilosc, lineitem quantity, item quantity, "
        "quantity refund, order quantity, quantity sold, количество, кол во, 수량, 구매수량, 数量, liczba, "
        "liczba sztuk, sztuk, szt, množství, počet, počet kusů, ks, kusů, adet, miktar, qtde vendida, "
        "quantidade vendida, hoeveelheid, stuks, antal st, 個数, 点数, 販売数, 件数, 购买数量, 商品数量, 销量, кол, "
        "шт, кол во шт, "
        "määrä, kpl, kpl määrä, kappalemäärä, lukumäärä, mennyiség, darab, darabszám, db, cantitate, bucăți, "
        "buc, ποσότητα, τεμάχια",
        loose="amount, count, items, number, unit, volume, einheiten",
        against="price, total, value, fulfillable, stock, days, order, item, id, discount, account, refunded, refund, "
        "fee, per, pro, pack size, 状态",
    ),
    "unit_price": Words(
        clear="سعر الوحدة, السعر, سعر البيع, قیمت واحد, قیمت, "
        "unit price, price, price per unit, sold for, unitprice, item price, item cost, product price, "
        "avg price, selling price, sale price, list price, einzelpreis, stuckpreis, preis, vk preis, precio, "
        "precio unitario, preco, preco unitario, valor unitario, prix, prix unitaire, pu, prezzo, prezzo unitario, "
        "prijs, stukprijs, pris, cena, lineitem price, цена, 단가, 판매단가, 가격, 単価, 价格, 单价, "
        "cena jednostkowa, cena brutto, cena netto, cena za szt, cena za kus, jednotková cena, cena za jednotku, "
        "cena s dph, fiyat, birim fiyat, satış fiyatı, preço de venda, prijs per stuk, verkoopprijs, styckpris, "
        "à pris, 価格, 販売価格, 販売単価, 商品单价, 售价, цена за единицу, цена за шт, розничная цена, "
        "yksikköhinta, á hinta, a hinta, kappalehinta, kpl hinta, hinta, myyntihinta, stykpris, enhedspris, "
        "enhetspris, egységár, ár, eladási ár, bruttó ár, preț, preț unitar, τιμή, τιμή μονάδας",
        loose="sales price, unit cost, base price, unit value, rate, cost",
        against="total, compare, line, shipping, discount, tax, delivery, elastic, sensitivity, freight, order, "
        "kargo, doprava, dostawy, frete, 送料, 邮费, 运费",
    ),
    "amount": Words(
        clear="المبلغ, الإجمالي, إجمالي المبلغ, صافي المبلغ, المجموع, مبلغ, مبلغ کل, "
        "amount, total, line total, total amount, total price, total value, sales, sales value, sales amount, "
        "revenue, net revenue, net amount, net sales, item total, order total, order total amount, order amount, "
        "order value, order subtotal amount, subtotal, grand total, spend, spent, turnover, umsatz, betrag, summe, "
        "gesamt, gesamtpreis, gesamtbetrag, positionsbetrag, zeilensumme, importe, importe total, valor, valor total, "
        "total linea, montant, montant total, total ttc, importo, totale, bedrag, totaal, belopp, kwota, wartosc, "
        "payment value, сумма, стоимость, выручка, 금액, 판매금액, 구매금액, 결제금액, 매출, 매출액, 金額, 売上, "
        "金额, 销售额, wartość brutto, wartość netto, wartość zamówienia, kwota brutto, razem, do zapłaty, suma, "
        "částka, celkem, cena celkem, celková cena, celková částka, tutar, toplam, toplam tutar, genel toplam, ciro, "
        "valor do pedido, valor líquido, valor bruto, valor pago, receita, totaalbedrag, regelbedrag, totaalprijs, "
        "omzet, summa, radsumma, totalt, totalbelopp, ordersumma, 合計, 合計金額, 小計, 売上金額, 請求金額, 税込金額, "
        "支払金額, 销售金额, 总金额, 总价, 实付金额, 实收金额, 支付金额, 订单金额, 合计, сумма заказа, сумма продажи, "
        "item subtotal, item revenue, item sales, item value, "
        "итого, сумма чека, сумма со скидкой, celkem s dph, cena celkem s dph, tutar kdv dahil, toplam kdv dahil, "
        "totaal incl btw, bedrag incl btw, summa inkl moms, item total price, "
        "summa, rivisumma, yhteensä, loppusumma, kokonaissumma, tilaussumma, rivin summa, beløb, beløp, "
        "linjesum, összeg, összesen, végösszeg, fizetendő, sumă, valoare, valoare totală, total de plată, "
        "ποσό, σύνολο, αξία",
        loose="price, value, net, netto, brutto, gross, sum, sales price, profit, paid, payment, cost, preis, "
        "amount paid, purchase amount, transaction amount",
        against="discount, tax, vat, mwst, shipping, freight, refund, refunded, asset, margin, quantity, unit, "
        "outstanding, fee, delivery, duties, installments, sequential, cart, weight, item, cost, shipped, coupon, "
        "exchange, 运费, 邮费, 优惠, "
        "折扣, 税额, 税金, 退款, 积分, 送料, 値引, 割引, 手数料, 消費税, 返金, ポイント, 배송, 할인, 쿠폰, 부가세, "
        "환불, 수수료, 포인트, доставки, скидки, НДС, dph, kdv, btw, moms, doprava, dostawy, frete, kargo, frakt",
    ),
    "discount": Words(
        clear="الخصم, مبلغ الخصم, تخفیف, "
        "discount, discount amount, discount value, line discount, cart discount, cart discount amount, disc, "
        "discount pct, discount rate, discount percent, rebate, promo discount, coupon amount, voucher amount, "
        "promo amount, rabatt, nachlass, skonto, preisnachlass, descuento, dto, dcto, rebaja, bonificacion, desconto, "
        "abatimento, remise, rabais, ristourne, reduction, sconto, korting, rabat, upust, zniżka, sleva, скидка, "
        "сумма скидки, 할인, 할인금액, 할인액, 할인율, 割引, 割引額, 割引率, 値引, 値引き, 値引額, 折扣, 折扣金额, "
        "优惠金额, zniżka kwota, kwota rabatu, indirim, indirim tutarı, iskonto, valor do desconto, kortingsbedrag, "
        "rabattbelopp, "
        "alennus, alennus summa, tilausalennus, rivialennus, alennusprosentti, kedvezmény, árengedmény, "
        "discountul, reducere, έκπτωση",
        loose="coupon disc, retail disc, lineitem discount, coupon discount, promotion discount, coupon, voucher, "
        "promo, gutschein, kupon, クーポン, 쿠폰, markdown, savings",
        against="code, tax, name, type, method, date, id, description, before, after",
    ),
    "refund": Words(
        clear="refunded amount, amount refunded, refund amount, refund, refunded, order refund amount, refund total, "
        "erstattung, reembolso, remboursement, total refunded, kwota zwrotu, vráceno, iade tutarı, valor devolvido, "
        "valor estornado, terugbetaald, återbetalt, 返金額, 返金金額, 退款金额, сумма возврата, возвращено, "
        "palautettu summa, hyvitetty summa, hyvitys, refunderet beløb, refundert beløp, visszatérítés, "
        "visszatérített összeg, suma rambursată, επιστροφή χρημάτων",
        against="date, reason, id, quantity",
    ),
    "status": Words(
        clear="حالة الطلب, الحالة, وضعیت, وضعیت سفارش, "
        "status, order status, order state, current state, financial status, payment status, bestellstatus, "
        "auftragsstatus, estado, "
        "estado pedido, status pedido, situacao, statut, stato, 주문상태, 상태, 状态, 订单状态, статус, "
        "status zamówienia, stan, stan zamówienia, stav, stav objednávky, durum, sipariş durumu, estado do pedido, "
        "situação do pedido, status do pedido, bestelstatus, orderstatus, 対応状況, 状況, 注文状態, 注文ステータス, "
        "ステータス, 受注状態, 受注ステータス, 交易状态, 支付状态, статус заказа, состояние, состояние заказа, "
        "tila, tilauksen tila, tilaustila, maksun tila, ordrestatus, állapot, rendelés állapota, státusz, "
        "stare, stare comandă, status comandă, κατάσταση, κατάσταση παραγγελίας",
        loose="state, order state, event type, event, action, behavior type, activity, transaction type, type, "
        "vorgang, vorgangsart, belegart, tipo, art, order type, record type, sale type, line type, row type, "
        "position type, positionstyp, positionsart, satzart, zeilenart",
        against="fulfillment, coupon, marital, customer, lineitem, billing, shipping, tracking",
    ),
    "store_id": Words(
        clear="store, store id, store no, store code, shop id, branch, outlet, filiale, filial nr, filialnummer, "
        "markt, tienda, loja, magasin, negozio, winkel, 매장, 점포, 店舗, 门店, sklep, prodejna, pobočka, mağaza, "
        "şube, butik, магазин, торговая точка, "
        "myymälä, myyntipaikka, toimipiste, kauppa, butikk, forretning, bolt, üzlet, magazin, κατάστημα",
        loose="location, warehouse, werk, plant",
        against="name, city, region, type, format, address, zip",
    ),
    "till": Words(
        clear="till, till no, register, pos, pos id, terminal, terminal id, kasse, kassen nr, kassennr, caja, caixa, "
        "caisse, cassa, checkout, lane, kassa",
        against="name, type, user, cashier",
    ),
    "currency": Words(
        clear="currency, wahrung, moneda, moeda, devise, valuta, waehrung, 통화, 通貨, 货币, currency code, waluta, "
        "měna, para birimi, валюта, 币种, 货币代码, currency iso, "
        "valuutta, pénznem, deviza, monedă, νόμισμα",
    ),
    "country": Words(
        clear="country, land, pais, pays, paese, kraj, billing country, customer country, country code, "
        "shipping country, 국가, 国, 国家, страна, country billing, země, ülke, land code, país de entrega, "
        "страна доставки, "
        "maa, ország, țară, χώρα",
    ),
}

REFUNDS = {  # words of the name of a table of refunds
    *("refund", "refunds", "refunded", "returns", "return", "returned", "erstattung", "erstattungen", "retouren"),
    *("retoure", "gutschrift", "gutschriften", "storno", "stornos", "devolucoes", "devoluciones", "remboursements"),
    *(
        "avoirs",
        "rimborsi",
        "resi",
        "zwroty",
        "vratky",
        "iadeler",
        "returer",
        "palautukset",
        "credits",
        "chargebacks",
        "credit",
    ),
    *("возвраты", "返品", "返金", "退货", "退款", "반품", "환불"),
}
AND = {"and", "und", "et", "y", "e", "i", "en", "och", "og", "ja", "incl", "inkl", "with", "mit", "и"}
OF_PRODUCTS: Mapping[str, Words] = {  # facts of a product: columns of the table products
    "name": Words(
        clear="product name, item name, description, product description, item description, lineitem name, "
        "artikelbezeichnung, artikelname, bezeichnung, beschreibung, produktname, produktbezeichnung, descripcion, "
        "nombre producto, nombre del producto, descrição, nome produto, nome do produto, désignation, libellé, "
        "nom produit, descrizione, nome prodotto, productnaam, omschrijving, nazwa produktu, nazwa towaru, "
        "název zboží, název produktu, ürün adı, produktnamn, benämning, наименование, название, 상품명, 제품명, "
        "商品名, 品名, 商品名称, "
        "tuotenimi, tuotteen nimi, tuotenimike, varenavn, terméknév, termék neve, nume produs, "
        "denumire produs, όνομα προϊόντος, περιγραφή",
        loose="title, name, product, item, article, artikel, produkt",
        against="customer, category, id, code, sku, type, group, store, shop, kunde, cliente, city, country, brand, "
        "file",
    ),
    "department": Words(
        clear="department, dept, abteilung, departamento, rayon, reparto, division, main category, category 1, 대분류",
    ),
    "category": Words(
        clear="category, product category, item category, category name, product line, kategorie, warengruppe, "
        "artikelgruppe, produktgruppe, categoria, catégorie, famille, categorie, productgroep, kategoria, "
        "kategorie zboží, kategori, kategori adı, varugrupp, категория, 카테고리, 제품카테고리, 상품카테고리, 중분류, "
        "カテゴリ, カテゴリー, 分類, 类别, 品类, 商品类别, product group, product type, commodity, "
        "tuoteryhmä, tuotekategoria, varegruppe, termékcsoport, kategória, categorie produs, "
        "grupa de produse, κατηγορία",
        loose="class, group, product class, genre, event category code, category code, category id",
        against="customer, sub, price, store, shop, age, country, 1, 3, payment, shipping, status",
    ),
    "subcategory": Words(
        clear="sub category, subcategory, subclass, product subclass, category 2, unterkategorie, subcategoria, "
        "sous catégorie, sottocategoria, subcategorie, podkategoria, alt kategori, подкатегория, 소분류, サブカテゴリ",
    ),
    "brand": Words(
        clear="brand, brand name, product brand, marke, marca, marque, merk, marka, značka, märke, бренд, 브랜드, "
        "ブランド, 品牌, label, "
        "tuotemerkki, merkki, varemærke, varemerke, márka, μάρκα",
        loose="manufacturer, vendor, hersteller, fabricante, fabricant, producent",
    ),
}


@cache
def tokens(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without accents and marks.

    >>> tokens("InvoiceNo"), tokens("Stückpreis (EUR)"), tokens("order_purchase_timestamp")
    (('invoice', 'no'), ('stuckpreis', 'eur'), ('order', 'purchase', 'timestamp'))
    """
    plain = "".join(mark for mark in unicodedata.normalize("NFKD", name) if not unicodedata.combining(mark))
    plain = unicodedata.normalize("NFC", plain).translate(WITHOUT_MARKS)
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return tuple(re.findall(r"\w+", parted.lower().replace("_", " ")))


def is_of_refunds(name: str) -> bool:
    """Check whether a table is called refunds, and nothing beside them.

    >>> is_of_refunds("refunds_2023.csv"), is_of_refunds("sales and returns.csv"), is_of_refunds("orders.csv")
    (True, False, False)
    """
    said = {*tokens(name)}
    return bool(REFUNDS & said) and not AND & said


@cache
def score(name: str, role: str) -> float:
    """Return how well a name says that a column has a role, from 0 to 1.

    >>> score("CustomerID", "customer_id"), score("Ship Date", "timestamp") < 0.2, score("Country", "quantity")
    (1.0, True, 0.0)
    """
    words, said = tokens(name), ROLES.get(role) or OF_PRODUCTS[role]
    if "after" in words[1:]:
        words = words[: words.index("after")]  # a total after a discount is a total
    if words[1:] and words[-2] in WITH and words[-1] in TAXES:
        words = words[:-2]  # and a price with VAT is a price
    best = max(
        CLEAR * _match(words, said.clear),
        LOOSE * _match(words, said.loose),
    )
    against = phrases(said.against)
    if words in (*phrases(said.clear), *phrases(said.loose)):
        against = tuple(phrase for phrase in against if not set(phrase) <= set(words))
    return best * AVOIDED if any(_speaks(words, phrase) for phrase in against) else best


def _speaks(words: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    """Check whether a phrase is a part of a name, or a part of a word in a script without blanks."""
    said = " ".join(phrase)
    is_part = _is_unspaced(said) and any(said in word and said != word for word in words)
    return is_part or f" {said} " in f" {' '.join(words)} "


def _is_unspaced(token: str) -> bool:
    return re.search(UNSPACED, token) is not None


def _least(phrase: str) -> int:
    return COMPOUND_UNSPACED if _is_unspaced(phrase) else COMPOUND


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
        if length == 1 and len(phrase[0]) >= _least(phrase[0]) and any(word.endswith(phrase[0]) for word in words):
            best = max(best, 0.4 + 0.3 / len(words))
    return best
