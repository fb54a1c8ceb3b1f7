"""`experiments clean`: remove what nothing needs any more from the cache."""

from __future__ import annotations

from experiments.commands.compose import session_of
from experiments.workflow.clean import clean, leftovers_text
from experiments.workflow.config import Config


def main(config: Config) -> None:
    print(leftovers_text(clean(session_of(config), dry=config.dry), dry=config.dry))
