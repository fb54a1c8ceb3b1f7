"""Tasks searched side by side, the later ones in other processes.

Each task has its own study, draws, runs and models, so the result does not depend on when or where it is searched.
"""

from __future__ import annotations

import _thread
import logging
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from io import TextIOWrapper
from queue import SimpleQueue
from threading import Event, Thread

from experiments.processes import (
    INTERRUPTED,
    USAGE_ERROR,
    collect_rarely,
    exit_code,
    log_to_stderr,
    settle_environment,
    sharing_cores,
)
from experiments.workflow.session import Session
from experiments.workflow.tune import tune
from features.progress import Relay, about, hand_on

logger = logging.getLogger("experiments.workflow.side_by_side")  # also where this is the main module

LENGTH = 8  # bytes
END = "\0end of a search: "  # in the log of a process, before a search's exit code and the number of its version


@contextmanager
def side_by_side(
    sessions: Sequence[Session], n_processes: int
) -> Iterator[tuple[Iterator[Session], Iterator[tuple[Session, int | None]]]]:
    """Yield the sessions that this process is to search, and those that others search meanwhile.

    The others begin with the first sessions, as they have nothing else to do, this process with the next one; whoever
    is done takes the next that waits. The first of the second iterator waits until all are searched. With each comes
    the number of its version; None if a process failed or was killed: the search then continues in this process.

    Parameters
    ----------
    sessions : sequence of Session
        The longest search first.
    n_processes : int
        Including this one.
    """
    n_others = min(n_processes, len(sessions)) - 1
    if n_others < 1:
        yield iter(sessions), iter(())
        return
    helpers = _Helpers(sessions)
    with ThreadPoolExecutor(n_others) as pool, ExitStack() as shared:
        shared.enter_context(sharing_cores(n_others + 1))
        ended = [pool.submit(helpers.search, helpers.waiting.popleft()) for _ in range(n_others)]

        own: list[Session] = []

        def of_this_process() -> Iterator[Session]:
            while helpers.waiting:
                try:
                    own.append(helpers.waiting.popleft())
                except IndexError:  # another took it in this moment
                    break
                yield own[-1]

        def of_others() -> Iterator[tuple[Session, int | None]]:
            for helper in ended:
                helper.result()
            shared.close()  # whoever failed left its work to this process alone
            yield from ((session, helpers.found.get(session)) for session in sessions if session not in own)

        try:
            yield of_this_process(), of_others()
        finally:
            helpers.stop()


class _Helpers:
    """Threads, each of which gives one session after the other to a process of its own and relays its log."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.waiting = deque(sessions)
        self._given = {session: pickle.dumps(session) for session in sessions}  # before they have opened anything
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = Event()
        self.found: dict[Session, int] = {}  # the version of each that was searched to the end

    def search(self, first: Session) -> None:
        """Search a session, then those that wait, until none waits."""
        session: Session | None = first
        while session is not None and not self._stopped.is_set():
            self._search_from(session)
            session = self._next()  # one waits only if the process ended before its time

    def _next(self) -> Session | None:
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def _search_from(self, session: Session) -> None:
        """Start a process and search sessions by it, until none waits or the process ends."""
        with subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, session.registered_name],  # the name is for those who list processes
            stdin=subprocess.PIPE,  # see `main`
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # an interrupt from the keyboard is this process's to answer
        ) as process:
            self._running.add(process)
            assert process.stderr is not None
            log = TextIOWrapper(process.stderr, errors="replace")
            while self._give(process, self._given[session]) and self._relay(log, session) in (0, USAGE_ERROR):
                following = self._next()
                if following is None:
                    self._give(process, pickle.dumps(None))
                    break
                session = following
            code = process.wait()
        self._running.discard(process)
        if code not in (0, INTERRUPTED):
            logger.warning("the search of %s ended with code %d and continues here", session.question, code)

    def _give(self, process: subprocess.Popen[bytes], given: bytes) -> bool:
        """Write to a process; return False if it has ended, or is to stop."""
        assert process.stdin is not None
        try:
            process.stdin.write(len(given).to_bytes(LENGTH, "big") + given)
            process.stdin.flush()
        except (BrokenPipeError, ValueError):  # ValueError: its input is closed
            _close_input(process)
            return False
        if self._stopped.is_set():
            _close_input(process)
        return True

    def _relay(self, log: TextIOWrapper, session: Session) -> int | None:
        """Relay log and progress of a search up to its end; return its exit code, None if the process ended before."""
        with about(session.question), Relay() as relay:
            for line in log:
                if line.startswith(END):
                    code, *version = map(int, line.removeprefix(END).split())
                    if version:
                        self.found[session] = version[0]
                    return code
                if line.strip() and not relay.show(line):
                    logger.info("%s", line.rstrip())
        return None

    def stop(self) -> None:
        """Start no other search, and interrupt running ones: the same command continues them."""
        self._stopped.set()
        for process in list(self._running):
            _close_input(process)


def _close_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # what is not written yet
        process.stdin.close()


def main() -> None:
    """Search the sessions that standard input gives, each as its length and its pickle, until it gives None.

    The input ends when the process that started this one wants it to stop, or is gone: that interrupts the search.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even if interrupts were ignored when it was started
    collect_rarely()
    settle_environment()
    log_to_stderr()
    hand_on(sys.stderr)
    given: SimpleQueue[bytes] = SimpleQueue()

    def watch() -> None:
        while content := _read(_read_length()):
            given.put(content)
        _thread.interrupt_main()
        given.put(pickle.dumps(None))  # to a process that waits

    Thread(target=watch, daemon=True).start()
    sys.exit(exit_code(lambda: _search_each(given)))


def _search_each(given: SimpleQueue[bytes]) -> int:
    while (session := pickle.loads(given.get())) is not None:
        found: list[int] = []
        code = exit_code(partial(_search, session, found))
        print(END, code, *found, file=sys.stderr, flush=True)
        if code == INTERRUPTED:
            return code
        del session  # with the data that it holds
    return 0


def _search(session: Session, found: list[int]) -> None:
    log_windows(session)
    found.append(tune(session).number)


def log_windows(session: Session) -> None:
    """Log the cutoffs of a task: how many there are, and the first and the last of each part."""
    splits = session.splits
    parts = {"training": splits.training, "validation": splits.validation, "sealed": splits.sealed_cutoffs}
    said = (
        f"{part} {days[0]}" if len(days) == 1 else f"{part} {len(days)} cutoffs from {days[0]} to {days[-1]}"
        for part, days in parts.items()
    )
    logger.info("%s", "; ".join(said))


def _read_length() -> int:
    return int.from_bytes(_read(LENGTH), "big")


def _read(n: int) -> bytes:
    """Read bytes of standard input; none at its end. Not by sys.stdin, whose lock a thread would take along."""
    content = b""
    while len(content) < n:
        part = os.read(0, n - len(content))
        if not part:
            return b""
        content += part
    return content


if __name__ == "__main__":
    main()
