"""Promotion: check, open the ledger, evaluate, decide, close the ledger, carry out. Only it opens the sealed window."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from experiments.evaluation.profit import COST, WORTH
from experiments.gate.admission import changed_features, check_descriptive, check_judgeable, retire_outdated
from experiments.gate.clues import Clues, Part, parts_of, rise
from experiments.gate.decision_page import decision_page, figure, in_money, in_words, statement
from experiments.gate.ledger import Look, NextLook, Window, close_look, next_look, open_look, record_decision
from experiments.gate.next_steps import advise
from experiments.gate.promotion import carry_out
from experiments.gate.rule import Decision, Outcome, Use, correct, counted, decide, enough_resamples
from experiments.gate.sealed import CANDIDATE, CHAMPION, SEALED, Evidence, gather, resample
from experiments.gate.standing import primary_metrics
from experiments.reports.figures import png
from experiments.reports.model_charts import draw
from experiments.tasks.base import Task
from experiments.workflow.baseline import use_baseline
from experiments.workflow.calibration import observe_sealed
from experiments.workflow.describe import describe
from experiments.workflow.leaderboard import amounts_text
from experiments.workflow.serve import rebuild
from experiments.workflow.session import Session, digest
from features.errors import InputError, UnsuitableDataError, listing
from features.grains import CUSTOMER

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

PROFIT = "profit_20"
TENTHS = ("total_ratio_lowest_tenth", "total_ratio_highest_tenth")
# A look by another rule is taken again.
RULE = "what is used is the best that was measured; a lead that may be chance is weighed against validation"


def promote(session: Session, version: int | None = None) -> Look:
    """Gate a version on the sealed window, beside the baselines and the champion.

    Parameters
    ----------
    session : Session
    version : int, optional
        The newest that is not a baseline when left out.

    Returns
    -------
    Look
        Of the outcome that was carried out.

    Raises
    ------
    InputError
        If the version cannot be judged.
    """
    candidate = session.registry.get(version) if version is not None else newest(session)
    (look,) = promote_together([session], [candidate])
    if isinstance(look, InputError):
        raise look
    return look


def promote_by_hand(session: Session, version: int, reason: str) -> bool:
    """Make a version champion without a look at the sealed window.

    Parameters
    ----------
    session : Session
    version : int
    reason : str
        Kept as a tag of the version.

    Returns
    -------
    bool
        False if the version is the champion already.

    Raises
    ------
    InputError
        If there is no such version, it does not load, or its features read more than the past.
    """
    registry = session.registry
    with _one_at_a_time([session]):
        registry.finish()
        chosen, champion = registry.get(version), registry.champion()
        if champion is not None and champion.number == version:
            describe(session)
            return False
        check_descriptive(chosen)
        chosen.check_loads()
        registry.crown(version, f"by hand: {reason}", {"gate": "bypassed", "override_reason": reason})
        describe(session)
    rebuild(session)
    return True


def roll_back(session: Session, reason: str | None = None) -> tuple[int, int]:
    """Make the champion before this one champion again.

    Returns
    -------
    (int, int)
        The version that was champion, and the one that is.

    Raises
    ------
    InputError
        If there was none before.
    """
    with _one_at_a_time([session]), session.registry.one_change():
        moved = session.registry.roll_back(reason or "rolled back by hand")
        describe(session)
    rebuild(session)
    return moved


def retire(session: Session, reason: str | None = None) -> int:
    """Take the champion out of use, without another in its place: the next model is compared with baselines alone.

    Returns
    -------
    int
        The version that was champion.

    Raises
    ------
    InputError
        If there is no champion.
    """
    with _one_at_a_time([session]), session.registry.one_change():
        number = session.registry.retire(reason or "retired by hand")
        describe(session)
    rebuild(session)
    return number


def promote_together(sessions: Sequence[Session], candidates: Sequence[Version]) -> list[Look | InputError]:
    """Gate the candidates of several tasks: judge each, correct p-values for their number, and only then promote.

    A candidate that cannot be judged does not keep the others from being judged.

    A second process waits, and compares its candidate with the champion that the first one left. A look is recorded
    before its outcome is known, and an outcome before it is carried out: the same command resumes where it was killed.

    Parameters
    ----------
    sessions : sequence of Session
        One for each task.
    candidates : sequence of Version
        One for each session.

    Returns
    -------
    list of Look or InputError
        For each candidate in turn, its look, or why it cannot be judged.
    """
    candidate_of = dict(zip(sessions, candidates, strict=True))
    rivals: dict[Session, Version | None] = {}
    looks: dict[Session, Look] = {}
    refusals: dict[Session, InputError] = {}
    with _one_at_a_time(sessions):
        for session, candidate in candidate_of.items():
            session.registry.finish()
            try:
                rivals[session] = checked_rival(session, candidate)
            except InputError as error:
                refusals[session] = error
        together = [session.question for session in rivals]
        for session, rival in rivals.items():
            try:
                looks[session] = take_look(session, candidate_of[session], rival, together)
            except UnsuitableDataError as error:  # the primary metric is undefined in the sealed window
                refusals[session] = error
        outcomes = _corrected(list(looks.values()), together)
        ends = {
            session: conclude(session, candidate_of[session], look, outcome)
            for (session, look), outcome in zip(looks.items(), outcomes, strict=True)
        }
    if sessions:
        rebuild(sessions[0])  # one model has the champions of all tasks
    return [refusals[session] if session in refusals else ends[session] for session in sessions]


def checked_rival(session: Session, candidate: Version) -> Version | None:
    """Return the champion, unless it is the candidate, once both passed the checks that leave the window sealed."""
    champion = session.registry.champion()
    rival = champion if champion is not None and champion.number != candidate.number else None
    if rival is not None and changed_features(rival, session.shop.tables.spend):
        rival = None  # nothing scores with it any more: `take_look` retires it
    check_judgeable(
        candidate,
        rival,
        lineage=session.lineage,
        spend=session.shop.tables.spend,
        sealed_from=session.splits.sealed,
        tune=session.again("tune"),
        by_hand=f"promote by hand: {session.again('promote')} version={candidate.number} reason='…'",
        retire=session.retire_command,
    )
    return rival


def take_look(session: Session, candidate: Version, rival: Version | None, together: Sequence[str]) -> Look:
    """Open the ledger, evaluate in the sealed window, decide, and record the decision.

    A look that is decided already is returned as recorded, and the window stays closed. One that died goes on.
    """
    options = session.config.evaluation
    retire_outdated(session.registry, session.shop.tables.spend)
    look = open_look(session.registry, candidate, session.registry.champion(), _window(session), together)
    if look.is_decided:
        return look
    evidence = gather(
        session.task,
        session.judged_shop,
        session.splits,
        candidate,
        session.registry.champion(),
        n_origins=options.n_origins,
        n_controls=options.n_controls,
        seed=options.seed,
    )
    decision = _decide(session, candidate, rival, evidence, look.alpha, len(together))
    decision = replace(decision, clues=_clues(session, candidate, evidence), chance=session.task.metric.chance)
    _log_look(session, candidate, evidence, decision)
    return record_decision(session.registry, look, decision)


def conclude(session: Session, candidate: Version, look: Look, outcome: Outcome) -> Look:
    """Record the outcome of a look in the ledger, carry it out, and log it."""
    look = close_look(session.registry, look, outcome)
    carry_out(session.registry, candidate, look, _said(session, look))
    observe_sealed(session, candidate)
    champion = session.registry.champion()
    if champion is not None and champion.number != candidate.number:
        observe_sealed(session, champion)
    if look.changes_use and not outcome.promote:
        use_baseline(session, candidate, look)
    describe(session)
    _log_outcome(session, candidate, look)
    return look


@contextmanager
def _one_at_a_time(sessions: Iterable[Session]) -> Iterator[None]:
    """Lock the registered models of tasks; in the order of their names, or two processes could block each other."""
    from experiments.tracking.store import answering, exclusive

    with ExitStack() as stack:
        for session in sorted(sessions, key=lambda session: session.registered_name):
            stack.enter_context(answering(session.client))
            stack.enter_context(exclusive(session.client, session.registered_name))
        yield


def newest(session: Session) -> Version:
    """Return the newest version of the task that is not a baseline.

    Raises
    ------
    InputError
        If there is none.
    """
    target = session.target  # older stores have several under one name
    versions = [v for v in session.registry.versions() if not v.is_baseline and v.tags.get("target") == target]
    if not versions:
        raise InputError(
            f"{session.registry.name} has no version to promote",
            where="registry",
            hint=f"{session.again('tune')} registers one",
        )
    return versions[0]


def _window(session: Session) -> Window:
    """Return the sealed window with the rule that decides in it."""
    splits, task = session.splits, session.task
    return Window(
        start=str(splits.sealed),
        end=str(splits.sealed_end),
        rule=digest([RULE, session.config.evaluation.n_origins, task.primary_metric, task.min_effect, task.guards]),
    )


def _decide(
    session: Session, candidate: Version, rival: Version | None, evidence: Evidence, alpha: float, n_tasks: int
) -> Decision:
    """Resample units, the same ones for every model, and apply the gate's rule."""
    task, options = session.task, session.config.evaluation
    draws = resample(
        task,
        evidence,
        n_resamples=enough_resamples(options.n_resamples, alpha, n_tasks),
        seed=options.seed,
    )
    labels = {name: model.label for name, model in task.candidates().items()}
    labels[CANDIDATE] = f"version {candidate.number}, {candidate.label}"
    if rival is not None:
        labels[CHAMPION] = f"version {rival.number}, {rival.label}"
    return decide(
        draws,
        candidate=CANDIDATE,
        baselines=evidence.baselines,
        in_use=evidence.in_use,
        metric=task.primary_metric,
        min_effect=task.min_effect,
        alpha=alpha,
        confidence=options.confidence,
        metrics=evidence.candidate_metrics(),
        guards=task.guards,
        labels=labels,
        validated=primary_metrics(
            session.runs.metrics(candidate.run_id), task.primary_metric, CANDIDATE, evidence.baselines
        ),
    )


