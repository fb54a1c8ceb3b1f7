"""The shared keys of data configs, and checks of configs."""

from __future__ import annotations

import re
import shlex
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.errors import InputError, did_you_mean, listing
from features.sources.meanings import currency_advice, zone_advice
from features.sources.pseudonyms import Pseudonyms
from features.tables import GROSS, NET

SHARED = ("source", "shop", "currency", "timezone", "burn_in_days")
ACCEPTED = "accepted"  # checks whose findings were looked at
CONTACT_DETAILS = "contact_details"  # columns of customers that lists show, and nothing else
PSEUDONYMISE = "pseudonymise"  # a keyed hash in place of ids of customers
NO_GOODS = "no_goods"  # categories of products that are no goods


@dataclass(frozen=True)
class ShopConfig:
    """The part of a data config that every shop has.

    Attributes
    ----------
    name : str
        Names the registered models: lower-case letters, digits and _.
    currency : str
        ISO 4217 code of all money.
    timezone : str
        IANA name of the zone whose midnights begin the shop's days.
    burn_in_days : int
        See `Tables`.
    spend : {"net", "gross"}
        See `Tables`; gross of shops without returns, whose config does not say.
    pseudonyms : Pseudonyms or None
        What stands in place of customers' ids; None where they are written as they are.
    """

    name: str
    currency: str
    timezone: str
    burn_in_days: int
    spend: str
    pseudonyms: Pseudonyms | None = None


def shop_config(config: Mapping[str, Any]) -> ShopConfig:
    """Read the keys that every shop has.

    Raises
    ------
    InputError
        If a value is wrong.
    """
    name, currency, timezone, burn_in = (config[key] for key in SHARED[1:])
    check_shop_name(name, "data.shop")
    if not re.fullmatch(r"[A-Z]{3}", str(currency)):
        raise InputError(
            f"data.currency={currency} is not a valid currency code",
            where="data.currency",
            expected="three capital letters of ISO 4217, such as USD, EUR or KRW",
            found=str(currency),
            hint=currency_advice(str(currency), "data.currency"),
        )
    check_timezone(timezone, "data.timezone")
    if not isinstance(burn_in, int) or isinstance(burn_in, bool) or burn_in < 0:
        raise InputError(
            f"data.burn_in_days={burn_in} is not a valid number of days",
            where="data.burn_in_days",
            expected="a whole number, at least 0",
            found=repr(burn_in),
        )
    spend = config.get("spend", GROSS)
    if spend not in (NET, GROSS):
        raise InputError(
            f"data.spend={spend} is not a valid spend",
            where="data.spend",
            expected="net (what was given back is taken off) or gross",
            found=repr(spend),
        )
    return ShopConfig(
        name=str(name),
        currency=str(currency),
        timezone=str(timezone),
        burn_in_days=burn_in,
        spend=spend,
        pseudonyms=pseudonyms(config),
    )


def pseudonyms(config: Mapping[str, Any]) -> Pseudonyms | None:
    """Return what stands in place of customers' ids, by the key of the environment; None where nothing does.

    Raises
    ------
    InputError
        If there is no key.
    """
    return Pseudonyms.by_environment() if config.get(PSEUDONYMISE) else None


def no_goods(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the categories that are no goods, such as coupons or deposits.

    Raises
    ------
    InputError
        If they are not a list of texts.
    """
    found = config.get(NO_GOODS) or ()
    if isinstance(found, str) or not isinstance(found, Sequence) or not all(isinstance(each, str) for each in found):
        raise InputError(
            f"data.{NO_GOODS} is not a list of categories",
            where=f"data.{NO_GOODS}",
            expected="such as [DEPOSITS]; what could be read as a number or as true is quoted",
            found=repr(found),
        )
    return tuple(found)


def check_shop_name(name: object, where: str) -> None:
    """Refuse a name that cannot be part of a model's.

    Raises
    ------
    InputError
    """
    if not re.fullmatch(r"[a-z0-9_]+", str(name)):
        raise InputError(
            f"{where}={name} cannot name a model",
            where=where,
            expected="lower-case letters, digits and _",
            found=str(name),
            hint=f"data.shop={re.sub('[^a-z0-9]+', '_', str(name).lower()).strip('_') or 'my_shop'}",
        )


def check_keys(config: object, known: Iterable[str], required: Iterable[str], where: str) -> None:
    """Refuse anything but a mapping, unknown keys, and missing values as Hydra leaves them (`???`) or as nulls.

    Raises
    ------
    InputError
        If there are no keys at all, a key is unknown, or a required one has no value.
    """
    known = list(known)
    if not isinstance(config, Mapping):
        raise InputError(
            f"{where} is not a valid mapping",
            where=where,
            expected=f"keys such as {listing(known)}",
            found=repr(config),
        )
    for key in config:
        if key not in known:
            raise InputError(f"unknown key {where}.{key}", where=where, hint=did_you_mean(str(key), known))
    for key in required:
        if config.get(key) in (None, "???", ""):
            raise InputError(
                f"{where}.{key} is not set", where=where, expected=f"a value for {key}", hint=f"add {where}.{key}=..."
            )


def check_timezone(name: object, where: str) -> None:
    """Refuse a time zone that is not in the IANA database.

    Raises
    ------
    InputError
        If there is no such zone.
    """
    try:
        zoneinfo.ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        raise InputError(
            f"there is no time zone {name!r}",
            where=where,
            expected="an IANA name such as Europe/London",
            hint=zone_advice(str(name), where),
        ) from None


def shell_value(value: object) -> str:
    """Write a value as it is typed in a shell, behind the `=` of an override: texts and lists of them in quotes.

    Without quotes, a shell splits texts at blanks and takes brackets for a pattern, and Hydra reads 8 as a number.
    """
    return shlex.quote(_nested(value))


def _nested(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_nested(each)}' for key, each in value.items())}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_nested, value))}]"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """Quote a text for Hydra, where a backslash escapes a quote, or a backslash before one."""
    escaped = re.sub(r'(\\*)("|\Z)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), text)
    return f'"{escaped}"'
