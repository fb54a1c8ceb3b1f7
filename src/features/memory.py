"""What fits into this process: asked before rows are gathered, not after the system has ended it."""

from __future__ import annotations

from pathlib import Path

import psutil

from features.errors import InputError

# A gathered frame of doubles is read, put together, sorted and handed to a model, which bins or scales it.
COPIES = 6
LIMIT_OF_GROUP = Path("/sys/fs/cgroup/memory.max")


def available_memory() -> int:
    """Bytes that this process may still take: what the machine has free, or what its container leaves it."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = int(LIMIT_OF_GROUP.read_text())
    except (OSError, ValueError):  # no container, or one without limit ("max")
        return free
    return min(free, limit - psutil.Process().memory_info().rss)


def check_memory(rows: int, columns: int) -> None:
    """Refuse to gather more rows than memory holds.

    rows x columns x 8 bytes x 6, for the copies that reading and fitting make, must be available.

    Raises
    ------
    InputError
    """
    needed, available = rows * columns * 8 * COPIES, available_memory()
    if needed > available:
        raise InputError(
            f"{rows:,} rows of {columns} features do not fit into memory",
            where="the customers and cutoffs to fit on",
            expected=f"at most {available // (columns * 8 * COPIES):,} rows, as {available / 2**30:.1f} GiB are free",
            found=f"{needed / 2**30:.1f} GiB needed",
            hint="choose fewer cutoffs (evaluation.step_days), fewer features (features=rfm) or a larger machine; "
            "features and scores are computed in batches and have no such limit",
        )
