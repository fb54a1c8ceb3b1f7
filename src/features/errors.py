"""The exception for mistakes that the user can correct, and the wording that all of them share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import NoneType

SHOWN_VALUES = 5
TYPES_IN_YAML: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "None": NoneType,
    "Sequence": (list, tuple),
    "Mapping": dict,
}


class InputError(ValueError):
    """A mistake in data, configuration or command that the user can correct.

    The command line prints it without a traceback and exits with code 2.

    Parameters
    ----------
    problem : str
        The mistake, in one sentence that names the thing.
    where : str, optional
        File, table, column or configuration key.
    expected : str, optional
        The right values.
    found : str, optional
        The wrong values: at most five and a count (see `listing`).
    hint : str, optional
        The next thing to type or do.
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

    @property
    def cause(self) -> str:
        """Return the problem and what was found, in one line.

        >>> InputError("there is no tier", where="tiers", found="none").cause
        'there is no tier (none)'
        """
        return f"{self.problem} ({self.found})" if self.found else self.problem

    @property
    def sentence(self) -> str:
        """Return the error in one line of text: problem, details in brackets, what to do next.

        >>> InputError("there is no tier", where="tiers", found="none", hint="did you mean 'VIP'?").sentence
        "there is no tier (where: tiers; found: none). Next: did you mean 'VIP'?"
        """
        parts = (("where", self.where), ("expected", self.expected), ("found", self.found))
        details = "; ".join(f"{label}: {text}" for label, text in parts if text)
        said = _ended(f"{self.problem.rstrip('.')} ({details})" if details else self.problem)
        return " ".join(f"{said} Next: {_ended(self.hint)}".split() if self.hint else said.split())


class UnsuitableDataError(InputError):
    """A refusal of the data by one model, or by all; a wrong parameter is an `InputError` only."""


class InsufficientDataError(UnsuitableDataError):
    """Not enough data to train and to evaluate any model of one task."""


class EmptyTableError(InputError):
    """A table without rows."""


def _ended(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error; its type where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def check_type(value: object, annotation: str | type, where: str) -> None:
    """Refuse a value of another type than the one that a signature states.

    Parameters
    ----------
    value : object
    annotation : str or type
        Such as "int", "float | None" or "Sequence[str]", of which the items are not looked at. Whole numbers are
        floats too, booleans are not numbers; a type that YAML does not have is not checked here.
    where : str
        The value's key, for the message.

    Raises
    ------
    InputError
    """
    text = annotation if isinstance(annotation, str) else annotation.__name__
    names = [name.partition("[")[0].strip() for name in text.split("|")]
    if not TYPES_IN_YAML.keys() >= set(names):
        return
    if isinstance(value, bool):
        right = "bool" in names
    else:
        right = any(isinstance(value, TYPES_IN_YAML[name]) for name in names)
    if not right:
        raise InputError(f"{where} has a value of the wrong type", where=where, expected=text, found=repr(value))


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
