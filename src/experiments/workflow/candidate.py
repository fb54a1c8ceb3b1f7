"""From chosen parameters to a registered version: validated, refitted, logged. `train` and `tune` end here."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from experiments.gate.standing import stand
from experiments.models.base import Model
from experiments.reports.figures import png
from experiments.reports.model_charts import draw
from experiments.tasks.base import build, naive_models, outside_guards
from experiments.workflow.session import Session, digest
from features.families import feature_meanings

if TYPE_CHECKING:
    from experiments.tracking.registry import Version
    from experiments.tracking.runs import Runs

logger = logging.getLogger(__name__)


def make_candidate(session: Session, name: str, params: Mapping[str, Any], parent: str | None = None) -> Version:
    """Validate a model beside the naive ones, refit it on all windows before the sealed one, register it.

    Parameters
    ----------
    session : Session
    name : str
        Candidate of the task.
    params : mapping
    parent : str, optional
        Run of the study that chose them.

    Returns
    -------
    Version
        The new version; or the one there is, if data, code, configuration and parameters are the same.
    """
    from experiments.tracking.store import answering, exclusive

    build(session.task, name, params)  # a wrong name or parameter is better seen before the features are built
    one_writer = exclusive(session.client, f"{session.registered_name} candidates")  # or two would register the same
    with answering(session.client), one_writer:
        return _make_candidate(session, name, params, parent)


def _make_candidate(session: Session, name: str, params: Mapping[str, Any], parent: str | None) -> Version:
    from experiments.tracking import packaging

    task, splits = session.task, session.splits
    refit = splits.refit()
    candidate_digest = _digest(session, "refit", name, params)
    existing = session.registry.find(candidate_digest)
    if existing is not None:
        logger.info("the same candidate is registered already: %s version %d", existing.name, existing.number)
        return existing

    dataset = session.training
    logger.info("validating %s beside the naive models and the controls", name)
    options = session.config.evaluation
    standing = stand(task, name, params, dataset, splits.folds(), n_controls=options.n_controls, seed=options.seed)
    naive = standing.best_naive

    logger.info("refitting on the windows of %s", ", ".join(map(str, refit)))
    train = dataset.at(*refit)
    model = task.recalibrate(build(task, name, params).fit(train.X, train.y), standing.validation)
    latest = train.at(max(refit))
    champion = session.registry.champion() if task.keeps_labels else None
    if champion is not None and champion.has_current_code:
        task.align(model, latest.X, champion.estimator, session.shop.features(champion.features, [max(refit)]))
    diagnosis = task.diagnose(model, latest)
    diagnosed = diagnosis.metrics if diagnosis else {}

    tags = _tags(session, "refit", name, model, params, candidate_digest, naive)
    runs = session.runs
    run_id = runs.start(f"refit {name}", tags, parent)
    with _ended(runs, run_id):
        runs.log(
            run_id,
            params={
                "model": name,
                **{f"{name}.{param}": value for param, value in params.items()},
                "training_cutoffs": ", ".join(map(str, refit)),
                "validation_cutoffs": ", ".join(map(str, splits.validation)),
                "seed": session.config.tuning.seed,
            },
            metrics={
                **standing.metrics(),
                **diagnosed,
                **{
                    f"control/{control}": {**standing.validation.metrics, **diagnosed}[null]
                    for null, control in task.nulls.items()
                },
            },
            note=f"{name} refitted on all windows before the sealed one ({splits.sealed}). "
            f"`valid/…` is the mean over {len(splits.validation)} validation cutoff(s), "
            f"`naive/…` the best naive model there ({naive}), `control/…` what there is to see without any "
            f"signal: the same prediction for all, and {name} with the targets permuted among the customers of each "
            f"cutoff, in training as in validation. `promote` adds `sealed/…`.",
        )
        runs.log_data(run_id, session.data_input, context="training")
        meanings = pd.DataFrame(feature_meanings(session.features).items(), columns=["feature", "meaning"])
        tables = {
            "features": meanings,
            "comparison": standing.table(),
            **standing.validation.last.tables,
            **(diagnosis.tables if diagnosis else {}),
        }
        figures = draw(
            {name: tables, naive: standing.naive[naive].last.tables},
            currency=session.shop.staged.currency,
            horizon_days=task.horizon_days,
            window=f"validation from {splits.validation[-1]}",
        )
        pictures = {figure_name: png(figure) for figure_name, figure in figures.items()}
        runs.log_artifacts(run_id, texts=session.texts, tables=tables, figures=pictures)
        uri = packaging.log_model(run_id, model, session.features, task.outputs)
        version = session.registry.register(uri, run_id, tags)
    return _kept(session, version, run_id)


def make_naive(
    session: Session,
    params: Mapping[str, Any],
    validated: Mapping[str, Mapping[str, float]],
    tags: Mapping[str, str],
    parent: str | None = None,
) -> Version:
    """Fit the naive model that validated best on all windows before the sealed one, and register it.

    The one that is least outside the task's guards goes first: what is in use must not foretell three times the
    revenue.

    Parameters
    ----------
    session : Session
    params : mapping
        Of the candidate in whose place it is put to use: naive models share parameters with it.
    validated : mapping of naive model to its metrics
        Means over the validation cutoffs. A model that only ranks is not considered.
    tags : mapping
        More of the version's tags, such as its verdict.
    parent : str, optional
        Run of the study.

    Returns
    -------
    Version
        The new version; or the one there is, if nothing it is made from has changed.
    """
    from experiments.tracking import packaging
    from experiments.tracking.store import exclusive

    task, splits = session.task, session.splits
    naive = {name: build() for name, build in naive_models(task, params).items()}
    usable = [name for name, model in naive.items() if not model.ranking_only]

    def merit(rival: str) -> tuple[float, float]:
        return -outside_guards(task, validated[rival]), validated[rival][task.primary_metric]

    name = max(usable, key=merit)
    own = naive[name].get_params(deep=False)
    with exclusive(session.client, f"{session.registered_name} candidates"):
        naive_digest = _digest(session, "naive", name, own)
        existing = session.registry.find(naive_digest)
        if existing is not None:
            session.registry.tag(existing.number, tags)
            return existing
        train = session.training.at(*splits.refit())
        model = naive[name].fit(train.X, train.y)
        runs = session.runs
        described = {**_tags(session, "naive", name, model, own, naive_digest, name), **tags}
        run_id = runs.start(f"naive {name}", described, parent)
        with _ended(runs, run_id):
            runs.log(
                run_id,
                params={"model": name, "training_cutoffs": ", ".join(map(str, splits.refit()))},
                metrics={f"valid/{metric}": value for metric, value in validated[name].items()},
                note=f"{name}, in use as long as nothing better is shown: {tags['reason']}.",
            )
            runs.log_data(run_id, session.data_input, context="training")
            runs.log_artifacts(run_id, texts=session.texts)
            uri = packaging.log_model(run_id, model, session.features, task.outputs)
            version = session.registry.register(uri, run_id, described)
        return _kept(session, version, run_id)


def _digest(session: Session, kind: str, name: str, params: Mapping[str, Any]) -> str:
    """What tells one candidate from another: two of the same are registered once."""
    from experiments.tracking import packaging

    return digest(
        [
            session.lineage["data_digest"],
            session.lineage["feature_hash"],
            session.features,
            session.task.target,
            kind,
            name,
            dict(params),
            session.splits.refit(),
            session.splits.folds(),
            packaging.code_digest(),
        ]
    )


def _tags(
    session: Session,
    kind: str,
    name: str,
    model: Model,
    params: Mapping[str, Any],
    candidate_digest: str,
    best_naive: str,
) -> dict[str, str]:
    """What a version was made from and for."""
    from experiments.tracking import packaging

    task, splits = session.task, session.splits
    return {
        **session.lineage,
        "kind": kind,
        "model": name,
        "objective": task.objective,
        "params": json.dumps(dict(params)),
        "naive": best_naive,
        "judged": task.judged,
        "models_digest": packaging.models_digest(),
        "ranking_only": str(model.ranking_only).lower(),
        "trained_through": str(max(splits.refit()) + timedelta(days=task.horizon_days)),
        "sealed_from": str(splits.sealed),
        "candidate_digest": candidate_digest,
    }


@contextmanager
def _ended(runs: Runs, run_id: str) -> Iterator[None]:
    """End a run whose making fails."""
    try:
        yield
    except BaseException as error:
        runs.finish(run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise


def _kept(session: Session, version: Version, run_id: str) -> Version:
    """The version, or of two that were registered at once the first; its run ends."""
    runs, name = session.runs, version.tags["model"]
    first = session.registry.find(version.tags["candidate_digest"])
    assert first is not None
    if first.number < version.number:  # of two machines, whose locks do not reach each other, the first one's stays
        session.registry.delete(version.number)
        runs.rename(run_id, f"{name}, as version {first.number}")
        runs.finish(run_id)
        logger.info("another machine registered the same candidate first: %s version %d", first.name, first.number)
        return first
    runs.rename(run_id, f"{name}, version {version.number}")
    runs.finish(run_id)
    logger.info("registered %s version %d", version.name, version.number)
    return version
