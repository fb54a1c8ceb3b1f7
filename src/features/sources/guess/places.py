"""Currency and time zone, which no column of numbers and dates says: guesses, and what speaks for them."""

from __future__ import annotations

import os
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from features.sources.guess.facts import Facts, frequencies
from features.sources.guess.mapping import Guess, flow
from features.sources.guess.opened import Opened
from features.sources.guess.words import score, tokens
from features.sources.languages import country_words

NAMED, MOST_CODES = 0.5, 30
SIGNS = {"€": "EUR", "£": "GBP", "R$": "BRL", "$": "USD", "¥": "JPY", "₩": "KRW", "₹": "INR", "zł": "PLN", "kr": "SEK"}
SIGNS |= {"₽": "RUB", "руб.": "RUB", "Kč": "CZK", "원": "KRW", "円": "JPY", "元": "CNY"}


@dataclass(frozen=True)
class Place:
    """A country: its currency, and the time zone of most of its people."""

    currency: str
    timezone: str


@dataclass(frozen=True)
class Country:
    """The country of a shop, and what speaks for it."""

    place: Place
    evidence: str


COUNTRIES: Mapping[str, Place] = {
    name: Place(currency, zone)
    for names, currency, zone in (
        ("united kingdom,uk,gb,great britain,england", "GBP", "Europe/London"),
        ("germany,deutschland,de", "EUR", "Europe/Berlin"),
        ("austria,osterreich,at", "EUR", "Europe/Vienna"),
        ("switzerland,schweiz,suisse,ch", "CHF", "Europe/Zurich"),
        ("france,fr", "EUR", "Europe/Paris"),
        ("spain,espana,es", "EUR", "Europe/Madrid"),
        ("italy,italia,it", "EUR", "Europe/Rome"),
        ("netherlands,nederland,nl", "EUR", "Europe/Amsterdam"),
        ("poland,polska,pl", "PLN", "Europe/Warsaw"),
        ("czech republic,czechia,cesko,cz", "CZK", "Europe/Prague"),
        ("turkey,turkiye,tr", "TRY", "Europe/Istanbul"),
        ("sweden,sverige,se", "SEK", "Europe/Stockholm"),
        ("denmark,danmark,dk", "DKK", "Europe/Copenhagen"),
        ("norway,norge,no", "NOK", "Europe/Oslo"),
        ("portugal,pt", "EUR", "Europe/Lisbon"),
        ("ireland,ie", "EUR", "Europe/Dublin"),
        ("belgium,belgie,belgique,be", "EUR", "Europe/Brussels"),
        ("finland,suomi,fi", "EUR", "Europe/Helsinki"),
        ("hungary,magyarorszag,hu", "HUF", "Europe/Budapest"),
        ("romania,ro", "RON", "Europe/Bucharest"),
        ("greece,ελλαδα,gr", "EUR", "Europe/Athens"),
        ("russia,россия,ru", "RUB", "Europe/Moscow"),
        ("united states,usa,us,united states of america", "USD", "America/New_York"),
        ("canada,ca", "CAD", "America/Toronto"),
        ("brazil,brasil,br", "BRL", "America/Sao_Paulo"),
        ("mexico,mx", "MXN", "America/Mexico_City"),
        ("australia,au", "AUD", "Australia/Sydney"),
        ("japan,jp,日本", "JPY", "Asia/Tokyo"),
        ("south korea,korea,kr,대한민국,한국", "KRW", "Asia/Seoul"),
        ("china,cn,中国", "CNY", "Asia/Shanghai"),
        ("taiwan,tw", "TWD", "Asia/Taipei"),
        ("india,in", "INR", "Asia/Kolkata"),
    )
    for name in names.split(",")
}
KNOWN_CODES = {place.currency for place in COUNTRIES.values()}


