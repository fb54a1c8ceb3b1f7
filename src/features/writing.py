"""Writing files and folders whole or not at all: a reader never sees half of one, and a failure leaves none."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

PARTIAL_SUFFIX = ".partial"
PARTIAL = re.compile(rf"\.(?P<host>[0-9a-f]{{6}})-(?P<pid>[0-9]+)-[0-9a-f]{{8}}\{PARTIAL_SUFFIX}")
UNTOUCHED_SECONDS = 24 * 60 * 60  # after which a partial file of another machine is given up


def partial_of(path: Path) -> Path:
    """Return a path beside `path`, hidden, which says which process writes it."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{uuid4().hex[:8]}{PARTIAL_SUFFIX}")


def is_abandoned(partial: Path) -> bool:
    """Check whether the process that wrote a partial file or folder is gone.

    Of another machine that is not known: nothing in it was touched for a day then.
    """
    written = PARTIAL.search(partial.name)
    if written and written["host"] == _host():
        return not Path(f"/proc/{written['pid']}").exists()
    touched = max(part.lstat().st_mtime for part in (partial, *partial.rglob("*")))
    return time.time() - touched > UNTOUCHED_SECONDS


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


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
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)
