"""Checks of a version before the sealed window is opened: of the candidate, and of the champion that it must beat."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from experiments.tasks import questions
from features.definitions import feature_hashes
from features.errors import InputError, listing
from features.families import resolve
from features.leakage import descriptive
from features.snapshot import definition_hash

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Registry, Version

logger = logging.getLogger(__name__)

COMPARABLE = ("shop", "task", "target", "currency", "population")


def check_judgeable(
    candidate: Version,
    rival: Version | None,
    *,
    lineage: Mapping[str, str],
    spend: str,
    sealed_from: date,
    tune: str,
    by_hand: str,
    retire: str,
) -> None:
    """Refuse a candidate that cannot be judged fairly, without opening the sealed window.

    Parameters
    ----------
    candidate : Version
    rival : Version or None
        The champion that the candidate must beat: see `check_champion`.
    lineage : mapping
        See `check_comparable`.
    spend : {"gross", "net"}
        `Tables.spend` of the shop: part of the features' definitions.
    sealed_from : date
        First day of the sealed window: neither version may have been trained on outcomes after it.
    tune, by_hand, retire : str
        Commands that train another candidate, promote this one without a look, and take the champion out of use.

    Raises
    ------
    InputError
    """
    check_comparable(candidate, lineage, tune)
    check_champion(rival, lineage, retire)
    check_is_candidate(candidate, tune=tune, by_hand=by_hand)
    check_descriptive(candidate)
    check_features(candidate, spend, f"{tune} uses today's definitions")
    versions = [candidate, *([rival] if rival else [])]
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


class NotComparableError(InputError):
    """Refusal to compare models of different shops, tasks, targets, currencies or populations."""


def check_comparable(candidate: Version, lineage: Mapping[str, str], tune: str) -> None:
    """Refuse a version of another shop, task, target, currency or population than the configuration's.

    Parameters
    ----------
    candidate : Version
    lineage : mapping
        Tags that the configuration in use gives; the candidate must have the same.
    tune : str
        Command that trains another candidate.

    Raises
    ------
    NotComparableError
        Naming what differs.
    """
    for tag in COMPARABLE:
        if candidate.tags.get(tag) != lineage[tag]:
            raise NotComparableError(
                f"version {candidate.number} was trained for another {tag}",
                where=candidate.name,
                expected=lineage[tag],
                found=str(candidate.tags.get(tag)),
                hint=f"{tune} trains one for this {tag}",
            )


def check_champion(champion: Version | None, lineage: Mapping[str, str], retire: str) -> None:
    """Refuse to search a model that could not be compared with the champion, before the search begins.

    Parameters
    ----------
    champion : Version or None
    lineage : mapping
        Tags that the new model will have.
    retire : str
        Command that takes the champion out of use.

    Raises
    ------
    NotComparableError
        Naming what differs.
    """
    for tag in COMPARABLE:
        if champion is not None and champion.tags.get(tag) != lineage[tag]:
            raise NotComparableError(
                f"the champion, version {champion.number}, was trained for another {tag}: no new model can be compared "
                "with it",
                where=champion.name,
                expected=lineage[tag],
                found=str(champion.tags.get(tag)),
                hint=f"{retire} takes it out of use and keeps it; then give the same command again",
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
    if version.rolled_back is not None:
        raise InputError(
            f"version {version.number} was rolled back: {version.rolled_back}",
            where=version.name,
            hint=f"tune a new version, or {by_hand}",
        )
    if not version.has_current_code:
        raise InputError(
            f"version {version.number} was trained by other code than the code in use",
            where=version.name,
            hint=f"{tune} trains a version with today's code, or {by_hand}",
        )


def changed_features(version: Version, spend: str) -> list[str]:
    """Return the features of a version that had another definition when it was trained, or are no longer there.

    `spend`, net or gross, is part of the definition of features that read money (`Tables.spend`). A version with one
    fingerprint of all its features does not tell which of them changed: all of them count then.
    """
    names, grain = version.features, questions()[version.tags["task"]].grain
    try:
        if not version.feature_hashes:
            return names if version.tags["feature_hash"] != definition_hash(names, grain, spend) else []
        current = feature_hashes(names, grain, spend)
    except InputError:  # one of them is not there
        return [name for name in names if not _is_known(name)] or names
    return [name for name in names if version.feature_hashes[name] != current[name]]


def _is_known(name: str) -> bool:
    try:
        return bool(resolve([name]))
    except InputError:
        return False


def check_features(version: Version, spend: str, way_out: str) -> None:
    """Refuse a version whose features had another definition when it was trained.

    Parameters
    ----------
    version : Version
    spend : {"gross", "net"}
    way_out : str
        Next command to type, for the message.

    Raises
    ------
    InputError
        Naming the features.
    """
    changed = changed_features(version, spend)
    if changed:
        raise InputError(
            f"{version.name} version {version.number} reads features that have another definition by now",
            where="features.names",
            expected="the definitions that it was trained with, and the same data.spend",
            found=listing(changed),
            hint=f"{way_out}; or check out the commit {version.tags.get('git_commit', 'that it was trained with')}",
        )


def retire_outdated(registry: Registry, spend: str) -> None:
    """Take a champion out of use whose features have another definition: it scores no row, and beats nobody."""
    champion = registry.champion()
    if champion is not None and (changed := changed_features(champion, spend)):
        reason = f"its features have another definition: {listing(changed)}"
        registry.retire(reason)
        logger.warning("%s version %d is out of use: %s", champion.name, champion.number, reason)


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
