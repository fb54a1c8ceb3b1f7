"""Who works on something: a mark that other processes of the same machine can check.

Neither a journal file nor a local MLflow store notices that a process was killed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def mark() -> dict[str, Any]:
    """This process: host, pid and when it began, which a later process of the same pid does not share."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_here(owner: Mapping[str, Any]) -> bool:
    """Whether the marked process runs, or ran, on this machine."""
    return owner["host"] == socket.gethostname()


def is_gone(owner: Mapping[str, Any]) -> bool:
    """Whether the marked process ran on this machine and has ended. Of other machines nothing is known: False."""
    return is_here(owner) and _started(owner["pid"]) != owner["started"]


def _started(pid: int) -> str | None:
    """Clock ticks from boot to the process's start; None if there is no such process."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state == "Z" else fields[18]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"  # a system without /proc: the pid alone must do
