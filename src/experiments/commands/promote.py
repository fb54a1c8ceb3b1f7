"""`experiments promote`: gate a version on the sealed window, or move the alias by hand."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.promote import describe, move_by_hand, promote
from features.errors import InputError


def main(config: Config) -> None:
    session = session_of(config)
    if config.rollback and config.version is not None:
        raise InputError("rollback=true and version=… exclude each other", where="promote", hint="give one of them")
    if config.rollback or config.reason:
        print(move_by_hand(session, config.version, config.reason, config.rollback))
        return
    candidate = session.registry.get(config.version) if config.version is not None else None
    print(describe(session, promote(session, candidate)))
