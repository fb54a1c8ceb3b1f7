"""`experiments data`: stage, check and describe the tables."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.data import profile, profile_text, windows_text


def main(config: Config) -> None:
    session = session_of(config)
    print(profile_text(profile(session)))
    print(f"\n{windows_text(session)}")
    print(f"\nnext: {session.again('tune')}")
