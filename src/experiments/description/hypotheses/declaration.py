"""Hypotheses as their files declare them, read and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.description.hypotheses.checks import check_keys
from experiments.description.hypotheses.measures import MEASURES, parameters_of
from experiments.description.hypotheses.season import Season
from experiments.description.hypotheses.trend import Trend
from experiments.description.hypotheses.weekday import Weekday
from experiments.description.purchasing.window import COUNTED
from features import assortment, group_totals
from features.errors import InputError, listing
from features.families import resolve
from features.shop import Shop
from features.tables import SPECS

DIRECTIONS = ("higher", "lower")
REPORTED = ("held", "rejected")
COMPARED = ("means", "ranks")
TESTS: Mapping[str, type[Trend | Season | Weekday]] = {"trend": Trend, "season": Season, "weekday": Weekday}


@dataclass(frozen=True)
class Hypothesis:
    """A statement and how it is tested.

    Attributes
    ----------
    name : str
    statement : mapping of language to str
        `en`, and others that the report may show, such as `ko`.
    test : Trend, Season or Weekday
    direction : str
        "higher" or "lower": what the statement says of higher tiers, or of those months or days.
    smallest_effect : float
        That matters, above 0: a share more (.1 is a tenth), or a rank correlation.
    needs : tuple of str
        Canonical tables.
    reported : str or None
        What the case study found: "held" or "rejected".
    note : str or None
        What to bear in mind.
    """

    name: str
    statement: Mapping[str, str]
    test: Trend | Season | Weekday
    direction: str
    smallest_effect: float
    needs: tuple[str, ...]
    reported: str | None = None
    note: str | None = None

    @classmethod
    def from_config(cls, name: str, config: object) -> Hypothesis:
        """Read what `hypotheses/<name>.yaml` says, in conf/ or a folder of the user's; or raise why it cannot be read.

        Raises
        ------
        InputError
            For a key, test, column or parameter that is unknown, missing or of the wrong type.
        """
        if isinstance(config, InputError):
            raise config
        where = f"hypotheses/{name}.yaml"
        try:
            return cls._read(name, config)
        except InputError as error:
            place = where if error.where in (None, "features.names") else f"{where}, {error.where}"
            raise InputError(
                error.problem, where=place, expected=error.expected, found=error.found, hint=error.hint
            ) from error

    @classmethod
    def _read(cls, name: str, config: object) -> Hypothesis:
        if not isinstance(config, Mapping):
            raise InputError("a hypothesis is a mapping", expected="statement: …, test: …", found=repr(config))
        required = [key for key, annotation in KEYS.items() if "None" not in annotation]
        check_keys(config, KEYS, VALUES, required)
        statement = statement_of(config)
        if not config["smallest_effect"] > 0:
            raise InputError(
                "smallest_effect must be above 0", where="smallest_effect", found=str(config["smallest_effect"])
            )
        if config["direction"] == "lower" and not config["smallest_effect"] < 1:
            raise InputError(
                "nothing can be lower by 100% or more",
                where="smallest_effect",
                expected="less than 1",
                found=str(config["smallest_effect"]),
            )
        return cls(
            name=name,
            statement=statement,
            test=_test(config),
            direction=config["direction"],
            smallest_effect=float(config["smallest_effect"]),
            needs=tuple(config["needs"]),
            reported=config.get("reported"),
            note=config.get("note"),
        )

    @property
    def threshold(self) -> float:
        """The smallest effect on the scale of the parts' distributions."""
        if self.test.is_correlation:
            return self.smallest_effect
        return float(np.log1p(self.smallest_effect) if self.direction == "higher" else -np.log1p(-self.smallest_effect))

    def readable(self, effect: float) -> float:
        """Return an effect as it is read: higher above 0, as a relative change or a rank correlation."""
        effect = effect if self.direction == "higher" else -effect
        return float(effect) if self.test.is_correlation else float(np.expm1(effect))

    def check_tables(self, shop: Shop) -> None:
        """Raise an InputError where the shop lacks a table that the hypothesis needs."""
        present = shop.tables.present()
        absent = [table for table in self.needs if table not in present]
        if absent:
            raise InputError(
                f"the table {listing(absent)} is missing",
                expected=listing(self.needs),
                found=f"the tables {', '.join(present)}",
                hint="add it to the source",
            )


