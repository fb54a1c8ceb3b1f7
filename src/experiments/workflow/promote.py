"""The gate: the only part of the workflow that opens the sealed window."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.controls import permuted_within_cutoff
from experiments.gate.decision_page import decision_page, statement
from experiments.gate.rule import BACKTEST_ORIGINS, Decision, correct, decide
from experiments.gate.standing import CONSTANT, PERMUTED, control_metrics, naive_metrics
from experiments.reports.figures import png
from experiments.reports.model_charts import draw
from experiments.tasks.base import Evaluation, build, naive_models, validate
from experiments.workflow.candidate import make_naive
from experiments.workflow.session import Session, digest
from features.errors import InputError, UnsuitableDataError, listing
from features.leakage import descriptive
from features.snapshot import definition_hash

if TYPE_CHECKING:
    from experiments.gate.ledger import Look
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

CANDIDATE, CHAMPION = "candidate", "champion"
TAIL_DRAWS = 20  # resamples beyond a bound at least, or its level would be a fiction
RULE = "a median gain above 0 over the origins of a back-test"  # what was decided by another is judged again


def move_by_hand(session: Session, version: int | None, reason: str | None, rollback: bool) -> str:
    """Move the alias without a look at the sealed window."""
    from experiments.tracking.store import answering, exclusive

    with answering(session.client), exclusive(session.client, session.registered_name):
        return _by_hand(session, version, reason, rollback)


def _by_hand(session: Session, number: int | None, reason: str | None, rollback: bool) -> str:
    registry = session.registry
    if rollback:
        before, now = registry.roll_back(reason or "rolled back by hand")
        return f"{registry.name}: champion is version {now} again (was {before})"
    if number is None:
        raise InputError("a reason without a version", where="promote", hint="say which: version=3 reason='…'")
    version = registry.get(number)
    champion = registry.champion()
    if champion is not None and champion.number == version.number:
        return f"{registry.name}: version {version.number} is the champion already"
    check_descriptive(version)
    version.check_loads()
    registry.crown(version.number, f"by hand: {reason}")
    registry.tag(version.number, {"gate": "bypassed", "override_reason": str(reason)})
    return f"{registry.name}: champion is version {version.number}, by hand: {reason}"


def promote(session: Session, candidate: Version | None = None) -> Look:
    """Gate a version, or else the newest, on the sealed window, beside the naive models and the champion."""
    (look,) = promote_together([(session, candidate or _newest(session))])
    if isinstance(look, InputError):
        raise look
    return look


def promote_together(candidates: Sequence[tuple[Session, Version]]) -> list[Look | InputError]:
    """Gate the candidates of several tasks: judge each, correct for their number, and only then promote.

    One that the gate cannot judge, and does not look at, does not keep the others from being judged.

    Whoever comes second waits, and is compared with the champion that the first one left. A look is recorded before
    its outcome, and an outcome before it is carried out; the same command goes on where it was killed.

    Parameters
    ----------
    candidates : sequence of (Session, Version)
        One for each task.

    Returns
    -------
    list of Look or InputError
        For each in turn, what was found, or why it cannot be judged.
    """
    from experiments.tracking.store import answering, exclusive

    with ExitStack() as stack:
        for session, _ in sorted(
            candidates, key=lambda pair: pair[0].registered_name
        ):  # or two would wait for each other
            stack.enter_context(answering(session.client))
            stack.enter_context(exclusive(session.client, session.registered_name))
        rivals: dict[Session, Version | None] = {}
        ends: dict[Session, Look | InputError] = {}
        for session, candidate in candidates:
            try:
                rivals[session] = rival_of(session, candidate)
            except InputError as error:
                ends[session] = error
        judged = [(session, candidate, rivals[session]) for session, candidate in candidates if session in rivals]
        ends |= _judged_together(judged) if judged else {}
    return [ends[session] for session, _ in candidates]


def _judged_together(candidates: Sequence[tuple[Session, Version, Version | None]]) -> dict[Session, Look]:
    """Judge candidates that can be judged, each beside its rival, and carry out what comes of all of them."""
    from experiments.gate.ledger import settle

    together = [session.task.name for session, _, _ in candidates]
    looks = [_look(session, candidate, rival, together) for session, candidate, rival in candidates]
    corrected = correct([look.decision for look in looks])
    settled = {}
    for (session, candidate, _), look, beside_others in zip(candidates, looks, corrected, strict=True):
        outcome = look.outcome or beside_others
        if look.outcome is None and set(look.together) != set(together):  # killed then, and asked for otherwise now
            (outcome,) = correct([look.decision], unseen=len(look.together) - 1)
        words = statement(session.task.ability, look.decision, outcome)
        look = settle(session.registry, candidate, look, outcome, words)
        if not outcome.promote and session.registry.champion() is None:
            use_naive(session, candidate, look)
        log_outcome(session, candidate, look)
        settled[session] = look
    return settled


def rival_of(session: Session, candidate: Version) -> Version | None:
    """The champion that the candidate must beat, after all is checked that can be without opening the sealed window."""
    from experiments.gate.ledger import check_comparable

    champion = session.registry.champion()
    rival = champion if champion is not None and champion.number != candidate.number else None
    check_comparable(candidate, rival or candidate, session.lineage)
    _check_candidate(session, candidate, rival)
    return rival


def _look(session: Session, candidate: Version, rival: Version | None, together: Sequence[str]) -> Look:
    from experiments.gate.ledger import Window, look

    splits, task = session.splits, session.task

    def judge(alpha: float) -> Decision:
        logger.info("opening the sealed window %s, %d days", splits.sealed, task.horizon_days)
        sealed = evaluate_sealed(session, candidate, rival)
        decision = compare(session, candidate, sealed, alpha, len(together))
        log_look(session, candidate, sealed, decision)
        return decision

    window = Window(
        start=str(splits.sealed),
        end=str(splits.sealed + timedelta(days=task.horizon_days)),
        rule=digest([RULE, session.config.evaluation.n_origins, task.primary_metric, task.min_effect, task.guards]),
    )
    return look(session.registry, candidate, session.registry.champion(), window, judge, together)


def use_naive(session: Session, candidate: Version, look: Look) -> None:
    """Register the best naive model and make it champion: nothing better was shown, and something must be used."""
    assert look.outcome is not None
    shown = look.outcome.verdict in ("strong", "weak")  # of a candidate that was refused for another reason
    verdict = "refused" if shown else look.outcome.verdict
    reason = f"version {candidate.number} was not promoted ({look.outcome.verdict}) and there was no champion"
    logged = session.runs.metrics(candidate.run_id)
    validated = {name: naive_metrics(logged, name) for name in naive_models(session.task, candidate.params)}
    tags = {
        "verdict": verdict,
        "reason": reason,
        "statement": statement(session.task.ability, look.decision, look.outcome),
    }
    tags["instead_of"] = str(candidate.number)
    version = make_naive(session, candidate.params, validated, tags, session.runs.parent(candidate.run_id))
    session.registry.crown(version.number, f"gate: {reason}")


def use_naive_unjudged(session: Session, refusal: InputError) -> None:
    """Make the best naive model champion where there is no candidate to judge; a champion that is there stays.

    The sealed window stays closed: the version has validation's figures alone, and says why.

    Parameters
    ----------
    session : Session
    refusal : InputError
        Why there is no candidate.

    Raises
    ------
    UnsuitableDataError
        If naive models refuse the data as well.
    """
    from experiments.tracking.store import answering, exclusive

    with answering(session.client), exclusive(session.client, session.registered_name):
        if session.registry.champion() is not None:
            return
        folds = session.splits.folds()
        naive = naive_models(session.task, {})
        validated = {name: validate(session.task, build, session.training, folds) for name, build in naive.items()}
        reason = f"there was no candidate and no champion: {_why(refusal)}"
        tags = {"verdict": "none", "reason": reason, "statement": unjudged(refusal)}
        version = make_naive(session, {}, {name: outcome.metrics for name, outcome in validated.items()}, tags)
        session.registry.crown(version.number, f"without a look: {reason}")


def unjudged(refusal: InputError) -> str:
    """The verdict in words where there is no candidate."""
    return f"none: no model was found to be judged: {_why(refusal)}"


def _why(refusal: InputError) -> str:
    return f"{refusal.problem} ({refusal.found})" if refusal.found else refusal.problem


@dataclass(frozen=True)
class SealedEvaluations:
    """What each model did in the sealed window, on the same customers."""

    candidate: Evaluation
    naive: Mapping[str, Evaluation]
    champion: Evaluation | None

    def predictions(self) -> dict[str, np.ndarray]:
        everyone = {CANDIDATE: self.candidate, **self.naive, **({CHAMPION: self.champion} if self.champion else {})}
        return {name: evaluation.prediction.to_numpy() for name, evaluation in everyone.items()}


def evaluate_sealed(session: Session, candidate: Version, champion: Version | None) -> SealedEvaluations:
    """Evaluate candidate, naive models and champion, each on its own features.

    A champion that predicts what one of the naive models does, as when that one is in use, is not compared twice.
    """
    task, sealed = session.task, session.splits.sealed
    dataset = session.dataset([sealed], candidate.features)
    train = session.dataset(session.splits.refit(), candidate.features)
    rivals = {name: naive() for name, naive in naive_models(task, candidate.params).items()}
    naive = {name: task.evaluate(model.fit(train.X, train.y), dataset) for name, model in rivals.items()}
    own = task.evaluate(champion, session.dataset([sealed], champion.features)) if champion else None
    if own and any(np.array_equal(own.prediction, other.prediction) for other in naive.values()):
        own = None
    return SealedEvaluations(candidate=task.evaluate(candidate.estimator, dataset), naive=naive, champion=own)


def backtest(session: Session, candidate: Version, sealed: SealedEvaluations) -> dict[str, dict[str, float]]:
    """The candidate's gain in the primary metric over each naive model, from several origins.

    At earlier cutoffs its parameters are refitted, and the naive models too, on windows that ended by then. The
    parameters themselves were chosen at the validation cutoffs among them.

    Returns
    -------
    dict of day to dict of naive model to gain
        The sealed window last; NaN where a model refused what there was to learn from.
    """
    task = session.task
    metric = task.metric()
    models = {CANDIDATE: partial(build, task, candidate.tags["model"], candidate.params)}
    models |= naive_models(task, candidate.params)
    gains = {}
    for training, cutoff in session.splits.origins(session.config.evaluation.n_origins - 1):
        dataset = session.dataset([*training, cutoff], candidate.features)
        train, held_out = dataset.at(*training), task.judged_rows(dataset.at(cutoff))
        try:
            figures = {
                name: metric(held_out.y, untrained().fit(train.X, train.y).predict(held_out.X))
                for name, untrained in models.items()
            }
        except UnsuitableDataError as error:
            logger.warning("no back-test from %s: %s", cutoff, error.problem)
            figures = dict.fromkeys(models, math.nan)
        gains[str(cutoff)] = {name: figures[CANDIDATE] - figures[name] for name in sealed.naive}
    own = sealed.candidate.metrics[task.primary_metric]
    last = {name: own - evaluation.metrics[task.primary_metric] for name, evaluation in sealed.naive.items()}
    return {**gains, str(session.splits.sealed): last}


def compare(session: Session, candidate: Version, sealed: SealedEvaluations, alpha: float, n_tasks: int) -> Decision:
    """Resample the customers, the same ones for every model, and apply the gate's rule.

    Draws are many enough for the smallest level that Holm's correction over `n_tasks` tests at.
    """
    task, options, y = session.task, session.config.evaluation, sealed.candidate.y
    draws = paired_bootstrap(
        task.metric(),
        y.to_numpy(),
        sealed.predictions(),
        y.index.get_level_values("customer_id").to_numpy(),
        n_resamples=max(options.n_resamples, math.ceil(TAIL_DRAWS * n_tasks / alpha)),
        seed=options.seed,
    )
    return decide(
        draws,
        candidate=CANDIDATE,
        naive=list(sealed.naive),
        champion=CHAMPION if sealed.champion else None,
        metric=task.primary_metric,
        min_effect=task.min_effect,
        alpha=alpha,
        confidence=options.confidence,
        metrics=sealed.candidate.metrics,
        guards=task.guards,
        backtest=backtest(session, candidate, sealed),
        ranking_only=candidate.tags["ranking_only"] == "true",
    )


def log_look(session: Session, candidate: Version, sealed: SealedEvaluations, decision: Decision) -> None:
    """Write what the look showed to the candidate's run."""
    own = sealed.candidate
    metrics = {f"sealed/{name}": value for name, value in own.metrics.items()}
    for rival, evaluation in sealed.naive.items():
        metrics |= {f"sealed/{rival}/{name}": value for name, value in evaluation.metrics.items()}
    if sealed.champion:
        metrics |= {f"sealed/{CHAMPION}/{name}": value for name, value in sealed.champion.metrics.items()}
    for comparison in decision.comparisons:
        metrics |= {
            f"sealed/gain_over_{comparison.rival}": comparison.gain,
            f"sealed/gain_over_{comparison.rival}_lower": comparison.lower,
            f"sealed/gain_over_{comparison.rival}_upper": comparison.upper,
        }
    metrics |= sealed_controls(session, own)
    low, high = decision.interval
    metrics |= {f"sealed/{session.task.primary_metric}_low": low, f"sealed/{session.task.primary_metric}_high": high}
    metrics |= {f"backtest/{day}/gain": gain for day, gain in decision.backtest.items() if not math.isnan(gain)}
    session.runs.log(candidate.run_id, metrics={**metrics, "sealed/detectable_gain": decision.nearest.detectable})
    figures = draw(
        {candidate.tags["model"]: own.tables, decision.naive: sealed.naive[decision.naive].tables},
        currency=session.shop.staged.currency,
        horizon_days=session.task.horizon_days,
        window=f"sealed window from {session.splits.sealed}",
    )
    session.runs.log_artifacts(
        candidate.run_id,
        tables={
            **{f"sealed_{name}": table for name, table in own.tables.items()},
            "sealed_predictions": pd.DataFrame(
                {
                    "customer_id": own.y.index.get_level_values("customer_id"),
                    "actual": own.y.to_numpy(),
                    **sealed.predictions(),
                }
            ),
        },
        figures={f"sealed_{name}": png(figure) for name, figure in figures.items()},
    )


