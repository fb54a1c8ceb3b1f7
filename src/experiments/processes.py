"""Processes: their exit codes, their interrupts, their environment and logs, and their share of the cores."""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from features.errors import InputError
from features.progress import beside_bars, labelled

USAGE_ERROR, INTERRUPTED = 2, 130
OWN_LOGS = ("experiments", "features")
LOG = "EXPERIMENTS_LOG"
# No space, no permission, a limit of size, a missing folder, a file in place of a folder: the user can fix these.
FIXABLE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR),
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")  # the last is joblib's
OBJECTS_BETWEEN_COLLECTIONS = 20_000
SHARED = "EXPERIMENTS_SHARED_CORES"  # names the variables that hold a share, not a value of the user


def exit_code(work: Callable[[], object]) -> int:
    """Run some work and return the exit code of a command.

    Returns
    -------
    int
        The integer that the work returns, or 0. 2 for a user's mistake, which is explained on standard error. 130 after
        an interrupt.
    """
    try:
        code = work()
        return code if isinstance(code, int) else 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        if error.errno not in FIXABLE:
            raise
        where, hint = error.filename or "disk", "fix the cause and repeat the command"
        print(f"error: {InputError(error.strerror, where=where, hint=hint)}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("interrupted; the same command continues from here", file=sys.stderr)
        return INTERRUPTED


def settle_environment() -> None:
    """Set environment variables that libraries read when they are loaded, unless the user has set them."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines per trial, with a server
    os.environ.setdefault("GOMP_SPINCOUNT", "300")  # threads that spin longer starve the threads they wait for


def collect_rarely() -> None:
    """Search for garbage rarely: to search what imports make, which stays, took a seventh of a command's start."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)


class _BesideBars(logging.StreamHandler[TextIO]):
    def emit(self, record: logging.LogRecord) -> None:
        with beside_bars():
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return labelled(super().format(record))


def log_to_stderr() -> None:
    """Send the project's own logs to standard error, without those of its libraries.

    The environment variable EXPERIMENTS_LOG=debug adds lines about what is short as a rule, such as each cutoff.
    """
    handler = _BesideBars()
    handler.setFormatter(logging.Formatter("%(message)s"))
    is_full = os.environ.get(LOG, "").lower() == "debug"
    for name in OWN_LOGS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.DEBUG if is_full else logging.INFO)
        logger.propagate = False


@contextmanager
def to_the_end() -> Iterator[None]:
    """Delay an interrupt until the block has ended; a second interrupt takes effect at once.

    An interrupted transaction keeps its lock as long as its traceback exists, and other processes wait for it.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    heard: list[int] = []

    def note(number: int, frame: object) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        raise KeyboardInterrupt


def cpu_count() -> int:
    """Return the number of cores that this process may use, as joblib counts them."""
    from joblib import cpu_count as usable

    return usable()


@contextmanager
def sharing_cores(n_processes: int) -> Iterator[None]:
    """Limit this process, and those that it starts, to their share of the cores.

    A value of the user for one of `THREADS` in the environment stays.
    """
    from threadpoolctl import threadpool_info, threadpool_limits

    share = str(max(1, cpu_count() // n_processes))
    before = dict(os.environ)
    ours = [name for name in THREADS if name not in before or name in before.get(SHARED, "").split()]
    # Libraries read them when they are loaded; threadpoolctl limits those that are loaded already.
    os.environ.update({**dict.fromkeys(ours, share), SHARED: " ".join(ours)})
    of_loaded = {pool["prefix"]: min(int(share), pool["num_threads"]) for pool in threadpool_info()}
    try:
        with threadpool_limits(of_loaded):
            yield
    finally:
        for name in (*ours, SHARED):
            os.environ.pop(name, None)
            os.environ.update({name: before[name]} if name in before else {})
