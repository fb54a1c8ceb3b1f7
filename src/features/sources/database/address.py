"""The address of a database: shown without its password, which is hidden in all texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from features.addresses import is_secret, secret_pairs, without_pairs
from features.errors import InputError

EXPECTED = "such as postgresql://shop@host:5432/shop, sqlite:///shop.db or duckdb:///shop.duckdb"
FILES = ("sqlite", "duckdb")  # databases within this process


@dataclass(frozen=True)
class Address:
    """An address and its password.

    Attributes
    ----------
    url : sqlalchemy URL
        With the password; its `repr` hides it.
    """

    url: URL

    @property
    def backend(self) -> str:
        """Return the kind of database, such as "postgresql"."""
        return self.url.get_backend_name()

    @property
    def driver(self) -> str | None:
        """Return the driver that the address names, such as "psycopg"."""
        return self.url.drivername.partition("+")[2] or None

    @property
    def shown(self) -> str:
        """Return the address without password and parameters."""
        return self._public({})

    @property
    def identity(self) -> str:
        """Return all of the address that decides what is read: parameters may name a schema."""
        named = {name: _listed(given) for name, given in self.url.query.items() if not is_secret(name)}
        return self._public({name: [without_pairs(each) for each in given] for name, given in named.items()})

    @property
    def secrets(self) -> set[str]:
        """Return the password and all other secrets of the address."""
        found = {str(self.url.password or "")}
        for name, given in self.url.query.items():
            for value in _listed(given):
                found |= {value} if is_secret(name) else set(secret_pairs(value))
        return found - {""}

    def _public(self, query: Mapping[str, Any]) -> str:
        url = self.url
        public = URL.create(self.backend, url.username, None, url.host, url.port, url.database, query)
        return public.render_as_string()

    def hidden(self, text: str) -> str:
        """Return a text with `***` in place of each secret, however it is spelt."""
        spellings = {spelt for secret in self.secrets for spelt in _spellings(secret)}
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, "***")
        return text


def address(url: Any, password: Any) -> Address:
    """Read `data.url` and `data.password`.

    Raises
    ------
    InputError
        If it is not an address, or it has a second password.
    """
    try:
        read = make_url(re.sub(r"^postgres(?=[:+])", "postgresql", str(url)))  # as PostgreSQL itself spells it
    except (ArgumentError, ValueError):  # the text may hold a password: it is not shown
        raise InputError(
            "data.url is not a valid address of a database",
            where="data.url",
            expected=EXPECTED,
            found=f"a text of {len(str(url))} characters without a scheme, or with a port that is not a number",
        ) from None
    if password is None:
        return Address(read)
    if read.get_backend_name() in FILES:
        raise InputError(
            "data.password has no effect on a file",
            where="data.password",
            expected=f"none for {read.get_backend_name()}",
            found="a password",
            hint="write password: null",
        )
    if read.password is not None:
        raise InputError(
            "the password stands in data.url and in data.password",
            where="data.url",
            expected="one of them",
            hint="write data.url without it: postgresql://user@host/name",
        )
    return Address(read.set(password=str(password)))


def _spellings(secret: str) -> tuple[str, ...]:
    """Return a secret as it is, and as addresses spell it: with all marks escaped, and as SQLAlchemy does."""
    return secret, quote(secret, safe=""), quote_plus(secret), quote(secret, safe=" +")


def _listed(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