def sealed_controls(session: Session, candidate: Evaluation) -> dict[str, float]:
    """The primary metric in the sealed window of one prediction for all, and of the candidate on permuted targets."""
    options, y, prediction = session.config.evaluation, candidate.y, candidate.prediction
    metric, name = session.task.metric(), session.task.primary_metric
    draws = range(options.seed, options.seed + options.n_controls)
    permuted = np.array([metric(permuted_within_cutoff(y, seed), prediction) for seed in draws])
    return {
        f"sealed/control/{CONSTANT}/{name}": metric(y, np.full(len(y), float(y.mean()))),
        **control_metrics(f"sealed/control/{PERMUTED}/{name}", permuted),
    }


def log_outcome(session: Session, candidate: Version, look: Look) -> None:
    """Write what came of a look to the candidate's run: tags, the verdict in words, a page for whoever asks why."""
    assert look.outcome is not None
    words = statement(session.task.ability, look.decision, look.outcome)
    session.runs.log(
        candidate.run_id,
        tags={
            "gate": "promoted" if look.outcome.promote else "refused",
            "verdict": look.outcome.verdict,
            "reasons": listing(look.outcome.reasons) or "none",
        },
    )
    session.runs.head_note(candidate.run_id, f"**Verdict** {words}.")
    page = decision_page(
        title=f"{session.registry.name} version {candidate.number}",
        model=candidate.tags["model"],
        ability=session.task.ability,
        decision=look.decision,
        outcome=look.outcome,
        looks=session.registry.ledger(),
        look=look.entry,
        horizon_days=session.task.horizon_days,
        champion=in_use(session),
    )
    texts = {"sealed/decision.json": json.dumps(look.entry, indent=2), "sealed/decision.html": page}
    session.runs.log_artifacts(candidate.run_id, texts=texts)


