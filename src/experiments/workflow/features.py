"""`experiments features`: one row of features per customer, as a file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.output import check_output, write
from features.tables import parse_day


def main(config: Config) -> None:
    session = session_of(config)
    path = Path(config.output or "outputs/features.parquet")
    check_output(path)
    cutoff = parse_day(config.cutoff or session.shop.tables.end)
    names = session.features
    day = pa.scalar(cutoff, pa.date32())

    def with_cutoff(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = {"customer_id": batch["customer_id"], "cutoff": pa.repeat(day, batch.num_rows)}
        return pa.RecordBatch.from_pydict(columns | {name: batch[name] for name in names})

    customers = write(with_cutoff, session.shop.snapshot(names, cutoff), session.shop.engine, path)
    print(f"{customers:,} customers, {len(names)} features at cutoff {cutoff} in {path}")
    print(f"next: {session.again('tune')}")
