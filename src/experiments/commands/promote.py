"""`experiments promote`: gate a version on the sealed window, or move the alias by hand."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.config import Config
from experiments.workflow.promote import decision_text, preview, promote, promote_by_hand, retire, roll_back
from features.errors import InputError


def main(config: Config) -> None:
    session = session_of(config)
    if config.rollback and config.version is not None:
        raise InputError("rollback=true and version=… exclude each other", where="promote", hint="give one of them")
    if config.retire and (config.rollback or config.version is not None):
        raise InputError(
            "retire=true excludes rollback=true and version=…",
            where="promote",
            hint="give one of them: see docs/tuning.md",
        )
    if config.dry and (config.rollback or config.retire or config.reason):
        raise InputError(
            "dry=true shows a look at the sealed window, and rollback, retire and a reason take none",
            where="promote",
            hint="leave out dry=true to carry it out: rollback=true returns from what is done by hand",
        )
    if config.rollback:
        before, now = roll_back(session, config.reason)
        was = f"was {before}" if before != now else "there was none"
        print(f"{session.registered_name}: champion is version {now} again ({was})")
    elif config.retire:
        number = retire(session, config.reason)
        print(f"{session.registered_name}: version {number} is kept and out of use")
        print(f"next: {session.again('tune')}")
    elif config.reason and config.version is None:
        raise InputError("a reason without a version", where="promote", hint="say which: version=3 reason='…'")
    elif config.reason and config.version is not None:
        moved = promote_by_hand(session, config.version, config.reason)
        said = f"champion is version {config.version}, by hand: {config.reason}"
        print(f"{session.registered_name}: {said if moved else f'version {config.version} is the champion already'}")
    else:
        print(preview(session, config.version), flush=True)
        if not config.dry:
            print(decision_text(session, promote(session, config.version)))
