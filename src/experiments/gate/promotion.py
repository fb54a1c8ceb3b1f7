"""What the registry says after a look: the alias moves, or the version keeps why it did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.gate.ledger import Look
from features.errors import InputError, listing

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Registry, Version


def carry_out(registry: Registry, candidate: Version, look: Look, statement: str) -> None:
    """Set the alias, or tag the version with the reasons against it, by the recorded outcome of its look.

    Doing it twice changes nothing, so that the next command can where a process was killed in between.

    Parameters
    ----------
    registry : Registry
    candidate : Version
    look : Look
        Closed.
    statement : str
        The verdict in words.

    Raises
    ------
    InputError
        If the champion is no longer the one that the candidate was compared with.
    """
    assert look.outcome is not None
    if not look.holds_beside(registry.champion()):
        raise InputError(
            f"the champion of {registry.name} changed while version {candidate.number} was judged",
            where="registry",
            hint="experiments promote judges it against the new one",
        )
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