def statement_of(config: object) -> dict[str, str]:
    texts = config.get("statement") if isinstance(config, Mapping) else None
    if not isinstance(texts, Mapping) or "en" not in texts or not all(isinstance(text, str) for text in texts.values()):
        raise InputError(
            "the English text of the statement is missing", where="statement", expected="en: …", found=str(texts)
        )
    return {str(language): text for language, text in texts.items()}


KEYS = {
    "statement": "Mapping",
    "test": "str",
    "direction": "str",
    "smallest_effect": "float",
    "needs": "Sequence",
    "column": "str | Sequence | None",
    "absent": "float | None",
    "parameters": "Mapping | None",
    "reported": "str | None",
    "note": "str | None",
}
VALUES: Mapping[str, Collection[str]] = {
    "test": TESTS,
    "direction": DIRECTIONS,
    "needs": SPECS,
    "reported": REPORTED,
}


def _test(config: Mapping[str, Any]) -> Trend | Season | Weekday:
    kind, column, given = TESTS[config["test"]], config.get("column"), config.get("parameters") or {}
    if kind is not Trend:
        if column is not None or config.get("absent") is not None:
            raise InputError(f"the test {config['test']} takes no column", where="column", hint="see its measure")
        known = {field.name: str(field.type) for field in dataclasses.fields(kind)}
        check_keys(given, known, {"measure": COUNTED}, list(known), "parameters.")
        return kind(**given)
    columns = [column] if isinstance(column, str) else list(column or [])
    if not columns:
        raise InputError("a trend needs a column to measure", where="column", expected="a measure or a feature")
    for name in columns:
        if not isinstance(name, str):
            raise InputError(
                "column is not a valid name", where="column", expected="a measure or a feature", found=str(name)
            )
        if name not in MEASURES:
            _check_feature(name)
    known = {"compare": "str"}
    for name in columns:
        known |= parameters_of(MEASURES[name]) if name in MEASURES else {}
    values = {
        "measure": ("units", "spend"),
        "compare": COMPARED,
        "level": assortment.LEVELS,
        "of": group_totals.COUNTS,
    }
    check_keys(given, known, values, list(known), "parameters.")
    if not 0 < given.get("dearest", 0.5) < 1:
        raise InputError("dearest is not a valid share", where="parameters.dearest", expected="between 0 and 1")
    return Trend(columns, given["compare"], given, config.get("absent"))


def _check_feature(name: str) -> None:
    try:
        resolve([name])
    except InputError as error:
        raise InputError(
            f"there is no measure or feature {name!r}",
            where="column",
            hint=f"{error.hint}; measures: {listing(MEASURES)}",
        ) from error
    if name.endswith(".*"):
        raise InputError(f"{name} matches several features", where="column", expected="one measure or feature")


def named_times(hypotheses: Mapping[str, object]) -> dict[str, set[int]]:
    """Return the times that hypotheses are about: `month`, 1 to 12, and `day_of_week`, 0 for Monday.

    Parameters
    ----------
    hypotheses : mapping
        As of `assess`; those that cannot be read speak of none.
    """
    named: dict[str, set[int]] = {"month": set(), "day_of_week": set()}
    for name, config in hypotheses.items():
        with suppress(InputError):
            test = Hypothesis.from_config(name, config).test
            if isinstance(test, Season):
                named["month"].update(test.months)
            elif isinstance(test, Weekday):
                named["day_of_week"].update(test.numbers())
    return named
