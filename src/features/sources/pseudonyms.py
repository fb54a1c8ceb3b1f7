"""Pseudonyms: a keyed hash in place of each customer's id, in all that is written."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterable

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.engines import DuckDB
from features.errors import InputError

KEY = "EXPERIMENTS_PRIVACY_KEY"
LEAST_CHARACTERS = 16
DIGITS = 32  # hexadecimal: of a million customers two share one with a chance below 1e-26
IDENTIFYING = {"identities": ("id", "customer_id")}  # columns of a table, where they are others than customer_id


class Pseudonyms:
    """Pseudonyms by one key: the first 32 digits of HMAC-SHA256(key, id).

    Without the key, an id cannot be found by trying all ids, as it could for a plain hash of short numbers. The same
    key gives the same pseudonyms, so that new data meet the old.

    Parameters
    ----------
    key : str
        A secret of at least 16 characters.

    Examples
    --------
    >>> Pseudonyms("a key for this example").of(["12347"])
    ['be4591f03d1d56d3b14bdd56031345bb']
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    @classmethod
    def by_environment(cls) -> Pseudonyms:
        """Take the key from the environment.

        Raises
        ------
        InputError
            If it is absent or short.
        """
        key = os.environ.get(KEY, "")
        if len(key) < LEAST_CHARACTERS:
            raise InputError(
                "pseudonyms need a key",
                where=f"environment variable {KEY}",
                expected=f"a secret of at least {LEAST_CHARACTERS} characters",
                found=f"{len(key)} characters" if key else "none",
                hint=f'export {KEY}="$(openssl rand -hex 32)", and keep it: with another key, customers are others',
            )
        return cls(key)

    @property
    def fingerprint(self) -> str:
        """Text that differs between keys and does not give them away."""
        return self._hashed("")

    def of(self, ids: Iterable[str]) -> list[str]:
        """Return the pseudonym of each id."""
        return [self._hashed(each) for each in ids]

    def typed(self, customer: str) -> str:
        """Return the pseudonym of a customer whom a user names by the id or by the pseudonym itself."""
        return customer if re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", customer) else self._hashed(customer)

    def within(self, name: str, table: ir.Table, engine: DuckDB) -> ir.Table:
        """Put pseudonyms in place of the ids of customers in a canonical table.

        Parameters
        ----------
        name : str
            Canonical name of the table.
        table : ibis table
        engine : DuckDB
            Holds the distinct ids while they are hashed.
        """
        for column in IDENTIFYING.get(name, ("customer_id",)):
            if column not in table.columns:
                continue
            ids = engine.connection.to_pyarrow(table.select(column).distinct())[column].drop_null()
            known = ibis.memtable(pa.table({"of": ids, "pseudonym": self.of(ids.to_pylist())}))
            joined = table.left_join(known, table[column] == known["of"])
            table = joined.select(**{each: table[each] for each in table.columns} | {column: known.pseudonym})
        return table

    def _hashed(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()[:DIGITS]
