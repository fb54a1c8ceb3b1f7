"""Rows of features as a file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa

from experiments.workflow.output import Written, check_output, write
from experiments.workflow.session import Session
from features.families import FAMILIES, Family
from features.grains import CUSTOMER
from features.seasons import CUTOFF_DAY
from features.tables import parse_day

DEFAULT_OUTPUT = "features.parquet"


def features(session: Session, cutoff: date | str | None = None, output: str | Path | None = None) -> Written:
    """Write the features of every row of the task's grain as of a cutoff: of every customer who bought before it.

    Parameters
    ----------
    session : Session
    cutoff : date or str, optional
        First day that is not included; the end of the data when left out.
    output : path, optional
        File that ends in .parquet or .csv, in the session's folder; outputs/<shop>/features.parquet when left out.

    Returns
    -------
    Written
        The file, its number of rows and the cutoff.
    """
    path = session.path(output) if output else session.outputs / DEFAULT_OUTPUT
    check_output(path)
    day = parse_day(cutoff or session.shop.tables.end)
    names, grain = session.features, session.task.grain
    if names and grain == CUSTOMER:  # a served model may read it: see `models.calibrated`
        names = list(dict.fromkeys([*names, CUTOFF_DAY]))

    def with_cutoff(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = {name: batch[name] for name in grain.key}
        columns["cutoff"] = pa.repeat(pa.scalar(day, pa.date32()), batch.num_rows)
        return pa.RecordBatch.from_pydict(columns | {name: batch[name] for name in names})

    rows = write(with_cutoff, session.shop.snapshot(names, day, grain), session.shop.engine, path)
    return Written(path, rows, day)


def catalogue(session: Session, cutoff: date | str | None = None) -> pd.DataFrame:
    """Return every feature of customers with its meaning and its range in this shop.

    Parameters
    ----------
    session : Session
    cutoff : date or str, optional
        First day that is not included; the end of the data when left out.

    Returns
    -------
    DataFrame indexed by feature
        family; needs, the canonical tables that it is computed from; meaning, with the unit; min, median and max over
        this shop's customers, missing where the shop lacks a table.
    """
    day = parse_day(cutoff or session.shop.tables.end)
    present = session.shop.tables.present()
    families = [family for family in FAMILIES.values() if family.grain == CUSTOMER]

    def can_compute(family: Family) -> bool:
        return all(table in present for table in family.needs)

    rows = {
        name: {"family": family.name, "needs": ", ".join(family.needs), "meaning": meaning}
        for family in families
        for name, meaning in family.features.items()
    }
    names = [name for family in families if can_compute(family) for name in family.features]
    found = session.shop.features(names, [day]).agg(["min", "median", "max"]).T
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("feature").join(found)


def catalogue_text(found: pd.DataFrame) -> str:
    """Return the catalogue as it is read: a block for each family, a line for each feature."""
    width = max(map(len, found.index))
    lines = []
    for (family, needs), features in found.groupby(["family", "needs"], sort=False):
        lines.append(f"{family}, from {needs}")
        for name, row in features.iterrows():
            has_values = pd.notna(row["max"])
            values = f"{row['min']:,.4g} to {row['max']:,.4g}, median {row['median']:,.4g}" if has_values else "-"
            lines += [f"  {name:<{width}}  {values:<44}  {row['meaning']}"]
    return "\n".join(lines)
