"""The end of a look in the registry: the alias moves, or the version is tagged with the reasons against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.gate.ledger import Look
from features.errors import InputError, listing

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Registry, Version


def carry_out(registry: Registry, candidate: Version, look: Look, statement: str) -> None:
    """Set the alias, or tag the version with the reasons against it, as the recorded outcome says.

    Repeating it changes nothing, so the next command can do it after a process was killed.

    Parameters
    ----------
    registry : Registry
    candidate : Version
    look : Look
        A closed one.
    statement : str
        The verdict in words.

    Raises
    ------
    InputError
        If the champion is no longer the one that the candidate was compared with.
    """
    assert look.outcome is not None
    if not look.compares_with(registry.champion()):
        raise InputError(
            f"the champion of {registry.name} changed while version {candidate.number} was judged",
            where="registry",
            hint="experiments promote compares it with the new champion",
        )
    tags = {
        "gate": "promoted" if look.outcome.promote else "refused",
        "verdict": look.outcome.verdict,
        "statement": statement,
        "reasons": listing(look.outcome.reasons) or "none",
    }
    if look.outcome.promote:
        use = look.decision.use
        registry.crown(candidate.number, f"gate: {use.reason if use is not None else 'promoted'}", tags)
    else:
        registry.tag(candidate.number, tags)