def _clues(session: Session, candidate: Version, evidence: Evidence) -> Clues:
    """Gather the study's curve, and where the candidate errs in the sealed window."""
    task, own = session.task, evidence.candidate
    parent = session.runs.parent(candidate.run_id)
    values = session.runs.trial_values(parent, f"valid/{task.objective_metric}") if parent else []
    parts: list[Part] = []
    if task.grain.takes(CUSTOMER):
        known = candidate.features if "frequency" in candidate.features else ["frequency"]  # its file is there
        history = session.judged_shop.features(known, session.splits.sealed_cutoffs, task.grain)
        parts = parts_of(task.metric, own, history["frequency"].reindex(own.y.index))
    return Clues(len(values), rise(values), tuple(parts))


def _corrected(looks: Sequence[Look], together: Sequence[str]) -> list[Outcome]:
    """Apply Holm's correction over the tasks of one run; a look that has an outcome keeps it.

    A look of another run, which was killed before its outcome, is corrected for the number of tasks of that run.
    """
    unseen = len(together) - len(looks)  # whose primary metric is undefined in the sealed window
    outcomes = correct([look.decision for look in looks], unseen) if looks else []
    for number, look in enumerate(looks):
        if look.outcome is not None:
            outcomes[number] = look.outcome
        elif set(look.together) != set(together):
            (outcomes[number],) = correct([look.decision], unseen=len(look.together) - 1)
    return outcomes


