"""`experiments run`: the whole road for each question in turn, a table of what came out, and the report."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from joblib import cpu_count

from experiments.commands.compose import of_each_task, session_of
from experiments.gate.decision_page import figure, statement
from experiments.workflow.baseline import unjudged, use_baseline_unjudged
from experiments.workflow.config import Config
from experiments.workflow.promote import decision_text, in_use, promote_together
from experiments.workflow.report import report
from experiments.workflow.score import find_champions, score
from experiments.workflow.session import Session
from experiments.workflow.side_by_side import side_by_side
from experiments.workflow.tune import tune
from features.errors import InputError, InsufficientDataError, UnsuitableDataError

if TYPE_CHECKING:
    from experiments.gate.ledger import Look
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)


@dataclass
class Answer:
    """What became of one question.

    Attributes
    ----------
    session : Session
    candidate : Version or None
    look : Look or None
        At the candidate; there is none at one that was rolled back, or that the gate cannot judge.
    refusal : InputError or None
        Why there is no candidate, or no look at it.
    is_unjudged : bool
        Whether no model does with the data: what is in use then, the naive model or a champion before it, was not
        looked at.
    """

    session: Session
    candidate: Version | None = None
    look: Look | None = None
    refusal: InputError | None = None
    is_unjudged: bool = False

    @property
    def name(self) -> str:
        return self.session.task.name

    @property
    def is_skipped(self) -> bool:
        return self.refusal is not None and not self.is_unjudged


def main(config: Config) -> None:
    begun = time.monotonic()
    sessions = [session_of(own, overrides) for own, overrides in of_each_task(config)]
    check_names(sessions)
    if sessions:
        _ = sessions[0].shop  # staged once, before several processes ask for it
    with side_by_side(sessions, n_processes(config)) as in_turn:
        answers = sorted((search(session) for session in in_turn), key=lambda answer: sessions.index(answer.session))
    judge(answers)
    refusals = [answer.refusal for answer in answers if answer.is_skipped and answer.refusal is not None]
    if refusals and len(refusals) == len(answers):
        raise refusals[0]
    for answer in answers:
        if answer.look is not None:
            print(f"{decision_text(answer.session, answer.look)}\n")
    if answers:
        print(f"{summary(answers)}\n")

    asked = session_of(config)
    searched = [answer.session for answer in answers if answer.candidate is not None or answer.is_unjudged]
    served = [session for session in searched if session.registry.champion() is not None]
    if served:
        path, customers = score(served[0])
        champions = find_champions(served[0]).values()
        print(f"{customers:,} customers in {path}, by {', '.join(f'{v.name} version {v.number}' for v in champions)}")
    elif answers:
        print("no champion, so nothing was scored")
    print(f"report in {report(asked, Path(config.report.output))}")
    print(f"done in {time.monotonic() - begun:.0f} s; next:")
    print(f"  {asked.again('ui')}\n      compare the trials in MLflow")
    for session in searched:
        print(f"  {session.again('tune')} tuning.n_trials={2 * session.config.tuning.n_trials}")
        print("      search on from here")
    for session in served:
        print(f"  mlflow models serve -m models:/{session.registered_name}@champion --env-manager local -p 5001")
        print("      answer rows of features")


def n_processes(config: Config) -> int:
    """How many processes search questions: as configured, else as many as there are cores for."""
    if config.processes is not None:
        return config.processes
    return 1 if config.engine["name"] == "spark" else max(1, cpu_count() // config.tuning.workers)


def check_names(sessions: Sequence[Session]) -> None:
    """Refuse two configurations of one question: they would share its models, ledger and champion.

    Raises
    ------
    InputError
    """
    names = [session.task.name for session in sessions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two of the tasks are configurations of {twice[0]}, and would share its models",
            where="tasks",
            found=", ".join(f"{session.task.name}: {session.task.target}" for session in sessions),
            hint="run them one after the other, each by task=…",
        )


def search(session: Session) -> Answer:
    """A candidate for a question; else the naive model in its place, or why these data do not allow it."""
    try:
        splits = session.splits
        logger.info(
            "%s: training %s; validation %s; sealed %s",
            session.task.name,
            ", ".join(map(str, splits.training)),
            ", ".join(map(str, splits.validation)),
            splits.sealed,
        )
        return Answer(session, candidate=tune(session))
    except InsufficientDataError as error:
        logger.warning("%s is skipped: %s", session.task.name, error.problem)
        return Answer(session, refusal=error)
    except UnsuitableDataError as error:
        logger.warning("%s has no candidate: %s", session.task.name, error.problem)
        refusal = error
    try:
        use_baseline_unjudged(session, refusal)
        return Answer(session, refusal=refusal, is_unjudged=True)
    except UnsuitableDataError as error:
        logger.warning("%s is skipped: %s", session.task.name, error.problem)
        return Answer(session, refusal=error)


def judge(answers: Sequence[Answer]) -> None:
    """Let the gate judge all candidates together, but those that were rolled back."""
    judged = [(a, a.candidate) for a in answers if a.candidate is not None and "rolled_back" not in a.candidate.tags]
    ends = promote_together([answer.session for answer, _ in judged], [candidate for _, candidate in judged])
    for (answer, _), end in zip(judged, ends, strict=True):
        if isinstance(end, InputError):
            logger.warning("%s is not judged: %s", answer.name, end.problem)
            answer.refusal = end
        else:
            answer.look = end


def summary(answers: Sequence[Answer]) -> str:
    """One line a task: winner, figure with interval, nearest naive model, verdict, what is in use; then in words."""
    rows, words = [], []
    for answer in answers:
        row = dict.fromkeys(("task", "winner", "sealed figure", "nearest naive", "verdict", "in use"), "-")
        row["task"] = answer.name
        if answer.candidate is not None or answer.is_unjudged:
            row["in use"] = in_use(answer.session)
        if answer.candidate is not None:
            row["winner"] = answer.candidate.tags["model"]
        if answer.look is not None:
            decision, outcome = answer.look.decision, answer.look.outcome
            assert outcome is not None
            low, high = map(figure, decision.interval)
            row |= {
                "sealed figure": f"{decision.metric} {figure(decision.estimate)} [{low}, {high}]",
                "nearest naive": f"{figure(decision.nearest.estimate)} {decision.baseline}",
                "verdict": outcome.verdict,
            }
            words.append(f"{answer.name}: {statement(answer.session.task.ability, decision, outcome)}")
        elif answer.is_unjudged:
            assert answer.refusal is not None
            row["verdict"] = "none"
            words.append(f"{answer.name}: {unjudged(answer.refusal)}; in use without a look: {in_use(answer.session)}")
        elif answer.refusal is not None:
            row["verdict"] = "skipped"
            words.append(f"{answer.name}: skipped, {answer.refusal}")
        else:
            assert answer.candidate is not None
            row["verdict"] = "rolled back"
            number = answer.candidate.number
            words.append(
                f"{answer.name}: version {number} is still the best and was rolled back: it is not judged again"
            )
        rows.append(row)
    table = pd.DataFrame(rows)
    widths = {column: max(len(column), *table[column].str.len()) for column in table}
    lines = [{column: column for column in table}, *rows]
    drawn = ["  ".join(line[column].ljust(width) for column, width in widths.items()).rstrip() for line in lines]
    return "\n".join([*drawn, "", *words])
