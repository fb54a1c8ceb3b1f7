"""Progress of long work: a bar in a terminal, a line for each tenth in a log file.

A process that another one started for a part of its work shows nothing itself: it hands its progress on, and the one
that has the terminal shows it (`hand_on`, `Relay`). So bars of several processes stand below each other.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any, Self, TextIO, TypeVar

if TYPE_CHECKING:  # takes a while to import, and is needed in a terminal alone
    from tqdm import tqdm

logger = logging.getLogger(__name__)

Step = TypeVar("Step")

SELDOM = 10.0  # seconds between lines about work that is short as a rule
MARK = "\x01"  # begins the lines in which progress is handed on

_bars: dict[int, tqdm[Any]] = {}  # those that are shown, by number: bars are equal where their positions are
_numbers = count()
_handed_to: TextIO | None = None  # set in a process that shows nothing itself
_about: ContextVar[str] = ContextVar("about", default="")


@contextmanager
def about(what: str) -> Iterator[None]:
    """Say in lines and bars what work is about, such as a task, as `labelled` puts it before them."""
    before = _about.set(what)
    try:
        yield
    finally:
        _about.reset(before)


def labelled(text: str) -> str:
    """Return a text behind what the work is about, where it is said."""
    return f"{_about.get()} | {text}" if _about.get() else text


class Progress:
    """Progress of one piece of work.

    Parameters
    ----------
    what : str
    total : int or None
        Number of steps. If it is unknown, a log file gets no line.
    unit : str
        Plural of what is counted.
    done : int
        Steps that are done already.
    every : float
        A log file gets a line after so many seconds at the earliest: none about work that is done by then. Above 0
        the bar too comes late, and goes when the work is done.
    **bar
        Options of `tqdm`.
    """

    def __init__(
        self, what: str, total: int | None, unit: str, done: int = 0, *, every: float = 0.0, **bar: Any
    ) -> None:
        self._what, self._total, self._unit = what, total, unit
        bar = {**({"leave": False, "delay": 1.0} if every else {}), **bar}
        self._tenth = self._tenths(done)
        self._every, self._said = every, time.monotonic()
        self._bar: tqdm[Any] | None = None  # a disabled one creates semaphores, which a killed process leaves behind
        self._number = next(_numbers)
        if _handed_to is not None:
            self._hand_on(begun={"what": what, "total": total, "unit": unit, "done": done, "every": every, **bar})
        elif sys.stderr.isatty() and not (total and done >= total):  # nothing is left to show
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=labelled(what), unit=f" {unit}", **bar)
            _bars[self._number] = self._bar

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if _handed_to is not None:
            self._hand_on(ended=True)
        if self._bar is not None:
            self._bar.close()
            del _bars[self._number]

    def to(self, done: int, note: str = "") -> None:
        """Show how many steps are done, with a note such as the best value so far."""
        if _handed_to is not None:
            self._hand_on(done=done, note=note)
        elif self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
        elif (tenth := self._tenths(done)) > self._tenth and time.monotonic() - self._said >= self._every:
            self._tenth, self._said = tenth, time.monotonic()
            said = f"{done:,} of {self._total:,} {self._unit}"
            logger.info("%s: %s%s", self._what, said, f", {note}" if note else "")

    def _tenths(self, done: int) -> int:
        return 10 * done // self._total if self._total else 0

    def _hand_on(self, **content: Any) -> None:
        assert _handed_to is not None
        print(f"{MARK}{json.dumps({'number': self._number, **content})}", file=_handed_to, flush=True)


def hand_on(to: TextIO | None) -> None:
    """Write the progress of this process to a stream, whose reader shows it by a `Relay`; None shows it here again."""
    global _handed_to
    _handed_to = to


class Relay:
    """Progress of another process, by the lines in which it is handed on."""

    def __init__(self) -> None:
        self._shown: dict[int, Progress] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for progress in self._shown.values():  # of a process that was killed
            progress.__exit__()

    def show(self, line: str) -> bool:
        """Show what a line says; return False if it is another line of the process."""
        if not line.startswith(MARK):
            return False
        content = json.loads(line.removeprefix(MARK))
        number = content.pop("number")
        if "begun" in content:
            self._shown[number] = Progress(**content["begun"])
        elif "ended" in content:
            self._shown.pop(number).__exit__()
        else:
            self._shown[number].to(**content)
        return True


def steps(of: Iterable[Step], what: str, total: int, unit: str, every: float = 0.0) -> Iterator[Step]:
    """Yield each step, and show how many are done."""
    with Progress(what, total, unit, every=every) as progress:
        for done, step in enumerate(of, start=1):
            yield step
            progress.to(done)


def beside_bars() -> AbstractContextManager[None]:
    """Clear the bars while a line is written, or it would be tangled with one."""
    shown = list(_bars.values())  # another thread may end one meanwhile
    return shown[0].external_write_mode(file=sys.stderr) if shown else nullcontext()
