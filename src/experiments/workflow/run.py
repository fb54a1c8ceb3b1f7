"""All tasks of a shop: tuned side by side, judged together, summarised in a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from experiments.gate.admission import NotComparableError
from experiments.gate.chance import knowledge
from experiments.gate.decision_page import figure, statement
from experiments.gate.rule import UNJUDGED
from experiments.processes import cpu_count
from experiments.reports.text import aligned
from experiments.workflow.baseline import unjudged, use_baseline_unjudged
from experiments.workflow.config import Config
from experiments.workflow.in_use import OwnFigure, own_figure
from experiments.workflow.promote import in_use, promote_together
from experiments.workflow.session import Session
from experiments.workflow.side_by_side import log_windows, side_by_side
from experiments.workflow.tune import tune
from features.errors import InputError, InsufficientDataError, UnsuitableDataError
from features.progress import about

if TYPE_CHECKING:
    from experiments.gate.ledger import Look
    from experiments.tracking.registry import Version
    from experiments.workflow.report import Draft

logger = logging.getLogger(__name__)

ROWS_OF_A_CUSTOMER = 30  # of a finer grain, roughly


@dataclass
class Answer:
    """Result of one task.

    Attributes
    ----------
    session : Session
    candidate : Version or None
    look : Look or None
        The gate's look at the candidate. None if it was rolled back before, or if the gate cannot judge it.
    refusal : InputError or None
        The reason why there is no candidate, or no look at it.
    is_unjudged : bool
        Whether no model suits the data, or could be judged. A baseline or an earlier champion is in use then, without
        a look.
    """

    session: Session
    candidate: Version | None = None
    look: Look | None = None
    refusal: InputError | None = None
    is_unjudged: bool = False

    @property
    def name(self) -> str:
        return self.session.question

    @property
    def is_searched(self) -> bool:
        """True if the task has a candidate, or a baseline in its place."""
        return self.candidate is not None or self.is_unjudged

    @property
    def is_skipped(self) -> bool:
        return self.refusal is not None and not self.is_unjudged


def run(sessions: Sequence[Session], processes: int | None = None, draft: Draft | None = None) -> list[Answer]:
    """Tune a model for each task, and let the gate judge all of them together.

    Parameters
    ----------
    sessions : sequence of Session
        One for each task, on the same data.
    processes : int, optional
        How many tasks are searched side by side, each in a process of its own; by the number of cores when left out.
    draft : Draft, optional
        Report that follows. Its sections that read no model are written while other processes still search.

    Returns
    -------
    list of Answer
        In the order of the sessions.

    Raises
    ------
    InputError
        If no task can be answered with these data: why the first cannot.
    """
    check_names(sessions)
    if not sessions:
        return []
    _ = sessions[0].shop  # staged once, before several processes ask for it
    by_length = sorted(sessions, key=length, reverse=True)
    with side_by_side(by_length, processes or n_processes(sessions[0].config)) as (own, of_others):
        answers = [search(session) for session in own]
        if draft is not None:
            draft.write_ahead()
        answers += [
            search(session) if version is None else Answer(session, session.registry.get(version))
            for session, version in of_others
        ]
    answers.sort(key=lambda answer: sessions.index(answer.session))
    judge(answers)
    refusals = [answer.refusal for answer in answers if answer.is_skipped and answer.refusal is not None]
    if len(refusals) == len(answers):
        raise refusals[0]
    return answers


def length(session: Session) -> int:
    """Return how many training cutoffs the trials of a task learn from in all; 0 where the data do not allow it.

    Those of a finer grain than customers count more: it has dozens of rows for each.
    """
    try:
        cutoffs = sum(len(training) for training, _ in session.splits.folds())
        return session.config.tuning.n_trials * cutoffs * ROWS_OF_A_CUSTOMER ** (len(session.task.grain.key) - 1)
    except InputError:
        return 0


def n_processes(config: Config) -> int:
    """Return how many processes search tasks: as configured, else by the number of cores."""
    if config.processes is not None:
        return config.processes
    return 1 if config.engine["name"] == "spark" else max(1, cpu_count() // config.tuning.workers)


def check_names(sessions: Sequence[Session]) -> None:
    """Refuse two configurations of one task: they would share its models, ledger and champion.

    Raises
    ------
    InputError
    """
    names = [session.question for session in sessions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two of the tasks are configurations of {twice[0]}, and would share its models",
            where="tasks",
            found=", ".join(f"{session.question}: {session.target}" for session in sessions),
            hint="run them one after the other, each by task=…",
        )


def search(session: Session) -> Answer:
    """Return a candidate for a task, else the baseline in its place, else why these data do not allow the task."""
    try:
        with about(session.question):
            log_windows(session)
            return Answer(session, candidate=tune(session))
    except (InsufficientDataError, NotComparableError) as error:
        logger.warning("%s is skipped: %s", session.question, error.problem)
        return Answer(session, refusal=error)
    except UnsuitableDataError as error:
        logger.warning("%s has no candidate: %s", session.question, error.problem)
        refusal = error
    try:
        use_baseline_unjudged(session, refusal)
        return Answer(session, refusal=refusal, is_unjudged=True)
    except UnsuitableDataError as error:
        logger.warning("%s is skipped: %s", session.question, error.problem)
        return Answer(session, refusal=error)


def judge(answers: Sequence[Answer]) -> None:
    """Let the gate judge all candidates together, except those that were rolled back.

    A task whose candidate was not judged, and that has no champion, gets a baseline without a look.
    """
    judged = [(a, a.candidate) for a in answers if a.candidate is not None and a.candidate.rolled_back is None]
    ends = promote_together([answer.session for answer, _ in judged], [candidate for _, candidate in judged])
    for (answer, _), end in zip(judged, ends, strict=True):
        if isinstance(end, InputError):
            logger.warning("%s is not judged: %s", answer.name, end.problem)
            answer.refusal = end
        else:
            answer.look = end
    for answer in answers:
        if answer.candidate is not None and answer.look is None and answer.session.registry.champion() is None:
            leave_unjudged(answer, answer.candidate)


def leave_unjudged(answer: Answer, candidate: Version) -> None:
    """Put a baseline in use for a task without a champion whose candidate was not judged."""
    refusal = answer.refusal or InputError(
        f"version {candidate.number} is still the best and was rolled back", found=candidate.rolled_back or ""
    )
    try:
        use_baseline_unjudged(answer.session, refusal)
    except UnsuitableDataError as error:
        logger.warning("%s has no baseline in use: %s", answer.name, error.problem)
        return
    answer.refusal, answer.is_unjudged = refusal, True


COLUMNS = ("task", "candidate", "its figure", "best baseline", "verdict", "in use", "its own figure", "amounts")


def summary(answers: Sequence[Answer]) -> str:
    """Return a line for each task, then text: candidate, best baseline, verdict, what is used."""
    table = pd.DataFrame([_row(answer) for answer in answers], columns=COLUMNS)
    return "\n".join([aligned(table), "", *(f"{answer.name}: {words(answer)}" for answer in answers)])


def _row(answer: Answer) -> dict[str, str]:
    row = {**dict.fromkeys(COLUMNS, "-"), "task": answer.name}
    if answer.candidate is not None or answer.is_unjudged:
        row["in use"] = in_use(answer.session)
        registry = answer.session.registry
        champion = registry.champion()
        if champion is not None:
            row["its own figure"] = str(own_figure(registry, champion))
            row["amounts"] = champion.tags.get("amounts", "-")
    if answer.candidate is not None:
        row["candidate"] = answer.candidate.title
    if answer.look is None:
        return row | {"verdict": UNJUDGED if answer.is_unjudged else "skipped" if answer.is_skipped else "rolled back"}
    decision, outcome = answer.look.decision, answer.look.outcome
    assert outcome is not None
    return row | {
        "its figure": str(OwnFigure(decision.metric, decision.estimate, decision.interval)),
        "best baseline": f"{figure(decision.nearest.estimate)} {decision.baseline}",
        "verdict": outcome.verdict,
    }


def _if_blind(session: Session) -> str:
    """Return a warning where what is in use was not shown to be better than chance."""
    champion = session.registry.champion()
    known = knowledge(session.registry, champion) if champion is not None else None
    if known is None or not known.is_blind:
        return ""
    return f". Do not choose customers by it, as it is not shown to be better than chance: {known.figures}"


def words(answer: Answer) -> str:
    """Return what came out for a task, and what is in use."""
    if answer.look is not None:
        assert answer.look.outcome is not None
        said = statement(answer.session.task.ability, answer.look.decision, answer.look.outcome)
        use = answer.look.use
        if use is None:
            return said
        return f"{said}. In use: {in_use(answer.session)}; {use.reason}{_if_blind(answer.session)}"
    if answer.is_unjudged:
        assert answer.refusal is not None
        return f"{unjudged(answer.refusal)}; in use without a look: {in_use(answer.session)}"
    if answer.refusal is not None:
        return f"skipped, {answer.refusal}"
    assert answer.candidate is not None
    return f"version {answer.candidate.number} is still the best and was rolled back: it is not judged again"
