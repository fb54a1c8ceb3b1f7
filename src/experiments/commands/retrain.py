"""`experiments retrain`: the nightly job. It prints a line for each task; exit code 1 where one failed."""

from __future__ import annotations

from experiments.commands.compose import session_of, sessions_of_each_task
from experiments.commands.run import put_to_work
from experiments.workflow.config import Config
from experiments.workflow.report import Draft
from experiments.workflow.retrain import retrain, retrained_text
from experiments.workflow.serve import rebuild


def main(config: Config) -> int:
    asked = session_of(config)
    draft = Draft(asked)
    done = retrain(sessions_of_each_task(config), config.retrain.search_days)
    put_to_work([each.session for each in done], draft, config.output)
    served = rebuild(asked)  # new data give customers other places, with the same champions too
    if served is not None:
        print(f"{served.name}: {'built anew, ' if served.is_new else ''}version {served.number} is in use")
    print(retrained_text(done))
    return int(any(each.has_failed for each in done))
