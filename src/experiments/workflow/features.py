"""Rows of features as a file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa

from experiments.workflow.output import Written, check_output, write
from experiments.workflow.session import Session
from features.tables import parse_day

DEFAULT_OUTPUT = "outputs/features.parquet"


def features(session: Session, cutoff: date | str | None = None, output: str | Path | None = None) -> Written:
    """Write the features of every row of the task's grain as of a cutoff: of every customer who bought before it.

    Parameters
    ----------
    session : Session
    cutoff : date or str, optional
        First day that is not included; the end of the data when left out.
    output : path, optional
        File that ends in .parquet or .csv, in the session's folder.

    Returns
    -------
    Written
        The file, its number of rows and the cutoff.
    """
    path = session.path(output or DEFAULT_OUTPUT)
    check_output(path)
    day = parse_day(cutoff or session.shop.tables.end)
    names, grain = session.features, session.task.grain

    def with_cutoff(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = {name: batch[name] for name in grain.key}
        columns["cutoff"] = pa.repeat(pa.scalar(day, pa.date32()), batch.num_rows)
        return pa.RecordBatch.from_pydict(columns | {name: batch[name] for name in names})

    rows = write(with_cutoff, session.shop.snapshot(names, day, grain), session.shop.engine, path)
    return Written(path, rows, day)
