"""A staged shop on disk: canonical Parquet beside a manifest, whole or not there at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from features.checksums import checksum, seal, unseal
from features.engines import Engine
from features.sources.joins import Join, Side
from features.sources.raw import Currency, Drop
from features.tables import Tables
from features.writing import named

MANIFEST = "manifest.json"
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
)  # of what is not whole; ArrowInvalid is a ValueError


@dataclass(frozen=True)
class Staged:
    """A shop's canonical tables on disk.

    Attributes
    ----------
    shop, currency : str
        Of the data config.
    digest : str
        Hexadecimal; of the raw files' content, the data config and the staging code.
    folder : pathlib.Path
        Holds <table>.parquet and manifest.json.
    start, end : datetime.date
        The days that the transactions cover, end exclusive.
    burn_in_days : int
        See `Tables`.
    spend : {"net", "gross"}
        As configured: see `Tables`.
    rows : mapping of str to int
        Canonical name -> rows kept.
    customers : int
        Distinct customers in the transactions.
    checksums : mapping of str to str
        Canonical name -> checksum of its file.
    drops : tuple of Drop
        Rows left out, per table and rule, rules that no row met included.
    notes : tuple of str
        What was decided and changed in reading.
    joins : tuple of Join
        The tables that meet, and how many of their keys match.
    currencies : tuple of Currency
        Of the transactions that were kept, where the raw file has such a column.
    """

    shop: str
    currency: str
    digest: str
    folder: Path
    start: date
    end: date
    burn_in_days: int
    spend: str
    rows: Mapping[str, int]
    customers: int
    checksums: Mapping[str, str]
    drops: tuple[Drop, ...]
    notes: tuple[str, ...] = ()
    joins: tuple[Join, ...] = ()
    currencies: tuple[Currency, ...] = ()

    def open(self, engine: Engine) -> Tables:
        """Open the canonical tables on an engine, under their canonical names: one shop per engine."""
        read = {name: engine.read(self.folder / f"{name}.parquet", table=name) for name in self.rows}
        return Tables(start=self.start, end=self.end, burn_in_days=self.burn_in_days, spend=self.spend, **read)


def write_manifest(staged: Staged, folder: Path) -> None:
    """Write what `read_manifest` reads."""
    manifest = {key: value for key, value in asdict(staged).items() if key != "folder"}
    with named(folder / MANIFEST):
        (folder / MANIFEST).write_text(seal(manifest), encoding="utf-8")


def read_manifest(folder: Path) -> Staged:
    """Read what a staged folder says of itself; raise one of `DAMAGED` where that was changed."""
    manifest = unseal((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest |= {key: date.fromisoformat(manifest[key]) for key in ("start", "end")}
    manifest["drops"] = tuple(Drop(**drop) for drop in manifest["drops"])
    manifest["notes"] = tuple(manifest["notes"])
    manifest["joins"] = tuple(
        Join(join["column"], Side(**join["left"]), Side(**join["right"])) for join in manifest["joins"]
    )
    manifest["currencies"] = tuple(Currency(**currency) for currency in manifest["currencies"])
    return Staged(folder=folder, **manifest)


def is_whole(folder: Path) -> bool:
    """Check whether a staged folder has its manifest and all the tables that it names, as they were written."""
    return _whole(folder) is not None


def _whole(folder: Path) -> Staged | None:
    """Return what a staged folder says of itself, or None where it is not as it was written."""
    try:
        staged = read_manifest(folder)
        return staged if has_tables(folder, staged.checksums) else None
    except DAMAGED:
        return None


def has_tables(folder: Path, checksums: Mapping[str, str]) -> bool:
    """Check whether a folder has tables of these checksums; raise one of `DAMAGED` where one is not there."""
    return all(checksum(folder / f"{name}.parquet") == known for name, known in checksums.items())


def open_staged(folder: Path) -> Staged | None:
    """Return what a folder holds, or None where it is not whole; it is in use as long as what is returned exists.

    The lock of its manifest says so to `features.cleaning`, and the time of its last change when it was used last.
    """
    try:
        manifest = (folder / MANIFEST).open()
    except OSError:
        return None
    with suppress(OSError):  # a file system without locks
        fcntl.flock(manifest, fcntl.LOCK_SH)
    staged = _whole(folder)
    if staged is None:
        manifest.close()
        return None
    with suppress(OSError):  # a folder that may only be read
        os.utime(folder / MANIFEST)
    weakref.finalize(staged, manifest.close)
    return staged


def publish(partial: Path, folder: Path) -> None:
    """Put the finished folder in its place in one step."""
    if folder.exists() and not is_whole(folder):
        shutil.rmtree(folder)  # somebody changed it: it is not a staged folder any more
    try:
        partial.rename(folder)
    except OSError:
        if not is_whole(folder):
            raise
