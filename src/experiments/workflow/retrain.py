"""Retraining: what each task needs today. Nothing, the same parameters on newer windows, or a new search."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING

from experiments.gate.admission import changed_features
from experiments.workflow.candidate import make_candidate
from experiments.workflow.promote import in_use
from experiments.workflow.run import Answer, check_names, judge, search, words
from experiments.workflow.session import Session
from features.errors import InputError, InsufficientDataError, listing
from features.progress import about

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)


class Action(Enum):
    """Kinds of work that a task may need."""

    KEEP = "kept"
    JUDGE = "judged"
    REFIT = "refitted with the parameters of its last search"
    SEARCH = "searched anew"


@dataclass(frozen=True)
class Need:
    """Work that a task needs today, and the reason.

    Attributes
    ----------
    action : Action
    reason : str
    version : Version or None
        The newest candidate; None before there is one.
    """

    action: Action
    reason: str
    version: Version | None = None


@dataclass(frozen=True)
class Retrained:
    """Work that was done for one task.

    Attributes
    ----------
    session : Session
    need : Need or None
        None where that could not be decided.
    answer : Answer or None
        The new candidate and its look. None for a task that was kept, or that failed.
    refusal : InputError or None
        Why it failed.
    """

    session: Session
    need: Need | None
    answer: Answer | None = None
    refusal: InputError | None = None

    @property
    def has_failed(self) -> bool:
        """True if somebody has to look at it. A task for which there is not enough data yet waits for more."""
        refusal = self.answer.refusal if self.answer is not None and self.answer.is_skipped else self.refusal
        return refusal is not None and not isinstance(refusal, InsufficientDataError)


def need_of(session: Session, search_days: int) -> Need:
    """Decide what a task needs, from its candidates so far and the windows that the data hold by now.

    A look is due where the sealed window no longer overlaps the one that was looked at. Nightly looks in between would
    be at almost the same days, and each would have to be paid for by a stricter level.

    Parameters
    ----------
    session : Session
    search_days : int
        Days of data after which parameters are searched anew.
    """
    splits, target = session.splits, session.target
    candidates = [v for v in session.registry.versions() if not v.is_baseline and v.tags.get("target") == target]
    if not candidates:
        return Need(Action.SEARCH, "no search has given a candidate yet")
    last = candidates[0]
    if changed := changed_features(last, session.shop.tables.spend):
        return Need(Action.SEARCH, f"features have other definitions by now: {listing(changed)}", last)
    judged, length = _sealed_from(last), splits.sealed_end - splits.sealed
    if splits.sealed < judged + length:
        if "gate" not in last.tags and last.rolled_back is None:
            return Need(Action.JUDGE, f"{last.title} was not judged", last)
        ends = judged + 2 * length
        return Need(Action.KEEP, f"the next window to judge a model in ends on {ends}, after the data", last)
    searched = next((each for each in candidates if session.runs.parent(each.run_id)), candidates[-1])
    since = (splits.sealed - _sealed_from(searched)).days
    if since >= search_days:
        return Need(Action.SEARCH, f"the last search was {since} days of data ago", last)
    try:
        session.task.build(last.tags["model"], last.params)
    except InputError as error:
        return Need(Action.SEARCH, f"{last.title} cannot be built any more: {error.problem}", last)
    return Need(Action.REFIT, f"there are {(splits.sealed - judged).days} more days than it was trained for", last)


def _sealed_from(version: Version) -> date:
    return date.fromisoformat(version.tags["sealed_from"])


def retrain(sessions: Sequence[Session], search_days: int) -> list[Retrained]:
    """Do for each task what it needs, and let the gate judge all new candidates together.

    The same call on the same data does nothing more. One of two at once waits for the other. A task that fails does not
    keep the others from being done.

    Parameters
    ----------
    sessions : sequence of Session
        One for each task, on the same data.
    search_days : int
        See `need_of`.

    Returns
    -------
    list of Retrained
        In the order of the sessions.
    """
    from experiments.tracking.store import exclusive

    check_names(sessions)
    if not sessions:
        return []
    with exclusive(sessions[0].client, f"{sessions[0].shop.staged.shop} retrain"):
        done = [_candidate(session, search_days) for session in sessions]
        judge([each.answer for each in done if each.answer is not None])
    return done


def _candidate(session: Session, search_days: int) -> Retrained:
    """Make the candidate that a task needs."""
    need = None
    try:
        with about(session.question):
            need = need_of(session, search_days)
            logger.info("%s: %s", need.action.value, need.reason)
            if need.action is Action.SEARCH:
                return Retrained(session, need, search(session))
            if need.version is None or need.action is Action.KEEP:
                return Retrained(session, need)
            version = need.version
            if need.action is Action.REFIT:
                version = make_candidate(session, version.tags["model"], version.params)
            return Retrained(session, need, Answer(session, candidate=version))
    except InputError as error:
        logger.warning("%s failed: %s", session.question, error.problem)
        return Retrained(session, need, refusal=error)


def retrained_text(done: Sequence[Retrained]) -> str:
    """Return a line for each task: what was done and why, and what is in use."""
    return "\n".join(f"{each.session.question}: {_said(each)}" for each in done)


def _said(each: Retrained) -> str:
    if each.refusal is not None:
        return f"failed, {each.refusal}"
    assert each.need is not None
    begun = f"{each.need.action.value}, as {each.need.reason}"
    if each.answer is None:
        return f"{begun}. In use: {in_use(each.session)}"
    return f"{begun}. {words(each.answer)}"
