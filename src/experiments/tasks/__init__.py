"""Tasks: one file for each marketing question, found automatically."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping

from experiments.tasks.base import Task


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
    return tasks


TASKS: Mapping[str, type[Task]] = _found()
"""Class of each task, by the name of its file, which `task=` and conf/task/ use."""


def questions() -> dict[str, type[Task]]:
    """Return the task's class of each question, by the name of its registered models, ledger and champion."""
    return {name: kind for kind in TASKS.values() for name in kind.names()}
