"""Audit of a shop: features and targets are checked for leaks, targets for formulas of features.

The future is changed, and no feature may change with it. A finding fails if a feature does, if a task's target depends
on days outside of its window, or if it is a formula of its features. Features that are merely descriptive are reported;
the gate refuses them.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from experiments.gate.circularity import Limits, audit_feature, audit_labels, audit_task, each_once
from experiments.gate.sufficiency import check_tables
from experiments.tasks import TASKS
from experiments.workflow.config import AuditConfig, SuspectConfig
from experiments.workflow.output import WRITERS, check_output
from experiments.workflow.session import Session
from features.attrition import audit_attrition
from features.constants import audit_constants
from features.errors import InputError, InsufficientDataError, did_you_mean, listing
from features.families import resolve
from features.hindsight import audit_hindsight
from features.leakage import Finding, audit_facts, audit_features
from features.restaging import audit_restaged
from features.tables import parse_day
from features.tampering import Tamperer, on_engine
from features.unseen import audit_unseen
from features.writing import replacing

DEFAULT_OUTPUT = "audit.csv"


def audit(
    session: Session,
    tasks: Mapping[str, Session | InputError] | None = None,
    output: str | Path | None = None,
) -> list[Finding]:
    """Audit a shop: its features, tasks, suspected targets and static facts, and write the findings to a file.

    Parameters
    ----------
    session : Session
    tasks : mapping of str to Session, optional
        Sessions of the tasks to audit, by the task's name in the configuration; the session's own when left out. An
        InputError says why a task cannot be configured.
    output : path, optional
        File that ends in .csv or .parquet, in the session's folder.
    """
    path = session.path(output) if output else session.outputs / DEFAULT_OUTPUT
    check_output(path)
    check_suspects(session.config.audit.suspects)
    cutoffs_of(session)  # stages the tables, or refuses before anything is written
    asked = tasks or {session.config.task["name"]: session}
    for other in asked.values():
        if isinstance(other, Session) and other.config.data == session.config.data:
            other.shop = session.shop  # opened once
    with (
        session.shop.engine.learnt.reusing(),
        _quiet_snapshots(),
        tempfile.TemporaryDirectory(dir=session.cache, prefix=".audit.") as folder,
    ):
        findings = list(_findings(session, asked, Path(folder)))
    _write(findings, path)
    return findings


def failing(findings: Sequence[Finding]) -> list[str]:
    """Return the subjects that could be promoted and must not be."""
    return list(dict.fromkeys(finding.subject for finding in findings if finding.fails))


def findings_text(findings: Sequence[Finding]) -> str:
    """Return the findings as a table, and below it the subjects that leak."""
    wrong = failing(findings)
    return (
        f"{findings_table(findings)}\n\n{len(wrong)} could be promoted and must not be: {listing(wrong)}"
        if wrong
        else f"{findings_table(findings)}\n\nnothing that could be promoted leaks"
    )


def findings_table(findings: Sequence[Finding]) -> str:
    """Return a line for each finding."""
    rows = [("check", "subject", "finding", "figures")]
    rows += [(finding.check, finding.subject, finding.finding, finding.figures) for finding in findings]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        " ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


@contextmanager
def _quiet_snapshots() -> Iterator[None]:
    """Log no snapshots of tables that were tampered with."""
    logger = logging.getLogger("features.snapshot")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _findings(session: Session, tasks: Mapping[str, Session | InputError], folder: Path) -> Iterator[Finding]:
    """Yield all findings; the folder is for tables that were tampered with."""
    shop, limits = session.shop, limits_of(session.config.audit)
    tamperer = Tamperer(shop.tables, shop.engine, folder)
    yield from audit_features(tamperer, cutoffs_of(session))
    yield from audit_constants(shop.tables, tamperer.memory, cutoffs_of(session)[-1])
    yield from audit_unseen(shop.tables, tamperer.memory, cutoffs_of(session)[-1], tuple(session.features))
    if session.config.audit.restage:
        remembered = on_engine(shop, tamperer.memory, shop.cache)
        yield from audit_restaged(remembered, session.config.data, cutoffs_of(session), folder, session.features)
    for name in tasks:
        try:
            asked = _of_task(tasks, name)
            check_tables(asked.task, shop)
            cutoffs = cutoffs_of(asked)
            (folder / name).mkdir(exist_ok=True)
            judged = asked.judged_shop
            changer = tamperer if judged is shop else Tamperer(judged.tables, judged.engine, folder / name)
            of_task = list(audit_task(asked.task, judged, asked.features, changer, cutoffs, limits))
        except InputError as error:
            of_task = [Finding("future changed", f"task {name}", "not checked", error.problem, checks=0)]
        yield from of_task
    for name, suspect in session.config.audit.suspects.items():
        try:
            yield _suspect(session, tasks, f"suspect {name}", suspect, limits)
        except InsufficientDataError as error:
            yield Finding("formula", f"suspect {name}", "not checked", error.problem, checks=0)
    yield from audit_facts(shop.tables, shop.engine)
    yield from audit_attrition(shop.tables, shop.engine, session.features, session.splits.sealed)
    yield from audit_hindsight(shop.tables, shop.engine, session.features)


def limits_of(config: AuditConfig) -> Limits:
    """Return the configured limits of what is too good to be a prediction."""
    return Limits(**{field.name: getattr(config, field.name) for field in dataclasses.fields(Limits)})


def _of_task(tasks: Mapping[str, Session | InputError], name: str) -> Session:
    asked = tasks.get(name, InsufficientDataError(f"{name} is not among the tasks that are audited"))
    if isinstance(asked, InputError):
        raise asked
    return asked


def cutoffs_of(session: Session) -> list[date]:
    """Return the configured days, or the first and last of training and validation: the sealed window stays closed.

    Raises
    ------
    InputError
    """
    splits = session.splits
    known = splits.cutoffs()
    days = sorted({*map(parse_day, session.config.audit.cutoffs or (known[0], known[-1]))})
    last = splits.sealed - timedelta(days=splits.horizon_days)
    if days[-1] > last:
        raise InputError(
            f"{days[-1]} would open the sealed window of {session.task.name}",
            where="audit.cutoffs",
            expected=f"at most {last}",
            found=str(days[-1]),
            hint="promote alone opens it",
        )
    return days


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
            resolve(each_once([suspect.target, suspect.above_zero, *(suspect.features or [])]))


def _suspect(
    session: Session, tasks: Mapping[str, Session | InputError], subject: str, suspect: SuspectConfig, limits: Limits
) -> Finding:
    """Audit a suspect: a feature that others may give, or labels that may be found again."""
    if suspect.labels:
        asked = _of_task(tasks, suspect.labels)
        model = asked.task.build(asked.config.model.name, asked.config.model.params)
        try:
            dataset = asked.dataset([cutoffs_of(asked)[-1]])
        except InputError as error:
            raise InsufficientDataError(error.problem) from error
        return audit_labels(subject, model, dataset, limits)
    return audit_feature(
        subject,
        session.shop,
        cutoffs_of(session),
        limits,
        target=str(suspect.target),
        features=suspect.features or [],
        above_zero=suspect.above_zero,
    )


def _write(findings: Sequence[Finding], path: Path) -> None:
    table = pa.Table.from_pylist([dataclasses.asdict(finding) for finding in findings])
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, WRITERS[path.suffix](partial, table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch)
