"""`experiments features`: one row of features per customer, as a file."""

from __future__ import annotations

from pathlib import Path

from experiments.commands.config import Config
from experiments.commands.output import check_output, write
from experiments.commands.project import Project
from features.tables import parse_day


def main(config: Config) -> None:
    project = Project(config)
    path = Path(config.output or "outputs/features.parquet")
    check_output(path)
    cutoff = parse_day(config.cutoff or project.shop.tables.end)
    table = project.shop.features(project.features, [cutoff]).reset_index()
    write(table, path)
    print(f"{len(table):,} customers, {len(project.features)} features at cutoff {cutoff} in {path}")
    print(f"next: {project.again('tune')}")
