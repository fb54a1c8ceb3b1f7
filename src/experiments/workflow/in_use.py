"""Champions in a few words: the version in use, its own figure, since when and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from experiments.gate.decision_page import figure
from experiments.gate.ledger import Look, look_at
from experiments.gate.rule import UNJUDGED
from experiments.tasks import TASKS
from experiments.workflow.session import Session

if TYPE_CHECKING:
    from experiments.tracking.registry import Registry, Version


@dataclass(frozen=True)
class OwnFigure:
    """Figure of one version.

    Attributes
    ----------
    metric : str
    estimate : float
    interval : (float, float) or None
        None where no look judged the version: the figure is then that of validation.
    windows : tuple of str
        First days of the windows in which it was measured.
    """

    metric: str
    estimate: float
    interval: tuple[float, float] | None = None
    windows: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return metric, figure and interval.

        >>> print(OwnFigure("gini", 0.7436, (0.6761, 0.795)), "/", OwnFigure("gini", 0.658))
        gini 0.744 [0.676, 0.795] / gini 0.658 at validation
        """
        if self.interval is None:
            return f"{self.metric} {figure(self.estimate)} at validation"
        low, high = map(figure, self.interval)
        return f"{self.metric} {figure(self.estimate)} [{low}, {high}]"


def own_figure(registry: Registry, version: Version) -> OwnFigure:
    """Return the figure of a version in its last look at a sealed window, else in validation."""
    look = look_at(registry, version)
    if look is not None and (use := look.use_of(version)) is not None:
        return OwnFigure(look.decision.metric, use.estimate, use.interval, use.windows)
    if look is not None and look.version == version.number:  # put in use by hand, against the look
        decision = look.decision
        return OwnFigure(decision.metric, decision.estimate, decision.interval, tuple(decision.backtest))
    metric = version.tags["objective"]
    return OwnFigure(metric, registry.metrics(version).get(f"valid/{metric}", math.nan))


def in_use_text(registry: Registry) -> str:
    """Return version and model of the champion in words, with its figure and since when it is in use."""
    version = registry.champion()
    if version is None:
        return "nothing"
    since = registry.since()
    said = f"{version.title}, {own_figure(registry, version)}"
    return f"{said}, since {since}" if since else said


def overview(session: Session) -> pd.DataFrame:
    """Return a row for each task of the shop: what is in use, since when, with its own figure and verdict.

    Parameters
    ----------
    session : Session
        Of any task on the shop's data.

    Returns
    -------
    DataFrame indexed by task
        Columns: in use, figure, since, verdict, amounts; `-` for a task with nothing in use.
    """
    from experiments.tracking.registry import Registry, champions_of

    found = {}
    for version in champions_of(session.client, session.shop.staged.shop):
        registry = Registry(session.client, version.name)
        found[version.question] = {**state(registry, version), "since": registry.since()}
    names = sorted({*TASKS, *found})
    columns = ["in use", "figure", "since", "verdict", "amounts"]
    table = pd.DataFrame([found.get(name, {}) for name in names], pd.Index(names, name="task"), columns, dtype=object)
    return table.fillna("").replace("", "-")


def state(registry: Registry, version: Version) -> dict[str, str]:
    """Return what people want to know of a version in use: itself, its figure, its verdict, and its amounts if any."""
    return {
        "in use": version.title,
        "figure": str(own_figure(registry, version)),
        "verdict": version.tags.get("verdict", UNJUDGED),
        "amounts": version.tags.get("amounts", ""),
    }


def history(registry: Registry) -> pd.DataFrame:
    """Return a row for each champion so far, the present one last: version, model, from, why, what became of it."""
    versions = {version.number: version for version in registry.versions()}
    champion = registry.champion()
    rows = []
    for number in registry.history():
        version = versions.get(number)
        tags = version.tags if version is not None else {}
        is_now = champion is not None and champion.number == number
        rows.append(
            {
                "version": str(number),
                "model": tags.get("model", "deleted"),
                "figure": str(own_figure(registry, version)) if version is not None else "-",
                "from": tags.get("promoted_on", "-"),
                "why": tags.get("promoted", "-"),
                "now": "in use" if is_now else "replaced",
            }
        )
    return pd.DataFrame(rows, columns=["version", "model", "figure", "from", "why", "now"])


def looks(registry: Registry) -> pd.DataFrame:
    """Return a row for each look at a sealed window, in order of time."""
    rows = []
    for entry in registry.ledger():
        look = Look(entry, fresh=False)
        outcome = look.outcome if look.is_decided else None
        rows.append(
            {
                "look": str(look.number),
                "day": entry["at"][:10],
                "window": f"{entry['start']} to {entry['end']}",
                "version": str(look.version),
                "in use before": str(entry["champion"] or "-"),
                "level": f"{look.alpha:.4f}",
                "verdict": outcome.verdict if outcome is not None else "interrupted",
                "outcome": "-" if outcome is None else "promoted" if outcome.promote else "not used",
            }
        )
    columns = ["look", "day", "window", "version", "in use before", "level", "verdict", "outcome"]
    return pd.DataFrame(rows, columns=columns)
