"""A mapping for the user's own tables: guessed, written to a file with what speaks for each line."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from experiments.workflow.shipped import CONF
from features.errors import InputError
from features.sources.guess import Answer, Draft, Given, guess
from features.sources.guess.databases import is_url
from features.sources.guess.given import COLUMNS
from features.sources.shop_config import check_shop_name
from features.writing import replacing

UNTOUCHED = "# init may write over this file as long as nobody changes it: "


@dataclass(frozen=True)
class Written:
    """A mapping on disk.

    Attributes
    ----------
    file : pathlib.Path
    draft : Draft
    header : str
        Comment that the file begins with.
    config_dir : path, optional
        The configuration folder, unless it is the project's own.
    next : str
        The command to type next.
    """

    file: Path
    draft: Draft
    header: str
    config_dir: str | Path | None
    next: str

    def place(self, key: str) -> str:
        """Return the file and the line of a key, for messages."""
        return f"{self.file}, line {self.draft.line_of(key, self.header)}"


def write_mapping(
    shop: str,
    path: str,
    folder: str | Path = "conf",
    currency: str | None = None,
    timezone: str | None = None,
    answer: Answer | None = None,
    given: Given | None = None,
) -> Written:
    """Guess how a shop's tables are mapped, and write it to <folder>/data/<shop>.yaml.

    Parameters
    ----------
    shop : str
        Lower-case letters, digits and _.
    path : str
        A file, several with commas between them, a pattern, a folder, or the address of a database.
    folder : path
        A configuration folder; made where it is missing.
    currency, timezone : str, optional
        Those of the shop, where they are known.
    answer : callable, optional
        Of the draft and its open keys: fills in what no table says, such as by asking.
    given : mapping, optional
        What the user settles: canonical columns, such as {"amount": "Total", "line_discount": None}, `date_format`,
        `status`, `only`, `order_key`.

    Raises
    ------
    InputError
        If the file is there already and was changed since it was guessed, or the path has no lines of orders.
    """
    check_shop_name(shop, "the name of the shop")
    file = Path(folder) / "data" / f"{shop}.yaml"
    taken = file if file.exists() else CONF / "data" / f"{shop}.yaml"
    if taken.exists() and not (taken == file and is_untouched(file)):
        raise InputError(
            f"there is a mapping of {shop} already, and init writes over none that was changed",
            where=str(taken),
            hint=f"choose another name, or take it away first: mv {file} {file}.old"
            if taken == file
            else "choose another name: this one comes with the project",
        )
    template = _template("files") | (_template("database") if is_url(path) else {})
    with TemporaryDirectory() as scratch:
        draft = guess(shop, path, template, Path(scratch), currency, timezone, answer, given)
    config_dir = None if Path(os.path.abspath(folder)) == CONF else folder
    command = f"experiments data {f'--config-dir {shlex.quote(str(config_dir))} ' if config_dir else ''}data={shop}"
    written = Written(file, draft, _header(shop, path, draft.begins_from, command), config_dir, command)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial:
        partial.write_text(_sealed(written.draft.text(written.header)), encoding="utf-8")
    return written


def is_untouched(file: Path) -> bool:
    """Check whether a mapping is as `write_mapping` left it: its last line says so."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return text == _sealed(text[: text.rfind(UNTOUCHED)])


def _sealed(text: str) -> str:
    return f"{text}{UNTOUCHED}{sha256(text.encode()).hexdigest()[:16]}\n"


def check_known(written: Written) -> None:
    """Refuse to go on with a mapping that lacks what no column says, or that cannot be staged.

    Raises
    ------
    InputError
        It names the lines to edit.
    """
    unknown, problem = written.draft.unknown(), written.draft.problem
    if unknown:
        raise InputError(
            f"these tables do not say all that a mapping needs: {', '.join(key.rpartition('.')[2] for key in unknown)}",
            where=written.place(unknown[0]),
            expected="a value for each ???",
            found="\n            ".join(
                f"line {written.draft.line_of(key, written.header)}: {written.draft[key].comment}" for key in unknown
            ),
            hint="fill in these lines; or type the command again with what they lack, such as "
            f"{_example(unknown[0], written)}, or path=FOLDER where other files say it",
        )
    if problem is not None:
        raise _of_mapping(problem, written)


@contextmanager
def naming_lines(written: Written) -> Iterator[None]:
    """Name the lines to edit in what stops the staging of a mapping.

    Raises
    ------
    InputError
        In place of that of the staging.
    """
    try:
        yield
    except InputError as problem:
        raise _of_mapping(problem, written) from problem


def _of_mapping(problem: InputError, written: Written) -> InputError:
    keys = re.findall(r"data\.([\w.]+)=", problem.hint or "")
    there = [key for key in keys if written.draft.has(key)]
    return InputError(
        problem.problem,
        where=f"{written.place(there[0]) if there else written.file}; {problem.where}",
        expected=problem.expected,
        found=problem.found,
        hint=f"edit the mapping, where data. is its top: {problem.hint}" if problem.hint else None,
    )


def _example(key: str, written: Written) -> str:
    """Return the argument of `init` that settles a key."""
    ways = [way.partition("=")[0] for way in written.draft[key].others if re.match(r"\w+=", way)]
    name = ways[0] if ways else key.rpartition(".")[2]
    return f"{name}=COLUMN" if name in COLUMNS else f"{name}=..."


def _template(name: str) -> dict[str, Any]:
    """Return a file of conf/data/ as it stands."""
    return yaml.safe_load((CONF / "data" / f"{name}.yaml").read_text(encoding="utf-8"))


def _header(shop: str, path: str, begins_from: str, command: str) -> str:
    return (
        f"How the tables of {shop} are read, as `experiments init` guessed it from {path}. Comments say what speaks "
        "for a line, and what else it could be. Keys that are not here are those of data="
        f"{begins_from}, which explains them.\n"
        f"Fill in each ???, then type: {command}"
    )
