"""Checks of a version before the sealed window is opened: of the candidate, and of the champion that it must beat."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from experiments.tasks import questions
from features.errors import InputError, listing
from features.leakage import descriptive
from features.snapshot import definition_hash

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Version

COMPARABLE = ("shop", "task", "target", "currency", "population")


def check_judgeable(
    candidate: Version,
    rival: Version | None,
    *,
    lineage: Mapping[str, str],
    sealed_from: date,
    tune: str,
    by_hand: str,
) -> None:
    """Refuse a candidate that cannot be judged fairly, without opening the sealed window.

    Parameters
    ----------
    candidate : Version
    rival : Version or None
        The champion that the candidate must beat.
    lineage : mapping
        See `check_comparable`.
    sealed_from : date
        First day of the sealed window: neither version may have been trained on outcomes after it.
    tune, by_hand : str
        Commands that train another candidate, and that promote this one without a look.

    Raises
    ------
    InputError
    """
    check_comparable(candidate, rival or candidate, lineage)
    check_is_candidate(candidate, tune=tune, by_hand=by_hand)
    check_descriptive(candidate)
    versions = [candidate, *([rival] if rival else [])]
    ways_out = (f"{tune} uses today's definitions", f"the champion can no longer be scored: {by_hand}")
    for version, way_out in zip(versions, ways_out, strict=False):
        check_features(version, way_out)
    for version in versions:
        if version.tags["trained_through"] > str(sealed_from):
            raise InputError(
                f"version {version.number} was trained on outcomes of the sealed window",
                where=version.name,
                expected=f"trained through {sealed_from} at most",
                found=f"trained through {version.tags['trained_through']}",
                hint=f"tune again on this data, or {by_hand}",
            )
    for version in versions:
        version.check_loads()


def check_comparable(candidate: Version, champion: Version, lineage: Mapping[str, str]) -> None:
    """Refuse to compare models of different shops, tasks, targets, currencies or populations.

    Parameters
    ----------
    lineage : mapping
        Tags that the configuration in use gives; the candidate must have the same.

    Raises
    ------
    InputError
        Naming what differs.
    """
    for tag in COMPARABLE:
        if candidate.tags.get(tag) != lineage[tag]:
            raise InputError(
                f"version {candidate.number} was trained for another {tag}",
                where=candidate.name,
                expected=lineage[tag],
                found=str(candidate.tags.get(tag)),
                hint="give experiments promote the configuration that the version was tuned with",
            )
        if champion.tags.get(tag) != candidate.tags.get(tag):
            raise InputError(
                f"the champion, version {champion.number}, was trained for another {tag}: the two cannot be compared",
                where=candidate.name,
                expected=str(champion.tags.get(tag)),
                found=str(candidate.tags.get(tag)),
                hint="promote by hand: experiments promote version=… reason='…'",
            )


def check_is_candidate(version: Version, *, tune: str, by_hand: str) -> None:
    """Refuse a baseline, a version that was rolled back, and one that other code trained.

    Raises
    ------
    InputError
    """
    if version.is_baseline:
        raise InputError(
            f"version {version.number} is a baseline, and candidates are compared with those",
            where=version.name,
            hint=f"name another version: experiments promote version=…, or {by_hand}",
        )
    if "rolled_back" in version.tags:
        raise InputError(
            f"version {version.number} was rolled back: {version.tags['rolled_back']}",
            where=version.name,
            hint=f"tune a new version, or {by_hand}",
        )
    if not version.has_current_code:
        raise InputError(
            f"version {version.number} was trained by other code than the code in use",
            where=version.name,
            hint=f"{tune} trains a version with today's code, or {by_hand}",
        )


def check_features(version: Version, way_out: str) -> None:
    """Refuse a version whose features had another definition when it was trained.

    Parameters
    ----------
    version : Version
    way_out : str
        Next command to type, for the message.

    Raises
    ------
    InputError
    """
    current = definition_hash(version.features, questions()[version.tags["task"]].grain)
    if version.tags["feature_hash"] != current:
        raise InputError(
            f"the features of {version.name} version {version.number} have another definition in the code in use",
            where="feature_hash",
            expected=version.tags["feature_hash"][:12],
            found=current[:12],
            hint=f"{way_out}; or check out the commit {version.tags.get('git_commit', 'that it was trained with')}",
        )


def check_descriptive(version: Version) -> None:
    """Refuse a version that was trained on features that read more than the past, also by hand.

    Raises
    ------
    InputError
    """
    described = descriptive(version.features, questions()[version.tags["task"]].grain)
    if described:
        name, reason = next(iter(described.items()))
        raise InputError(
            f"version {version.number} was trained on features that read more than the past: {listing(described)}",
            where="features.names",
            expected="features that are computed from `as_of` alone",
            found=f"{name}: {reason}",
            hint="leave them out and tune again; experiments audit lists all of them",
        )
