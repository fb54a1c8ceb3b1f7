"""Tables for a terminal."""

from __future__ import annotations

import pandas as pd


def aligned(table: pd.DataFrame) -> str:
    """Return the rows of a table of texts as aligned lines, with its columns as the first one."""
    lines = [list(map(str, table.columns)), *table.astype(str).to_numpy().tolist()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
