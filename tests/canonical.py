"""Frames as canonical Parquet, as staging leaves it."""

from __future__ import annotations

from pathlib import Path

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.tables import SPECS


def write_canonical(table: str, frame: pd.DataFrame, path: Path) -> None:
    """Write the frame of a canonical table; columns that are not given are null, and optional ones are left out."""
    spec = SPECS[table]
    kept = {name: kind for name, kind in spec.schema.items() if name in frame or name not in spec.optional}
    schema = ibis.schema(kept)
    columns = frame.reindex(columns=list(schema.names)).astype(object)
    pq.write_table(pa.Table.from_pandas(columns.where(columns.notna(), None), schema=schema.to_pyarrow()), path)
