"""The languages of shops' tables, in one list: their words for totals and months, and words of headers.

A language belongs here once headers in it are known by `guess.words`: a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import ibis.expr.types as ir

ENGLISH_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
OF = r"(?:de|di)"  # between a day, a month and a year


@dataclass(frozen=True)
class Language:
    """Words of one language.

    Attributes
    ----------
    country : str, optional
        Of most shops whose headers are in it; none of a language that shops everywhere write.
    headers : str
        Words of column names that other languages do not have, separated by blanks.
    totals : str
        Words that begin a row of totals, separated by commas.
    before_totals : str
        Words and parts of words before them, such as sub, separated by commas.
    months : str
        The names of each month, separated by |, and months by commas; none where dates have numbers alone.
    """

    country: str | None
    headers: str
    totals: str
    before_totals: str = ""
    months: str = ""


LANGUAGES: Mapping[str, Language] = {
    "English": Language(
        None,
        "order customer quantity price amount",
        "total, totals, subtotal, subtotals, sum, sum total",
        "grand, sub, monthly, daily, weekly",
        "january|jan, february|feb, march|mar, april|apr, may, june|jun, july|jul, august|aug, september|sept|sep, "
        "october|oct, november|nov, december|dec",
    ),
    "German": Language(
        "germany",
        "kunde kundennr kundennummer menge datum betrag umsatz preis einzelpreis artikel beleg bon uhrzeit rechnung "
        "anzahl summe",
        "summe, gesamt, gesamtsumme, total, endsumme, tagessumme",
        "zwischen, gesamt, tages, wochen, monats",
        "januar|jänner|jan|jän, februar|feber|feb, märz|mär|mrz, april|apr, mai, juni|jun, juli|jul, august|aug, "
        "september|sept|sep, oktober|okt, november|nov, dezember|dez",
    ),
    "French": Language(
        "france",
        "commande quantite prix montant facture",
        "total, totaux, somme, sous total, sous-total",
        "sous, grand",
        "janvier|janv, février|fevrier|févr|fevr|fév, mars, avril|avr, mai, juin, juillet|juil, août|aout, "
        "septembre|sept, octobre|oct, novembre|nov, décembre|decembre|déc",
    ),
    "Spanish": Language(
        "spain",
        "fecha cantidad precio importe cliente producto descuento",
        "total, totales, suma, subtotal",
        "sub, gran",
        "enero|ene, febrero|feb, marzo|mar, abril|abr, mayo|may, junio|jun, julio|jul, agosto|ago, "
        "septiembre|setiembre|sept|sep, octubre|oct, noviembre|nov, diciembre|dic",
    ),
    "Italian": Language(
        "italy",
        "ordine quantita prezzo importo prodotto scontrino fattura",
        "totale, totali, somma, subtotale",
        "sub",
        "gennaio|gen, febbraio|feb, marzo|mar, aprile|apr, maggio|mag, giugno|giu, luglio|lug, agosto|ago, "
        "settembre|set|sett, ottobre|ott, novembre|nov, dicembre|dic",
    ),
    "Portuguese": Language(
        "brazil",
        "pedido quantidade preco valor produto compra situacao qtd",
        "total, totais, soma, subtotal, subtotais",
        "sub",
        "janeiro|jan, fevereiro|fev, março|marco|mar, abril|abr, maio|mai, junho|jun, julho|jul, agosto|ago, "
        "setembro|set, outubro|out, novembro|nov, dezembro|dez",
    ),
    "Dutch": Language(
        "netherlands",
        "bestelnummer aantal prijs bedrag klant",
        "totaal, totaalbedrag, subtotaal, som",
        "eind, tussen, sub",
        "januari|jan, februari|feb, maart|mrt, april|apr, mei, juni|jun, juli|jul, augustus|aug, september|sept|sep, "
        "oktober|okt, november|nov, december|dec",
    ),
    "Polish": Language(
        "poland",
        "zamowienie zamowienia ilosc kwota klient wartosc sztuk",
        "suma, razem, ogółem, łącznie, podsumowanie, suma częściowa",
        "",
        "stycznia|styczeń|sty, lutego|luty|lut, marca|marzec|mar, kwietnia|kwiecień|kwi, maja|maj, "
        "czerwca|czerwiec|cze, lipca|lipiec|lip, sierpnia|sierpień|sie, września|wrzesień|wrz, "
        "października|październik|paź, listopada|listopad|lis, grudnia|grudzień|gru",
    ),
    "Czech": Language(
        "czechia",
        "objednavka objednavky mnozstvi castka celkem zakaznik sleva",
        "celkem, součet, mezisoučet",
        "celkový, celková, mezi",
        "ledna|leden|led, února|únor|úno, března|březen|bře, dubna|duben|dub, května|květen|kvě, června|červen|čvn, "
        "července|červenec|čvc, srpna|srpen|srp, září|zář, října|říjen|říj, listopadu|listopad|lis, prosince|prosinec",
    ),
    "Turkish": Language(
        "turkey",
        "siparis tarih adet tutar fiyat musteri toplam",
        "toplam, genel toplam, ara toplam",
        "genel, ara",
        "ocak|oca, şubat|şub, mart, nisan|nis, mayıs, haziran|haz, temmuz|tem, ağustos|ağu, eylül|eyl, ekim|eki, "
        "kasım|kas, aralık|ara",
    ),
    "Swedish": Language(
        "sweden",
        "ordernummer antal belopp kund kundnummer summa pris",
        "summa, totalt, totalsumma, delsumma",
        "del, slut",
        "januari|jan, februari|feb, mars|mar, april|apr, maj, juni|jun, juli|jul, augusti|aug, september|sept|sep, "
        "oktober|okt, november|nov, december|dec",
    ),
    "Danish": Language(
        "denmark",
        "ordredato beløb varenummer købsdato stykpris rabatkode",
        "i alt, ialt, total, sum, samlet",
        "sub, del",
        "januar|jan, februar|feb, marts|mar, april|apr, maj, juni|jun, juli|jul, august|aug, september|sep, "
        "oktober|okt, november|nov, december|dec",
    ),
    "Norwegian": Language(
        "norway",
        "bestillingsnummer beløp kjøpsdato enhetspris klokkeslett",
        "sum, totalt, totalsum, i alt, samlet",
        "del, slutt",
        "januar|jan, februar|feb, mars|mar, april|apr, mai, juni|jun, juli|jul, august|aug, september|sep, "
        "oktober|okt, november|nov, desember|des",
    ),
    "Finnish": Language(
        "finland",
        "tilausnumero kuittinro asiakasnro asiakasnumero pvm päivämäärä määrä yksikköhinta rivisumma tuotekoodi",
        "yhteensä, summa, loppusumma, välisumma, kokonaissumma",
        "väli, loppu",
        "tammikuuta|tammikuu|tammi, helmikuuta|helmikuu|helmi, maaliskuuta|maaliskuu|maalis, "
        "huhtikuuta|huhtikuu|huhti, toukokuuta|toukokuu|touko, "
        "kesäkuuta|kesäkuu|kesä, heinäkuuta|heinäkuu|heinä, elokuuta|elokuu|elo, "
        "syyskuuta|syyskuu|syys, lokakuuta|lokakuu|loka, marraskuuta|marraskuu|marras, joulukuuta|joulukuu|joulu",
    ),
    "Hungarian": Language(
        "hungary",
        "rendelésszám mennyiség egységár összeg vevő vevőkód cikkszám dátum",
        "összesen, végösszeg, mindösszesen, részösszeg, összeg",
        "rész, vég",
        "január|jan, február|feb|febr, március|márc|már, április|ápr, május|máj, június|jún, július|júl, "
        "augusztus|aug, szeptember|szept|sze, október|okt, november|nov, december|dec",
    ),
    "Romanian": Language(
        "romania",
        "comandă comenzii cantitate preț sumă valoare produs bucăți",
        "total, sumă, suma, total general, subtotal",
        "sub",
        "ianuarie|ian, februarie|feb, martie|mar, aprilie|apr, mai, iunie|iun, iulie|iul, august|aug, "
        "septembrie|sept|sep, octombrie|oct, noiembrie|noi|nov, decembrie|dec",
    ),
    "Greek": Language(
        "greece",
        "παραγγελίας παραγγελία ημερομηνία πελάτη πελάτης ποσότητα τιμή σύνολο ποσό",
        "σύνολο, συνολο, σύνολα, γενικό σύνολο, μερικό σύνολο, υποσύνολο",
        "γενικό, μερικό",
        "ιανουαρίου|ιανουάριος|ιαν, φεβρουαρίου|φεβρουάριος|φεβ, μαρτίου|μάρτιος|μαρ, απριλίου|απρίλιος|απρ, "
        "μαΐου|μάιος|μαΐ|μαϊ, ιουνίου|ιούνιος|ιουν, ιουλίου|ιούλιος|ιουλ, αυγούστου|αύγουστος|αυγ, "
        "σεπτεμβρίου|σεπτέμβριος|σεπ, οκτωβρίου|οκτώβριος|οκτ, νοεμβρίου|νοέμβριος|νοε, δεκεμβρίου|δεκέμβριος|δεκ",
    ),
    "Arabic": Language(
        None,
        "الطلب العميل الكمية السعر المبلغ التاريخ الفاتورة",
        "الإجمالي, الاجمالي, المجموع, إجمالي, اجمالي, مجموع",
        "",
        "يناير|كانون الثاني, فبراير|شباط, مارس|آذار, أبريل|ابريل|نيسان, مايو|أيار, يونيو|حزيران, يوليو|تموز, "
        "أغسطس|اغسطس|آب, سبتمبر|أيلول, أكتوبر|اكتوبر|تشرين الأول, نوفمبر|تشرين الثاني, ديسمبر|كانون الأول",
    ),
    "Russian": Language(
        "russia",
        "заказ заказа количество цена сумма дата клиент чека",
        "итого, итог, всего, сумма, промежуточный итог, подытог",
        "",
        "января|январь|янв, февраля|февраль|февр|фев, марта|март|мар, апреля|апрель|апр, мая|май, июня|июнь|июн, "
        "июля|июль|июл, августа|август|авг, сентября|сентябрь|сент|сен, октября|октябрь|окт, ноября|ноябрь|нояб|ноя, "
        "декабря|декабрь|дек",
    ),
    "Japanese": Language(
        "japan", "注文番号 数量 金額 単価 顧客番号 注文日 日付 購入日", "総計, 合計, 小計, 総合計, 累計, 計"
    ),
    "Chinese": Language(
        "china", "订单号 订单编号 数量 金额 单价 客户编号 日期", "合计, 总计, 小计, 共计, 累计, 總計, 合計, 小計"
    ),
    "Korean": Language(
        "south korea", "주문번호 주문일 수량 금액 단가 고객번호 상품코드 구매일", "합계, 총계, 소계, 총합계, 누계"
    ),
}


def listed(text: str) -> list[str]:
    """Return the words of a text that commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]


