"""Names of columns in words, as a marketer reads them."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "T": "days since the first purchase",
    "frequency": "purchase days after the first",
    "recency": "days from the first to the last purchase",
    "monetary_value": "spend a purchase day",
    "total_spend": "spend so far",
    "p_alive": "chance to be a customer still",
}


def worded(column: str, own: Mapping[str, str] | None = None) -> str:
    """Return a column in words; its name without underscores where there are none for it.

    Parameters
    ----------
    column : str
        One that ends in the options of a question, such as `clv_180d`, has the words of its beginning.
    own : mapping of column to words, optional
        Beside `WORDS`.

    Examples
    --------
    >>> worded("days_since_last_purchase"), worded("T"), worded("clv_180d", {"clv": "expected spend"})
    ('days since last purchase', 'days since the first purchase', 'expected spend (180d)')
    """
    words = {**WORDS, **(own or {})}
    if column in words:
        return words[column]
    stems = [name for name in own or () if column.startswith(f"{name}_")]
    if stems:
        stem = max(stems, key=len)
        return f"{words[stem]} ({column.removeprefix(f'{stem}_').replace('_', ' ')})"
    return column.replace("_", " ")
