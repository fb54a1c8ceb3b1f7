"""`experiments audit`: the future is changed, and nothing may move; targets that are formulas are named.

Exit code 1 where a feature moves with the future, or a task's target with anything but its window, or where a task's
target is a formula of its features. What is merely descriptive is reported, and refused by the gate.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from experiments.commands.config import AuditConfig, Config, SuspectConfig, of_task
from experiments.commands.output import WRITERS, check_output
from experiments.commands.project import Project
from experiments.evaluation.clusters import surrogate
from experiments.evaluation.identities import MOST_NAMED, best_fit, identities
from experiments.models import Segmentation
from experiments.tasks import TASKS
from experiments.tasks.base import Dataset, build
from experiments.tasks.sufficiency import check_tables
from features.audit import (
    TAMPERINGS,
    Movement,
    Tamperer,
    all_features,
    contradictions,
    descriptive,
    differences,
    moving_features,
    splice,
    tampered_shop,
)
from features.errors import InputError, did_you_mean, listing
from features.groups import feature_families, resolve
from features.shop import Shop
from features.tables import parse_day
from features.writing import replacing

DEFAULT_OUTPUT = "outputs/audit.csv"
OF_THE_TASK = ("task", "features", "search", "model", "experiment")  # groups that another task picks by itself
ACCUSING_LOSS = 0.01


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    check : str
        What was done.
    subject : str
        To what.
    finding : str
        "clean", "leaks", "circular", "descriptive", "contradicted" or "not checked".
    figures : str
    checks : int
        Comparisons behind it.
    fails : bool
        Whether what could be promoted is wrong: the command ends with exit code 1.
    """

    check: str
    subject: str
    finding: str
    figures: str
    checks: int = 1
    fails: bool = False


def main(config: Config) -> int:
    project = Project(config)
    path = Path(config.output or DEFAULT_OUTPUT)
    check_output(path)
    check_suspects(config.audit.suspects)
    logging.getLogger("features.snapshot").setLevel(logging.WARNING)  # or each tampering's build would be reported
    _cutoffs(project)  # stages the tables, or refuses before anything is written
    with tempfile.TemporaryDirectory(dir=project.cache, prefix=".audit.") as folder:
        findings = list(audit(project, Path(folder)))
    _write(findings, path)
    print(describe(findings))
    wrong = list(dict.fromkeys(finding.subject for finding in findings if finding.fails))
    print(
        f"\n{len(wrong)} that could be promoted must not be: {listing(wrong)}"
        if wrong
        else "\nnothing that could be promoted leaks"
    )
    print(f"{len(findings)} findings in {path}")
    print(f"next: {project.again('tune')}" if not wrong else "next: mend what leaks, and audit again")
    return int(bool(wrong))


def describe(findings: Sequence[Finding]) -> str:
    """The findings as a table."""
    rows = [("check", "subject", "finding", "figures")]
    rows += [(finding.check, finding.subject, finding.finding, finding.figures) for finding in findings]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        " ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


def audit(project: Project, folder: Path) -> Iterator[Finding]:
    """All findings about a shop: its features, every task, the suspected targets, its static facts.

    Parameters
    ----------
    project : Project
    folder : Path
        For tables that were tampered with; to be removed afterwards.
    """
    shop, options = project.shop, project.config.audit
    tamperer = Tamperer(shop.tables, shop.engine, folder)
    yield from _features(tamperer, _cutoffs(project))
    for name in TASKS:
        try:
            asked = _of_task(project, name)
            check_tables(asked.task, shop.tables.present())
            cutoffs = _cutoffs(asked)
        except InputError as error:
            yield Finding("future changed", f"task {name}", "not checked", error.problem, checks=0)
            continue
        yield from _task(asked, tamperer, cutoffs)
    for name, suspect in options.suspects.items():
        yield _suspect(project, name, suspect)
    for fact in contradictions(shop.tables, shop.engine):
        share = fact.contradicted / fact.customers
        yield Finding(
            "static against past",
            f"{fact.table}.{fact.column}",
            "contradicted" if fact.contradicted else "clean",
            f"{fact.contradicted:,} of {fact.customers:,} customers ({share:.1%}) bought before it says they could"
            + (f", {fact.example}; it is no feature (measured after the fact)" if fact.contradicted else ""),
            checks=fact.customers,
        )


