"""Search of models and parameters, and the best of them refitted."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.addresses import exclusive, masked
from experiments.evaluation.metrics import mean_metrics
from experiments.evaluation.validation import Dataset, Folds
from experiments.processes import to_the_end
from experiments.reports.figures import png
from experiments.reports.study_charts import study_figures
from experiments.tuning import storage
from experiments.tuning.ensemble import NAME as ENSEMBLE
from experiments.tuning.ensemble import best_ensemble, labels
from experiments.tuning.objective import ValidationObjective
from experiments.tuning.space import Space, tuned
from experiments.tuning.storage import begun, ended, fail_stale_trials
from experiments.tuning.study import (
    WRITING_TIME,
    StudyOptions,
    best,
    failures,
    finished,
    lacks_writer,
    open_study,
    optimize,
)
from experiments.tuning.trials import param_importances, trial_table
from experiments.tuning.workers import check_memory_of_workers, optimize_with_workers
from experiments.workflow.candidate import check_comparable_champion, make_candidate
from experiments.workflow.config import TuningConfig
from experiments.workflow.session import Session, digest

if TYPE_CHECKING:
    import pandas as pd

    from experiments.tracking.registry import Version
    from experiments.tracking.runs import Runs, TrialRecord

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 1  # between two checks for runs that others write


def tune(
    session: Session, n_trials: int | None = None, study_name: str | None = None, workers: int | None = None
) -> Version:
    """Run the study until it has its trials, wherever an earlier call left it, and refit the best.

    Optuna's storage is the truth: trials that finished without leaving a run in MLflow, because their
    process was killed in between, get it now. The same call on other machines works on the same study.

    Parameters
    ----------
    session : Session
    n_trials : int, optional
        Finished trials that the study shall have; as configured (conf/tuning/) when left out, as are the others.
    study_name : str, optional
    workers : int, optional
        Processes that run trials.

    Returns
    -------
    Version
        The refitted best, registered.
    """
    from experiments.tracking.store import answering

    session = session.with_tuning(n_trials=n_trials, study_name=study_name, workers=workers)
    with answering(session.client), storage.answering(session.config.tuning.storage):
        return _tune(session)


def _tune(session: Session) -> Version:
    task, options = session.task, session.config.tuning
    space = Space(session.config.search.models, session.config.search.space)
    space.check({name: candidate.build().get_params() for name, candidate in task.candidates().items()})

    session.registry.finish_abandoned()
    check_comparable_champion(session)
    folds = session.splits.folds()
    dataset = session.training
    for baseline in task.baselines({}).values():  # fails here if a feature is missing, not after the study
        baseline().fit(dataset.X, dataset.target)
    n_cutoffs = dataset.X.index.unique("cutoff").size
    logger.info("%s rows of %d features at %d cutoffs", f"{len(dataset.X):,}", dataset.X.shape[1], n_cutoffs)

    check_memory_of_workers(options.workers, *dataset.X.shape)
    identity = study_identity(session)
    name = options.study_name or f"{session.registered_name}-{identity[:8]}"
    join = partial(open_study, name, study_options(options), identity)
    study = join()
    runs = session.runs
    alone = partial(exclusive, options.storage, f"study {name}")
    with alone():  # or two that begin it at once would make two parents
        tags = {**session.lineage, "storage": masked(options.storage)}
        parent = runs.resume_study(name, study.user_attrs["begun"], tags)
    status = "FAILED"
    try:
        with alone():
            runs.log(
                parent,
                params={
                    "n_features": len(session.features),
                    "training_cutoffs": ", ".join(map(str, session.splits.training)),
                    "validation_cutoffs": ", ".join(map(str, session.splits.validation)),
                    "seed": options.seed,
                },
            )
            runs.log_data(parent, session.data_input, context="tuning")
            runs.log_artifacts(parent, texts=session.texts)
            settle(study, runs, parent, options.seed)
        objective = ValidationObjective(task, space, dataset, folds)

        def log_trial(trial: Any) -> None:
            with to_the_end():
                runs.log_trial(parent, record(trial, options.seed))

        done = len(finished(study))
        if done >= options.n_trials:
            logger.info("no trial to run: %d have finished, tuning.n_trials=%d", done, options.n_trials)
        if options.workers == 1:
            optimize(study, objective, options.n_trials, log_trial)
        else:
            optimize_with_workers(join, objective, options.n_trials, options.workers, log_trial)
        with alone():  # of several machines one refits, and the others find that it has
            settle_all(study, runs, parent, options.seed)
            runs.end_refits(parent)
            best_trial = best(study)
            if failed := failures(study):
                logger.warning("%s. The trial's run in MLflow has the traceback", failed)
            chosen = choose(session, study, dataset, folds)
            known = objective.validation_of(best_trial.number) if chosen.model != ENSEMBLE else None
            version = make_candidate(session, chosen.model, chosen.params, parent, known)
        table = trial_table(study)
        runs.log(
            parent,
            metrics={f"valid/{task.objective_metric}": chosen.value},
            tags={"best_trial": str(best_trial.number), "model": chosen.model, "version": str(version.number)},
            note=study_note(session, table, chosen, version),
        )
        of_trial = best_trial.params["model"]
        importances = param_importances(study, of_trial)
        pictures = study_figures(table, importances, metric=task.objective_metric, model=of_trial)
        runs.log_artifacts(
            parent, tables={"trials": table}, figures={name: png(figure) for name, figure in pictures.items()}
        )
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        runs.end(parent, status)
    return version


@dataclass(frozen=True)
class Chosen:
    """Model and parameters of a study's candidate.

    Attributes
    ----------
    model : str
        Candidate of the task.
    params : mapping
    value : float
        Mean of the objective over the validation cutoffs.
    said : str
        Trial or trials that it comes from, in words.
    """

    model: str
    params: Mapping[str, Any]
    value: float
    said: str


def choose(session: Session, study: Any, dataset: Dataset, folds: Folds) -> Chosen:
    """Choose the best trial, or with tuning.ensemble the mean of several where it validates better."""
    trial, n_trials = best(study), len(finished(study))
    model, params = tuned(trial.params)
    alone = Chosen(model, params, trial.value, labels([trial]))
    logger.info("best of %d trials: trial %d, %s", n_trials, trial.number, model)
    if not session.config.tuning.ensemble:
        return alone
    joined = best_ensemble(study, session.task, dataset, folds)
    if joined is None:
        logger.info("no ensemble: the task has none, or fewer than two models have a valid trial")
        return alone
    is_better = joined.value > alone.value
    metric, verb = session.task.objective_metric, "is better" if is_better else "is not better"
    logger.info("%s %s: %s %.4f, the best trial alone %.4f", joined, verb, metric, joined.value, alone.value)
    return Chosen(ENSEMBLE, joined.params, joined.value, str(joined)) if is_better else alone


def study_note(session: Session, trials: pd.DataFrame, chosen: Chosen, version: Version) -> str:
    """Return the description of a study's run, in Markdown."""
    states = ", ".join(f"{count} {state}" for state, count in trials["state"].value_counts().items())
    cutoffs = ", ".join(map(str, session.splits.validation))
    metric = session.task.objective_metric
    return (
        f"**Best** {metric} {chosen.value:.4f}: {chosen.said}, refitted as version "
        f"{version.number}.\n\n"
        f"{len(trials)} trials for {session.question} ({states}), each trained on cutoffs before the one that it is "
        f"validated at: {cutoffs}. `valid/{metric}` is the mean over these, which the search maximises. Trials never "
        f"see the sealed window.\n\n"
        f"Pictures of the search are below `figures/`. More trials: "
        f"`{session.again('tune')} tuning.n_trials={2 * len(trials)}`."
    )


