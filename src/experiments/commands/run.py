"""`experiments run`: the whole road for each task: models, scores, the report; last of all a table of what came out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from experiments.commands.compose import session_of, sessions_of_each_task, tasks_left_out
from experiments.workflow.config import Config
from experiments.workflow.report import Draft
from experiments.workflow.run import run, summary
from experiments.workflow.score import beside_text, find_champions, score
from experiments.workflow.session import Session


def main(config: Config) -> None:
    begun = time.monotonic()
    asked, sessions = session_of(config), sessions_of_each_task(config)
    draft = Draft(asked)
    answers = run(sessions, draft=draft)
    searched = [answer.session for answer in answers if answer.is_searched]
    put_to_work(searched, draft, config.output)
    print(f"done in {time.monotonic() - begun:.0f} s")
    if answers:
        print(f"\n{summary(answers)}\n")
        print(
            f"next: {(searched or sessions)[0].again('show')}: leaderboard, importances, decision and looks of a task"
        )
        print(f"      {asked.again('ui')}: trials side by side, models and their versions in MLflow")
        if left_out := tasks_left_out(config, asked.shop.tables):
            print(f"      {asked.again('run')} task=…: {', '.join(left_out)} take longer or need a category")


def put_to_work(sessions: Sequence[Session], draft: Draft, output: str | None) -> None:
    """Score customers with the champions of a shop, finish the report, and print where they are."""
    served = [session for session in sessions if session.registry.champion() is not None]
    if served:
        written = score(served[0], output=output, described=draft.described)
        champions = find_champions(served[0]).values()
        models = ", ".join(f"{version.name} version {version.number}" for version in champions)
        print(f"{written.rows:,} customers in {written.path}, by {models}")
        print(beside_text(written), end="")
    elif sessions:
        print("no champion, so nothing was scored")
    print(f"report in {draft.finish()}")
