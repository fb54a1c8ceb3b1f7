"""One study: draw parameters, validate, store the result, until the requested number of trials has finished.

The study's storage is the source of truth. A trial holds its parameters, the metrics of each fold, its state, owner
and traceback. A run in MLflow can therefore be written from it at any time.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
import traceback
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from experiments.addresses import exclusive
from experiments.tuning.storage import ended, fail, fail_stale_trials, heartbeats, may_finish, new_trial, open_storage
from features.errors import InputError, UnsuitableDataError, check_type, listing
from features.owners import is_gone, is_here, mark
from features.progress import Progress

logger = logging.getLogger(__name__)

optuna.logging.set_verbosity(optuna.logging.WARNING)

Objective = Callable[[optuna.Trial], float]

POLL_SECONDS = 0.2  # between two checks of other processes
WRITING_TIME = 60  # seconds; a trial's run is written within a second of its end


class NumberedSampler(BaseSampler):
    """TPE sampler whose draws depend only on the seed, the trial's number and the finished trials.

    With one random generator per study, a resumed study would repeat its first draws.
    """

    def __init__(self, seed: int, options: Mapping[str, Any]) -> None:
        self._seed = seed
        self._options = dict(options)
        self._current: tuple[int, TPESampler] | None = None
        self._sampler(0)  # wrong options raise here, not in the first trial

    def _sampler(self, number: int) -> TPESampler:
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # `group`: its interface may change, and is pinned
            return TPESampler(seed=seed, **self._options)

    def _of(self, trial: FrozenTrial) -> TPESampler:
        if self._current is None or self._current[0] != trial.number:
            self._current = trial.number, self._sampler(trial.number)
        return self._current[1]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._of(trial).before_trial(study, trial)

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._of(trial).after_trial(study, trial, state, values)


@dataclass(frozen=True)
class StudyOptions:
    """Options of a study (conf/tuning/).

    Attributes
    ----------
    n_trials : int
        Requested number of finished trials. Failed trials count, interrupted ones do not.
    storage : str
    heartbeat_interval, grace_period : int
        Seconds, for storages that have heartbeats.
    seed : int
    sampler, pruner : mapping
        Options of `TPESampler` and `MedianPruner`.
    """

    n_trials: int
    storage: str
    heartbeat_interval: int
    grace_period: int
    seed: int
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]


def open_study(name: str, options: StudyOptions, identity: str) -> optuna.Study:
    """Create the study or join it, and end the trials that a killed worker left running.

    Parameters
    ----------
    name : str
    options : StudyOptions
    identity : str
        A hash of everything that must be equal for trials to be comparable.

    Raises
    ------
    InputError
        If a study of that name has another identity, because its trials would be mixed with these.
    """
    if options.n_trials < 1:
        raise InputError(
            "n_trials is out of range", where="tuning.n_trials", expected="at least 1", found=str(options.n_trials)
        )
    for key, kind, given in (("sampler", TPESampler, options.sampler), ("pruner", MedianPruner, options.pruner)):
        stated = inspect.signature(kind).parameters  # Optuna would raise only in the first trial
        for option in given.keys() & stated.keys():
            check_type(given[option], stated[option].annotation, f"tuning.{key}.{option}")
    try:
        sampler = NumberedSampler(options.seed, options.sampler)
        pruner = MedianPruner(**options.pruner)
    except (TypeError, ValueError) as error:
        raise InputError("the sampler or pruner rejects these options", where="tuning", found=str(error)) from error
    storage = open_storage(options.storage, options.heartbeat_interval, options.grace_period)
    with exclusive(options.storage, f"study {name}"):  # if two processes begin it, one sets its identity
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            sampler=sampler,
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )
        known = study.user_attrs.get("identity")
        if known is None:
            study.set_user_attr("begun", uuid.uuid4().hex)  # differs from that of a deleted study of the same name
            study.set_user_attr("identity", identity)
    if known not in (None, identity):
        raise InputError(
            f"the study {name} was made with other data, features, cutoffs, search space, seed or code",
            where="tuning.study_name",
            hint="choose another tuning.study_name, or leave it null: the name is then derived from all of these",
        )
    fail_stale_trials(study)
    return study


def is_finished(trial: FrozenTrial) -> bool:
    """Return True if a trial ended by itself: complete, pruned, or failed with a traceback."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
        trial.state is TrialState.FAIL and "traceback" in trial.user_attrs
    )


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)]