def _log_look(session: Session, candidate: Version, evidence: Evidence, decision: Decision) -> None:
    """Log metrics, tables and pictures of a look to the candidate's run."""
    own = session.task.sealed_figures(evidence.candidate.y, evidence.candidate.prediction)
    further = {f"sealed/{name}": value for name, value in own.items() if math.isfinite(value)}
    session.runs.log(candidate.run_id, metrics={**evidence.metrics(), **decision.metrics(), **further})
    figures = draw(
        {
            candidate.tags["model"]: evidence.candidate.tables,
            decision.baseline: evidence.sealed[decision.baseline].tables,
        },
        currency=session.shop.staged.currency,
        horizon_days=session.task.horizon_days,
        window=f"sealed window from {session.splits.sealed}",
    )
    session.runs.log_artifacts(
        candidate.run_id,
        tables=evidence.tables(decision.baseline),
        figures={f"{SEALED}{name}": png(figure) for name, figure in figures.items()},
    )


def _log_outcome(session: Session, candidate: Version, look: Look) -> None:
    """Log the outcome of a look to the candidate's run: tags, the verdict in words, a page with the reasons."""
    assert look.outcome is not None
    session.runs.log(
        candidate.run_id,
        tags={
            "gate": "promoted" if look.outcome.promote else "refused",
            "verdict": look.outcome.verdict,
            "reasons": listing(look.outcome.reasons) or "none",
        },
    )
    session.runs.head_note(candidate.run_id, f"**Verdict** {_said(session, look)}.")
    page = decision_page(
        title=f"{session.registry.name} version {candidate.number}",
        model=candidate.tags["model"],
        ability=session.task.ability,
        decision=look.decision,
        outcome=look.outcome,
        looks=session.registry.ledger(),
        look=look.entry,
        horizon_days=session.task.horizon_days,
        champion=_in_use_now(session, look),
    )
    texts = {"sealed/decision.json": json.dumps(look.entry, indent=2), "sealed/decision.html": page}
    session.runs.log_artifacts(candidate.run_id, texts=texts)


