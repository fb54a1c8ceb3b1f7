"""Leftovers of the cache and the outputs: their list with sizes, and their removal."""

from __future__ import annotations

import logging

from experiments.workflow.session import OUTPUTS, Session
from features.cleaning import Leftover, leftovers

logger = logging.getLogger(__name__)


def clean(session: Session, *, dry: bool = False) -> list[Leftover]:
    """Remove staged tables and features of older data, and partial files of processes that are gone.

    Nothing that a command uses is removed: of each shop, the tables that were used last stay, with their features, and
    those that a running command has open. No data are read, and runs, models and studies are not touched.

    Parameters
    ----------
    session : Session
    dry : bool
        Remove nothing.

    Returns
    -------
    list of Leftover
        What was removed, or would be.
    """
    outputs = session.path(OUTPUTS)
    below = (path for path in outputs.rglob("*") if path.is_dir())
    found = leftovers(session.cache, session.folder, outputs, *below)
    if dry:
        return found
    removed = [each for each in found if each.remove()]
    for each in found:
        if each not in removed:
            logger.warning("%s cannot be removed, or is used by now", each.path)
    return removed


def leftovers_text(found: list[Leftover], *, dry: bool) -> str:
    """Return a line for each file or folder, and the sum of their sizes."""
    if not found:
        return "nothing to remove"
    lines = [f"{_in_words(each.size):>9}  {each.path}: {each.why}" for each in found]
    total = _in_words(sum(each.size for each in found))
    return "\n".join([*lines, "", f"{'would be removed' if dry else 'removed'}: {total} in {len(found):,} places"])


def _in_words(size: float) -> str:
    """Return bytes as people read them.

    >>> [_in_words(size) for size in (0, 999, 1_500, 12_345_678, 2_500_000_000)]
    ['0 B', '999 B', '1.5 kB', '12.3 MB', '2.5 GB']
    """
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
