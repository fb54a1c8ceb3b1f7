"""From chosen parameters to a registered version: validated, refitted, logged."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from experiments.evaluation.amounts import Amounts
from experiments.evaluation.validation import Evaluation, Validation
from experiments.gate.admission import changed_features, check_champion
from experiments.gate.standing import Standing, stand
from experiments.models.base import Model
from experiments.reports.figures import png
from experiments.reports.model_charts import draw
from experiments.tasks.base import AmountTask
from experiments.workflow.calibration import Fitted, calibrated
from experiments.workflow.describe import describe
from experiments.workflow.session import Session, digest
from features.families import feature_meanings

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """A fitted model with its parameters and the content of its run.

    Attributes
    ----------
    kind : str
        `refit` of a candidate, `naive` of a baseline.
    name : str
        Candidate of the task.
    model : Model
    params : mapping
        Parameters of the model.
    digest : str
        See `made_from`.
    tags : mapping
        Tags of the run and the version, besides those that `register` adds.
    logged : mapping of str to str
        Parameters of the run.
    metrics : mapping of str to float
    note : str
    tables : mapping of name to frame
    figures : mapping of name to PNG
    """

    kind: str
    name: str
    model: Model
    params: Mapping[str, Any]
    digest: str
    tags: Mapping[str, str]
    logged: Mapping[str, Any]
    metrics: Mapping[str, float]
    note: str
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)


def make_candidate(
    session: Session,
    name: str,
    params: Mapping[str, Any],
    parent: str | None = None,
    validation: Validation | None = None,
) -> Version:
    """Validate a model and the baselines, refit the model on all windows before the sealed one, and register it.

    Parameters
    ----------
    session : Session
    name : str
        Candidate of the task.
    params : mapping
    parent : str, optional
        Run of the study that chose them.
    validation : Validation, optional
        Of the model with these parameters, where a trial has made it; computed when left out.

    Returns
    -------
    Version
        The new version; or the existing one, if data, code, configuration and parameters are the same.
    """
    from experiments.tracking.store import answering

    libraries = session.task.build(name, params).libraries  # a wrong name or parameter is reported before all work
    session.registry.finish_abandoned()
    with answering(session.client), one_writer(session):
        check_comparable_champion(session)
        own = made_from(session, "refit", name, params, libraries)
        existing = registered(session, own)
        if existing is not None:
            logger.info("the same candidate is already registered: %s version %d", existing.name, existing.number)
            describe(session)
            return existing
        standing = _validated(session, name, params, validation)
        fitted = {fold.training: fold.model for fold in standing.validation.folds}
        model, amounts = _refitted(session, name, params, fitted)
        diagnosis = session.task.diagnose(model, session.training.at(max(session.splits.refit())))
        made = register(session, _described(session, model, params, own, standing, diagnosis, amounts), parent)
        describe(session)
        return made


def check_comparable_champion(session: Session) -> None:
    """Refuse to begin what cannot be compared with the champion in the end: see `gate.admission.check_champion`."""
    check_champion(session.registry.champion(), session.lineage, session.retire_command)


def _validated(session: Session, name: str, params: Mapping[str, Any], validation: Validation | None) -> Standing:
    """Validate a candidate, the baselines and the controls."""
    logger.info(
        "validating %s beside baselines and controls, then fitting it on all windows before the sealed one", name
    )
    options = session.config.evaluation
    return stand(
        session.task,
        name,
        params,
        session.training,
        session.splits.folds(),
        n_controls=options.n_controls,
        seed=options.seed,
        validation=validation,
    )


def _refitted(session: Session, name: str, params: Mapping[str, Any], fitted: Fitted) -> tuple[Model, Amounts | None]:
    """Fit a candidate on all windows before the sealed one, calibrate its amounts, and keep the champion's labels."""
    task, refit = session.task, session.splits.refit()
    logger.debug("refitting on the windows of %s", ", ".join(map(str, refit)))
    train = session.training.at(*refit)
    build = partial(task.build, name, params)
    model, amounts = calibrated(session, name, build().fit(train.X, train.target), build, fitted)
    champion = session.registry.champion() if task.keeps_labels else None
    if (
        champion is not None
        and champion.has_files
        and champion.has_current_code
        and not changed_features(champion, session.shop.tables.spend)
    ):
        latest = train.at(max(refit)).X
        model = task.align(
            model, latest, champion.estimator, session.shop.features(champion.features, [max(refit)], task.grain)
        )
    return model, amounts


