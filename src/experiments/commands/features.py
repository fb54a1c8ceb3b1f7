"""`experiments features`: the features of each row of the task's grain, as a file."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.features import catalogue, catalogue_text, features


def main(config: Config) -> None:
    session = session_of(config)
    if config.catalogue:
        print(catalogue_text(catalogue(session, config.cutoff)))
        print("next: add some to a set: experiments tune features.add=[…] features.drop=[…]; see docs/tuning.md")
        return
    written = features(session, config.cutoff, config.output)
    print(f"{written.rows:,} rows, {len(session.features)} features at cutoff {written.cutoff} in {written.path}")
    print(f"next: {session.again('tune')}")
