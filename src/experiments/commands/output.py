"""Files that commands write: refused early, written whole."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from features.errors import InputError, listing
from features.writing import replacing

WRITERS = {
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
    ".csv": lambda table, path: table.to_csv(path, index=False),
}


def check_output(path: Path) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises
    ------
    InputError
    """
    if path.suffix not in WRITERS:
        raise InputError(
            f"{path} has no known suffix", where="output", expected=listing(WRITERS), found=path.suffix or "none"
        )
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(
            f"{path} cannot be written",
            where="output",
            expected="a file in a folder that can be written",
            found=str(folder),
        )


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        WRITERS[path.suffix](table, partial)
