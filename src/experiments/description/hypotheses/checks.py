"""Checks of what a file declares: known keys, their types and values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from features.errors import InputError, check_type, did_you_mean, listing


def check_keys(
    given: Mapping[str, Any],
    known: Mapping[str, str],
    values: Mapping[str, Collection[str]],
    required: Sequence[str],
    prefix: str = "",
) -> None:
    """Refuse keys that are unknown, of the wrong type, not among their values where those are given, or missing."""
    for key, found in given.items():
        if key not in known:
            raise InputError(f"there is no key {key!r}", where=f"{prefix}{key}", hint=did_you_mean(str(key), known))
        check_type(found, known[key], f"{prefix}{key}")
        if key in values and found is not None:
            for item in [found] if isinstance(found, str) else found:
                check_one_of(item, values[key], f"{prefix}{key}")
    for key in required:
        if key not in given:
            allowed = " or ".join(values[key]) if key in values else known[key]
            raise InputError(f"{prefix}{key} is missing", where=f"{prefix}{key}", expected=f"{key}: {allowed}")


def check_one_of(found: object, known: Collection[str], where: str) -> None:
    if not isinstance(found, str) or found not in known:
        raise InputError(
            f"{where}: there is no {found!r}",
            where=where,
            expected=listing(known, limit=20),
            hint=did_you_mean(str(found), known),
        )
