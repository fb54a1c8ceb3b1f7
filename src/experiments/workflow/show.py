"""Background of a task's model: leaderboard, importances, the last decision, looks and champions so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from experiments.evaluation.importances import importances, linked
from experiments.gate.ledger import Look, decided_looks
from experiments.reports.text import aligned
from experiments.workflow.in_use import history, in_use_text, looks
from experiments.workflow.leaderboard import leaderboard, leaderboard_text
from experiments.workflow.promote import found, newest
from experiments.workflow.session import Session
from features.errors import InputError, UnsuitableDataError
from features.families.registry import FAMILIES

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

MOST_TRIALS, MOST_FEATURES = 5, 10
LEAST_FALL = 0.00005  # a smaller one is 0.0000 as printed


@dataclass(frozen=True)
class Shown:
    """State of a task; `str` gives all of it as text.

    Attributes
    ----------
    leaderboard : DataFrame or None
        See `leaderboard.leaderboard`. None where a baseline is in use because there is no candidate.
    importances : Series indexed by feature, or None
        See `importances_of`. None where nothing is in use, or it cannot be computed.
    look : Look or None
        The last decided look at the sealed window.
    looks, champions : DataFrame
        See `in_use.looks`, `in_use.history`.
    text : str
    """

    leaderboard: pd.DataFrame | None
    importances: pd.Series | None
    look: Look | None
    looks: pd.DataFrame
    champions: pd.DataFrame
    text: str

    def __str__(self) -> str:
        return self.text


def show(session: Session) -> Shown:
    """Gather what stands behind the model in use; nothing is trained, and no look is taken.

    Parameters
    ----------
    session : Session

    Raises
    ------
    InputError
        If the task has no version.
    """
    registry = session.registry
    registry.finish_abandoned()
    champion, board, permuted = registry.champion(), None, None
    decided = decided_looks(registry)
    look = decided[-1] if decided else None
    told, champions = looks(registry), history(registry)
    parts = [f"{registry.name}: in use: {in_use_text(registry)}"]
    if champion is None or any(not version.is_baseline for version in registry.versions()):
        candidate = newest(session)
        board = leaderboard(session, candidate)
        parts.append(leaderboard_text(session, candidate, MOST_TRIALS))
    if champion is not None:
        try:
            permuted = importances_of(session, champion)
            parts.append(_importances_text(session, champion, permuted))
        except InputError as error:
            parts.append(f"no importances: {error.sentence}")
    if look is not None:
        outcome = "promoted" if look.promotes else "not used"
        parts.append("\n".join([f"Last decision: version {look.version} {outcome}", *found(session, look)]))
    parts += [f"Looks\n{aligned(told)}"] if len(told) else []
    parts += [f"Champions so far\n{aligned(champions)}"] if len(champions) else []
    parts.append(f"next: {session.again('ui')}, or {session.again('promote')} dry=true")
    return Shown(board, permuted, look, told, champions, "\n\n".join(parts))


def importances_of(session: Session, version: Version) -> pd.Series:
    """Compute how much a version's primary metric falls when a feature is permuted among the rows.

    The rows are those of the last cutoff before the sealed one, on which the version was trained. Features that limit
    each other, such as recency and T, are permuted together for a model that refuses rows in which they contradict each
    other.

    Parameters
    ----------
    session : Session
    version : Version

    Returns
    -------
    Series
        See `evaluation.importances.importances`.

    Raises
    ------
    InputError
        If the version was trained with other code than that in use, or its features cannot be built.
    """
    task = session.task
    if not version.has_current_code:
        raise InputError(
            f"version {version.number} was trained with other code",
            where="importances",
            hint=f"train it again: {session.again('tune')}",
        )
    model, features = version.estimator, version.features
    rows = task.judged_rows(session.dataset([max(session.splits.refit())], features))

    def metric(X: pd.DataFrame) -> float:
        return float(task.metric(rows.target.loc[X.index], task.predict(model, X)))

    seed = session.config.evaluation.seed
    try:
        return importances(metric, rows.X, [[name] for name in features], seed)
    except UnsuitableDataError:
        pairs = [pair for family in FAMILIES.values() for pair in (*family.at_most, *family.zero_with)]
        return importances(metric, rows.X, linked(features, pairs), seed)


def _importances_text(session: Session, version: Version, permuted: pd.Series) -> str:
    largest = permuted[permuted > LEAST_FALL].head(MOST_FEATURES)
    lines = pd.DataFrame({"feature": largest.index, "fall": [f"{fall:.4f}" for fall in largest]})
    metric = session.task.primary_metric
    title = f"Importances of version {version.number}: {metric} falls by so much when a feature is permuted"
    rest = f"{len(permuted) - len(largest)} more features change it less or not at all"
    return f"{title}\n{aligned(lines)}\n{rest}"
