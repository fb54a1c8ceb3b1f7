"""The declaration of a family of features, and the list of all families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir

from features.errors import InputError, did_you_mean, listing
from features.families import spelling
from features.grains import CUSTOMER, Grain
from features.tables import Tables

Build = Callable[[Tables], ir.Table]
Range = tuple[float | None, float | None]
LONG_AGO_DAYS = 365  # the same at every cutoff, so that "never" does not depend on how far the data goes back


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
        Feature to its meaning, with the unit and the value of a customer who has nothing to count.
    build : callable
        `(past: Tables) -> ibis table` with the grain's key and the features, at most one row
        per key. The cutoff is `past.end`. Nulls and missing rows mean `fallbacks`.
    fallbacks : mapping of str to float
        Value of a feature where the family has none; 0 for features not named here.
    undated : bool
        Made of facts of unknown date, which may have been recorded after the cutoff.
    complete : bool
        Has a row for each row of its grain and no other, so that `Grain.rows` need not be asked.
    grain : Grain
        Rows that the features are of. Finer grains, whose key holds this one's, get them by it.
    ranges : mapping of str to pair
        Feature -> its least and its greatest value, None where there is no bound. Of features that are not named here,
        shares (`_share`) lie in [0, 1], and others are at least 0.
    at_most : tuple of pairs of str
        The first feature is at most the second.
    zero_with : tuple of pairs of str
        The second feature is 0 where the first is.
    constants : str
        Where the values of the shop, the days or the measured numbers come from that the definition holds. Empty where
        it holds none, as almost every definition should.
    """

    name: str
    needs: tuple[str, ...]
    features: Mapping[str, str]
    build: Build
    fallbacks: Mapping[str, float] = field(default_factory=dict)
    undated: bool = False
    complete: bool = False
    grain: Grain = CUSTOMER
    ranges: Mapping[str, Range] = field(default_factory=dict)
    at_most: tuple[tuple[str, str], ...] = ()
    zero_with: tuple[tuple[str, str], ...] = ()
    constants: str = ""

    def range_of(self, feature: str) -> Range:
        """Return the least and the greatest value of a feature."""
        return self.ranges.get(feature, _usual_range(feature))

    def covers(self, grain: Grain) -> bool:
        """Return True if the family has exactly the rows of the grain."""
        return self.complete and self.grain == grain


@dataclass(frozen=True, eq=False)
class Parametrised:
    """Features of customers that are named `<name>.<value>`, one for each value in the data: `store_share.330`.

    `<name>.*` stands for the values with most spend at some cutoff (`snapshot.expand`).

    Attributes
    ----------
    name : str
        The part before the point.
    needs : tuple of str
        Canonical tables that are read.
    meaning : str
        As in `Family.features`, with `{value}` where the value belongs.
    example : str
        A value, spelled as in a name (`spelling.spell`).
    build : callable
        `(past, values) -> ibis table` as `Family.build`; `values` is the value of each wanted feature.
    largest : callable
        `(past, limit) -> ibis table` of value and amount, the largest first.
    fallback : float
        Value of a feature where there is none.
    """

    name: str
    needs: tuple[str, ...]
    meaning: str
    example: str
    build: Callable[[Tables, Mapping[str, str]], ir.Table]
    largest: Callable[[Tables, int], ir.Table]
    fallback: float = 0.0

    def family(self, names: Iterable[str]) -> Family:
        """Return the family of the features of these names.

        Raises
        ------
        InputError
            If a name holds no value, or one that is not spelled as `spelling.spell` does.
        """
        values = {name: self._value(name) for name in names}
        meanings = {name: self.meaning.format(value=value) for name, value in values.items()}
        fallbacks = dict.fromkeys(values, self.fallback)
        return Family(self.name, self.needs, meanings, lambda past: self.build(past, values), fallbacks)

    def _value(self, name: str) -> str:
        text = name.partition(".")[2]
        value = text if text == "*" else spelling.read(text)
        if value is None:
            raise InputError(
                f"{name!r} does not spell a value",
                where="features.names",
                expected=f"such as {self.name}.{self.example}, or {self.name}.* for the values with most spend",
                hint=f"write {self.name}.{spelling.spell(text)}" if text else None,
            )
        return value


FAMILIES: dict[str, Family] = {}
PARAMETRISED: dict[str, Parametrised] = {}


