"""The ledger of looks at sealed windows: a look is recorded before its outcome is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from experiments.gate.rule import Decision, Outcome, Use, alpha_of_look

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Registry, Version


@dataclass(frozen=True)
class Window:
    """A sealed window, and the rule by which models are judged in it.

    Attributes
    ----------
    start, end : str
        Days as YYYY-MM-DD, end exclusive.
    rule : str
        A hash of metric, smallest effect and guards.
    """

    start: str
    end: str
    rule: str

    def overlaps(self, entry: Mapping[str, Any]) -> bool:
        """Return True if a look of the ledger saw some of the same days."""
        return entry["start"] < self.end and self.start < entry["end"]


@dataclass(frozen=True)
class Look:
    """One look at a sealed window, as the ledger keeps it.

    Attributes
    ----------
    entry : mapping
        Of the ledger.
    fresh : bool
        True for a look that is taken just now, False for one that was decided before.
    """

    entry: Mapping[str, Any]
    fresh: bool

    @property
    def number(self) -> int:
        """Number of the look among those at overlapping windows, from 1."""
        return self.entry["look"]

    @property
    def version(self) -> int:
        return self.entry["version"]

    @property
    def alpha(self) -> float:
        """Level that the look tests at."""
        return self.entry["alpha"]

    @property
    def together(self) -> list[str]:
        """The tasks that were judged in one run, over which Holm's correction goes."""
        return self.entry["together"]

    @property
    def is_decided(self) -> bool:
        """True once the decision is recorded; a look that died before it stays without one, counts, and can go on."""
        return bool(self.entry["decision"])

    @cached_property
    def decision(self) -> Decision:
        """The decision of the look alone."""
        return Decision.recorded(self.entry["decision"])

    @property
    def outcome(self) -> Outcome | None:
        """The decision, corrected for the other tasks of the run; None where a process was killed before."""
        recorded = self.entry["outcome"]
        if not recorded:
            return None
        alone = self.decision.reasons
        added = tuple(reason for reason in recorded["reasons"] if reason not in alone)
        return Outcome(**{**recorded, "reasons": alone + added})

    @property
    def promotes(self) -> bool:
        """True if the look ended with the candidate in use."""
        return self.outcome is not None and self.outcome.promote

    @property
    def use(self) -> Use | None:
        """The model that is used after the look, with its figure; None in older ledgers."""
        decision, outcome = self.decision, self.outcome
        assert outcome is not None
        return next(
            (use for use in (decision.use, decision.stay) if use is not None and use.model == outcome.use), None
        )

    def use_of(self, version: Version) -> Use | None:
        """Return the figure of a version in use; None if it was put in use by hand, against the look."""
        use = self.use
        if use is None or self.decision.is_candidate(use.model):
            return use if version.number == self.version else None
        return use if version.is_baseline and use.model == version.tags["model"] else None

    @property
    def changes_use(self) -> bool:
        """True if another model is used after the look than before it, or the first one."""
        outcome, stay = self.outcome, self.decision.stay
        assert outcome is not None
        if self.entry["champion"] is None:
            return True
        return outcome.promote if stay is None else outcome.use != stay.model

    def compares_with(self, champion: Version | None) -> bool:
        """Return True if the look is valid for this champion.

        The candidate was compared with it, or became the champion itself, or was refused and the champion is the
        baseline that is used instead.
        """
        number = champion.number if champion is not None else None
        stands_in = champion is not None and champion.tags.get("instead_of") == str(self.version)
        return number in (self.entry["champion"], self.version) or stands_in


def judged_number(version: Version) -> int:
    """Return the number of the version that was evaluated: a baseline stands for the candidate that lost."""
    return int(version.tags.get("instead_of", version.number))


def decided_looks(registry: Registry) -> list[Look]:
    """Return all looks whose outcome is recorded, in order of time."""
    looks = [Look(entry, fresh=False) for entry in registry.ledger()]
    return [look for look in looks if look.is_decided and look.outcome is not None]


