"""A mapping of a shop's own tables in which each line is a guess, with what speaks for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from features.errors import InputError

Key = tuple[str, ...]

PLAIN = r"[^\W\d][\w /-]*(?<! )"
WORDS_OF_YAML = {"y", "yes", "n", "no", "true", "false", "on", "off", "null", "none", "nan", "inf", "infinity"}
OPEN = "???"
COLUMN, WIDTH = 40, 120  # where comments begin, and how long lines are


@dataclass(frozen=True)
class Guess:
    """A value of the mapping.

    Attributes
    ----------
    value : object
        Text, number, list or mapping; None where nothing is known.
    evidence : str
        What speaks for it.
    others : tuple of str
        What it could be otherwise, as it would be written.
    is_open : bool
        The file has `???` in its place, with the value as a guess beside it.
    written : str, optional
        What the file has in place of the value, as it stands there: a password comes from elsewhere.
    """

    value: object
    evidence: str = ""
    others: tuple[str, ...] = ()
    is_open: bool = False
    written: str | None = None

    @property
    def comment(self) -> str:
        parts = [f"guess: {flow(self.value)}"] if self.is_open and self.value is not None else []
        parts += [self.evidence] if self.evidence else []
        parts += [f"or: {', '.join(self.others)}"] if self.others else []
        return "; ".join(parts)


@dataclass
class Draft:
    """The mapping of a shop.

    Attributes
    ----------
    guesses : dict of tuple of str to Guess
        By key, such as ("tables", "transactions", "columns", "order_id"), in the order of the file.
    notes : list of str
        What was seen and has no key.
    problem : InputError, optional
        What stops staging with this mapping.
    begins_from : str
        The file of conf/data/ that it begins from.
    """

    guesses: dict[Key, Guess] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problem: InputError | None = None
    begins_from: str = "files"

    def __getitem__(self, key: str) -> Guess:
        return self.guesses[tuple(key.split("."))]

    def has(self, key: str) -> bool:
        return tuple(key.split(".")) in self.guesses

    def add(self, key: str, guess: Guess) -> None:
        self.guesses[tuple(key.split("."))] = guess

    def remove(self, above: str) -> dict[Key, Guess]:
        """Remove the keys below another, and return them."""
        keys = tuple(above.split("."))
        found = [key for key in self.guesses if key[: len(keys)] == keys]
        return {key: self.guesses.pop(key) for key in found}

    @property
    def open_keys(self) -> list[str]:
        """Return the keys that the user fills in."""
        return [".".join(key) for key, guess in self.guesses.items() if guess.is_open]

    def unknown(self) -> list[str]:
        """Return the open keys for which there is not even a guess."""
        return [".".join(key) for key, guess in self.guesses.items() if guess.is_open and guess.value is None]

    def config(self) -> dict[str, Any]:
        """Return the keys as a plain mapping, with guesses in place of `???`."""
        nested: dict[str, Any] = {}
        for (*above, last), guess in self.guesses.items():
            node = nested
            for part in above:
                node = node.setdefault(part, {})
            node[last] = guess.value
        return nested

    def text(self, header: str) -> str:
        """Write the file: a line for each guess, and why."""
        return "\n".join(
            [
                *_comment_lines(header),
                "defaults:",
                f"  - {self.begins_from}",
                "  - _self_",
                *self._lines(),
                *self._end(),
            ]
        )

    def line_of(self, key: str, header: str) -> int:
        """Return the number of the line that has a key."""
        before = len(_comment_lines(header)) + 3
        for number, (written, _) in enumerate(self._keyed_lines(), start=before + 1):
            if written == tuple(key.split(".")):
                return number
        raise KeyError(key)

    def _in_order(self) -> list[tuple[Key, Guess]]:
        """Return the guesses with those of one mapping together, each where its first stands."""
        firsts: dict[Key, int] = {}
        for number, key in enumerate(self.guesses):
            for depth in range(1, len(key) + 1):
                firsts.setdefault(key[:depth], number)
        places = {key: [firsts[key[:depth]] for depth in range(1, len(key) + 1)] for key in self.guesses}
        return sorted(self.guesses.items(), key=lambda item: places[item[0]])

    def _lines(self) -> list[str]:
        return [line for _, line in self._keyed_lines()]

    def _keyed_lines(self) -> Iterator[tuple[Key | None, str]]:
        above: Key = ()
        for key, guess in self._in_order():
            for depth in range(len(key) - 1):
                if key[: depth + 1] != above[: depth + 1]:
                    yield None, f"{'  ' * depth}{flow(key[depth])}:"
            above = key[:-1]
            if isinstance(guess.value, str) and "\n" in guess.value and not guess.is_open:
                yield from _block(key, guess)
                continue
            value = OPEN if guess.is_open else guess.written or flow(guess.value)
            first, *rest = _commented(f"{'  ' * (len(key) - 1)}{flow(key[-1])}: {value}", guess.comment)
            yield key, first
            for line in rest:
                yield None, line

    def _end(self) -> list[str]:
        return ["", *(line for note in self.notes for line in _comment_lines(note)), ""] if self.notes else [""]


def _block(key: Key, guess: Guess) -> Iterator[tuple[Key | None, str]]:
    """Yield a text of several lines, below its comment."""
    indent = "  " * (len(key) - 1)
    for line in _comment_lines(guess.comment):
        yield None, f"{indent}{line}"
    yield key, f"{indent}{flow(key[-1])}: |-"
    for line in str(guess.value).replace("${", "\\${").splitlines():
        yield None, f"{indent}  {line}"


def flow(value: object) -> str:
    """Write a value in YAML's flow style; a text that YAML or Hydra would read as something else in quotes."""
    if isinstance(value, str):
        plain = re.fullmatch(PLAIN, value) and value.lower() not in WORDS_OF_YAML
        return value if plain else json.dumps(value.replace("${", "\\${"), ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return str(value)


def _commented(line: str, comment: str) -> list[str]:
    if not comment:
        return [line]
    column = max(COLUMN, len(line) + 2)
    if column > WIDTH - 40:  # no room beside it
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        return [line, *(f"{indent}# {part}" for part in wrap(comment, WIDTH - len(indent) - 2))]
    first, *rest = wrap(comment, WIDTH - column - 2)
    return [f"{line:<{column}}# {first}", *(f"{'':<{column}}# {part}" for part in rest)]


def _comment_lines(text: str) -> list[str]:
    return [f"# {line}" if line else "#" for part in text.splitlines() for line in wrap(part, WIDTH - 2) or [""]]
