"""The cache's leftovers: what was computed from older data or code, and what killed processes left."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from features.analyses import ANALYSES
from features.checksums import unseal
from features.snapshot import FEATURES, OUTCOMES
from features.sources.database import READINGS
from features.sources.staged import DAMAGED, MANIFEST
from features.writing import PARTIAL_SUFFIX, is_abandoned, partial_of, remove

OLDER = "staged from older data, settings or code"
UNKNOWN = "computed from data that are not staged any more"
PARTIAL = "left by a process that is gone"


@dataclass(frozen=True)
class Leftover:
    """A file or folder that nothing needs.

    Attributes
    ----------
    path : Path
    size : int
        Bytes.
    why : str
    """

    path: Path
    size: int
    why: str

    def remove(self) -> bool:
        """Remove it, unless a process has begun to use it; return True if it is gone."""
        with suppress(OSError):
            manifest = self.path / MANIFEST
            if manifest.exists() and is_used(manifest):
                return False
            partial = partial_of(self.path)  # where this process is killed, what is left is found again
            self.path.rename(partial)
            remove(partial)
        return not self.path.exists()


def leftovers(cache: Path, *others: Path) -> list[Leftover]:
    """Find what can be removed. Of each shop, what was used last stays, and what a process uses.

    Parameters
    ----------
    cache : Path
        Folder of staged tables and of what is computed from them.
    *others : Path
        Folders in which only partial files are looked for, not in the folders below.
    """
    kept: set[str] = set()
    found: list[tuple[Path, str]] = []
    for staged in _staged_by_shop(cache):
        whole = sorted(filter(_is_readable, staged), key=lambda manifest: -manifest.stat().st_mtime)
        used = {*whole[:1], *filter(is_used, staged)}
        kept |= {manifest.parent.name for manifest in used}
        found += [(manifest.parent, OLDER) for manifest in staged if manifest not in used]
    found += [(path, UNKNOWN) for path in _computed(cache) if path.name not in kept]
    found += [(path, PARTIAL) for path in _partial(cache.rglob("*")) if path not in dict(found)]
    for folder in others:
        found += [(path, PARTIAL) for path in _partial(folder.glob("*"))]
    return [Leftover(path, size(path), why) for path, why in found]


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    total = 0
    for part in (path, *path.rglob("*")):
        with suppress(OSError):  # removed meanwhile
            total += 0 if part.is_dir() else part.lstat().st_size
    return total


def is_used(manifest: Path) -> bool:
    """Check whether a process has a staged folder open: it holds the lock of its manifest."""
    with manifest.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
    return False


def staged_folders(cache: Path, shop: str) -> list[Path]:
    """Return a shop's staged folders, which have the names of digests."""
    return sorted(
        each.parent for each in (cache / shop).glob(f"*/{MANIFEST}") if re.fullmatch("[0-9a-f]{16}", each.parent.name)
    )


def readings(cache: Path, shop: str) -> list[Path]:
    """Return the folders of what was read of a shop's databases, one for each database."""
    return sorted(path for path in (cache / shop / READINGS).glob("*") if path.is_dir())


def computed_from(cache: Path, digest: str) -> list[Path]:
    """Return the folders of what was computed from the tables of a digest."""
    return [path for path in _computed(cache) if path.name == digest]


def _staged_by_shop(cache: Path) -> Iterator[list[Path]]:
    """Yield the manifests of each shop's staged folders."""
    for shop in sorted(cache.glob("*")):
        yield [folder / MANIFEST for folder in staged_folders(cache, shop.name)]


def _is_readable(manifest: Path) -> bool:
    """Check that a manifest is not damaged, nor of an older version of this project, which never reads it again."""
    try:
        return "checksums" in unseal(manifest.read_text(encoding="utf-8"))
    except DAMAGED:
        return False


def _computed(cache: Path) -> Iterator[Path]:
    for name in (FEATURES, OUTCOMES, ANALYSES):
        yield from sorted(path for path in (cache / name).glob("*") if not path.name.startswith("."))


def _partial(paths: Iterable[Path]) -> Iterator[Path]:
    for path in sorted(paths):
        inside = any(parent.name.endswith(PARTIAL_SUFFIX) for parent in path.parents)
        if path.name.endswith(PARTIAL_SUFFIX) and not inside and is_abandoned(path):
            yield path
