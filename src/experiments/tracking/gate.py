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


def check_features(version: Version, current_hash: str) -> None:
    """Refuse a model whose features the code in use computes in another way than when it was trained.

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
            hint="experiments tune builds a version on today's definitions; or check out the commit "
            + version.tags.get("git_commit", "that it was trained with"),
        )


def look(registry: Registry, candidate: Version, champion: Version | None, window: str, judge: Judge) -> Look:
    """Judge a candidate in the sealed window and set the alias, or say why not.

    The caller holds the model's lock. A version that was judged in this window against the same champion
    is not judged again: the recorded decision is returned.

    Parameters
    ----------
    window : str
        Name of the sealed window and target; the ledger counts looks at it.
    judge : callable
        Takes the look's level alpha, returns the decision. The only code that reads the sealed window.
    """
    rival = champion.number if champion is not None else None
    looks = registry.ledger(window)
    for past in looks:
        stands = past["champion"] == rival or (past["promoted"] and rival == candidate.number)
        if past["version"] == candidate.number and past["decision"] and stands:
            return Look(past["look"], candidate.number, past["champion"], past["decision"], fresh=False)
    number = len(looks) + 1
    entry: dict[str, Any] = {
        "look": number,
        "version": candidate.number,
        "champion": rival,
        "alpha": alpha_of_look(number),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "promoted": False,
        "decision": None,
    }
    registry.record_look(window, entry)  # a look that dies half-way was a look
    decision = judge(entry["alpha"])
    if decision.promote:
        registry.crown(candidate.number, str(decision.comparisons[0]))
    registry.record_look(window, {**entry, "promoted": decision.promote, "decision": asdict(decision)})
    registry.tag(
        candidate.number,
        {
            "gate": "promoted" if decision.promote else "refused",
            "verdict": decision.verdict,
            "reasons": json.dumps(list(decision.reasons)),
        },
    )
    return Look(number, candidate.number, rival, asdict(decision), fresh=True)
