"""A baseline in use, where none of the models measured better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.evaluation.metrics import defined
from experiments.evaluation.validation import validate_all
from experiments.gate.admission import retire_outdated
from experiments.gate.decision_page import statement
from experiments.gate.ledger import Look
from experiments.gate.rule import UNJUDGED
from experiments.gate.standing import baseline_metrics
from experiments.workflow.calibration import calibrated, observe_sealed
from experiments.workflow.candidate import Made, made_from, one_writer, register, registered
from experiments.workflow.describe import describe
from experiments.workflow.serve import rebuild
from experiments.workflow.session import Session
from features.errors import InputError

if TYPE_CHECKING:
    from experiments.tracking.registry import Version


def use_baseline(session: Session, candidate: Version, look: Look) -> None:
    """Register the baseline that the look found best to use, and make it champion."""
    outcome, decision = look.outcome, look.decision
    assert outcome is not None
    use = decision.use
    assert use is not None
    reason = f"{use.reason}; version {candidate.number} was judged beside it ({outcome.verdict})"
    logged = session.runs.metrics(candidate.run_id)
    tags = {
        "verdict": outcome.verdict,
        "reason": reason,
        "statement": statement(session.task.ability, decision, outcome),
        "instead_of": str(candidate.number),
    }
    validated = baseline_metrics(logged, outcome.use)
    parent = session.runs.parent(candidate.run_id)
    version = make_baseline(session, outcome.use, candidate.params, validated, tags, parent)
    observe_sealed(session, version, keep_tables=True)
    session.registry.crown(version.number, f"gate: {reason}")


def use_baseline_unjudged(session: Session, refusal: InputError) -> None:
    """Make the best baseline champion where there is no candidate to judge; an existing champion stays.

    The sealed window stays closed: the version has the metrics of validation alone, and a tag that says why.

    Parameters
    ----------
    session : Session
    refusal : InputError
        Why there is no candidate.

    Raises
    ------
    UnsuitableDataError
        If the baselines refuse the data too.
    """
    from experiments.tracking.store import answering, exclusive

    with answering(session.client), exclusive(session.client, session.registered_name):
        session.registry.finish()
        retire_outdated(session.registry, session.shop.tables.spend)
        if session.registry.champion() is not None:
            return
        folds = session.splits.folds()
        validations = validate_all(session.task.evaluate, session.task.baselines({}), session.training, folds)
        validated = {name: validation.metrics for name, validation in validations.items()}
        name = max(validated, key=lambda name: defined(session.task.primary_metric, validated[name], {}))
        reason = f"there was no candidate and no champion: {refusal.cause}"
        tags = {"verdict": UNJUDGED, "reason": reason, "statement": unjudged(refusal)}
        version = make_baseline(session, name, {}, validated[name], tags)
        session.registry.crown(version.number, f"without a look: {reason}")
        describe(session)
    rebuild(session)


def unjudged(refusal: InputError) -> str:
    """Return the verdict in words where there is no candidate."""
    return f"{UNJUDGED}: there is no candidate: {refusal.cause}"


def make_baseline(
    session: Session,
    name: str,
    params: Mapping[str, Any],
    validated: Mapping[str, float],
    tags: Mapping[str, str],
    parent: str | None = None,
) -> Version:
    """Fit a baseline on all windows before the sealed one, and register it.

    Parameters
    ----------
    session : Session
    name : str
        Baseline of the task.
    params : mapping
        Parameters of the candidate that it was compared with, some of which baselines share.
    validated : mapping of metric to float
        The baseline's means over the validation cutoffs.
    tags : mapping
        More of the version's tags: its verdict, and the reason why it is in use.
    parent : str, optional
        Run of the study.

    Returns
    -------
    Version
        The new version; or the existing one, if data, code, configuration and parameters are the same.
    """
    build = session.task.baselines(params)[name]
    baseline = build()
    own = baseline.get_params(deep=False)
    with one_writer(session):
        digest = made_from(session, "naive", name, own, baseline.libraries)
        existing = registered(session, digest)
        if existing is not None:
            session.registry.tag(existing.number, tags)
            return existing
        train = session.training.at(*session.splits.refit())
        model, amounts = calibrated(session, name, baseline.fit(train.X, train.target), build)
        made = Made(
            kind="naive",
            name=name,
            model=model,
            params=own,
            digest=digest,
            tags={"naive": name, **(amounts.tags() if amounts else {}), **tags},
            logged={},
            metrics={
                **{f"valid/{metric}": value for metric, value in validated.items()},
                **(amounts.metrics() if amounts else {}),
            },
            note=f"{name}, in use until a better model is promoted: {tags['reason']}.",
        )
        return register(session, made, parent)