# Features


def _features(tamperer: Tamperer, cutoffs: Sequence[date]) -> Iterator[Finding]:
    names = all_features(tamperer.tables, cutoffs[0], tamperer.engine)
    reasons = descriptive(names)
    for name, reason in reasons.items():
        yield Finding("read from", f"feature {name}", "descriptive", f"{reason}: can never be promoted")
    if len(reasons) < len(names):
        undated = [name for name in names if name in feature_families() and feature_families()[name].undated]
        also = f"; {len(undated)} of them facts of unknown date, declared so" if undated else ""
        honest = len(names) - len(reasons)
        yield Finding("read from", f"{honest} features", "clean", f"made of as_of alone{also}", honest)

    moved: dict[str, list[Movement]] = {}
    comparisons = 0
    steps = len(cutoffs) * len(tamperer.names) * len(TAMPERINGS)
    for compared, found in tqdm(moving_features(tamperer, names, cutoffs), "features", steps, unit=" tamperings"):
        comparisons += compared
        for movement in found:
            moved.setdefault(movement.what, []).append(movement)
    for name, movements in moved.items():
        yield _leak(f"feature {name}", movements)
    yield Finding(
        "future changed",
        f"{len(names) - len(moved)} features",
        "clean",
        f"{comparisons:,} comparisons: {listing(tamperer.names, limit=9)}, each deleted, poisoned and shuffled from "
        f"{' and '.join(map(str, cutoffs))} on",
        comparisons,
    )


def _leak(subject: str, movements: Sequence[Movement]) -> Finding:
    ways = Counter(f"{movement.how} {movement.table}" for movement in movements)
    figures = f"{movements[0]}; moves with {listing(ways)}"
    return Finding("future changed", subject, "leaks", figures, len(movements), fails=True)


# Tasks


def _task(project: Project, tamperer: Tamperer, cutoffs: Sequence[date]) -> Iterator[Finding]:
    task = project.task
    dataset = project.dataset(cutoffs)
    moved, comparisons, silent = _movements(project, tamperer, dataset, cutoffs)
    for what, movements in moved.items():
        yield _leak(f"task {task.name}: {what}", movements)
    if not moved:
        yield Finding(
            "future changed",
            f"task {task.name}",
            "clean",
            f"{comparisons:,} comparisons of {dataset.X.shape[1]} features, and of {task.target} with all changed "
            "outside its window",
            comparisons,
        )
    if silent:
        yield Finding(
            "read from",
            f"task {task.name}: {task.target}",
            "descriptive",
            f"does not move where its window is emptied ({listing(silent)}): it is no outcome, never to be promoted",
            fails=True,
        )
    yield _formula(f"task {task.name}: {task.target}", dataset.X, dataset.y, project.config.audit, fails=True)


