"""What a family of features declares, and the one list of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import ibis.expr.types as ir

from features.errors import InputError, did_you_mean, listing
from features.tables import Tables

Build = Callable[[Tables], ir.Table]


@dataclass(frozen=True, eq=False)
class Family:
    """Features that are computed together.

    Attributes
    ----------
    name : str
        The function's name.
    needs : tuple of str
        Canonical tables it reads.
    features : mapping of str to str
        Feature to its meaning, with the unit and what a customer gets who has nothing to count.
    build : callable
        `(past: Tables) -> ibis table` with the columns customer_id and the features, at most one row
        per customer. The cutoff is `past.end`. Nulls and missing customers mean `fallbacks`.
    fallbacks : mapping of str to float
        Value of a feature where the family has none; 0 for features not named here.
    undated : bool
        Made of facts of unknown date, which may have been recorded after the cutoff.
    """

    name: str
    needs: tuple[str, ...]
    features: Mapping[str, str]
    build: Build
    fallbacks: Mapping[str, float] = field(default_factory=dict)
    undated: bool = False


FAMILIES: dict[str, Family] = {}


def family(
    *,
    needs: tuple[str, ...],
    features: Mapping[str, str],
    fallbacks: Mapping[str, float] | None = None,
    undated: bool = False,
) -> Callable[[Build], Build]:
    """Register a function as a family of features (see `Family`)."""

    def register(build: Build) -> Build:
        taken = features.keys() & feature_families()
        if taken:
            raise ValueError(f"features registered twice: {listing(sorted(taken))}")
        FAMILIES[build.__name__] = Family(build.__name__, needs, features, build, fallbacks or {}, undated)
        return build

    return register


def feature_families() -> dict[str, Family]:
    """Every feature's family, by the feature's name."""
    return {feature: family for family in FAMILIES.values() for feature in family.features}


def resolve(names: Iterable[str]) -> dict[Family, list[str]]:
    """The named features by family, both in the registry's order.

    Raises
    ------
    InputError
        If there is no name, a name twice, or a name that no family declares.
    """
    names = list(names)
    known = feature_families()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"there is no feature {unknown[0]!r}",
            where="features.names",
            found=listing(unknown),
            hint=did_you_mean(unknown[0], known),
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        raise InputError(
            "a feature is named more than once" if repeated else "no feature is named",
            where="features.names",
            expected="each feature once",
            found=listing(repeated) or "an empty list",
        )
    return {
        family: chosen
        for family in FAMILIES.values()
        if (chosen := [feature for feature in family.features if feature in names])
    }


def describe(names: Iterable[str]) -> dict[str, str]:
    """The meaning of each named feature.

    >>> describe(["frequency"])
    {'frequency': 'purchase days - 1'}
    """
    names = list(names)
    meanings = {
        feature: family.features[feature] + (" (fact of unknown date)" if family.undated else "")
        for family, chosen in resolve(names).items()
        for feature in chosen
    }
    return {name: meanings[name] for name in names}


def last_day(past: Tables) -> date:
    """The last included day, to which T and all days since something are counted."""
    return past.end - timedelta(days=1)


def days_of_data(past: Tables) -> int:
    """Days that the window holds."""
    return (past.end - past.start).days
