"""Addresses of databases as texts: the drivers that they imply, and what in them is not to be shown."""

from __future__ import annotations

import re

DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}  # of an address that names none

# Names of parameters and keys that hold a secret. Paths of files are none, such as passfile, sslkey, credentials_path.
SECRET = (
    r"passw|passphrase|passcode|\bpass\b|(?<![a-z])pwd\b|secret|token|credential(?!s_(?:path|file))|"
    r"\bsig\b|accesssignature|(?:private|api|access|account|shared|encryption)[_.-]?key"
)
PAIR = re.compile(rf"(?i)([^;={{}}]*(?:{SECRET})[^;={{}}]*=\s*)(\{{[^}}]*\}}|[^;]*)")  # of ODBC: PWD=...;
PARAMETER = re.compile(r"([?&][\w.-]+=)[^&]*")


def is_secret(name: str) -> bool:
    """Check whether what has this name is not to be shown.

    >>> [name for name in ("passwd", "DB_PWD", "passfile", "order_key", "account.key", "sslkey") if is_secret(name)]
    ['passwd', 'DB_PWD', 'account.key']
    """
    return re.search(SECRET, name, re.IGNORECASE) is not None


def without_pairs(text: str) -> str:
    """Return a text of ODBC with `***` for its secrets.

    >>> without_pairs("DRIVER={ODBC};UID=shop;PWD={a;b};SERVER=x")
    'DRIVER={ODBC};UID=shop;PWD=***;SERVER=x'
    """
    return PAIR.sub(r"\1***", text)


def secret_pairs(text: str) -> list[str]:
    """Return the secrets of a text of ODBC, without their braces."""
    return [found[2].strip("{}") for found in PAIR.finditer(text)]


def masked_address(text: str, ends: str = r"\s") -> str:
    """Return a text with `***` for the password and for all parameters of the addresses in it.

    What stands alone before the `@` is a user's name in addresses of databases, but a token in those of the web.

    Parameters
    ----------
    text : str
    ends : str
        Class of the marks that end an address, as a regular expression has it between brackets.
    """
    text = re.sub(rf"(https?://)[^:/@?#{ends}]+@", r"\1***@", text)
    text = re.sub(rf"(://[^:/@\n]*):(?:(?!://)[^@\n])*@(?:[^@/{ends}]*@)*", r"\1:***@", text)  # up to the last @
    return re.sub(rf"://[^{ends}?]*\?[^{ends}]*", lambda found: PARAMETER.sub(r"\1***", found[0]), text)
