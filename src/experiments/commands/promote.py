"""`experiments promote`: the only command that opens the sealed window."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.commands.config import Config
from experiments.commands.project import Project, digest
from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.decision import Comparison, Decision, decide
from experiments.reports.evaluation import draw
from experiments.tasks.base import Evaluation, naive_models
from features.errors import InputError
from features.snapshot import definition_hash

if TYPE_CHECKING:
    from experiments.tracking.gate import Look
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

CANDIDATE, CHAMPION = "candidate", "champion"
TAIL_DRAWS = 20  # resamples beyond a bound at least, or its level would be a fiction


def main(config: Config) -> None:
    from experiments.tracking.store import answering, exclusive

    project = Project(config)
    if config.rollback and config.version is not None:
        raise InputError("rollback=true and version=… exclude each other", where="promote", hint="give one of them")
    if config.rollback or config.reason:
        with answering(project.client), exclusive(project.client, project.registered_name):
            print(_by_hand(project))
        return
    candidate = project.registry.get(config.version) if config.version is not None else None
    print(describe(project, promote(project, candidate)))


def _by_hand(project: Project) -> str:
    """Move the alias without a look at the sealed window."""
    registry, config = project.registry, project.config
    if config.rollback:
        before, now = registry.roll_back(config.reason or "rolled back by hand")
        return f"{registry.name}: champion is version {now} again (was {before})"
    if config.version is None:
        raise InputError("a reason without a version", where="promote", hint="say which: version=3 reason='…'")
    version = registry.get(config.version)
    champion = registry.champion()
    if champion is not None and champion.number == version.number:
        return f"{registry.name}: version {version.number} is the champion already"
    version.check_loads()
    registry.crown(version.number, f"by hand: {config.reason}")
    registry.tag(version.number, {"gate": "bypassed", "override_reason": str(config.reason)})
    return f"{registry.name}: champion is version {version.number}, by hand: {config.reason}"


def promote(project: Project, candidate: Version | None = None) -> Look:
    """Gate a version, or else the newest, on the sealed window, beside the naive models and the champion.

    Whoever comes second waits, and is compared with the champion that the first one left.
    """
    from experiments.tracking.gate import Window, check_comparable, look
    from experiments.tracking.store import answering, exclusive

    registry, splits, task = project.registry, project.splits, project.task
    with answering(project.client), exclusive(project.client, registry.name):
        candidate = candidate or _newest(project)
        champion = registry.champion()
        rival = champion if champion is not None and champion.number != candidate.number else None
        _check_candidate(project, candidate, rival)
        check_comparable(candidate, rival or candidate, project.lineage)

        def judge(alpha: float) -> Decision:
            logger.info("opening the sealed window %s, %d days", splits.sealed, task.horizon_days)
            sealed = evaluate_sealed(project, candidate, rival)
            decision = compare(project, candidate, sealed, alpha)
            log_look(project, candidate, sealed, decision)
            return decision

        window = Window(
            start=str(splits.sealed),
            end=str(splits.sealed + timedelta(days=task.horizon_days)),
            rule=digest([task.primary_metric, task.min_effect, task.guards]),
        )
        return look(registry, candidate, champion, window, judge)


@dataclass(frozen=True)
class SealedEvaluations:
    """What each model did in the sealed window, on the same customers."""

    candidate: Evaluation
    naive: Mapping[str, Evaluation]
    champion: Evaluation | None

    def predictions(self) -> dict[str, np.ndarray]:
        everyone = {CANDIDATE: self.candidate, **self.naive, **({CHAMPION: self.champion} if self.champion else {})}
        return {name: evaluation.prediction.to_numpy() for name, evaluation in everyone.items()}


def evaluate_sealed(project: Project, candidate: Version, champion: Version | None) -> SealedEvaluations:
    """Evaluate candidate, naive models and champion, each on its own features."""
    task, sealed = project.task, project.splits.sealed
    dataset = project.dataset([sealed], candidate.features)
    train = project.dataset(project.splits.refit(), candidate.features)
    rivals = {name: naive() for name, naive in naive_models(task, candidate.params).items()}
    return SealedEvaluations(
        candidate=task.evaluate(candidate.estimator, dataset),
        naive={name: task.evaluate(naive.fit(train.X, train.y), dataset) for name, naive in rivals.items()},
        champion=task.evaluate(champion, project.dataset([sealed], champion.features)) if champion else None,
    )


def compare(project: Project, candidate: Version, sealed: SealedEvaluations, alpha: float) -> Decision:
    """Resample the customers, the same ones for every model, and apply the gate's rule."""
    task, options, y = project.task, project.config.evaluation, sealed.candidate.y
    draws = paired_bootstrap(
        task.metric(),
        y.to_numpy(),
        sealed.predictions(),
        y.index.get_level_values("customer_id").to_numpy(),
        n_resamples=max(options.n_resamples, math.ceil(TAIL_DRAWS / alpha)),
        seed=options.seed,
    )
    return decide(
        draws,
        candidate=CANDIDATE,
        naive=list(sealed.naive),
        champion=CHAMPION if sealed.champion else None,
        min_effect=task.min_effect,
        alpha=alpha,
        confidence=options.confidence,
        metrics=sealed.candidate.metrics,
        guards=task.guards,
        ranking_only=candidate.tags["ranking_only"] == "true",
    )


