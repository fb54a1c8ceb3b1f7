"""Files and folders are written whole or not at all: a reader never sees half of one, and a failure leaves none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give an OSError the file that it is about, where the writer leaves it out as `write` itself does."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` for a file or folder; takes its place when all went well, and is removed when not."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with named(path):
            yield partial
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
