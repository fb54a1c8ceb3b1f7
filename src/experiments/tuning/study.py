"""One study: ask for parameters, validate, tell, until the wanted number of trials has finished.

The study's storage is the truth. A trial holds all that is to be known of it (parameters, metrics of
each fold, state, owner, traceback), so that a run in MLflow can be written from it at any time.
"""

from __future__ import annotations

import inspect
import math
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from experiments.processes import mark
from experiments.tuning.storage import fail_stale_trials, open_storage
from features.errors import InputError, check_type

optuna.logging.set_verbosity(optuna.logging.WARNING)

Objective = Callable[[optuna.Trial], float]


class NumberedSampler(BaseSampler):
    """TPE whose draws for a trial depend on the seed, the trial's number and the finished trials alone.

    With one generator for a whole study, a study that is resumed repeats its first draws.
    """

    def __init__(self, seed: int, options: Mapping[str, Any]) -> None:
        self._seed = seed
        self._options = dict(options)
        self._current: tuple[int, TPESampler] | None = None
        self._sampler(0)  # wrong options are refused here, not in the first trial

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
    """How a study runs (conf/tuning/).

    Attributes
    ----------
    n_trials : int
        Finished trials that the study shall have, failed ones counted, interrupted ones not.
    storage : str
    seed : int
    sampler, pruner : mapping
        Options of `TPESampler` and `MedianPruner`.
    """

    n_trials: int
    storage: str
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
        A hash of all that makes trials comparable.

    Raises
    ------
    InputError
        If there is a study of that name for something else: its trials would be taken for this one's.
    """
    if options.n_trials < 1:
        raise InputError(
            "a study needs a trial", where="tuning.n_trials", expected="at least 1", found=str(options.n_trials)
        )
    for key, kind, given in (("sampler", TPESampler, options.sampler), ("pruner", MedianPruner, options.pruner)):
        stated = inspect.signature(kind).parameters  # Optuna would find out in the first trial
        for option in given.keys() & stated.keys():
            check_type(given[option], stated[option].annotation, f"tuning.{key}.{option}")
    try:
        sampler = NumberedSampler(options.seed, options.sampler)
        pruner = MedianPruner(**options.pruner)
    except (TypeError, ValueError) as error:
        raise InputError(
            "the sampler or pruner does not take these options", where="tuning", found=str(error)
        ) from error
    study = optuna.create_study(
        study_name=name,
        storage=open_storage(options.storage),
        sampler=sampler,
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )
    known = study.user_attrs.get("identity")
    if known is None:
        study.set_user_attr("identity", identity)
    elif known != identity:
        raise InputError(
            f"the study {name} was made with other data, features, cutoffs, search space, seed or code",
            where="tuning.study_name",
            hint="choose another tuning.study_name, or leave it null: a name is then made from all of these",
        )
    fail_stale_trials(study)
    return study


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that came to an end of their own: complete, pruned, or failed with a traceback."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state is TrialState.FAIL and "traceback" in trial.user_attrs)
    ]


def feasible(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The complete trials within all constraints."""
    return [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE and all(excess <= 0 for excess in trial.constraints.values())
    ]


def best(study: optuna.Study) -> FrozenTrial:
    """The best complete trial among those within all constraints.

    Raises
    ------
    InputError
        If every trial failed (the last traceback is quoted) or none is within the constraints.
    """
    trials = finished(study)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    within = feasible(trials)
    if within:
        return max(within, key=lambda trial: (trial.value, -trial.number))
    if complete:
        nearest = min(complete, key=lambda trial: max(trial.constraints.values()))
        outside = {name: round(excess, 4) for name, excess in nearest.constraints.items() if excess > 0}
        raise InputError(
            f"none of {len(complete)} complete trials is within the task's guards",
            where=f"study {study.study_name}",
            found=f"trial {nearest.number} comes nearest; outside its guard by: {outside}",
            hint="give more trials (tuning.n_trials), widen search.space, or relax task.guards",
        )
    raise InputError(
        f"all {len(trials)} trials failed",
        where=f"study {study.study_name}",
        found=trials[-1].user_attrs["error"] if trials else "no trial",
        hint="the whole traceback is in the trial's run in MLflow; mend the cause and use another tuning.study_name",
    )


def optimize(
    study: optuna.Study,
    objective: Objective,
    n_trials: int,
    on_finished: Callable[[FrozenTrial], None],
) -> None:
    """Run trials until `n_trials` have finished, whoever ran them.

    A trial whose objective raises is told as failed with its traceback, and the study goes on. An
    interrupt ends the current trial, which does not count, and is raised again.

    Parameters
    ----------
    objective : callable
        Takes the trial, returns the value to maximise; may raise `optuna.TrialPruned`.
    on_finished : callable
        Called with each finished trial.
    """
    done = len(finished(study))
    with tqdm(total=n_trials, initial=min(done, n_trials), desc=study.study_name, unit="trial") as bar:
        _show_best(bar, study)
        while len(finished(study)) < n_trials:
            trial = study.ask()
            trial.set_user_attr("owner", mark())
            on_finished(_run(study, trial, objective))
            bar.update()
            _show_best(bar, study)


def _run(study: optuna.Study, trial: optuna.Trial, objective: Objective) -> FrozenTrial:
    try:
        value = objective(trial)
        if not math.isfinite(value):
            raise ArithmeticError(f"the objective is {value}")
        return study.tell(trial, value)
    except optuna.TrialPruned:
        return study.tell(trial, state=TrialState.PRUNED)
    except Exception as error:
        trial.set_user_attr("traceback", traceback.format_exc())
        trial.set_user_attr("error", traceback.format_exception_only(error)[0].splitlines()[0])
        return study.tell(trial, state=TrialState.FAIL)
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise


def _show_best(bar: tqdm, study: optuna.Study) -> None:
    values = [trial.value for trial in feasible(finished(study))]
    if values:
        bar.set_postfix(best=f"{max(values):.4f}")