def _movements(
    project: Project, tamperer: Tamperer, dataset: Dataset, cutoffs: Sequence[date]
) -> tuple[dict[str, list[Movement]], int, list[date]]:
    """What moves of a task's features and target, how much was compared, and where emptying the window moves nothing.

    All tables are changed at once; only where something moves, each in turn, to name the one.
    """
    task, shop, horizon = project.task, project.shop, timedelta(days=project.task.horizon_days)
    number = count()
    moved: dict[str, list[Movement]] = {}
    silent = []
    comparisons = 0

    def changed(cutoff: date, tables: Sequence[str], how: str, part: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
        """Features (part X) or target (y, or y with its window emptied) before and after, and how many rows changed."""
        end = cutoff + horizon
        periods = {"X": [(cutoff, None)], "y": [(None, cutoff), (end, None)], "window": [(cutoff, end)]}[part]
        engine, rows = tamperer.change(tables, how, *periods)
        other: Shop = tampered_shop(shop, engine, tamperer.folder / f"{task.name}-{next(number)}")
        spliced = splice(other, shop) if part == "X" else splice(shop, other)
        then, now = dataset.at(cutoff), task.dataset(spliced, project.features, [cutoff])
        if part == "X":
            return then.X, now.X, rows
        same = then.y.index.intersection(now.y.index)  # who is eligible is a matter of the past
        return then.y[same].to_frame(task.target), now.y[same].to_frame(task.target), rows

    for cutoff in cutoffs:
        for how in tqdm(TAMPERINGS, f"{task.name} at {cutoff}", unit=" tamperings"):
            for part in ("X", "y"):
                before, after, _ = changed(cutoff, tamperer.names, how, part)
                comparisons += before.shape[1]
                if not any(differences(before, after)):
                    continue
                for table in tamperer.names:
                    before, after, rows = changed(cutoff, [table], how, part)
                    for what, customers, example in differences(before, after):
                        movement = Movement(what, cutoff, table, how, rows, customers, len(before), example)
                        moved.setdefault(what, []).append(movement)
        before, after, _ = changed(cutoff, tamperer.names, "delete", "window")
        if before.nunique().iloc[0] > 1 and not any(differences(before, after)):
            silent.append(cutoff)
    return moved, comparisons, silent


def _of_task(project: Project, name: str) -> Project:
    """The same shop, asked another question: its own features, model and options, all else as given."""
    if name == project.task.name:
        return project
    kept = [
        text for text in project.overrides if text.lstrip("+~").partition("=")[0].partition(".")[0] not in OF_THE_TASK
    ]
    other = Project(*of_task(name, kept))
    other.shop = project.shop
    return other


def _cutoffs(project: Project) -> list[date]:
    """The configured days, or the first and last of training and validation; none that opens the sealed window.

    Raises
    ------
    InputError
    """
    splits = project.splits
    known = splits.cutoffs()
    days = sorted({*map(parse_day, project.config.audit.cutoffs or (known[0], known[-1]))})
    last = splits.sealed - timedelta(days=splits.horizon_days)
    if days[-1] > last:
        raise InputError(
            f"{days[-1]} would open the sealed window of {project.task.name}",
            where="audit.cutoffs",
            expected=f"at most {last}",
            found=str(days[-1]),
            hint="promote alone opens it",
        )
    return days


# Formulas


def _suspect(project: Project, name: str, suspect: SuspectConfig) -> Finding:
    """What a suspect is found to be; "not checked" where the shop does not hold what it takes."""
    try:
        return _labels(project, name, suspect.labels) if suspect.labels else _described(project, name, suspect)
    except MissingDataError as error:
        return Finding("formula", f"suspect {name}", "not checked", error.problem, checks=0)


class MissingDataError(InputError):
    """The shop does not hold what a check takes: no mistake of the user's."""


def _named(suspect: SuspectConfig) -> list[str]:
    """All features that a suspect names, each once."""
    names = [suspect.target, suspect.above_zero, *(suspect.features or [])]
    return list(dict.fromkeys(name for name in names if name))


def check_suspects(suspects: Mapping[str, SuspectConfig]) -> None:
    """Refuse unknown tasks and features before any work is done.

    Raises
    ------
    InputError
    """
    for name, suspect in suspects.items():
        if suspect.labels and suspect.labels not in TASKS:
            raise InputError(
                f"there is no task {suspect.labels!r}",
                where=f"audit.suspects.{name}.labels",
                hint=did_you_mean(suspect.labels, TASKS),
            )
        if suspect.target:
            resolve(_named(suspect))


def _described(project: Project, name: str, suspect: SuspectConfig) -> Finding:
    """A suspect that is a feature itself, at the same cutoffs as what it would be predicted from."""
    present = set(project.shop.tables.present())
    target, above_zero, features = str(suspect.target), suspect.above_zero, suspect.features or []
    families = resolve(_named(suspect))
    usable = {name for family, names in families.items() if present.issuperset(family.needs) for name in names}
    known = [feature for feature in features if feature in usable and feature != target]
    lacking = sorted({target, above_zero or target} - usable)
    if lacking or not known:
        raise MissingDataError(f"the shop lacks the tables of {listing(lacking or features)}")
    rows = project.shop.features([feature for feature in _named(suspect) if feature in usable], _cutoffs(project))
    if above_zero:
        rows = rows[rows[above_zero] > 0]
    return _formula(f"suspect {name}: {target}", rows[known], rows[target], project.config.audit, fails=False)


def _formula(subject: str, X: pd.DataFrame, y: pd.Series, options: AuditConfig, *, fails: bool) -> Finding:
    """Whether a target is given by features: exactly, or by a fit that is too good."""
    if y.nunique() < 2:
        return Finding("formula", subject, "not checked", f"the same for all {len(y):,} rows", checks=0)
    customers = y.index.get_level_values("customer_id")
    if customers.nunique() < options.min_rows:
        few = f"{customers.nunique():,} customers, fewer than audit.min_rows={options.min_rows}"
        return Finding("formula", subject, "not checked", few, checks=0)
    exact = identities(X, y, min_rows=options.min_rows, min_distinct=options.min_distinct, seed=options.seed)
    fit = best_fit(X, y, customers, explained_above=options.max_r2, n_folds=options.n_folds, seed=options.seed)
    fitted = f"out-of-fold R2 {fit.r2:.3f} ({fit.model})"
    if exact:
        arithmetic = " and = ".join(identity.arithmetic for identity in exact)
        on = f"on {exact[0].rows:,} of {len(y):,} rows" if exact[0].rows < len(y) else f"on all {len(y):,} rows"
        figures = f"= {arithmetic}, exactly, {on}; {fitted}"
        return Finding("formula", subject, "circular", figures, len(y), fails)
    if len(fit.losses):
        guilty = fit.losses[fit.losses > ACCUSING_LOSS].index[: 2 * MOST_NAMED]
        figures = f"predicted nearly perfectly from {listing(guilty)}: {fitted}"
        return Finding("formula", subject, "circular", figures, len(y), fails)
    figures = f"no arithmetic of {X.shape[1]} features or of two of them gives it; {fitted}, {len(y):,} rows"
    return Finding("formula", subject, "clean", figures, len(y))


def _labels(project: Project, name: str, task_name: str) -> Finding:
    """How well a classifier finds the labels again from the variables that made them, beside its null."""
    asked = _of_task(project, task_name)
    task, options = asked.task, project.config.audit
    model = build(task, asked.config.model.name, asked.config.model.params)
    if not isinstance(model, Segmentation):
        raise MissingDataError(f"the model of {task_name}, {asked.config.model.name}, gives no cluster labels")
    try:
        dataset = asked.dataset([_cutoffs(asked)[-1]])
        model.fit(dataset.X, dataset.y)
    except InputError as error:
        raise MissingDataError(error.problem) from error
    Z, labels = model.transform(dataset.X), model.segment(dataset.X)
    found = surrogate(model.cluster, Z, labels, n_folds=options.n_folds, seed=options.seed)
    largest = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    if largest == 1:
        raise MissingDataError(f"{task_name} puts all customers into one cluster")
    known = 1 - (1 - found.accuracy) / (1 - largest)
    figures = (
        f"a classifier finds {found.accuracy:.1%} of the labels again from {listing(Z.columns)}, which made them; "
        f"{found.null_accuracy:.1%} where those columns are permuted; the largest cluster alone is {largest:.1%}"
    )
    circular = known > options.max_labels_known
    return Finding("formula", f"suspect {name}", "circular" if circular else "clean", figures, len(labels))


def _write(findings: Sequence[Finding], path: Path) -> None:
    table = pa.Table.from_pylist([asdict(finding) for finding in findings])
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, WRITERS[path.suffix](partial, table.schema) as writer:
        writer.write_table(table)
