"""Sections of the report, found by themselves: a module beside its analysis declares each."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import Any

import pandas as pd

from experiments import case_study, description, gate
from experiments.reports.section import Section, Topic
from features.errors import InputError, did_you_mean

logger = logging.getLogger(__name__)

ROOMS = (gate, description, case_study)
SUFFIX = "section"  # of the modules that declare sections


def find_topics() -> list[Topic[Any]]:
    """Return what modules of the rooms declare whose names end in `section`, in the order of reading."""
    found = (value for room in ROOMS for module in _modules(room) for value in vars(module).values())
    return sorted((value for value in found if isinstance(value, Topic)), key=lambda topic: topic.order)


def choose(topics: Sequence[Topic[Any]], names: Sequence[str] | None) -> list[Topic[Any]]:
    """Return the topics of some sections, in the order of the names; all topics where no names are given.

    Raises
    ------
    InputError
        If no topic has a name.
    """
    if names is None:
        return list(topics)
    known = dict.fromkeys(topic.name for topic in topics)
    for name in names:
        if name not in known:
            raise InputError(
                f"a report has no section {name!r}", where="report.sections", hint=did_you_mean(name, known)
            )
    return [topic for name in names for topic in topics if topic.name == name]


def write_sections(topics: Sequence[Topic[Any]], material: object) -> list[Section]:
    """Write the sections; topics of one name make one section together."""
    sections: dict[str, Section] = {}
    for topic in topics:
        begun = time.monotonic()
        section = topic.section(material)
        logger.info("%s in %.1f s", topic.name, time.monotonic() - begun)
        before = sections.get(section.name)
        sections[section.name] = replace(before, parts=[*before.parts, *section.parts]) if before else section
    return list(sections.values())


def customer_columns(topics: Sequence[Topic[Any]], material: object) -> pd.DataFrame:
    """Return what the sections know of each customer, indexed customer_id; without those that could not be written."""
    columns: dict[str, pd.Series] = {}
    for topic in topics:
        if topic.columns is not None:
            with suppress(InputError):  # its section says why
                columns |= topic.columns(material)
    return pd.DataFrame(columns).rename_axis("customer_id")


def _modules(room: ModuleType) -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if module.name.endswith(SUFFIX):
            yield importlib.import_module(module.name)
