"""`experiments data`: stage, check and describe the tables."""

from __future__ import annotations

import pandas as pd

from experiments.commands.compose import session_of
from experiments.gate.sufficiency import check_sufficiency
from experiments.tasks import TASKS
from experiments.workflow.config import Config
from experiments.workflow.session import Session
from features.data_profile import profile, profile_text
from features.errors import InputError, listing


def main(config: Config) -> None:
    session = session_of(config)
    shop = session.shop
    print(
        profile_text(profile(shop.staged, shop.tables, shop.engine), {name: task.needs for name, task in TASKS.items()})
    )
    try:
        splits = session.splits
        print(
            f"\n{session.task.name} at horizon_days={session.task.horizon_days}: training "
            f"{listing(splits.training)}; validation {listing(splits.validation)}; sealed {splits.sealed}"
        )
        print(f"\n{holdings(session)}")
        check_sufficiency(session.task, session.counts)
    except InputError as error:
        print(f"\n{session.task.name} cannot be validated: {error}")
    print(f"\nnext: {session.again('tune')}")


def holdings(session: Session) -> str:
    """What each window that trains last or validates holds, above what the task needs of it."""
    counts = session.counts.map("{:,}".format)
    counts.index = [f"from {day:%Y-%m-%d}" for day in counts.index]
    needed = {name: f"{number:,}" for name, number in session.task.minimum.items()}
    return pd.concat([counts, pd.DataFrame([needed], index=["needed"])]).fillna("").to_string()
