"""Names that people use for time zones, currencies, marks, encodings, postage and nobody, and what they mean."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from datetime import datetime, timedelta

from features.errors import did_you_mean

POSTAGE = (
    "shipping, shipping fee, shipping charge, shipping cost, shipping costs, freight, delivery, delivery fee, delivery "
    "charge, postage, carriage, handling, versand, versandkosten, versandkostenpauschale, porto, fracht, lieferung, "
    "livraison, frais de port, frais de livraison, envío, gastos de envío, frete, spedizione, spese di spedizione, "
    "verzending, verzendkosten, dostawa, wysyłka, koszt dostawy, doprava, poštovné, kargo, kargo ücreti, teslimat, "
    "frakt, toimituskulut, toimitusmaksu, postikulut, rahti, fragt, forsendelse, leveringsgebyr, szállítási költség, "
    "szállítás, cost livrare, livrare, μεταφορικά, έξοδα αποστολής, доставка, 送料, 运费, 邮费, 배송비"
)
FEES = (
    "fee, fees, service fee, commission, surcharge, käsittelymaksu, palvelumaksu, gebyr, díj, comision, προμήθεια, "
    "gebühr, gebühren, prowizja, opłata, poplatek, komisyon, комиссия, "
    "手数料, 手续费, 수수료"
)
# an id that is a word for nobody: of any activity; or a number for nobody: of more orders than a customer has
NOBODY = (
    r"^(?:unknown|unbekannt|inconnu|desconocido|anonym(?:ous|e)?|anonimo|guest|gast|invit[eé]|walk.?in.*|no.?customer|"
    r"nobody|default|dummy|cash(?: ?customer)?|barverkauf|laufkundschaft|비회원|游客)$"
)
NO_NUMBER = r"^(?:0+|9{4,}|x+)$"
ZONES: Mapping[str, tuple[str, ...]] = {
    "CST": ("America/Chicago", "Asia/Shanghai"),
    "CDT": ("America/Chicago",),
    "EST": ("America/New_York", "Australia/Sydney"),
    "EDT": ("America/New_York",),
    "MDT": ("America/Denver",),
    "PST": ("America/Los_Angeles", "Asia/Manila"),
    "PDT": ("America/Los_Angeles",),
    "BST": ("Europe/London",),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "CET": ("Europe/Berlin", "Europe/Paris"),
    "CEST": ("Europe/Berlin", "Europe/Paris"),
    "EEST": ("Europe/Athens", "Europe/Helsinki"),
    "MSK": ("Europe/Moscow",),
    "BRT": ("America/Sao_Paulo",),
    "KST": ("Asia/Seoul",),
    "JST": ("Asia/Tokyo",),
    "HKT": ("Asia/Hong_Kong",),
    "SGT": ("Asia/Singapore",),
    "AEST": ("Australia/Sydney", "Australia/Brisbane"),
}
CURRENCIES: Mapping[str, tuple[str, ...]] = {
    "$": ("USD", "CAD", "AUD"),
    "DOLLAR": ("USD", "CAD", "AUD"),
    "€": ("EUR",),
    "EURO": ("EUR",),
    "£": ("GBP",),
    "POUND": ("GBP",),
    "STERLING": ("GBP",),
    "¥": ("JPY", "CNY"),
    "YEN": ("JPY",),
    "YUAN": ("CNY",),
    "RMB": ("CNY",),
    "₩": ("KRW",),
    "원": ("KRW",),
    "WON": ("KRW",),
    "₹": ("INR",),
    "RUPEE": ("INR",),
    "R$": ("BRL",),
    "REAL": ("BRL",),
    "ZŁ": ("PLN",),
    "KR": ("SEK", "NOK", "DKK"),
    "FRANC": ("CHF",),
    "₽": ("RUB",),
    "₫": ("VND",),
}
MARKS: Mapping[str, str] = {
    "tab": "\t",
    "\\t": "\t",
    "comma": ",",
    "semicolon": ";",
    "colon": ":",
    "pipe": "|",
    "space": " ",
    "blank": " ",
    "point": ".",
    "dot": ".",
    "apostrophe": "'",
}
ENCODINGS: Mapping[str, tuple[str, ...]] = {
    "ansi": ("cp1252",),
    "windows": ("cp1252",),
    "western": ("cp1252", "latin-1"),
    "excel": ("cp1252", "utf-8-sig"),
    "unicode": ("utf-8", "utf-16"),
    "iso": ("latin-1",),
    "korean": ("cp949",),
    "japanese": ("cp932",),
    "chinese": ("gb18030", "big5"),
    "cyrillic": ("cp1251",),
}
OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])\s*([0-9]{1,2})(?::?([0-9]{2}))?", re.IGNORECASE)
WITHOUT_SUMMER, SHOWN = "Etc/GMT", 3
PLACES = ("Europe/", "America/", "Asia/", "Africa/", "Australia/", "Pacific/")
A_WINTER, A_SUMMER = datetime(2024, 1, 15), datetime(2024, 7, 15)


def zone_advice(name: str, setting: str) -> str:
    """Suggest time zones for a name that is none: by abbreviation, distance from UTC, city or spelling.

    >>> zone_advice("KST", "data.timezone")
    'data.timezone=Asia/Seoul'
    """
    known = zoneinfo.available_timezones()
    if found := ZONES.get(name.strip().upper()):
        return _typed(found, setting)
    if offset := OFFSET.fullmatch(name.strip()):
        return _of_offset(offset, setting)
    city = name.strip().replace(" ", "_").lower()
    places = sorted(zone for zone in known if zone.startswith(PLACES) and zone.split("/")[-1].lower() == city)
    if places:
        return _typed(tuple(places), setting)
    return did_you_mean(name, known)


def currency_advice(name: str, setting: str) -> str | None:
    """Suggest codes for the sign or the word of a currency, or for a code in small letters."""
    word = name.strip().upper()
    found = CURRENCIES.get(word) or CURRENCIES.get(word.removesuffix("S"))
    if not found and re.fullmatch("[A-Z]{3}", word):
        found = (word,)
    return _typed(found, setting) if found else None


def encoding_advice(name: str, setting: str, known: list[str]) -> str:
    """Suggest codecs for the name of an encoding that is none."""
    word = re.split(r"[^a-z]+", name.strip().lower())[0]
    return _typed(ENCODINGS[word], setting) if word in ENCODINGS else did_you_mean(name, known)


def _of_offset(offset: re.Match[str], setting: str) -> str:
    """Suggest places by their distance from UTC outside of summer time, and a zone that has no summer time."""
    sign, hours, minutes = offset.groups(default="0")
    distance = timedelta(hours=int(hours), minutes=int(minutes)) * (1 if sign == "+" else -1)
    places = _places(distance)
    fixed = [] if int(minutes) or not int(hours) else [f"{WITHOUT_SUMMER}{'-' if sign == '+' else '+'}{int(hours)}"]
    said = _typed((*places[:SHOWN], *(zone for zone in fixed if zone in zoneinfo.available_timezones())), setting)
    return f"{said}; the last one has no summer time" if fixed else said


def _places(distance: timedelta) -> tuple[str, ...]:
    """Return places whose time without summer time is so far from UTC, of each continent in turn."""
    found = []
    for zone in zoneinfo.available_timezones():
        offsets = [zoneinfo.ZoneInfo(zone).utcoffset(day) or timedelta() for day in (A_WINTER, A_SUMMER)]
        if zone.startswith(PLACES) and min(offsets) == distance:
            found.append(zone)
    return tuple(sorted(found, key=lambda zone: ([zone.startswith(place) for place in PLACES].index(True), zone)))


def _typed(values: tuple[str, ...], setting: str) -> str:
    return " or ".join(f"{setting}={value}" for value in values)
