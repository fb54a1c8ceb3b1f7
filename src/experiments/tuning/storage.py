"""Storage of studies: journal files and databases, owners of trials, and trials whose worker has died."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from experiments.addresses import exclusive, lock_file, masked, open_lock, with_driver
from features.checksums import NAME as CHECKSUM
from features.checksums import text_checksum
from features.errors import InputError, first_line
from features.owners import is_gone, is_here
from features.writing import named

logger = logging.getLogger(__name__)

BIRTH = 60  # seconds


def open_storage(address: str, heartbeat_interval: int, grace_period: int) -> BaseStorage:
    """Open a journal file by its path, or a database by its URL.

    Parameters
    ----------
    address : str
    heartbeat_interval, grace_period : int
        Seconds between two heartbeats of a trial, and seconds without one after which it counts as dead. Only
        databases have heartbeats.

    Raises
    ------
    InputError
        If the file is not a journal or cannot be written, or the database does not answer.
    """
    try:
        if "://" in address:
            with exclusive(address, "tables"), warnings.catch_warnings():  # two processes that create them race
                warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats
                return RDBStorage(
                    with_driver(address),
                    engine_kwargs={"pool_pre_ping": True},
                    heartbeat_interval=heartbeat_interval,
                    grace_period=grace_period,
                )
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(Journal(address))
    except ImportError as error:
        raise InputError(
            "the driver of the study's database is not installed",
            where="tuning.storage",
            found=f"{masked(address)}: {error}",
            hint="for PostgreSQL: pip install 'psycopg[binary]'",
        ) from error
    except Exception as error:
        raise InputError(
            "the study's storage cannot be opened",
            where="tuning.storage",
            expected="a path for a journal file, or a URL such as postgresql://user@host/db",
            found=masked(f"{address}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"),
            hint="choose another tuning.storage, or move the file away",
        ) from error


@contextmanager
def answering(address: str) -> Iterator[None]:
    """Translate Optuna's error for a database that stopped answering.

    Raises
    ------
    InputError
        In place of Optuna's own error.
    """
    try:
        yield
    except StorageInternalError as error:
        raise InputError(
            "the study's storage stopped answering",
            where=f"tuning.storage={masked(address)}",
            found=masked(first_line(error.__cause__ or error)),
            hint="start it, end the process that locks it or free disk space, then repeat the command: it continues",
        ) from error


class Journal(JournalFileBackend):
    """Optuna's journal file, kept to whole lines with checksums: a partial line would make it unreadable.

    Trials are nowhere else, so a line that was changed is refused, not left out. Lines of older versions have none.
    """

    def __init__(self, path: str) -> None:
        self._journal, self._own_lock = Path(path), JournalLock(path)
        super().__init__(path, lock_obj=self._own_lock)
        self._cut_half_a_line()
        *lines, rest = self._journal.read_bytes().split(b"\n")
        if rest and not lines:
            raise ValueError("the file is not a journal of Optuna")
        for number in sorted({1, len(lines)} if lines else ()):  # Optuna overlooks the last one until it writes more
            if not _is_record(lines[number - 1]):
                raise ValueError(f"line {number} of the file is not one of a journal of Optuna")

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        for number, log in enumerate(super().read_logs(log_number_from), start=log_number_from + 1):
            written = log.pop(CHECKSUM, None)
            if written not in (None, text_checksum(log)):
                raise ValueError(f"line {number} of the journal is not as it was written")
            yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            with named(self._journal):
                super().append_logs([{**log, CHECKSUM: text_checksum(log)} for log in logs])
        except OSError:
            with suppress(OSError):  # the first error names the cause
                self._cut_half_a_line()
            raise

    def _cut_half_a_line(self) -> None:
        self._own_lock.acquire()
        self._own_lock.release()


class JournalLock:
    """Lock of a journal file, which the kernel releases when its process is killed.

    Optuna's own lock is a file that outlives its holder by half a minute. A killed process or a full disk may leave a
    partial line. It is cut off, because its write was never confirmed and the next line would be appended to it.
    """

    def __init__(self, journal: str) -> None:
        self._journal = journal
        self._held: int | None = None

    def acquire(self) -> bool:
        held = open_lock(lock_file(Path(self._journal)))
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            with open(self._journal, "rb+") as file:
                if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                    _cut_last_line(file)
        except BaseException:  # for example if the journal is gone: a lock that was not acquired is never released
            os.close(held)
            raise
        self._held = held
        return True

    def release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _cut_last_line(file: BinaryIO) -> None:
    """Cut off a line without end; where the power failed, a file system may leave zeros in its place."""
    file.seek(0)
    text = file.read()
    begin = text.rfind(b"\n") + 1
    if text.startswith(b"{") and text[begin:].strip(b"\0")[:1] in (b"{", b""):  # other files are left unchanged
        file.truncate(begin)


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def new_trial(study: optuna.Study, owner: Mapping[str, Any]) -> optuna.Trial:
    """Start a trial as `study.ask()` does, but with its owner from the start.

    A process that is killed between `ask` and the record of its owner would leave a trial without owner. Optuna has
    no public function for this, hence the private names.
    """
    study._thread_local.cached_all_trials = None  # as `ask` does
    template = create_trial(state=TrialState.RUNNING, user_attrs={"owner": dict(owner), "begun": time.time()})
    trial_id = study._storage.create_new_trial(study._study_id, template_trial=template)
    if has_heartbeats(study):
        study._storage.record_heartbeat(trial_id)
    return optuna.Trial(study, trial_id)


def has_heartbeats(study: optuna.Study) -> bool:
    """Return True if the storage itself detects a dead worker, on any machine."""
    interval = getattr(study._storage, "get_heartbeat_interval", None)
    return interval is not None and interval() is not None


@contextmanager
def heartbeats(study: optuna.Study, trial: optuna.Trial) -> Iterator[None]:
    """Record heartbeats in the storage while a trial runs, which otherwise only `study.optimize` does."""
    if not has_heartbeats(study):
        yield
        return
    storage, ended = study._storage, threading.Event()

    def beat() -> None:
        while not ended.wait(storage.get_heartbeat_interval()):
            try:
                storage.record_heartbeat(trial._trial_id)
            except StorageInternalError as error:  # the next one may succeed; otherwise the trial itself fails
                logger.warning("the heartbeat of trial %d failed: %s", trial.number, masked(str(error)))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def begun(trial: FrozenTrial) -> float:
    """Return the start of a trial in seconds since 1970; Optuna's own times have no time zone."""
    return trial.user_attrs.get("begun", trial.datetime_start.timestamp())


