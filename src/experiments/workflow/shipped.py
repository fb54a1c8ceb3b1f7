"""The files of conf/ that come with the code, read as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOM = Path(__file__).resolve()
# Beside this package where it was installed, at the top of the repository in a checkout.
CONF = next(folder for folder in (ROOM.parents[1] / "conf", ROOM.parents[3] / "conf") if folder.is_dir())


@cache
def default_options(task: str) -> Mapping[str, Any]:
    """Return the options of a task as conf/task/ has them; none for a task without a file there.

    Parameters
    ----------
    task : str
        Name of its file.
    """
    file = CONF / "task" / f"{task}.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    return content.get("task", content)  # a file that holds its search too has the options below `task`
