"""`experiments init my_shop path=sales.csv`: guess how the user's own tables are mapped, and show what that gives."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import yaml

from experiments.commands.compose import open_session
from experiments.workflow.data import first_rows_text, profile, profile_text
from experiments.workflow.init import check_known, naming_lines, write_mapping
from features.errors import InputError, did_you_mean
from features.sources.guess import Draft
from features.sources.guess.given import GIVEN, IN_YAML
from features.sources.shop_config import shell_value

USAGE = "experiments init my_shop path=sales.csv"
KEYS = ("path", "currency", "timezone", *GIVEN)

NOTHING = ("none", "null", "")  # in place of a column


def main(arguments: Sequence[str]) -> None:
    shop, words, folder = _read(arguments)
    given = read_given({key: word for key, word in words.items() if key in GIVEN})
    of_shop = {key: word for key, word in words.items() if key not in GIVEN and word}
    answer = _asked if sys.stdin.isatty() else None
    written = write_mapping(shop, folder=folder, answer=answer, given=given, **of_shop)
    print(f"{written.file} is written: read it, as each line is a guess\n")
    print(written.draft.text(written.header))
    check_known(written)
    session = open_session(data=shop, overrides=_guesses(written.draft), config_dir=written.config_dir)
    with naming_lines(written):
        held = profile(session)
    print(profile_text(held))
    print(f"\n{first_rows_text(session)}")
    for key in written.draft.open_keys:
        print(f"\nfill in {key}: {written.place(key)}; {written.draft[key].comment}")
    print(f"\nnext: {written.next}")


def _read(arguments: Sequence[str]) -> tuple[str, dict[str, str], str]:
    """Return the shop, the keys that are given and the configuration folder."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd", default="conf")
    flags, words = parser.parse_known_args(list(arguments))
    names = [word for word in words if "=" not in word and not word.startswith("-")]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    for key in given:
        if key not in KEYS:
            raise InputError(f"init has no key {key!r}", where="experiments init", hint=did_you_mean(key, KEYS))
    if len(names) != 1 or not given.get("path"):
        raise InputError(
            "init needs the name of a shop and the path of its tables",
            where="experiments init",
            expected=USAGE,
            found=shlex.join(arguments) or "nothing",
        )
    return names[0], given, flags.config_dir


def read_given(words: Mapping[str, str]) -> dict[str, object]:
    """Read what is typed: columns as they are called, none where there is no such column; other keys as YAML.

    >>> read_given({"amount": "Total", "line_discount": "none", "order_key": "[receipt, day]"})
    {'amount': 'Total', 'line_discount': None, 'order_key': ['receipt', 'day']}
    """
    found: dict[str, object] = {}
    for key, word in words.items():
        found[key] = None if word.lower() in NOTHING else word
        is_mapping = key == "date_format" and word.startswith("{")  # of files
        if (key in IN_YAML or is_mapping) and found[key] is not None:
            try:
                found[key] = yaml.safe_load(word)
            except yaml.YAMLError:
                raise InputError(
                    f"{key} cannot be read", where=f"{key}=", expected="a list or a mapping in YAML", found=word
                ) from None
    cents = found.get("cents")
    if cents is not None and not isinstance(cents, bool):
        raise InputError("cents has no such value", where="cents=", expected="true or false", found=words["cents"])
    return found


def _guesses(draft: Draft) -> list[str]:
    """Return overrides that stand in for what is to be filled in."""
    return [f"data.{key}={shlex.split(shell_value(draft[key].value))[0]}" for key in draft.open_keys]


def _asked(draft: Draft, keys: Sequence[str]) -> None:
    """Ask at the terminal for what no table says; an empty answer leaves it open."""
    for key in keys:
        answer = input(f"{key} ({draft[key].comment}): ").strip()
        if answer:
            value = _value(answer, draft[key].value)
            draft.add(key, replace(draft[key], value=value, is_open=False, evidence="as answered", others=()))


def _value(answer: str, guess: object) -> object:
    """Read an answer as the mapping would: a list or mapping as YAML; others as texts, unless a number is guessed.

    >>> _value("[receipt, day]", ["receipt"]), _value("receipt", ["receipt"]), _value("0123", None), _value("0.1", 0.2)
    (['receipt', 'day'], ['receipt'], '0123', 0.1)
    """
    try:
        read = yaml.safe_load(answer)
    except yaml.YAMLError:
        return answer
    if isinstance(read, list | dict) or isinstance(guess, int | float):
        return read
    return [answer] if isinstance(guess, list) else answer
