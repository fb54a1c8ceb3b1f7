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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder of {path} cannot be made", where="output", found=str(error)) from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written", where="output", expected="a file in a folder that can be written")


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table in the format of the path's suffix."""
    with replacing(path) as partial:
        WRITERS[path.suffix](table, partial)
