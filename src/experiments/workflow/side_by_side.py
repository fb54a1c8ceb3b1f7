"""Tasks searched side by side, the later ones in processes of their own.

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
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from io import TextIOWrapper
from threading import Event, Thread

from experiments.processes import (
    INTERRUPTED,
    USAGE_ERROR,
    collect_rarely,
    exit_code,
    log_to_stderr,
    settle_environment,
    sharing_cores,
    warnings_alone,
)
from experiments.workflow.session import Session
from experiments.workflow.tune import tune
from features.progress import Relay, about, hand_on

logger = logging.getLogger("experiments.workflow.side_by_side")  # also where this is the main module


@contextmanager
def side_by_side(
    sessions: Sequence[Session], n_processes: int
) -> Iterator[tuple[Iterator[Session], Iterator[Session]]]:
    """Yield the sessions that this process is to search, and those that others search meanwhile.

    This process begins with the first session, the others with the last. The first of the second iterator waits until
    all are searched: the search then finds their study and candidate, and continues if a process failed or was killed.

    Parameters
    ----------
    sessions : sequence of Session
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
        ended = [pool.submit(helpers.search) for _ in range(n_others)]

        own: list[Session] = []

        def of_this_process() -> Iterator[Session]:
            while helpers.waiting:
                try:
                    own.append(helpers.waiting.popleft())
                except IndexError:  # another took it in this moment
                    break
                yield own[-1]

        def of_others() -> Iterator[Session]:
            for helper in ended:
                helper.result()
            shared.close()  # whoever failed left its work to this process alone
            for session in sessions:
                if session not in own:
                    with warnings_alone() if session in helpers.ended else nullcontext():  # it logged all else
                        yield session

        try:
            yield of_this_process(), of_others()
        finally:
            helpers.stop()


class _Helpers:
    """Threads, each of which starts one process after the other and relays its log."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.waiting = deque(sessions)
        self._given = {session: pickle.dumps(session) for session in sessions}  # before they have opened anything
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = Event()
        self.ended: set[Session] = set()  # searched to the end

    def search(self) -> None:
        """Search the last waiting session, until none waits."""
        while not self._stopped.is_set():
            try:
                session = self.waiting.pop()
            except IndexError:
                return
            self._search(session)

    def _search(self, session: Session) -> None:
        name = session.question
        with subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, session.registered_name],  # the name is for those who list processes
            stdin=subprocess.PIPE,  # see `main`
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # an interrupt from the keyboard is this process's to answer
        ) as process:
            self._running.add(process)
            assert process.stdin is not None
            assert process.stderr is not None
            with suppress(BrokenPipeError):  # it ended: its exit code says how
                process.stdin.write(self._given[session])
                process.stdin.flush()
            if self._stopped.is_set():
                _close_input(process)
            with about(name), Relay() as relay:
                for line in TextIOWrapper(process.stderr, errors="replace"):
                    if line.strip() and not relay.show(line):
                        logger.info("%s", line.rstrip())
        self._running.discard(process)
        if process.returncode == 0:
            self.ended.add(session)
        if process.returncode not in (0, USAGE_ERROR, INTERRUPTED):
            logger.warning("the search of %s ended with code %d and continues here", name, process.returncode)

    def stop(self) -> None:
        """Start no other search, and interrupt running ones: the same command continues them."""
        self._stopped.set()
        for process in list(self._running):
            _close_input(process)


def _close_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def main() -> None:
    """Search the session that standard input holds.

    The input ends when the process that started this one wants it to stop, or is gone: that interrupts the search.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even if interrupts were ignored when it was started
    collect_rarely()
    settle_environment()
    log_to_stderr()
    hand_on(sys.stderr)
    with open(0, "rb", closefd=False) as given:
        session = pickle.load(given)

    def watch() -> None:
        while os.read(0, 1024):  # not by sys.stdin, whose lock this thread would take along into the interpreter's end
            pass
        _thread.interrupt_main()

    Thread(target=watch, daemon=True).start()
    sys.exit(exit_code(lambda: _search(session)))


def _search(session: Session) -> None:
    log_windows(session)
    tune(session)


def log_windows(session: Session) -> None:
    """Log the cutoffs of a task: how many there are, and the first and the last of each part."""
    splits = session.splits
    parts = {"training": splits.training, "validation": splits.validation, "sealed": splits.sealed_cutoffs}
    said = (
        f"{part} {days[0]}" if len(days) == 1 else f"{part} {len(days)} cutoffs from {days[0]} to {days[-1]}"
        for part, days in parts.items()
    )
    logger.info("%s", "; ".join(said))


if __name__ == "__main__":
    main()