def log_look(project: Project, candidate: Version, sealed: SealedEvaluations, decision: Decision) -> None:
    """Write what the look showed to the candidate's run."""
    own = sealed.candidate
    metrics = {f"sealed/{name}": value for name, value in own.metrics.items()}
    for rival, evaluation in sealed.naive.items():
        metrics |= {f"sealed/{rival}/{name}": value for name, value in evaluation.metrics.items()}
    if sealed.champion:
        metrics |= {f"sealed/{CHAMPION}/{name}": value for name, value in sealed.champion.metrics.items()}
    for comparison in decision.comparisons:
        metrics |= {
            f"sealed/gain_over_{comparison.rival}": comparison.gain,
            f"sealed/gain_over_{comparison.rival}_lower": comparison.lower,
            f"sealed/gain_over_{comparison.rival}_upper": comparison.upper,
        }
    low, high = decision.interval
    metrics |= {f"sealed/{project.task.primary_metric}_low": low, f"sealed/{project.task.primary_metric}_high": high}
    project.runs.log(
        candidate.run_id,
        metrics={**metrics, "sealed/detectable_gain": decision.nearest.detectable},
        tags={
            "gate": "promoted" if decision.promote else "refused",
            "verdict": decision.verdict,
            "reasons": "; ".join(decision.reasons) or "none",
        },
    )
    figures = draw(
        {candidate.tags["model"]: own.tables, decision.naive: sealed.naive[decision.naive].tables},
        currency=project.shop.staged.currency,
        horizon_days=project.task.horizon_days,
        window=f"sealed window from {project.splits.sealed}",
    )
    project.runs.log_artifacts(
        candidate.run_id,
        texts={"sealed/decision.json": json.dumps(asdict(decision), indent=2)},
        tables={
            **{f"sealed_{name}": table for name, table in own.tables.items()},
            "sealed_predictions": pd.DataFrame(
                {
                    "customer_id": own.y.index.get_level_values("customer_id"),
                    "actual": own.y.to_numpy(),
                    **sealed.predictions(),
                }
            ),
        },
        figures={f"sealed_{name}": figure for name, figure in figures.items()},
    )


def describe(project: Project, outcome: Look) -> str:
    """The decision in a few lines."""
    decision = outcome.decision
    name, metric = project.registry.name, project.task.primary_metric
    again = "" if outcome.fresh else " (decided before; no further look was taken)"
    lines = [
        f"{name} version {outcome.version}: {'promoted' if outcome.promoted else 'refused'}{again}",
        f"  verdict: {decision['verdict']}, by the nearest naive model ({decision['naive']}); "
        f"look {outcome.look} at this window, level {decision['alpha']:.4f}",
    ]
    for comparison in decision["comparisons"]:
        lines.append(f"  {metric} {Comparison(**comparison)}; smallest detectable {comparison['detectable']:.4f}")
    lines += [f"  because {reason}" for reason in decision["reasons"]]
    if outcome.promoted:
        serve = f"mlflow models serve -m models:/{name}@champion --env-manager local -p 5001"
        lines.append(f"next: {project.again('score')}, or {serve}")
    else:
        stays = "the champion stays" if outcome.champion else "there is no champion"
        lines.append(f"next: {project.again('tune')} with more trials; {stays}")
    return "\n".join(lines)


def _newest(project: Project) -> Version:
    versions = project.registry.versions()
    if not versions:
        raise InputError(
            f"{project.registry.name} has no version to promote",
            where="registry",
            hint="experiments tune registers one",
        )
    return versions[0]


def _check_candidate(project: Project, candidate: Version, champion: Version | None) -> None:
    """Refuse what cannot be judged fairly, before the sealed window is opened."""
    from experiments.tracking.gate import check_features

    by_hand = f"promote by hand: {project.again('promote')} version={candidate.number} reason='…'"
    if candidate.tags["ranking_only"] == "true":
        raise InputError(
            f"version {candidate.number} only ranks customers; a champion must predict amounts",
            where=candidate.name,
            hint="name another: experiments promote version=…",
        )
    if "rolled_back" in candidate.tags:
        raise InputError(
            f"version {candidate.number} was rolled back: {candidate.tags['rolled_back']}",
            where=candidate.name,
            hint=f"tune a new one, or {by_hand}",
        )
    if not candidate.has_current_code:
        raise InputError(
            f"version {candidate.number} was trained by other code than that in use",
            where=candidate.name,
            hint=f"{project.again('tune')} trains one with today's, or {by_hand}",
        )
    check_features(candidate, definition_hash(candidate.features), f"{project.again('tune')} builds on today's")
    if champion is not None:
        check_features(
            champion, definition_hash(champion.features), f"the champion cannot be scored any more: {by_hand}"
        )
    sealed = str(project.splits.sealed)
    for version in filter(None, (candidate, champion)):
        if version.tags["trained_through"] > sealed:
            raise InputError(
                f"version {version.number} has seen the sealed window",
                where=version.name,
                expected=f"trained through {sealed} at most",
                found=f"trained through {version.tags['trained_through']}",
                hint=f"tune again on these data, or {by_hand}",
            )
    for version in filter(None, (candidate, champion)):
        version.check_loads()
