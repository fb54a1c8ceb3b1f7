"""Worker processes of one study. Workers run trials; the main process shows progress, records, and replaces workers.

Workers are spawned, not forked, because DuckDB and OpenMP hold threads in the main process. They only know the study's
storage, and end after their trial if the main process is gone.
"""

from __future__ import annotations

import logging
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import reduction, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from operator import methodcaller
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial

from experiments.processes import sharing_cores
from experiments.tuning.storage import fail_stale_trials
from experiments.tuning.study import POLL_SECONDS, Objective, StudyProgress, finished, optimize, writer_of
from features.errors import InputError, first_line
from features.memory import check_memory
from features.owners import mark

logger = logging.getLogger(__name__)

Join = Callable[[], optuna.Study]
MAX_KILLED = 5  # consecutive workers killed from outside, without a finished trial in between


@dataclass(frozen=True)
class Worker:
    """A process, and the end of a pipe that receives the reason of its failure."""

    process: BaseProcess
    failure: Connection


@dataclass(frozen=True)
class Inherited:
    """A file descriptor that a new process inherits and receives as a number."""

    descriptor: int

    def __reduce__(self) -> tuple[Any, ...]:
        return methodcaller("detach"), (reduction.DupFd(self.descriptor),)


def optimize_with_workers(
    join: Join,
    objective: Objective,
    n_trials: int,
    n_workers: int,
    on_finished: Callable[[FrozenTrial], None],
) -> None:
    """Run trials in several processes until exactly `n_trials` of the study have finished.

    A worker that is killed is replaced; its trial ends and does not count. A worker that fails outside its trials, for
    example because it cannot join the study, ends all work, and its error is raised here.

    Parameters
    ----------
    join : callable
        Opens the study. It must be picklable, and so must the objective.
    objective : callable
    n_trials, n_workers : int
    on_finished : callable
        Called in this process with each finished trial of its workers.
    """
    study, me = join(), mark()
    before = {trial.number for trial in finished(study)}
    with tempfile.TemporaryFile() as work:  # unnamed: data and the storage's password vanish with the processes
        pickle.dump((join, objective, n_trials), work)
        work.flush()
        start = partial(_start, Inherited(work.fileno()), me, n_workers)
        workers: list[Worker] = []
        try:
            for _ in range(min(n_workers, n_trials - len(before))):
                workers.append(start())
            with StudyProgress(study, n_trials) as progress:
                for trial in _finishing(study, n_trials, progress, workers, start):
                    if trial.number not in before and writer_of(trial) == me:
                        on_finished(trial)
        finally:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.process.join()
            fail_stale_trials(study)


def check_memory_of_workers(n_workers: int, rows: int, columns: int) -> None:
    """Check that memory holds the data once for each worker.

    Raises
    ------
    InputError
    """
    if n_workers == 1:  # this process, which already holds the data
        return
    try:
        check_memory(n_workers * rows, columns)
    except InputError as error:
        raise InputError(
            f"{n_workers} workers with {rows:,} rows of {columns} features each do not fit into memory",
            where="tuning.workers",
            found=error.found,
            hint="use fewer workers, fewer cutoffs (evaluation.step_days) or fewer features (features=rfm)",
        ) from error


def _finishing(
    study: optuna.Study, n_trials: int, progress: StudyProgress, workers: list[Worker], start: Callable[[], Worker]
) -> Iterator[FrozenTrial]:
    """Yield the study's finished trials as they come, and replace workers that are killed."""
    seen: set[int] = set()
    killed = 0
    while True:
        trials = progress.update()
        for trial in trials:
            if trial.number not in seen:
                seen.add(trial.number)
                killed = 0
                yield trial
        if len(trials) >= n_trials:
            return
        for worker in [worker for worker in workers if worker.process.exitcode is not None]:
            workers.remove(worker)
            if worker.process.exitcode == 0:  # it has seen the last trial finish
                continue
            _raise_failure(worker)
            killed += 1
            if killed == MAX_KILLED:
                raise InputError(
                    f"{killed} workers were killed in a row, and no trial finished",
                    where="tuning.workers",
                    found=f"the last one was killed by signal {-worker.process.exitcode}",
                    hint="if the system ran out of memory, use fewer workers; the same command continues from here",
                )
            logger.warning("a worker was killed by signal %d and is replaced", -worker.process.exitcode)
            fail_stale_trials(study)
            workers.append(start())
        wait([worker.process.sentinel for worker in workers], POLL_SECONDS)


def _start(work: Inherited, writer: Mapping[str, Any], n_workers: int) -> Worker:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, writer, sender), daemon=True)
    with sharing_cores(n_workers), _without_interrupts():
        process.start()
    sender.close()
    return Worker(process, receiver)


def _work(work: int, writer: Mapping[str, Any], failure: Connection) -> None:
    """Run trials in a worker, and send the reason of a failure to the main process."""
    parent = multiprocessing.parent_process()
    try:
        with mmap.mmap(work, 0, access=mmap.ACCESS_READ) as content:  # workers share a file position, not a map
            join, objective, n_trials = pickle.loads(content)
        os.close(work)
        optimize(join(), objective, n_trials, lambda trial: None, writer=writer, go_on=parent.is_alive, quiet=True)
    except StorageInternalError as error:
        failure.send(StorageInternalError(first_line(error.__cause__ or error)))  # pickling drops the cause
        sys.exit(1)
    except Exception as error:
        failure.send(error if isinstance(error, InputError) else traceback.format_exc())
        sys.exit(1)


def _raise_failure(worker: Worker) -> None:
    """Raise the error that ended a worker, unless the worker was killed."""
    if worker.process.exitcode < 0:
        return
    reason = worker.failure.recv() if worker.failure.poll() else "see its output above"
    if isinstance(reason, InputError | StorageInternalError):
        raise reason
    raise RuntimeError(f"a worker failed with exit code {worker.process.exitcode}:\n{reason}")


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block keyboard interrupts for workers, because the main process handles them."""
    resource_tracker.ensure_running()  # if it started with the first process, it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