def words_of_totals() -> str:
    """Return a pattern of the texts that begin with a word for totals, of any language."""
    before = {word for each in LANGUAGES.values() for word in listed(each.before_totals)}
    words = {word for each in LANGUAGES.values() for word in listed(each.totals)}

    def either(texts: set[str]) -> str:
        return "|".join(re.escape(text) for text in sorted(texts, key=lambda text: (-len(text), text)))

    return rf"(?i)^\W*(?:(?:{either(before)})[ -]*)?(?:{either(words)})(?:[^\p{{L}}\p{{N}}]|$)"  # \b knows a to z


@cache
def month_patterns() -> tuple[tuple[str, str], ...]:
    """Return a pattern of each month's names in all languages, with what stands around them, and its English name."""
    names: list[set[str]] = [set() for _ in ENGLISH_MONTHS]
    for language in LANGUAGES.values():
        for month, said in zip(names, listed(language.months), strict=False):
            month |= set(said.split("|"))
    around = (rf"(?i)(^|[0-9\s.,/-])(?:{OF}\s+)?", rf"\.?(?:\s+{OF})?([0-9\s,./-]|$)")
    return tuple(
        (f"{around[0]}(?:{'|'.join(sorted(month, key=lambda name: (-len(name), name)))}){around[1]}", rf"\1{english}\2")
        for month, english in zip(names, ENGLISH_MONTHS, strict=True)
    )


def with_english_months(text: str) -> str:
    """Return a date with the short English name in place of a month's name in another language.

    >>> with_english_months("3. März 2023"), with_english_months("03-ene-23"), with_english_months("1 de mayo de 2023")
    ('3. Mar 2023', '03-Jan-23', '1 May 2023')
    """
    for pattern, english in month_patterns():
        text = re.sub(pattern, english, text)
    return text


def english_months(texts: ir.StringColumn) -> ir.StringColumn:
    """Return dates with the short English names of months."""
    for pattern, english in month_patterns():
        texts = texts.re_replace(pattern, english)
    return texts


def country_words() -> Iterator[tuple[str, set[str]]]:
    """Yield countries, and the words of headers that speak for each."""
    for language in LANGUAGES.values():
        if language.country:
            yield language.country, set(language.headers.split())