def _said(session: Session, look: Look) -> str:
    """Return the verdict in words."""
    assert look.outcome is not None
    return statement(session.task.ability, look.decision, look.outcome)


def in_use(session: Session) -> str:
    """Return version and model of the champion in words."""
    champion = session.registry.champion()
    return champion.title if champion is not None else "nothing"


def preview(session: Session, version: int | None = None) -> str:
    """Say which look a promotion takes, at which level and against what, without looking.

    Parameters
    ----------
    session : Session
    version : int, optional
        As `promote` takes it.

    Raises
    ------
    InputError
        If the version cannot be judged.
    """
    session.registry.finish_abandoned()
    candidate = session.registry.get(version) if version is not None else newest(session)
    checked_rival(session, candidate)
    window, champion, outdated = _window(session), session.registry.champion(), ""
    if champion is not None and (changed := changed_features(champion, session.shop.tables.spend)):
        outdated = f"  {champion.title}, goes out of use first: other definitions by now of {listing(changed)}"
        champion = None
    coming = next_look(session.registry, candidate, champion, window)
    plan = _plan(session, candidate, champion, coming, f"{window.start} to {window.end}")
    return f"{plan}\n{outdated}" if outdated else plan


def _plan(session: Session, candidate: Version, champion: Version | None, coming: NextLook, days: str) -> str:
    """Describe a look before it is taken."""
    name = f"{session.registry.name} {candidate.title}"
    if coming.recorded is not None and coming.recorded.is_decided:
        return f"{name}: decided in look {coming.recorded.number} at the window {days}; no further look is needed"
    task, n_baselines = session.task, len(session.task.baselines(candidate.params))
    beside = [f"{n_baselines} baseline{'s' if n_baselines > 1 else ''}"]
    if champion is None:
        rule = (
            "it is used if no baseline measures better, or the lead may be chance and is less than the gain at "
            "validation: nothing is in use"
        )
    elif champion.number == candidate.number:
        rule = "it is in use, and stays unless the gain of a baseline over it is shown"
    else:
        beside.append(f"{champion.title}, which is in use")
        rule = f"it is used if its gain over version {champion.number} is shown and at least {task.min_effect:g}"
    return "\n".join(
        [
            f"{name}: look {coming.number} at the sealed window {days}",
            f"  level {coming.alpha:.4f}; looks before have spent {coming.spent:.4f} of 0.05",
            f"  compared in {task.primary_metric} with {' and '.join(beside)}",
            f"  {rule}",
        ]
    )


def _in_use_now(session: Session, look: Look) -> str:
    """Return version, model and figure of the champion in words; without a figure if it came by hand."""
    champion = session.registry.champion()
    use = look.use_of(champion) if champion is not None else None
    return f"{in_use(session)}, {use_text(look.decision, use)}" if use is not None else in_use(session)


def _amounts(session: Session) -> list[str]:
    """Return a line on how far the amounts of the champion can be trusted; none where it predicts no amounts."""
    champion = session.registry.champion()
    said = amounts_text(champion) if champion is not None else ""
    return [f"  {said[0].lower()}{said[1:]}"] if said else []