def _described(
    session: Session,
    model: Model,
    params: Mapping[str, Any],
    own: str,
    standing: Standing,
    diagnosis: Evaluation | None,
    amounts: Amounts | None,
) -> Made:
    """Gather the content of a refitted candidate's run."""
    task, splits, name, baseline = session.task, session.splits, standing.name, standing.best_baseline
    diagnosed = diagnosis.metrics if diagnosis else {}
    nulls = {**standing.validation.metrics, **diagnosed}
    tables = {
        "features": pd.DataFrame(feature_meanings(session.features).items(), columns=["feature", "meaning"]),
        "comparison": standing.table(),
        **standing.validation.last.tables,
        **(diagnosis.tables if diagnosis else {}),
    }
    figures = draw(
        {name: tables, baseline: standing.baselines[baseline].last.tables},
        currency=session.shop.staged.currency,
        horizon_days=task.horizon_days,
        window=f"validation from {splits.validation[-1]}",
    )
    return Made(
        kind="refit",
        name=name,
        model=model,
        params=params,
        digest=own,
        tags={"naive": baseline, **(amounts.tags() if amounts else {})},
        logged={
            **{f"{name}.{param}": value for param, value in params.items()},
            "validation_cutoffs": ", ".join(map(str, splits.validation)),
            "seed": session.config.tuning.seed,
        },
        metrics={
            **standing.metrics(),
            **diagnosed,
            **{f"control/{control}": nulls[null] for null, control in task.nulls.items()},
            **(amounts.metrics() if amounts else {}),
        },
        note=f"{name} refitted on all windows before the sealed one ({splits.sealed}). "
        f"`valid/…` is the mean over {len(splits.validation)} validation cutoff(s), "
        f"`naive/…` is the best baseline there ({baseline}), `control/…` are negative controls: the same prediction "
        f"for all, and {name} trained and validated on targets permuted within each cutoff. `promote` adds `sealed/…`.",
        tables=tables,
        figures={figure_name: png(figure) for figure_name, figure in figures.items()},
    )


def one_writer(session: Session) -> AbstractContextManager[None]:
    """Lock the registration of versions, or two processes could register the same one."""
    from experiments.tracking.store import exclusive

    return exclusive(session.client, f"{session.registered_name} candidates")


def made_from(session: Session, kind: str, name: str, params: Mapping[str, Any], libraries: Collection[str]) -> str:
    """Hash all that makes a version differ from another: two of the same hash are registered once.

    Parameters
    ----------
    session : Session
    kind, name : str
        As in `Made`.
    params : mapping
        Parameters of the model; of a baseline also those that the task has set.
    libraries : collection of str
        See `Model.libraries`.
    """
    from experiments.tracking import packaging

    return digest(
        [
            session.lineage["data_digest"],
            session.lineage["feature_hash"],
            session.features,
            session.target,
            session.task.amounts if isinstance(session.task, AmountTask) else None,
            kind,
            name,
            dict(params),
            session.splits.refit(),
            session.splits.folds(),
            packaging.code_digest(),
            packaging.own_code_digest(libraries),
        ]
    )


def registered(session: Session, digest: str) -> Version | None:
    """Return the version of a candidate, with its run ended; None before there is one. See `made_from` for the digest.

    Locks do not reach another machine: of several that were registered at once, the first stays. Any command removes
    the others, as the one that registered them may have been killed.
    """
    from experiments.tracking.registry import REGISTERING

    registry, runs = session.registry, session.runs
    first, *later = registry.same(digest) or [None]
    if first is None:
        return None
    for twin in later:
        if REGISTERING in twin.tags:
            logger.info("version %d is removed: another machine registered it first, as %d", twin.number, first.number)
            runs.end_of_version(twin.run_id, first.number, twin=True)
            registry.delete(twin.number)
    runs.end_of_version(first.run_id, first.number)
    if REGISTERING in first.tags:
        registry.confirm(first.number)
    return first


def register(session: Session, made: Made, parent: str | None) -> Version:
    """Log a fitted model in a run of its own, and register it.

    Parameters
    ----------
    session : Session
    made : Made
    parent : str or None
        Run of the study.
    """
    from experiments.tracking import packaging

    runs, tags = session.runs, {**_lineage_of(session, made), **made.tags}
    run_id = runs.start(f"{made.kind} {made.name}", tags, parent)
    with runs.active(run_id):  # up to the version: a killed run without one is removed
        runs.log(
            run_id,
            params={
                "model": made.name,
                "training_cutoffs": ", ".join(map(str, session.splits.refit())),
                **made.logged,
            },
            metrics=made.metrics,
            note=made.note,
        )
        runs.log_data(run_id, session.data_input, context="training")
        runs.log_artifacts(run_id, texts=session.texts, tables=made.tables, figures=made.figures)
        features = json.loads(tags["features"])
        uri = packaging.log_model(made.model, features, list(session.task.outputs), session.task.grain.key)
        version = session.registry.register(uri, run_id, {**tags, **packaging.digest_tag(uri)})
    first = registered(session, made.digest)
    assert first is not None
    if first.number == version.number:
        logger.info("registered %s version %d", version.name, version.number)
    return first


def _lineage_of(session: Session, made: Made) -> dict[str, str]:
    """Return the tags that every version has: data, task, model, parameters, code."""
    from experiments.tracking import packaging

    task, splits = session.task, session.splits
    return {
        **session.lineage,
        **_features_of(session, made.model),
        "kind": made.kind,
        "model": made.name,
        "objective": task.objective_metric,
        "params": json.dumps(dict(made.params)),
        "judged": ",".join(task.judged),
        "label": task.candidates()[made.name].label,
        "module": type(made.model).__module__,
        **({"libraries": " ".join(made.model.libraries)} if made.model.libraries else {}),
        "models_digest": packaging.models_digest(type(made.model).__module__, made.model.libraries),
        "trained_through": str(max(splits.refit()) + timedelta(days=task.horizon_days)),
        "validated_from": str(splits.validation[0]),
        "sealed_from": str(splits.sealed),
        "candidate_digest": made.digest,
    }


def _features_of(session: Session, model: Model) -> dict[str, str]:
    """Return the tags of what the model reads: the features that it was trained on, and those of its calibration."""
    further = [name for name in model.context if name not in session.features]
    return session.feature_tags([*session.features, *further]) if further else {}