def family(
    *,
    needs: tuple[str, ...],
    features: Mapping[str, str],
    grain: Grain = CUSTOMER,
    fallbacks: Mapping[str, float] | None = None,
    undated: bool = False,
    complete: bool = False,
    ranges: Mapping[str, Range] | None = None,
    at_most: tuple[tuple[str, str], ...] = (),
    zero_with: tuple[tuple[str, str], ...] = (),
    constants: str = "",
) -> Callable[[Build], Build]:
    """Register a function as a family of features (see `Family`)."""

    def register(build: Build) -> Build:
        taken = features.keys() & feature_families()
        if taken:
            raise ValueError(f"features registered twice: {listing(sorted(taken))}")
        name = build.__name__
        FAMILIES[name] = Family(
            name,
            needs,
            features,
            build,
            fallbacks or {},
            undated,
            complete,
            grain,
            ranges or {},
            at_most,
            zero_with,
            constants,
        )
        return build

    return register


def parametrised(features: Parametrised) -> None:
    """Register features that are named by a value."""
    if features.name in PARAMETRISED:
        raise ValueError(f"features registered twice: {features.name}")
    PARAMETRISED[features.name] = features


def feature_families() -> dict[str, Family]:
    """Return the family of every feature that takes no value, by the feature's name."""
    return {feature: family for family in FAMILIES.values() for feature in family.features}


def is_wildcard(name: str) -> bool:
    """Return True if a name stands for the largest values: `store_share.*`."""
    return name.endswith(".*")


def resolve(names: Iterable[str], where: str = "features.names") -> dict[Family, list[str]]:
    """Return the named features by family, both in the registry's order; those named by a value come last, by name.

    Parameters
    ----------
    names : iterable of str
    where : str
        Configuration key that they stand under, for the message.

    Raises
    ------
    InputError
        If there is no name, a name twice, one that no family declares, or one that does not spell a value.
    """
    names = list(names)
    known = feature_families()
    valued = sorted(name for name in names if "." in name and name.partition(".")[0] in PARAMETRISED)
    unknown = [name for name in names if name not in known and name not in valued]
    if unknown:
        value = unknown[0].partition(".")[2] or "*"
        raise InputError(
            f"there is no feature {unknown[0]!r}",
            where=where,
            found=listing(unknown),
            hint=did_you_mean(unknown[0], [*known, *(f"{base}.{value}" for base in PARAMETRISED)]),
        )
    # In SQL, columns whose names differ in case only are the same column.
    lowered = [name.lower() for name in names]
    repeated = sorted({name for name in names if lowered.count(name.lower()) > 1})
    if repeated or not names:
        raise InputError(
            "a feature is named more than once" if repeated else "no feature is named",
            where=where,
            expected="each feature once, upper and lower case alike",
            found=listing(repeated) or "an empty list",
        )
    chosen = {family: [feature for feature in family.features if feature in names] for family in FAMILIES.values()}
    for base in PARAMETRISED.values():
        own = base.family(name for name in valued if name.partition(".")[0] == base.name)
        chosen[own] = list(own.features)
    return {family: features for family, features in chosen.items() if features}


def feature_meanings(names: Iterable[str]) -> dict[str, str]:
    """Return the meaning of each named feature.

    >>> feature_meanings(["frequency"])
    {'frequency': 'purchase days - 1'}
    """
    names = list(names)
    meanings = {
        feature: family.features[feature] + (" (fact of unknown date)" if family.undated else "")
        for family, chosen in resolve(names).items()
        for feature in chosen
    }
    return {name: meanings[name] for name in names}


def feature_ranges(names: Iterable[str]) -> dict[str, Range]:
    """Return the least and the greatest value of each feature that a family has.

    >>> feature_ranges(["recency", "weekend_share", "store_share.330", "age_band_start"])
    {'recency': (0, None), 'weekend_share': (0, 1), 'store_share.330': (0, 1), 'age_band_start': (-1.0, None)}
    """
    families = feature_families()
    found: dict[str, Range] = {}
    for name in names:
        if name in families:
            found[name] = families[name].range_of(name)
        elif name.partition(".")[0] in PARAMETRISED:
            found[name] = _usual_range(name)
    return found


def _usual_range(feature: str) -> Range:
    """Return the range of a feature for which none is declared: a share lies in [0, 1], others are at least 0."""
    return (0, 1) if feature.partition(".")[0].endswith("_share") else (0, None)


def last_day(past: Tables) -> date:
    """Return the last included day, to which T and all days since something are counted."""
    return past.end - timedelta(days=1)


def days_since(day: ir.DateValue, past: Tables) -> ir.IntegerValue:
    """Return the days from a day to the last included one, at most `LONG_AGO_DAYS`."""
    return ibis.least(ibis.literal(last_day(past)).delta(day, unit="day"), LONG_AGO_DAYS)


def days_of_data(past: Tables) -> int:
    """Return the number of days in the window."""
    return (past.end - past.start).days
