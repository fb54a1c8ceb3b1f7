"""Leaderboard of a task: trials, registered versions and baselines on the same validation cutoffs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from experiments.gate.decision_page import figure
from experiments.gate.standing import baseline_metrics
from experiments.reports.text import aligned
from experiments.workflow.session import Session

if TYPE_CHECKING:
    from experiments.tracking.registry import Version


def leaderboard(session: Session, version: Version) -> pd.DataFrame:
    """Compare a version with all that was validated at the same cutoffs of the same data, best first.

    Parameters
    ----------
    session : Session
    version : Version
        Of its task. The baselines are those that it was compared with.

    Returns
    -------
    DataFrame
        Columns `model`, `what` (a trial, a version, a baseline), `version` (0 for what is not registered) and each
        metric: its mean over the validation cutoffs. A trial that was refitted stands there as its version.
    """
    runs, primary = session.runs, session.task.primary_metric
    numbers = {each.run_id: each.number for each in session.registry.versions() if not each.is_baseline}
    refits = [run for run in runs.refits_beside(version.run_id) if run.run_id in numbers]
    rows = [
        {"model": run.model, "what": f"version {numbers[run.run_id]}", "version": numbers[run.run_id], **run.metrics}
        for run in refits
    ]
    refitted = [run.params.items() for run in refits]
    studies = runs.trials_beside(version.run_id)
    for study, trials in studies.items():
        for trial in trials:
            if not any(trial.params.items() <= params for params in refitted):
                what = f"trial {trial.trial}" + (f" of {study}" if len(studies) > 1 else "")
                rows.append({"model": trial.model, "what": what, "version": 0, **trial.metrics})
    logged = runs.metrics(version.run_id)
    for rival in session.task.baselines({}):
        rows.append({"model": rival, "what": "baseline", "version": 0, **baseline_metrics(logged, rival)})
    table = pd.DataFrame(rows)
    return table.sort_values(primary, ascending=False, kind="stable", ignore_index=True)


def leaderboard_text(session: Session, version: Version, most: int = 3) -> str:
    """Return the best trials and versions, this version and its baselines as a table; and how far to trust amounts.

    Parameters
    ----------
    session : Session
    version : Version
    most : int
        Trials and versions shown, besides this version.
    """
    table, primary = leaderboard(session, version), session.task.primary_metric
    is_baseline, champion = table["what"] == "baseline", session.registry.champion()
    nearest = table.loc[is_baseline, primary].max()
    best = table.index[~is_baseline][:most]
    shown = table[is_baseline | table.index.isin(best) | (table["version"] == version.number)]
    in_use = f"version {champion.number}" if champion is not None else ""
    lines = pd.DataFrame(
        {
            "rank": [f"{rank + 1}" for rank in shown.index],
            primary: shown[primary].map(figure),
            "over best baseline": [f"{value - nearest:+.4f}" for value in shown[primary]],
            "model": shown["model"],
            "what": [f"{what}, in use" if what == in_use else what for what in shown["what"]],
        }
    )
    cutoffs = session.runs.params(version.run_id)["validation_cutoffs"]
    title = f"{session.registered_name}: {len(table)} models and baselines by {primary}, validated at {cutoffs}"
    amounts = amounts_text(version)
    return "\n".join([title, aligned(lines), *(["", amounts] if amounts else [])])


def amounts_text(version: Version) -> str:
    """Say how far the amounts of a version can be trusted, with its number; "" where it predicts no amounts.

    The newest version and the one in use may differ, and each has its own interval.
    """
    return version.tags.get("amounts_said", "").replace("Amounts are", f"Amounts of version {version.number} are", 1)
