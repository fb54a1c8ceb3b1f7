"""Addresses of databases as texts: the drivers that they imply, and the names under which they hold secrets."""

from __future__ import annotations

import re

DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}  # of an address that names none

# Names of parameters and keys that hold a secret. Paths of files are none, such as passfile, sslkey, credentials_path.
SECRET = (
    r"passw|passphrase|passcode|\bpass\b|\bpwd\b|secret|token|credential(?!s_(?:path|file))|"
    r"(?:private|api|access|account|shared|encryption)_?key"
)


def is_secret(name: str) -> bool:
    """Check whether what has this name is not to be shown.

    >>> [name for name in ("passwd", "PWD", "passfile", "order_key", "private_key", "sslkey") if is_secret(name)]
    ['passwd', 'PWD', 'private_key']
    """
    return re.search(SECRET, name, re.IGNORECASE) is not None
