"""Checksums of files that can be computed again: what was changed or damaged since is not used, but made anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

NAME = "checksum"  # of a file or key


def checksum(path: Path) -> str:
    """Return the digest of a file's content, or of a folder's files. It is computed once a process and state of a file.

    Files whose names begin with a point or a low line are no data of a folder: Spark writes such.
    """
    if not path.is_dir():
        return _checksum(path)
    parts = sorted(part for part in path.iterdir() if not part.name.startswith((".", "_")))
    return text_checksum({part.name: _checksum(part) for part in parts})


def _checksum(path: Path) -> str:
    state = path.stat()
    return _digest(path.absolute(), state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino)


@cache
def _digest(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(path: Path) -> bool:
    """Return True if a file or folder is there, and as the checksum says that was written beside it."""
    try:
        return (path.parent / NAME).read_text(encoding="utf-8") == checksum(path)
    except (OSError, ValueError):
        return False


def text_checksum(content: Mapping[str, Any]) -> str:
    """Return the digest of what JSON holds of a mapping."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def short_digest(digest: str) -> str:
    """Return the part of a digest of data that names folders."""
    return digest[:16]


def seal(content: Mapping[str, Any]) -> str:
    """Return a mapping as the text of a JSON file, with its own checksum."""
    return json.dumps({**content, NAME: text_checksum(content)}, indent=2, default=str) + "\n"


def unseal(text: str) -> dict[str, Any]:
    """Return the mapping of a text that `seal` wrote.

    Raises
    ------
    ValueError
        If it was changed since.
    """
    content: dict[str, Any] = json.loads(text)
    if content.pop(NAME) != text_checksum(content):
        raise ValueError("the text was changed since it was written")
    return content
