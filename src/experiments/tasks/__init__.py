"""Tasks: one file for each marketing question, found automatically."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping

from experiments.reports.words import worded
from experiments.tasks.base import Task
from features.errors import listing
from features.grains import Grain


def _found() -> dict[str, type[Task]]:
    """Import the files of this folder and return the task of each, by the name of the file."""
    tasks = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name == "base":
            continue
        content = vars(importlib.import_module(f"{__name__}.{module.name}")).values()
        own = [
            kind
            for kind in content
            if inspect.isclass(kind) and issubclass(kind, Task) and kind.__module__ == f"{__name__}.{module.name}"
        ]
        if len(own) != 1:
            raise ImportError(f"{__name__}.{module.name} must define one task, found {len(own)}")
        tasks[module.name] = own[0]
    check_classes(tasks)
    return tasks


def check_classes(tasks: Mapping[str, type[Task]]) -> None:
    """Check that scores and the report, which have a task's class alone, can find its champions.

    Raises
    ------
    ImportError
        If grain, names or a class method are not those of the class, or two tasks share a name.
    """
    owner: dict[str, str] = {}
    for file, kind in tasks.items():
        if not isinstance(kind.grain, Grain):
            raise ImportError(f"{kind.__module__}: grain must be an attribute of the class, such as CUSTOMER")
        for method in (
            "names",
            "configure",
            "lists",
            "customer_view",
            "customer_columns",
            "eligible",
            "groups",
            "section",
        ):
            if not inspect.ismethod(getattr(kind, method)):
                raise ImportError(f"{kind.__module__}: {method} must be a class method, as in Task")
        for name in kind.names():
            if not isinstance(name, str):
                raise ImportError(f"{kind.__module__}: a name that depends on options needs names(), which lists all")
            if name in owner:
                raise ImportError(f"two tasks are named {name!r}: {listing([owner[name], file])}")
            owner[name] = file


TASKS: Mapping[str, type[Task]] = _found()
"""Class of each task, by the name of its file, which `task=` and conf/task/ use."""


def questions() -> dict[str, type[Task]]:
    """Return the task's class of each question, by the name of its registered models, ledger and champion."""
    return {name: kind for kind in TASKS.values() for name in kind.names()}


def in_words(question: str, task: str) -> str:
    """Return a question in a marketer's words, with its own name where the task has several.

    Parameters
    ----------
    question : str
        Name of its registered model without the shop: `clv_180d`.
    task : str
        Name of its task under the default options.

    Examples
    --------
    >>> in_words("clv", "clv"), in_words("clv_180d", "clv"), in_words("inactivity", "inactivity")
    ('expected spend', 'expected spend (clv_180d)', 'return probability (inactivity)')
    """
    kind = questions()[task]
    words = kind.label or worded(task)
    return words if question == kind.names()[0] else f"{words} ({question})"
