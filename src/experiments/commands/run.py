"""`experiments run`: the whole road for each task, a table of what came out, the scores and the report."""

from __future__ import annotations

import time

from experiments.commands.compose import reporting, sessions_of_each_task
from experiments.workflow.config import Config
from experiments.workflow.report import Draft
from experiments.workflow.run import answers_text, run
from experiments.workflow.score import find_champions, score


def main(config: Config) -> None:
    begun = time.monotonic()
    asked, sessions = reporting(config), sessions_of_each_task(config)
    draft = Draft(asked)
    answers = run(sessions, draft=draft)
    if answers:
        print(f"{answers_text(answers)}\n")
    searched = [answer.session for answer in answers if answer.is_searched]
    served = [session for session in searched if session.registry.champion() is not None]
    if served:
        written, champions = score(served[0], output=config.output), find_champions(served[0]).values()
        models = ", ".join(f"{version.name} version {version.number}" for version in champions)
        print(f"{written.rows:,} customers in {written.path}, by {models}")
    elif answers:
        print("no champion, so nothing was scored")
    print(f"report in {draft.finish()}")
    print(f"done in {time.monotonic() - begun:.0f} s; next:")
    print(f"  {asked.again('ui')}\n      compare the trials in MLflow")
    for session in searched:
        print(f"  {session.again('tune')} tuning.n_trials={2 * session.config.tuning.n_trials}")
        print("      search on from here")
    for session in served:
        print(f"  mlflow models serve -m models:/{session.registered_name}@champion --env-manager local -p 5001")
        print("      answer rows of features")
