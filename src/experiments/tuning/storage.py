"""Where studies live, and which of their trials nobody works on any more."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from experiments.processes import is_gone
from features.errors import InputError
from features.writing import named

ORPHAN_AGE = timedelta(seconds=30)  # between a trial's creation and its owner's mark lie milliseconds


def masked(address: str) -> str:
    """An address without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", address)


def open_storage(address: str) -> BaseStorage:
    """A journal file by its path, or any storage Optuna knows by its URL.

    Raises
    ------
    InputError
        If the file is no journal or cannot be written, or the database does not answer.
    """
    try:
        if "://" in address:
            return RDBStorage(address)
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(Journal(address))
    except Exception as error:
        raise InputError(
            "the study's storage cannot be opened",
            where="tuning.storage",
            expected="a path for a journal file, or a URL such as postgresql://user@host/db",
            found=f"{masked(address)}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            hint="choose another tuning.storage, or move away what is there",
        ) from error


class Journal(JournalFileBackend):
    """Optuna's journal file, which holds whole lines only: what a full disk cut off would spoil it for good."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._one_writer = JournalFileOpenLock(path)
        super().__init__(path, lock_obj=self._one_writer)
        with self._path.open("rb") as file:
            first = file.readline()
        if first and not (first.endswith(b"\n") and isinstance(json.loads(first), dict)):
            raise ValueError("the file is no journal of Optuna")

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            with named(self._path):
                super().append_logs(logs)
        except OSError:
            self._cut_to_whole_lines()
            raise

    def _cut_to_whole_lines(self) -> None:
        self._one_writer.acquire()
        try:
            os.truncate(self._path, self._path.read_bytes().rfind(b"\n") + 1)
        finally:
            self._one_writer.release()


def is_stale(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a running trial's worker is gone.

    Workers on other hosts cannot be seen from here: their trials are left alone.
    """
    mark = trial.user_attrs.get("owner")
    if mark is None:
        begun = trial.datetime_start
        return begun is not None and datetime.now() - begun > ORPHAN_AGE
    return is_gone(mark)


def fail_stale_trials(study: optuna.Study) -> list[int]:
    """End the trials whose worker is gone, and say which. Their numbers are not used again."""
    stale = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_stale(trial):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            stale.append(trial.number)
    return stale