def look_at(registry: Registry, version: Version) -> Look | None:
    """Return the last look in which a version was judged, or the candidate that it stands for; None without one."""
    return next((look for look in reversed(decided_looks(registry)) if look.version == judged_number(version)), None)


@dataclass(frozen=True)
class NextLook:
    """The look that comes next at a window.

    Attributes
    ----------
    index : int
        Among all looks of the ledger, from 1.
    number : int
        Among the looks at overlapping windows, from 1.
    alpha : float
        Level that it tests at.
    spent : float
        Sum of the levels of the looks before.
    recorded : Look or None
        A decided look that answers the same: none is taken then. Or one that died before its decision, and goes on.
    """

    index: int
    number: int
    alpha: float
    spent: float
    recorded: Look | None


def next_look(registry: Registry, candidate: Version, champion: Version | None, window: Window) -> NextLook:
    """Return the look that `open_look` takes, without taking it; see there for the parameters."""
    entries = registry.ledger()
    same = [
        Look(entry, fresh=not entry["decision"])
        for entry in entries
        if entry["version"] == candidate.number and {**entry, **asdict(window)} == entry
    ]
    decided = [look for look in same if look.is_decided and look.compares_with(champion)]
    number = champion.number if champion is not None else None
    begun = [look for look in same if not look.is_decided and look.entry["champion"] == number]
    recorded = next(iter([*decided, *begun]), None)
    index = recorded.entry["index"] if recorded is not None and recorded.fresh else 1 + len(entries)
    before = [entry for entry in entries if entry["index"] < index and window.overlaps(entry)]
    spent = sum(entry["alpha"] for entry in before)
    return NextLook(index, 1 + len(before), alpha_of_look(1 + len(before)), spent, recorded)


def open_look(
    registry: Registry, candidate: Version, champion: Version | None, window: Window, together: Sequence[str]
) -> Look:
    """Record a look at a sealed window, before anything in it is read.

    The caller holds the model's lock. A version that was judged in this window by the same rule against the same
    champion is not judged again: the recorded look is returned. A look that died before its decision goes on, at its
    level: nobody has seen what it saw, and the same evaluation comes out again. All looks at overlapping windows count,
    those for other targets too.

    Parameters
    ----------
    registry : Registry
    candidate : Version
    champion : Version or None
        The version in use, which may be the candidate itself.
    window : Window
    together : sequence of str
        The tasks that are judged in one run, this one among them.

    Returns
    -------
    Look
        A fresh one has no decision yet.
    """
    coming = next_look(registry, candidate, champion, window)
    if coming.recorded is not None:
        return coming.recorded
    look = Look(
        {
            "index": coming.index,
            "look": coming.number,
            **asdict(window),
            "target": candidate.tags["target"],
            "version": candidate.number,
            "champion": champion.number if champion is not None else None,
            "alpha": coming.alpha,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "together": list(together),
            "decision": None,
            "outcome": None,
        },
        fresh=True,
    )
    registry.record_look(look.entry)  # a look that dies half-way was a look, and counts once
    return look


def record_decision(registry: Registry, look: Look, decision: Decision) -> Look:
    """Record what a look alone says, with six digits of each figure."""
    rounded = json.loads(json.dumps(decision.to_record()), parse_float=lambda text: float(f"{float(text):.6g}"))
    return _recorded(registry, look, decision=rounded)


def close_look(registry: Registry, look: Look, outcome: Outcome) -> Look:
    """Record the outcome of a look, before it is carried out; one that is recorded stands.

    Parameters
    ----------
    registry : Registry
    look : Look
        With its decision.
    outcome : Outcome
        After Holm's correction over the tasks of the run.
    """
    if look.outcome is not None:
        return look
    added = [reason for reason in outcome.reasons if reason not in look.decision.reasons]  # each is kept once
    return _recorded(registry, look, outcome={**asdict(outcome), "reasons": added})


def _recorded(registry: Registry, look: Look, **content: Any) -> Look:
    """Write more of a look into its entry."""
    look = Look({**look.entry, **content}, look.fresh)
    registry.record_look(look.entry)
    return look