def ended(trial: FrozenTrial) -> float:
    """Return the end of a finished trial in seconds since 1970."""
    return trial.user_attrs.get("ended", trial.datetime_complete.timestamp())


def is_stale(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Return True if the worker of a running trial is dead and no heartbeat can show it.

    On this machine its process shows it. On another machine the worker may have died before the first heartbeat, which
    comes within milliseconds, as the first parameter does. Clocks may differ: a trial of that age that is ended by
    mistake is drawn again.
    """
    owner = trial.user_attrs.get("owner")
    if owner is None:
        return False
    if is_here(owner):
        return is_gone(owner)
    return has_heartbeats(study) and not trial.params and abs(time.time() - begun(trial)) > BIRTH


def may_finish(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Return True if a running trial may still finish.

    A journal does not show that a trial of another machine is alive, and waiting for a dead one would never end.
    """
    if trial.state is not TrialState.RUNNING:
        return False
    owner = trial.user_attrs.get("owner")
    return has_heartbeats(study) or (owner is not None and is_here(owner))


def fail(study: optuna.Study, number: int) -> None:
    """End a trial without counting it, unless another process has just finished it."""
    with suppress(UpdateFinishedTrialError):
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def fail_stale_trials(study: optuna.Study) -> list[int]:
    """End the trials whose worker has died, and return their numbers, which are not used again.

    A dead worker on another machine is only detected by its missing heartbeats, if the storage has heartbeats.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        if is_stale(study, trial):
            fail(study, trial.number)
    if has_heartbeats(study):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
    still = {trial.number for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}
    return [trial.number for trial in running if trial.number not in still]
