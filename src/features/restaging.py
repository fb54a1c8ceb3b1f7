"""Staging again what the raw files held before a cutoff: what staging makes of later rows is found by its absence.

Tampering changes canonical tables, so that it cannot see what a staging query has already taken from the future: the
last purchase of each product, its rank over all days, a band of what a customer spent. Here the raw files are cut at
the cutoff and staged anew, and every feature at that cutoff must be the same to the bit.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from features.errors import EmptyTableError, InputError, listing
from features.families import resolve
from features.grains import Grain
from features.leakage import ROWS, Finding, all_features, changes, grains_of
from features.progress import steps
from features.shop import Shop
from features.snapshot import frame_of
from features.sources import stage_before
from features.tables import Tables

CHECK = "staged anew"
QUERY = "the query of "  # begins what says that a query is not cut
SPACE = 3  # times the staged tables: the raw files that are cut, what is staged, and room to work


def audit_restaged(
    shop: Shop,
    source: Mapping[str, Any],
    cutoffs: Sequence[date],
    folder: Path,
    trained: Sequence[str] = (),
) -> Iterator[Finding]:
    """Cut the raw files at each cutoff, stage them anew, and compare every feature and the rows of each grain.

    It takes about as long as to stage the shop, for each cutoff, and the room of one such stage at a time. Where the
    folder has no room for that, nothing is done, and a finding says so. A feature that moves leaks. One whose family
    declares facts of unknown date differs, and fails only if models are trained on it.

    Parameters
    ----------
    shop : Shop
    source : mapping
        The data config that the shop was staged from.
    cutoffs : sequence of datetime.date
    folder : pathlib.Path
        For what is staged; emptied after each cutoff.
    trained : sequence of str
        Features that models are trained on.
    """
    moved: dict[str, list[str]] = {}
    compared: set[str] = set()
    whole: dict[str, None] = {}
    done = []
    for cutoff in cutoffs:
        try:
            _check_room(shop, folder)
            with _staged_before(shop, source, cutoff, folder / f"restaged_{cutoff:%Y%m%d}") as (tables, kept):
                whole |= dict.fromkeys(kept)
                grains = grains_of(shop.tables)
                for names, found in steps(_compared(shop, tables, cutoff, grains), CHECK, len(grains), "grains"):
                    compared |= names
                    for what, figures in found:
                        moved.setdefault(what, []).append(figures)
            done.append(cutoff)
        except EmptyTableError as error:
            yield _of_nothing(shop, cutoff, error)
        except InputError as error:
            yield Finding(CHECK, f"raw files before {cutoff}", "not checked", error.problem, checks=0)
    for query in (each for each in whole if each.startswith(QUERY)):
        said = "its result alone is cut, which does not show what it was made of"
        yield Finding(CHECK, query, "not checked", said, checks=0)
    undated = _undated(moved)
    for what, moves in moved.items():
        declared = what in undated
        said = f"{moves[0]}; its family declares facts of unknown date" if declared else moves[0]
        fails = not declared or what in trained
        yield Finding(CHECK, _subject(what), "differs" if declared else "leaks", said, len(moves), fails)
    if done:
        also = f"; whole, as nothing dates their rows: {listing(whole, limit=len(whole))}" if whole else ""
        said = f"raw files cut at {' and '.join(map(str, done))} and staged anew{also}"
        yield Finding(CHECK, f"{len(compared - moved.keys())} features and grains", "clean", said, len(compared))


def _of_nothing(shop: Shop, cutoff: date, error: EmptyTableError) -> Finding:
    """Return the finding of a table that is empty without later raw rows: its rows before the cutoff depend on them."""
    lines = shop.tables.as_of(cutoff).transactions
    rows = int(shop.engine.frame(lines.aggregate(rows=lines.count()))["rows"].iloc[0])
    subject = f"raw files before {cutoff}"
    if not rows:
        return Finding(CHECK, subject, "not checked", error.problem, checks=0)
    said = f"{error.problem} without raw rows from {cutoff} on, though transactions have {rows:,} rows before that day"
    return Finding(CHECK, subject, "leaks", said, fails=True)


def _check_room(shop: Shop, folder: Path) -> None:
    staged = sum((shop.staged.folder / f"{name}.parquet").stat().st_size for name in shop.staged.rows)
    free = shutil.disk_usage(folder).free
    if free < SPACE * staged:
        raise InputError(f"no room to stage anew: {free:,} bytes are free in {folder}, {SPACE * staged:,} are needed")


@contextmanager
def _staged_before(
    shop: Shop, source: Mapping[str, Any], cutoff: date, folder: Path
) -> Iterator[tuple[Tables, tuple[str, ...]]]:
    """Yield the tables that are staged of what was known before a cutoff, and what could not be cut."""
    logger = logging.getLogger("features.sources")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        staged, whole = stage_before(source, cutoff, shop.cache, folder)
        yield _open(shop, staged.rows, folder), whole
    finally:
        logger.setLevel(level)
        shutil.rmtree(folder, ignore_errors=True)


def _open(shop: Shop, names: Mapping[str, int], folder: Path) -> Tables:
    """Open the tables beside those of the shop, over its days; a table of which nothing was known is empty."""
    before = shop.tables
    opened: dict[str, ir.Table] = {
        name: shop.engine.read(folder / f"{name}.parquet", f"{folder.name}_{name}")
        if name in names
        else before[name].limit(0)
        for name in before
    }
    return before.with_tables(**opened)


def _compared(
    shop: Shop, other: Tables, cutoff: date, grains: Sequence[Grain]
) -> Iterator[tuple[set[str], list[tuple[str, str]]]]:
    """Yield, for each grain, what was compared, and what moved with its figures."""
    for grain in grains:
        names = all_features(shop.tables, cutoff, shop.engine, grain)
        before, after = (frame_of(tables.as_of(cutoff), names, grain, shop.engine) for tables in (shop.tables, other))
        found = list(changes(before, after, grain, f"with raw rows from {cutoff} on"))
        yield {f"{ROWS}{grain.name}", *names}, found


def _undated(moved: Iterable[str]) -> set[str]:
    """Return those of the features whose families declare facts of unknown date."""
    names = [name for name in moved if not name.startswith(ROWS)]
    return {name for family, own in resolve(names).items() if family.undated for name in own} if names else set()


def _subject(what: str) -> str:
    return what if what.startswith(ROWS) else f"feature {what}"
