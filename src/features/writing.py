"""Writing files and folders whole or not at all: a reader never sees half of one, and a failure leaves none.

Something new is made under the name of a partial, which bears the mark of its process, and counts once it is renamed.
What a killed process left is removed when anything is written into the same folder again.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from features.owners import is_gone, mark, place

PARTIAL_SUFFIX = ".partial"
PARTIAL = re.compile(rf"\..+\.(?P<place>[0-9a-f]{{6}})-(?P<pid>\d+)-(?P<started>\w+)-[0-9a-f]{{6}}\{PARTIAL_SUFFIX}.*")
UNTOUCHED_SECONDS = 24 * 60 * 60  # after which a partial file of another machine is given up


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Add the file to an OSError where the writer leaves it out, as `write` itself does."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`, which takes its place when all went well and is removed when not.

    A folder does not replace one that is there already and may be read by others: folders are named by their content.
    """
    partial = partial_of(path)
    try:
        with named(path):
            yield partial
        try:
            partial.replace(path)
        except OSError:
            if not (partial.is_dir() and path.is_dir()):
                raise
    finally:
        remove(partial)


def partial_of(path: Path) -> Path:
    """Return a fresh path beside `path` to make it under, and remove what killed processes left in that folder."""
    for left in path.parent.glob(f".*{PARTIAL_SUFFIX}*"):
        if PARTIAL.fullmatch(left.name) and is_abandoned(left):
            with suppress(OSError):  # another process removes it at the same moment
                remove(left)
    owner = mark()
    of_process = f"{_place_of(owner)}-{owner['pid']}-{owner['started']}-{uuid4().hex[:6]}"
    return path.with_name(f".{path.name}.{of_process}{PARTIAL_SUFFIX}")


def is_abandoned(partial: Path) -> bool:
    """Check whether the process that wrote a partial file or folder is gone.

    Of another machine or container that is not known: nothing in it was touched for a day then.
    """
    written, here = PARTIAL.fullmatch(partial.name), mark()
    if written and written["place"] == _place_of(here):
        return is_gone({**here, "pid": int(written["pid"]), "started": written["started"]})
    try:
        touched = max(part.lstat().st_mtime for part in (partial, *partial.rglob("*")))
    except FileNotFoundError:  # finished, or removed, by now
        return False
    return time.time() - touched > UNTOUCHED_SECONDS


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _place_of(owner: Mapping[str, Any]) -> str:
    return hashlib.sha256(place(owner).encode()).hexdigest()[:6]
