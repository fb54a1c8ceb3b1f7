"""The gate: one look at the sealed window, written to the ledger before its outcome is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from experiments.evaluation.decision import Decision, alpha_of_look
from experiments.tracking.registry import Registry, Version
from features.errors import InputError

COMPARABLE = ("shop", "task", "target", "currency", "population")
Judge = Callable[[float], Decision]


@dataclass(frozen=True)
class Look:
    """One decision of the gate, as the version keeps it."""

    look: int
    version: int
    champion: int | None
    decision: Mapping[str, Any]
    fresh: bool

    @property
    def promoted(self) -> bool:
        return self.decision["promote"]


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


def look(registry: Registry, candidate: Version, champion: Version | None, window: Window, judge: Judge) -> Look:
    """Judge a candidate in the sealed window and set the alias, or say why not.

    The caller holds the model's lock. A version that was judged in this window by the same rule against the
    same champion is not judged again: the recorded decision is returned, and carried out where a process
    was killed before it could. All looks at overlapping windows count, whatever the target.

    Parameters
    ----------
    window : Window
    judge : callable
        Takes the look's level alpha, returns the decision. The only code that reads the sealed window.
    """
    rival = champion.number if champion is not None else None
    looks = registry.ledger()
    for past in looks:
        same = past["version"] == candidate.number and {**past, **asdict(window)} == past
        if same and past["decision"] and past["decision"]["promote"] and rival in (past["champion"], candidate.number):
            _carry_out(registry, candidate, past["decision"])
            return Look(past["look"], candidate.number, past["champion"], past["decision"], fresh=False)
        if same and past["decision"] and past["champion"] == rival:
            return Look(past["look"], candidate.number, past["champion"], past["decision"], fresh=False)
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
        "decision": None,
    }
    registry.record_look(entry)  # a look that dies half-way was a look
    decision = asdict(judge(entry["alpha"]))
    registry.record_look({**entry, "decision": decision})  # before it is carried out, so that it can be later
    current = registry.champion()
    if (current.number if current is not None else None) != rival:
        raise InputError(
            f"the champion of {registry.name} changed while version {candidate.number} was judged",
            where="registry",
            hint="experiments promote judges it against the new one",
        )
    _carry_out(registry, candidate, decision)
    return Look(number, candidate.number, rival, decision, fresh=True)


def _carry_out(registry: Registry, candidate: Version, decision: Mapping[str, Any]) -> None:
    if decision["promote"]:
        registry.crown(candidate.number, f"gate: {decision['verdict']} gain over {decision['naive']}")
    registry.tag(
        candidate.number,
        {
            "gate": "promoted" if decision["promote"] else "refused",
            "verdict": decision["verdict"],
            "reasons": json.dumps(list(decision["reasons"])),
        },
    )
