"""Memory of this process: checked before rows are gathered, so that the system does not end it."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from features.errors import InputError

# A gathered frame of doubles is read, put together, sorted and handed to a model, which bins or scales it; each row has
# its ids besides.
BYTES_OF_A_NUMBER = 6 * 8
BYTES_OF_AN_ID = 200
GROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Return the bytes that this process may still take: those free on the machine, or within its container."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        reclaimable = re.search(r"^inactive_file (\d+)", (GROUP / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # no container, or one without limit ("max")
        return free
    return min(free, limit - used + int(reclaimable[1] if reclaimable else 0))


def check_memory(rows: int, columns: int, ids: int = 1) -> None:
    """Refuse to gather more rows than memory holds.

    rows x (columns x 48 + ids x 200) bytes must be available: reading and fitting copy the doubles up to six times.

    Raises
    ------
    InputError
    """
    of_a_row = columns * BYTES_OF_A_NUMBER + ids * BYTES_OF_AN_ID
    needed, available = rows * of_a_row, available_memory()
    if needed > available:
        raise InputError(
            f"{rows:,} rows of {columns} features do not fit into memory",
            where="the customers and cutoffs to fit on",
            expected=f"at most {max(available, 0) // of_a_row:,} rows, as {available / 2**30:.1f} GiB are free",
            found=f"{needed / 2**30:.1f} GiB needed",
            hint="choose fewer cutoffs (evaluation.step_days), fewer features (features=rfm) or a larger machine; "
            "features and scores are computed in batches and have no such limit",
        )
