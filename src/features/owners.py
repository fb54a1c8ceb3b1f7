"""Owners: which process makes something, and whether it is gone. What a killed process left is recognised by this."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def mark() -> dict[str, Any]:
    """Return the mark of this process: host, pid and start. The start distinguishes a later process of the same pid.

    A file, a journal or a local MLflow store does not notice that a process was killed. Other processes notice it by
    this mark.
    """
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_here(owner: Mapping[str, Any]) -> bool:
    """Return True if the marked process runs, or ran, on this machine."""
    return bool(owner["host"] == socket.gethostname())


def is_gone(owner: Mapping[str, Any]) -> bool:
    """Return True if the marked process ran on this machine and has ended; always False for other machines."""
    return is_here(owner) and _started(owner["pid"]) != owner["started"]


def _started(pid: int) -> str | None:
    """Return clock ticks from boot to the process's start; None if the process does not exist."""
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
    return "running"  # without /proc only the pid is known
