"""Progress of long work: a bar in a terminal, a line for each tenth in a log file."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:  # takes a while to import, and is needed in a terminal alone
    from tqdm import tqdm

logger = logging.getLogger(__name__)

Step = TypeVar("Step")

_bars: list[tqdm[Any]] = []  # those that are shown


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
    **bar
        Options of `tqdm`.
    """

    def __init__(self, what: str, total: int | None, unit: str, done: int = 0, **bar: Any) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._tenth = self._tenths(done)
        self._bar: tqdm[Any] | None = None  # a disabled one creates semaphores, which a killed process leaves behind
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=what, unit=f" {unit}", **bar)
            _bars.append(self._bar)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
            _bars.remove(self._bar)

    def to(self, done: int, note: str = "") -> None:
        """Show how many steps are done, with a note such as the best value so far."""
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
        elif (tenth := self._tenths(done)) > self._tenth:
            self._tenth = tenth
            said = f"{done:,} of {self._total:,} {self._unit}"
            logger.info("%s: %s%s", self._what, said, f", {note}" if note else "")

    def _tenths(self, done: int) -> int:
        return 10 * done // self._total if self._total else 0


def steps(of: Iterable[Step], what: str, total: int, unit: str) -> Iterator[Step]:
    """Yield each step, and show how many are done."""
    with Progress(what, total, unit) as progress:
        for done, step in enumerate(of, start=1):
            yield step
            progress.to(done)


def beside_bars() -> AbstractContextManager[None]:
    """Clear the bars while a line is written, or it would be tangled with one."""
    return _bars[0].external_write_mode(file=sys.stderr) if _bars else nullcontext()