def in_use(session: Session) -> str:
    """What the task is answered with, in a few words."""
    champion = session.registry.champion()
    return f"version {champion.number}, {champion.tags['model']}" if champion is not None else "nothing"


def describe(session: Session, look: Look) -> str:
    """The decision in a few lines."""
    decision, outcome, name = look.decision, look.outcome, session.registry.name
    assert outcome is not None
    again = "" if look.fresh else " (decided before; no further look was taken)"
    lines = [
        f"{name} version {look.version}: {'promoted' if outcome.promote else 'refused'}{again}",
        f"  {statement(session.task.ability, decision, outcome)}",
        f"  nearest naive model {decision.naive}; look {look.number} at this window, level {decision.alpha:.4f}",
    ]
    for comparison in decision.comparisons:
        lines.append(f"  {decision.metric} {comparison}; smallest detectable {comparison.detectable:.4f}")
    origins = ", ".join(f"{gain:+.4f} from {day}" for day, gain in decision.backtest.items())
    wanted = "" if len(decision.backtest) >= BACKTEST_ORIGINS else f", {BACKTEST_ORIGINS} wanted"
    lines.append(f"  gain over {decision.naive} from {len(decision.backtest)} origins{wanted}: {origins}")
    lines += [f"  because {reason}" for reason in outcome.reasons]
    if outcome.promote:
        serve = f"mlflow models serve -m models:/{name}@champion --env-manager local -p 5001"
        lines.append(f"next: {session.again('score')}, or {serve}")
    else:
        lines.append(f"next: {session.again('tune')} with more trials; in use: {in_use(session)}")
    return "\n".join(lines)