def writer_of(trial: FrozenTrial) -> Mapping[str, Any] | None:
    """Return the mark of the process that writes a trial's run; None for a trial that was added by hand."""
    return trial.user_attrs.get("owner", {}).get("writer")


def lacks_writer(trial: FrozenTrial) -> bool:
    """Return True if the process that must write a finished trial's run is gone, or is overdue.

    For a process on another machine only the time is known. If it is only slow, the run that it writes later is a
    duplicate and is removed.
    """
    writer = writer_of(trial)
    if writer is None:
        return True
    if is_here(writer):
        return is_gone(writer)
    return abs(time.time() - ended(trial)) > WRITING_TIME


def feasible(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the complete trials within all constraints."""
    return [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE and all(excess <= 0 for excess in trial.constraints.values())
    ]


def worth(trial: FrozenTrial) -> tuple[float, int]:
    """Return the key by which complete trials are ranked: of equal ones the earlier is better."""
    assert trial.value is not None
    return trial.value, -trial.number


def best(study: optuna.Study) -> FrozenTrial:
    """Return the best complete trial within all constraints.

    Raises
    ------
    UnsuitableDataError
        If none of the complete trials is within the constraints, or if models rejected the data in every trial.
    InputError
        If every trial failed for another reason; the message quotes the last error.
    """
    trials = finished(study)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    within = feasible(trials)
    if within:
        return max(within, key=worth)
    if complete:
        nearest = min(complete, key=lambda trial: max(trial.constraints.values()))
        outside = [f"{name} by {excess:.3g}" for name, excess in nearest.constraints.items() if excess > 0]
        raise UnsuitableDataError(
            f"none of {len(complete)} complete trials is within the task's guards",
            where=f"study {study.study_name}",
            found=f"trial {nearest.number} comes nearest, outside the guard on {listing(outside)}",
            hint="run more trials (tuning.n_trials), widen search.space, or relax task.guards",
        )
    hint = "see the traceback in the trial's run in MLflow, fix the cause and use another tuning.study_name"
    if trials and all("refused_data" in trial.user_attrs for trial in trials):
        raise UnsuitableDataError(
            f"models rejected the data in all {len(trials)} trials",
            where=f"study {study.study_name}",
            found=trials[-1].user_attrs["refused_data"],
            hint=hint,
        )
    raise InputError(
        f"all {len(trials)} trials failed",
        where=f"study {study.study_name}",
        found=trials[-1].user_attrs["error"] if trials else "no trial",
        hint=hint,
    )


def failures(study: optuna.Study) -> str:
    """Count the trials that failed, and quote the error that most of them share; "" if none failed."""
    trials = finished(study)
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    if not failed:
        return ""
    errors = Counter(trial.user_attrs["error"] for trial in failed)
    error, count = errors.most_common(1)[0]
    first = next(trial.number for trial in failed if trial.user_attrs["error"] == error)
    return f"{len(failed)} of {len(trials)} trials failed, {count} of them, such as trial {first}, with: {error}"


def optimize(
    study: optuna.Study,
    objective: Objective,
    n_trials: int,
    on_finished: Callable[[FrozenTrial], None],
    *,
    writer: Mapping[str, Any] | None = None,
    go_on: Callable[[], bool] = lambda: True,
    quiet: bool = False,
) -> None:
    """Run trials until exactly `n_trials` of the study have finished, in this process or in others.

    A trial whose objective raises is stored as failed with its traceback, and the study continues. An interrupt ends
    the current trial, which does not count, and is raised again. Other processes may work on the same study. While
    their running trials suffice, this process waits.

    Parameters
    ----------
    objective : callable
        Takes the trial, returns the value to maximise; may raise `optuna.TrialPruned`.
    on_finished : callable
        Called with each trial that this process finished.
    writer : mapping, optional
        Mark of the process that writes the trials' runs; by default this process.
    go_on : callable
        Called before each trial; False stops.
    quiet : bool
        True shows no progress.
    """
    owner = {**mark(), "writer": dict(writer or mark())}
    with StudyProgress(study, n_trials, quiet) as progress:
        while len(progress.update()) < n_trials and go_on():
            trial = _ask(study, n_trials, owner)
            if trial is None:
                fail_stale_trials(study)
                time.sleep(POLL_SECONDS)
                continue
            with heartbeats(study, trial):
                done = _run(study, trial, objective)
            if done is not None and is_finished(done):
                on_finished(done)
            else:
                logger.warning("trial %d sent no heartbeat for too long and does not count", trial.number)


class StudyProgress:
    """Progress of a study's finished trials in all processes, with the best value so far.

    Parameters
    ----------
    study : optuna.Study
    n_trials : int
    quiet : bool
        Show nothing.
    """

    def __init__(self, study: optuna.Study, n_trials: int, quiet: bool = False) -> None:
        self._study, self._shown = study, len(finished(study))
        self._progress = None if quiet else Progress(study.study_name, n_trials, "trials", min(self._shown, n_trials))

    def __enter__(self) -> StudyProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self._progress.__exit__()

    def update(self) -> list[FrozenTrial]:
        """Show the finished trials, and return them."""
        trials = finished(self._study)
        if self._progress is not None and len(trials) > self._shown:
            self._shown = len(trials)
            values = [trial.value for trial in feasible(trials)]
            self._progress.to(self._shown, f"best {max(values):.4f}" if values else "")
        return trials


def _ask(study: optuna.Study, n_trials: int, owner: Mapping[str, Any]) -> optuna.Trial | None:
    """Start a trial and return it. Return None while pending trials may suffice."""
    if _places_taken(study, study.get_trials(deepcopy=False)) >= n_trials:
        return None
    trial = new_trial(study, owner)
    if is_surplus(study, trial.number, n_trials):  # another process took the last place at the same moment
        fail(study, trial.number)
        return None
    return trial


def is_surplus(study: optuna.Study, number: int, n_trials: int) -> bool:
    """Return True if the trials with lower numbers, which all began earlier, may suffice without this one.

    Every running trial has passed this check, so at most `n_trials` finish.
    """
    earlier = [trial for trial in study.get_trials(deepcopy=False) if trial.number < number]
    return _places_taken(study, earlier) >= n_trials


def _places_taken(study: optuna.Study, trials: Sequence[FrozenTrial]) -> int:
    return sum(is_finished(trial) or may_finish(study, trial) for trial in trials)


def _run(study: optuna.Study, trial: optuna.Trial, objective: Objective) -> FrozenTrial | None:
    """Run a trial and store its end; return None if another process ended it as dead in the meantime."""
    try:
        return _tell(study, trial, objective)
    except UpdateFinishedTrialError:
        return None


def _tell(study: optuna.Study, trial: optuna.Trial, objective: Objective) -> FrozenTrial:
    try:
        value = objective(trial)
        if not math.isfinite(value):
            raise ArithmeticError(f"the objective is {value}")
        trial.set_user_attr("ended", time.time())
        return study.tell(trial, value, skip_if_finished=True)
    except optuna.TrialPruned:
        trial.set_user_attr("ended", time.time())
        return study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
    except (UpdateFinishedTrialError, StorageInternalError):  # not an error of the objective
        raise
    except Exception as error:
        trial.set_user_attr("ended", time.time())
        trial.set_user_attr("traceback", traceback.format_exc())
        if isinstance(error, UnsuitableDataError):
            trial.set_user_attr("refused_data", error.problem)
        named = error.cause if isinstance(error, InputError) else traceback.format_exception_only(error)[0]
        trial.set_user_attr("error", named.splitlines()[0])
        return study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
    except BaseException:
        fail(study, trial.number)
        raise