def _in_plain_words(session: Session, look: Look) -> list[str]:
    """Return `plain_lines` of a look; none where the version was deleted."""
    try:
        version = session.registry.get(look.version)
    except InputError:
        return []
    metrics = session.runs.metrics(version.run_id)
    return plain_lines(session.task, look.decision, metrics, version.tags.get("currency", ""))


def plain_lines(task: Task, decision: Decision, metrics: Mapping[str, float], currency: str) -> list[str]:
    """Say the gain in plain words and in money, and whether totals are right, as far as that was measured.

    Parameters
    ----------
    task : Task
    decision : Decision
    metrics : mapping of name to float
        Logged for the candidate's run: `sealed/...`.
    currency : str
        Of the shop.
    """
    rival, lines = in_words(decision.nearest), []

    def measured(*names: str) -> list[float]:
        found = [metrics.get(f"sealed/{name}", math.nan) for name in names]
        return found if all(map(math.isfinite, found)) else []

    name = task.plain_metric
    both = measured(name, f"{decision.baseline}/{name}")
    if both:
        means = task.metrics()[name].means
        lines.append(f"  in plain words: {means}, in the sealed window: {both[0]:.1%}; {rival}: {both[1]:.1%}")
    for worth in measured(WORTH):
        lines.append(f"  in money: {in_money(decision, worth, currency)}")
    profits = measured(PROFIT, f"{decision.baseline}/{PROFIT}", COST)
    if profits:
        own, other, cost = profits
        lines.append(
            f"  worth of the 20% of customers predicted highest, less {cost:g} for each: {own:,.0f} {currency}; "
            f"{rival}: {other:,.0f}"
        )
    total, tenths = measured("total_ratio", "total_ratio_low", "total_ratio_high"), measured(*TENTHS)
    if total:
        parts = f"; of the tenth predicted lowest {tenths[0]:.2f}, highest {tenths[1]:.2f}" if tenths else ""
        lines.append(
            f"  total predicted / actual: {total[0]:.2f} (95% interval {total[1]:.2f} to {total[2]:.2f}){parts}"
        )
    return lines


def decision_text(session: Session, look: Look) -> str:
    """Return the decision in a few lines, and the next command."""
    outcome, name = look.outcome, session.registry.name
    assert outcome is not None
    again = "" if look.fresh else " (decided before; no further look was taken)"
    lines = [f"{name} version {look.version}: {'promoted' if outcome.promote else 'not used'}{again}"]
    lines += found(session, look)
    if outcome.promote:
        serve = f"mlflow models serve -m models:/{name}@champion --env-manager local -p 5001"
        lines.append(f"next: {session.again('score')}, or {serve}")
    else:
        lines.append(f"next: {session.again('score')}")
    return "\n".join(lines)


def found(session: Session, look: Look) -> list[str]:
    """Return what a look found, in lines: verdict, use, reasons, level, gain over each rival, what would help."""
    decision, outcome = look.decision, look.outcome
    assert outcome is not None
    lines = [
        f"  verdict: {_said(session, look)}",
        f"  in use: {_in_use_now(session, look)}",
        *_amounts(session),
        *(f"  not version {look.version}: {reason}" for reason in outcome.reasons),
        f"  look {look.number} at this window, level {decision.alpha:.4f}",
    ]
    for comparison in decision.comparisons:
        where = f" in {counted(comparison.windows)}" if comparison.windows else ""
        lines.append(f"  {decision.metric} {comparison}{where}; smallest detectable {comparison.detectable:.4f}")
    if len(decision.backtest) > 1:
        origins = ", ".join(f"{gain:+.4f} from {day}" for day, gain in decision.backtest.items())
        lines.append(f"  gain over {decision.baseline} by window: {origins}")
    lines += _in_plain_words(session, look)
    advice = advise(decision, outcome.verdict, session.task.horizon_days)
    if advice:
        lines += ["  what would help:", *(f"    {said}" for said in advice)]
    return lines


def use_text(decision: Decision, use: Use) -> str:
    """Return the figure of the model in use with its interval and windows, the best other figure, and the reason."""
    low, high = use.interval
    own = f"{decision.metric} {figure(use.estimate)} [{figure(low)}, {figure(high)}] in {counted(use.windows)}"
    beside = f"; best of the others: {figure(use.other_estimate)}, {use.other_label}" if use.other else ""
    return f"{own}{beside}; {use.reason}"
