"""Sections of the report, found by themselves: a module beside its analysis declares each, or a task writes its own."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from experiments import campaigns, case_study, description, gate
from experiments.reports.section import Section, Topic, left_out
from experiments.tasks import TASKS
from experiments.tasks.base import Task
from features.errors import InputError, did_you_mean

logger = logging.getLogger(__name__)

ROOMS = (campaigns, gate, description, case_study)
SUFFIX = "section"  # of the modules that declare sections


@dataclass(frozen=True)
class Writer:
    """Writer of one section, or of a part of one: sections of one name are joined.

    Attributes
    ----------
    name : str
        Of the section.
    write : callable
        Takes the report's material and returns the section, or None where there is none.
    columns : callable, optional
    reads_models : bool
        As of a topic.
    """

    name: str
    write: Callable[[Any], Section | None]
    columns: Callable[[Any], Mapping[str, pd.Series]] | None = None
    reads_models: bool = True


def find_writers() -> list[Writer]:
    """Return the writers of all sections: topics that rooms declare in modules named `…section`, and the tasks."""
    found = (value for room in ROOMS for module in _modules(room) for value in vars(module).values())
    own = dict.fromkeys(value for value in found if isinstance(value, Topic))  # one section's module may import another
    topics = sorted(own, key=lambda topic: topic.order)
    silent = Task.section.__func__  # of a class method, to compare
    written = [(name, kind) for name, kind in TASKS.items() if kind.section.__func__ is not silent]
    return [
        *(Writer(topic.name, topic.section, topic.columns, topic.reads_models) for topic in topics),
        *(Writer(kind.section_name or name, kind.section) for name, kind in written),
    ]


def choose(writers: Sequence[Writer], names: Sequence[str] | None) -> list[Writer]:
    """Return the writers of some sections, in the order of the names; all where no names are given.

    Raises
    ------
    InputError
        If a name is not that of a section.
    """
    if names is None:
        return list(writers)
    known = dict.fromkeys(writer.name for writer in writers)
    for name in names:
        if name not in known:
            raise InputError(
                f"a report has no section {name!r}", where="report.sections", hint=did_you_mean(name, known)
            )
    return [writer for name in names for writer in writers if writer.name == name]


def written(writer: Writer, material: object) -> Section | None:
    """Write one section."""
    begun = time.monotonic()
    section = _written(writer, material)
    if section is not None:
        logger.debug("%s in %.1f s", writer.name, time.monotonic() - begun)
    return section


def joined(written: Iterable[Section | None]) -> list[Section]:
    """Return the sections in their order, each name once."""
    sections: dict[str, Section] = {}
    for section in written:
        if section is None:
            continue
        before = sections.get(section.name)
        sections[section.name] = replace(before, parts=[*before.parts, *section.parts]) if before else section
    return list(sections.values())


def customer_columns(writers: Sequence[Writer], material: object) -> pd.DataFrame:
    """Return what the sections know of each customer, indexed customer_id, without what the data do not allow."""
    columns: dict[str, pd.Series] = {}
    for writer in writers:
        if writer.columns is not None:
            try:
                columns |= writer.columns(material)
            except InputError as error:
                logger.warning("%s of each customer is left out: %s", writer.name, error.sentence)
    return pd.DataFrame(columns).rename_axis("customer_id")


def _written(writer: Writer, material: object) -> Section | None:
    try:
        return writer.write(material)
    except InputError as error:  # of a task whose section is not a topic's
        logger.warning("%s is left out: %s", writer.name, error.sentence)
        return Section(writer.name, [left_out(error)])


def _modules(room: ModuleType) -> Iterator[ModuleType]:
    """Import the modules of sections.

    Raises
    ------
    InputError
        If a folder has one and is not a package, so that Python would not find it.
    """
    for path in room.__path__:
        for file in sorted(Path(path).rglob(f"*{SUFFIX}.py")):
            if not file.with_name("__init__.py").exists():
                raise InputError(
                    f"the report section in {file.parent} is not found",
                    where=str(file),
                    expected="__init__.py beside it",
                    found="none",
                    hint=f"touch {shlex.quote(str(file.with_name('__init__.py')))}",
                )
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if module.name.endswith(SUFFIX):
            yield importlib.import_module(module.name)
