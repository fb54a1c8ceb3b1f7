"""Where studies live, and which of their trials nobody works on any more."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from experiments.processes import is_gone
from features.errors import InputError

ORPHAN_AGE = timedelta(seconds=30)  # between a trial's creation and its owner's mark lie milliseconds


def masked(address: str) -> str:
    """An address without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", address)


def open_storage(address: str) -> BaseStorage:
    """A journal file by its path, or any storage Optuna knows by its URL.

    Raises
    ------
    InputError
        If the file cannot be written or the database does not answer.
    """
    try:
        if "://" in address:
            return RDBStorage(address)
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(address, lock_obj=JournalFileOpenLock(address)))
    except Exception as error:
        raise InputError(
            "the study's storage cannot be opened",
            where="tuning.storage",
            expected="a path for a journal file, or a URL such as postgresql://user@host/db",
            found=f"{masked(address)}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        ) from error


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
