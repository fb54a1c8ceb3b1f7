"""Commands that are killed at a write and typed again: the end is that of a command that nothing disturbed.

At some writes: `make bench-faults` takes all of them, and tests/experiments/test_gate.py those of a change in process.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pytest

from kills import COMMANDS, Place, differences, place_to_kill, state
from preloaded import preloaded

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kills")]
KILLS = {"promote by the gate": 4, "train": 4}  # spread over the writes; 2 of other commands


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Iterator[Place]:
    with preloaded() as commands:
        yield place_to_kill(tmp_path_factory.mktemp("kills"), commands, new_store)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_was_killed_ends_as_if_nothing_had_disturbed_it(place: Place, name: str) -> None:
    writes = place.writes(COMMANDS[name])
    undisturbed = state(place.folder)
    for at in range(len(writes), 0, -ceil(len(writes) / KILLS.get(name, 2))):  # the last write makes all count
        assert differences(place.after_kill(COMMANDS[name], at), undisturbed) == [], writes[at - 1]
