"""Owners: which process makes something, and whether it is gone. What a killed process left is recognised by this."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIRST_NAMESPACE = "pid:[4026531836]"  # of pids, outside all containers: a constant of Linux
UNKNOWN = "running"  # start of a process of which only the pid can be seen


def mark() -> dict[str, Any]:
    """Return the mark of this process: its place, pid and start. The start distinguishes a later process of its pid.

    A file, a journal or a local MLflow store does not notice that a process was killed. Other processes notice it by
    this mark. A pid says nothing outside its place, and two containers or machines may have one host name.
    """
    machine = _said(Path("/etc/machine-id"))
    return {
        "host": socket.gethostname(),
        "machine": hashlib.sha256(machine.encode()).hexdigest()[:12] if machine else None,  # the id itself is private
        "boot": _said(Path("/proc/sys/kernel/random/boot_id")),
        "namespace": _namespace(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def read_mark(text: str | None) -> dict[str, Any] | None:
    """Read a mark that was written as JSON; None if the text is something else, such as a person's name."""
    try:
        owner = json.loads(text or "")
    except ValueError:
        return None
    return owner if is_mark(owner) else None


def is_mark(owner: object) -> bool:
    """Check that a value is a mark, of this version or of an earlier one."""
    if not isinstance(owner, dict) or not {"host", "pid", "started"} <= owner.keys():
        return False
    complete = "namespace" not in owner or {"machine", "boot"} <= owner.keys()
    return complete and isinstance(owner["pid"], int) and 0 < owner["pid"] < 2**31


def place(owner: Mapping[str, Any]) -> str:
    """Return what two marks share if a process of one can see the process of the other.

    A machine that is known by its id stays the same when it starts again; a container does not.
    """
    lasts = owner["machine"] and owner["namespace"] == FIRST_NAMESPACE
    return " ".join(str(owner[key]) for key in ("host", "machine", "namespace", *(() if lasts else ("boot",))))


def is_here(owner: Mapping[str, Any]) -> bool:
    """Return True if this process can see whether the marked one runs."""
    me = mark()
    if "namespace" not in owner:  # of an earlier version, which knew places by the host's name
        return bool(owner["host"] == me["host"])
    return place(owner) == place(me)


def is_gone(owner: Mapping[str, Any]) -> bool:
    """Return True if the marked process is known to have ended; always False for other machines and containers."""
    if not is_here(owner):
        return False
    if owner.get("boot") not in (None, mark()["boot"]):
        return True
    started = _started(owner["pid"])
    return started is None or (started != owner["started"] and UNKNOWN not in (started, owner["started"]))


def _said(file: Path) -> str | None:
    try:
        return file.read_text().strip() or None
    except OSError:
        return None


def _namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """Return clock ticks from boot to the process's start; None if the process does not exist."""
    try:
        if os.readlink("/proc/self") == str(os.getpid()):  # or it shows the processes of another namespace
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
    return UNKNOWN