def _newest(session: Session) -> Version:
    versions = [version for version in session.registry.versions() if not version.is_naive]
    if not versions:
        raise InputError(
            f"{session.registry.name} has no version to promote",
            where="registry",
            hint="experiments tune registers one",
        )
    return versions[0]


def _check_candidate(session: Session, candidate: Version, champion: Version | None) -> None:
    """Refuse what cannot be judged fairly, before the sealed window is opened."""
    from experiments.gate.ledger import check_features

    by_hand = f"promote by hand: {session.again('promote')} version={candidate.number} reason='…'"
    if candidate.is_naive:
        raise InputError(
            f"version {candidate.number} is a naive model, which candidates are compared with",
            where=candidate.name,
            hint=f"name another: experiments promote version=…, or {by_hand}",
        )
    if candidate.tags["ranking_only"] == "true":
        raise InputError(
            f"version {candidate.number} only ranks customers; a champion must predict amounts",
            where=candidate.name,
            hint="name another: experiments promote version=…",
        )
    if "rolled_back" in candidate.tags:
        raise InputError(
            f"version {candidate.number} was rolled back: {candidate.tags['rolled_back']}",
            where=candidate.name,
            hint=f"tune a new one, or {by_hand}",
        )
    if not candidate.has_current_code:
        raise InputError(
            f"version {candidate.number} was trained by other code than that in use",
            where=candidate.name,
            hint=f"{session.again('tune')} trains one with today's, or {by_hand}",
        )
    check_features(candidate, definition_hash(candidate.features), f"{session.again('tune')} builds on today's")
    check_descriptive(candidate)
    if champion is not None:
        check_features(
            champion, definition_hash(champion.features), f"the champion cannot be scored any more: {by_hand}"
        )
    sealed = str(session.splits.sealed)
    for version in filter(None, (candidate, champion)):
        if version.tags["trained_through"] > sealed:
            raise InputError(
                f"version {version.number} has seen the sealed window",
                where=version.name,
                expected=f"trained through {sealed} at most",
                found=f"trained through {version.tags['trained_through']}",
                hint=f"tune again on these data, or {by_hand}",
            )
    for version in filter(None, (candidate, champion)):
        version.check_loads()


def check_descriptive(version: Version) -> None:
    """Refuse a version that was trained on features of more than the past, by hand too.

    Raises
    ------
    InputError
    """
    described = descriptive(version.features)
    if described:
        name, reason = next(iter(described.items()))
        raise InputError(
            f"version {version.number} was trained on features of more than the past: {listing(described)}",
            where="features.names",
            expected="features that come from `as_of` alone",
            found=f"{name}: {reason}",
            hint="leave them out and tune again; experiments audit names all",
        )
