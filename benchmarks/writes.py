"""Commands killed by SIGKILL at each write, typed again, and compared with undisturbed ones. Writes writes.md."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from kills import COMMANDS, differences, place_to_kill, state
from preloaded import preloaded

RESULT = Path(__file__).with_suffix(".md")
OF_CODE = 50  # of the writes that copy the models' code into a version, one in so many is taken


@dataclass(frozen=True)
class Row:
    """A command that was killed at its writes: how many it has, how many were taken, after which it ended unlike."""

    command: str
    writes: int
    killed: int
    unlike: list[str]


def kill_at_writes(base: Path) -> Iterator[Row]:
    """Kill each command at each of its writes, repeat it, and compare the end with that of an undisturbed one."""
    with preloaded() as executables:
        place = place_to_kill(base, executables)
        for name, command in COMMANDS.items():
            writes = place.writes(command)
            undisturbed = state(place.folder)
            of_code = [at for at, write in enumerate(writes, start=1) if "/code/" in write]
            points = [at for at in range(1, len(writes) + 1) if at not in of_code] + of_code[::OF_CODE]
            unlike = [
                f"{writes[at - 1]}: {'; '.join(found)}"
                for at in points
                if (found := differences(place.after_kill(command, at), undisturbed))
            ]
            yield Row(name, len(writes), len(points), unlike)


def report(rows: list[Row], seconds: float) -> str:
    lines = [f"| {row.command} | {row.writes} | {row.killed} | {len(row.unlike)} |" for row in rows]
    unlike = [f"- {row.command}: {write}\n" for row in rows for write in row.unlike]
    return f"""# What SIGKILL leaves at each write

Written by `make bench-faults` (benchmarks/writes.py) from one run, which took {seconds / 60:.0f} minutes on
{os.cpu_count()} cores ({platform.system()} {platform.machine()}): Python {platform.python_version()},
mlflow {version("mlflow")}.

A command on CDNOW is killed just before each of its writes (a file opened to write, renamed, removed or made, a
transaction that changed rows), and typed again. The end is compared with that of an undisturbed command: aliases,
tags, history of champions, ledger, versions, runs, logged models, files, and the content of tables. Of the writes that
copy the models' code into a version, one in {OF_CODE} was taken.

| command | writes | killed at | ends unlike |
|---|---|---|---|
{chr(10).join(lines)}
{"".join(unlike)}"""


def main() -> None:
    begun, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        for row in kill_at_writes(Path(folder)):
            rows.append(row)
            print(row, flush=True)
    RESULT.write_text(report(rows, time.monotonic() - begun))
    print(f"{RESULT} is written")
    if any(row.unlike for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
