"""The spelling of a value of the data in a feature's name, such as SOFT_DRINKS in `category_share.SOFT_DRINKS`.

A name is a column in Parquet, pandas and SQL, an entry of a YAML list and of a command line, an input of an MLflow
signature and a feature of LightGBM, which turns spaces into underscores and refuses the special characters of JSON.
All of them take these as they are: letters and digits of any script, `_`, `-`, `/` and `.`.
"""

from __future__ import annotations

import re

_PLAIN = r"[\w/-]"
_ESCAPED = r"\.[0-9A-F]{2}"


def spell(value: str) -> str:
    """Spell a value: spaces become underscores, any other special character its bytes in UTF-8, `.26` for `&`.

    >>> spell("SOFT DRINKS"), spell("M&M's"), spell("음료/차")
    ('SOFT_DRINKS', 'M.26M.27s', '음료/차')
    """
    return "".join(
        character if re.fullmatch(_PLAIN, character) else "".join(f".{byte:02X}" for byte in character.encode())
        for character in value.replace(" ", "_")
    )


def read(spelling: str) -> str | None:
    """Return the value, with underscores for spaces; None if no value is spelled this way.

    >>> read("SOFT_DRINKS"), read("M.26M.27s"), read("M&M's")
    ('SOFT_DRINKS', "M&M's", None)
    """
    if not re.fullmatch(f"(?:{_PLAIN}|{_ESCAPED})+", spelling):
        return None
    runs = re.compile(f"(?:{_ESCAPED})+")
    try:
        value = runs.sub(lambda run: bytes.fromhex(run[0].replace(".", "")).decode(), spelling)
    except UnicodeDecodeError:
        return None
    return value if spell(value) == spelling else None
