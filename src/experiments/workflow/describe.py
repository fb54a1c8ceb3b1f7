"""Descriptions of a registered model and its versions in MLflow, kept as what is in use changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.gate.chance import knowledge
from experiments.gate.rule import UNJUDGED, counted
from experiments.workflow.in_use import own_figure, state
from experiments.workflow.session import Session

if TYPE_CHECKING:
    from experiments.tracking.registry import Version


def describe(session: Session) -> None:
    """Write the Markdown and the short tags of the task's registered model, and a line for each of its versions.

    Only what differs is written, so the next command makes good what a killed one left out.

    Parameters
    ----------
    session : Session
    """
    registry = session.registry
    champion = registry.champion()
    lines = {version.number: version_line(version, champion) for version in registry.versions()}
    tags = dict.fromkeys(("in use", "figure", "verdict", "amounts"), "")
    if champion is not None:
        tags |= state(registry, champion)
    registry.describe(model_text(session, champion), tags, lines)


def version_line(version: Version, champion: Version | None) -> str:
    """Return state and verdict of a version in one line."""
    tags = version.tags
    state = "not in use"
    if champion is not None and champion.number == version.number:
        state = "in use"
    elif version.rolled_back is not None:
        state = f"rolled back: {version.rolled_back}"
    elif version.retired is not None:
        state = f"retired: {version.retired}"
    judged = f"Judged beside version {tags['instead_of']}, {tags['statement']}" if "instead_of" in tags else ""
    return f"{version.label}, {state}. {judged or tags.get('statement', 'Not judged yet')}."


def model_text(session: Session, champion: Version | None) -> str:
    """Return the description of the registered model: what it predicts, what is in use and why, how to use it."""
    task, registry = session.task, session.registry
    outputs = "; ".join(f"`{name}`, {meaning}" for name, meaning in task.outputs.items())
    paragraphs = [f"**Predicts** {outputs}. **For** {task.population}, over the next {task.horizon_days} days."]
    if champion is None:
        paragraphs.append(f"**Nothing is in use.** Next: `{session.again('tune')}`, then `{session.again('promote')}`.")
    else:
        own, since, known = own_figure(registry, champion), registry.since(), knowledge(registry, champion)
        windows = f" in {counted(own.windows)}" if own.windows else ""
        why = champion.tags.get("promoted", champion.tags.get("reason", "moved by another tool"))
        paragraphs += [
            f"**In use**{f' since {since}' if since else ''}: version {champion.number}, {champion.label} "
            f"(`{champion.tags['model']}`), {own}{windows}. **Why**: {why}.",
            f"**Verdict** {champion.tags.get('statement', UNJUDGED)}.",
            *([f"**Do not choose customers by it.** {known}"] if known is not None and known.is_blind else []),
            *([champion.tags["amounts_said"]] if "amounts_said" in champion.tags else []),
        ]
    return "\n\n".join([*paragraphs, _usage(session)])


def _usage(session: Session) -> str:
    serve = f"mlflow models serve -m models:/{session.registered_name}@champion --env-manager local -p 5001"
    commands = {
        "Score all customers": session.again("score"),
        "Serve": serve,
        "See leaderboard, decision and looks": session.again("show"),
    }
    return "\n".join(f"- {what}: `{command}`" for what, command in commands.items())
