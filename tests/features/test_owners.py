"""Owners: a process is said to be gone where that can be known, and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from features import owners
from features.owners import FIRST_NAMESPACE, is_gone, is_here, mark, place, read_mark

PLACE = {"host": "shop", "machine": "0123", "boot": "a", "namespace": FIRST_NAMESPACE}


@pytest.fixture
def ended() -> int:
    """Pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_is_gone_once_it_ended_or_its_pid_is_of_a_later_one(ended: int) -> None:
    assert not is_gone(mark())
    assert is_gone({**mark(), "pid": ended})
    assert is_gone({**mark(), "started": "0"})


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"host": "another"},
        {"namespace": "pid:[1]"},
        {"machine": "another", "boot": "another"},
        {"machine": None, "boot": "another"},
    ],
)
def test_a_process_of_another_machine_or_container_is_never_said_to_be_gone(
    ended: int, elsewhere: dict[str, str | None]
) -> None:
    owner = {**mark(), "pid": ended, **elsewhere}
    assert not is_here(owner)
    assert not is_gone(owner)


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="namespaces are of Linux")
def test_a_process_of_another_namespace_of_pids_is_left_alone() -> None:
    """Compare with the kernel: a process marks itself in a namespace of its own, under the same host name."""
    program = "import json; from features.owners import mark; print(json.dumps(mark()), flush=True); input()"
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program]
    process = subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        owner = read_mark(process.stdout.readline())
        if owner is None:
            pytest.skip("this kernel makes no namespaces for users")
        assert owner["host"] == mark()["host"]
        assert not is_gone(owner)
        assert is_gone({key: owner[key] for key in ("host", "pid", "started")})  # what a mark said before
    finally:
        process.communicate("\n")


def test_a_machine_that_started_again_is_known_and_a_container_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "mark", lambda: {**PLACE, "pid": 5, "started": "7"})
    monkeypatch.setattr(owners, "_started", lambda pid: "7")
    assert not is_gone({**PLACE, "pid": 5, "started": "7"})
    assert is_gone({**PLACE, "pid": 5, "started": "7", "boot": "b"})
    for unsure in ({"machine": None}, {"namespace": "pid:[1]"}):
        assert place({**PLACE, **unsure}) != place({**PLACE, **unsure, "boot": "b"})


def test_a_mark_of_an_earlier_version_is_read(ended: int) -> None:
    old = {key: mark()[key] for key in ("host", "pid", "started")}
    assert is_here(old)
    assert not is_gone(old)
    assert is_gone({**old, "pid": ended})
    assert not is_gone({**old, "pid": ended, "host": "another"})


def test_a_process_whose_start_is_hidden_is_not_said_to_be_gone(monkeypatch: pytest.MonkeyPatch, ended: int) -> None:
    """As /proc with the option hidepid hides the processes of other users."""
    owner = mark()
    monkeypatch.setattr(os, "readlink", lambda path: owner["namespace"] if "ns" in path else "1")
    assert not is_gone(owner)
    assert is_gone({**owner, "pid": ended})


def test_a_text_that_is_not_a_mark_is_nobodys() -> None:
    assert read_mark(json.dumps(mark())) == mark()
    changes = {"pid": -1}, {"pid": 2**40}, {"pid": "1/../.."}
    for text in (None, "", "anna", "[1]", "5", '{"host": "x"}', *(json.dumps({**mark(), **each}) for each in changes)):
        assert read_mark(text) is None
