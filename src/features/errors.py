"""The one exception for mistakes that the user can mend, and the wording that all of them share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN_VALUES = 5


class InputError(ValueError):
    """A mistake in data, configuration or command that its maker can mend.

    The command line prints it without a traceback and exits with code 2.

    Parameters
    ----------
    problem : str
        What is wrong, in one sentence that names the thing.
    where : str, optional
        File, table, column or configuration key.
    expected : str, optional
        What would have been right.
    found : str, optional
        What came instead: at most five offending values and a count (see `listing`).
    hint : str, optional
        What to do next.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem = problem
        self.where = where
        self.expected = expected
        self.found = found
        self.hint = hint
        parts = (("where", where), ("expected", expected), ("found", found), ("next", hint))
        super().__init__("\n".join([problem, *(f"  {label + ':':<9} {text}" for label, text in parts if text)]))


def listing(values: Iterable[object], limit: int = SHOWN_VALUES) -> str:
    """Join values for a message: the first `limit` of them, then how many there are in all."""
    items = [str(value) for value in values]
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown}, ... ({len(items):,} in all)"


def did_you_mean(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Suggest the known names nearest to a mistyped one, or list what is known.

    >>> did_you_mean("recencie", ["recency", "frequency", "T"])
    "did you mean 'recency'?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=limit, cutoff=0.6)
    originals = [n for match in near for n in names if n.lower() == match]
    if originals:
        return f"did you mean {' or '.join(repr(n) for n in dict.fromkeys(originals))}?"
    return f"known: {listing(names, limit=30)}"