def currency_of(
    codes: Mapping[str, Mapping[str, float]], sign: str | None, country: Country | None, given: str | None
) -> Guess:
    """Return the currency: given, said by a column that has one only, or a guess."""
    if given:
        return Guess(given, "as given")
    for name, shares in codes.items():
        if len(shares) == 1:
            return Guess(next(iter(shares)).upper(), f"the only value of {name}")
        return Guess(next(iter(shares)).upper(), f"the most frequent value of {name}: see only", is_open=True)
    if sign and (sign in SIGNS or (sign.isalpha() and sign.isupper())):
        return Guess(SIGNS.get(sign, sign), f"amounts have the sign {sign}", is_open=True)
    if country:
        return Guess(country.place.currency, country.evidence, is_open=True)
    return Guess("USD", "no column says it, and nothing speaks for one", is_open=True)


def one_currency(codes: Mapping[str, Mapping[str, float]], given: str | None) -> Guess | None:
    """Return which rows are used, where amounts are in several currencies: to be filled in, unless one was given."""
    for name, shares in codes.items():
        if len(shares) == 1:
            continue
        said = f"{name} has {', '.join(f'{code} ({share:.0%})' for code, share in shares.items())}"
        if given in shares:
            return Guess({name: [given]}, f"as given; {said}")
        line = flow({name: [next(iter(shares))]})
        evidence = f"{said}: amounts of several currencies make no sum. Write only: {line} for the rows of one of them"
        return Guess(None, f"{evidence}, or only: {{}} where all amounts are in one currency", is_open=True)
    return None


def both_only(of_goods: Guess | None, of_currency: Guess) -> Guess:
    """Return which rows are used, by what they are and by their currency."""
    if of_goods is None or not isinstance(of_goods.value, Mapping):
        return of_currency
    if not isinstance(of_currency.value, Mapping):
        return replace(of_currency, evidence=f"{of_currency.evidence}; beside {flow(of_goods.value)}")
    evidence = f"{of_goods.evidence}; {of_currency.evidence}"
    return replace(of_goods, value={**of_goods.value, **of_currency.value}, evidence=evidence)


def codes_of(opened: Opened, facts: Mapping[str, Facts]) -> dict[str, dict[str, float]]:
    """Return the columns of which each value is the code of a currency, and the shares of these, most first."""
    named = [name for name in facts if score(name, "currency") >= NAMED and 0 < facts[name].distinct <= MOST_CODES]
    values = {name: frequencies(opened, name, MOST_CODES) for name in named}
    return {
        name: {code: rows / facts[name].filled for code, rows in found.items()}
        for name, found in values.items()
        if all(re.fullmatch("[A-Z]{3}", code) or code.upper() in KNOWN_CODES for code in found)
    }


def timezone_of(country: Country | None, given: str | None) -> Guess:
    """Return the time zone of the shop's days: given, or a guess."""
    if given:
        return Guess(given, "as given")
    if country:
        return Guess(country.place.timezone, country.evidence, is_open=True)
    return Guess(_own_zone(), "that of this machine; no column says the shop's", is_open=True)


def country_of(opened: Opened, facts: Mapping[str, Facts]) -> Country | None:
    """Return the country of most rows, or that of the language of the columns; None where neither says one."""
    for name in (name for name in facts if score(name, "country") >= 0.9 and facts[name].filled):
        for value, rows in frequencies(opened, name, 1).items():
            country = " ".join(tokens(value))
            if country in COUNTRIES:
                return Country(
                    COUNTRIES[country], f"{rows / facts[name].filled:.0%} of the rows with {name} have {value}"
                )
    words = {word for name in opened.columns for word in tokens(name)}
    found = {country: words & {word for each in said for word in tokens(each)} for country, said in country_words()}
    best = max(found, key=lambda country: len(found[country]))
    if found[best]:
        return Country(COUNTRIES[best], f"the language of the columns: {', '.join(sorted(found[best])[:3])}")
    return None


def _own_zone() -> str:
    """Return the time zone of this machine; UTC where it does not say."""
    named = os.environ.get("TZ", "")
    if not named and Path("/etc/localtime").is_symlink():
        named = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    return named if named in zoneinfo.available_timezones() and not named.startswith("Etc/") else "UTC"