def study_options(options: TuningConfig) -> StudyOptions:
    """Return the options of the study itself."""
    return StudyOptions(**{field.name: getattr(options, field.name) for field in dataclasses.fields(StudyOptions)})


def settle(study: Any, runs: Runs, parent: str, seed: int) -> set[int]:
    """End the trials that no process works on, and write the run of each finished trial, unless others write it.

    Returns
    -------
    set of int
        Finished trials whose run is not written yet.
    """
    fail_stale_trials(study)
    trials = finished(study)
    written = runs.settle_trials(parent, [record(trial, seed) for trial in trials if lacks_writer(trial)])
    return {trial.number for trial in trials} - written


def settle_all(study: Any, runs: Runs, parent: str, seed: int) -> None:
    """Settle until each finished trial has its run; runs that others do not write in time are written here."""
    deadline = time.monotonic() + 2 * WRITING_TIME  # clocks may differ by as much again
    while missing := settle(study, runs, parent, seed):
        if time.monotonic() > deadline:
            logger.warning("no run yet for trials %s: the same command will write them", sorted(missing))
            return
        time.sleep(SETTLE_SECONDS)


def study_identity(session: Session) -> str:
    """Return a hash of all that makes trials comparable: data, features, cutoffs, task, space, seed, sampler, code."""
    from experiments.tracking.packaging import code_digest

    config = session.config
    return digest(
        [
            session.lineage["data_digest"],
            session.lineage["feature_hash"],
            session.features,
            config.task,
            [config.search.models, config.search.space],
            session.splits.folds(),
            [config.tuning.seed, config.tuning.sampler, config.tuning.pruner],
            code_digest(),
        ]
    )


def record(trial: Any, seed: int) -> TrialRecord:
    """Return what MLflow keeps of an Optuna trial."""
    from experiments.tracking.runs import TrialRecord

    folds = trial.user_attrs.get("fold_metrics", [])
    return TrialRecord(
        number=trial.number,
        state={"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed"),
        params=trial.params,
        metrics=mean_metrics(folds),
        fold_metrics=folds,
        started=datetime.fromtimestamp(begun(trial)),
        ended=datetime.fromtimestamp(ended(trial)),
        seed=seed,
        traceback=trial.user_attrs.get("traceback"),
    )
