"""The gate: looks at the sealed window, written to the ledger before their outcomes are known and carried out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from experiments.gate.rule import Decision, Outcome, alpha_of_look
from experiments.tracking.registry import Registry, Version
from features.errors import InputError, listing

COMPARABLE = ("shop", "task", "target", "currency", "population")
Judge = Callable[[float], Decision]


@dataclass(frozen=True)
class Look:
    """One look at a sealed window, as the ledger keeps it.

    Attributes
    ----------
    entry : mapping
        Of the ledger.
    fresh : bool
        Whether it was taken just now.
    """

    entry: Mapping[str, Any]
    fresh: bool

    @property
    def number(self) -> int:
        """Which look at overlapping windows it is, from 1."""
        return self.entry["look"]

    @property
    def version(self) -> int:
        return self.entry["version"]

    @property
    def together(self) -> list[str]:
        """The tasks that were judged in one run, over which Holm's correction goes."""
        return self.entry["together"]

    @cached_property
    def decision(self) -> Decision:
        """What the look alone says."""
        return Decision.recorded(self.entry["decision"])

    @property
    def outcome(self) -> Outcome | None:
        """What was made of it beside the other tasks of the run; None where a process was killed before."""
        recorded = self.entry["outcome"]
        if not recorded:
            return None
        alone = self.decision.reasons
        added = tuple(reason for reason in recorded["reasons"] if reason not in alone)
        return Outcome(**{**recorded, "reasons": alone + added})


def check_comparable(candidate: Version, champion: Version, lineage: Mapping[str, str]) -> None:
    """Refuse to compare models of different shops, tasks, targets, currencies or populations.

    Parameters
    ----------
    lineage : mapping
        What the command's configuration asks for; the candidate must be of it too.

    Raises
    ------
    InputError
        Naming what differs.
    """
    for tag in COMPARABLE:
        if candidate.tags.get(tag) != lineage[tag]:
            raise InputError(
                f"version {candidate.number} was made for another {tag}",
                where=candidate.name,
                expected=lineage[tag],
                found=str(candidate.tags.get(tag)),
                hint="promote with the configuration that it was tuned with",
            )
        if champion.tags.get(tag) != candidate.tags.get(tag):
            raise InputError(
                f"the champion, version {champion.number}, was made for another {tag}: the two cannot be compared",
                where=candidate.name,
                expected=str(champion.tags.get(tag)),
                found=str(candidate.tags.get(tag)),
                hint="promote by hand: experiments promote version=… reason='…'",
            )


def check_features(version: Version, current_hash: str, way_out: str) -> None:
    """Refuse a model whose features the code in use computes in another way than when it was trained.

    Parameters
    ----------
    way_out : str
        What the user can do about it.

    Raises
    ------
    InputError
    """
    if version.tags["feature_hash"] != current_hash:
        raise InputError(
            f"the features of {version.name} version {version.number} are defined otherwise in the code in use",
            where="feature_hash",
            expected=version.tags["feature_hash"][:12],
            found=current_hash[:12],
            hint=f"{way_out}; or check out the commit {version.tags.get('git_commit', 'that it was trained with')}",
        )


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

    def overlaps(self, look: Mapping[str, Any]) -> bool:
        """Whether a look of the ledger saw some of the same days."""
        return look["start"] < self.end and self.start < look["end"]


def look(
    registry: Registry,
    candidate: Version,
    champion: Version | None,
    window: Window,
    judge: Judge,
    together: Sequence[str],
) -> Look:
    """Judge a candidate in the sealed window; `settle` makes of it what the other tasks of the run allow.

    The caller holds the model's lock. A version that was judged in this window by the same rule against the
    same champion is not judged again: the recorded look is returned. All looks at overlapping windows count,
    whatever the target.

    Parameters
    ----------
    window : Window
    judge : callable
        Takes the look's level alpha, returns the decision. The only code that reads the sealed window.
    together : sequence of str
        The tasks that are judged in one run, this one among them.
    """
    rival = champion.number if champion is not None else None
    looks = registry.ledger()
    for past in looks:
        same = past["version"] == candidate.number and {**past, **asdict(window)} == past and past["decision"]
        if same and (rival in (past["champion"], candidate.number) or _stands_in(champion, candidate)):
            return Look(past, fresh=False)
    number = 1 + sum(window.overlaps(past) for past in looks)
    entry: dict[str, Any] = {
        "index": len(looks) + 1,
        "look": number,
        **asdict(window),
        "target": candidate.tags["target"],
        "version": candidate.number,
        "champion": rival,
        "alpha": alpha_of_look(number),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "together": list(together),
        "decision": None,
        "outcome": None,
    }
    registry.record_look(entry)  # a look that dies half-way was a look
    entry["decision"] = _rounded(asdict(judge(entry["alpha"])))
    registry.record_look(entry)
    return Look(entry, fresh=True)


def settle(registry: Registry, candidate: Version, look: Look, outcome: Outcome, statement: str) -> Look:
    """Record what is made of a look, and carry it out: the alias is set, or the version says why not.

    An outcome is recorded before it is carried out, so that the next command can where a process was killed in
    between; one that is recorded stands.

    Parameters
    ----------
    outcome : Outcome
        After Holm's correction over the tasks of the run.
    statement : str
        The verdict in words.

    Raises
    ------
    InputError
        If the champion is no longer the one that the candidate was compared with.
    """
    if look.outcome is None:
        added = [reason for reason in outcome.reasons if reason not in look.decision.reasons]  # each is kept once
        look = Look({**look.entry, "outcome": {**asdict(outcome), "reasons": added}}, look.fresh)
        registry.record_look(look.entry)
    current = registry.champion()
    number = current.number if current is not None else None
    if number not in (look.entry["champion"], candidate.number) and not _stands_in(current, candidate):
        raise InputError(
            f"the champion of {registry.name} changed while version {candidate.number} was judged",
            where="registry",
            hint="experiments promote judges it against the new one",
        )
    assert look.outcome is not None
    if look.outcome.promote:
        registry.crown(candidate.number, f"gate: {look.outcome.verdict} gain over {look.decision.naive}")
    registry.tag(
        candidate.number,
        {
            "gate": "promoted" if look.outcome.promote else "refused",
            "verdict": look.outcome.verdict,
            "statement": statement,
            "reasons": listing(look.outcome.reasons) or "none",
        },
    )
    return look


def _stands_in(champion: Version | None, candidate: Version) -> bool:
    """Whether the champion is the naive model that was put to use when this candidate was refused."""
    return champion is not None and champion.tags.get("instead_of") == str(candidate.number)


def _rounded(decision: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as the ledger keeps it, with six digits of each figure."""
    return json.loads(json.dumps(decision), parse_float=lambda text: float(f"{float(text):.6g}"))
