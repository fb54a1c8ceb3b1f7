"""`experiments audit`: the future is changed, and nothing may move; targets that are formulas are named.

Exit code 1 where a feature moves with the future, or a task's target with anything but its window, or where a task's
target is a formula of its features. What is merely descriptive is reported, and refused by the gate.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from experiments.commands.compose import OF_THE_TASK, of_task, session_of
from experiments.gate.circularity import Limits, audit_feature, audit_labels, audit_task, each_once
from experiments.gate.sufficiency import check_tables
from experiments.tasks import TASKS
from experiments.workflow.config import AuditConfig, Config, SuspectConfig
from experiments.workflow.output import WRITERS, check_output
from experiments.workflow.session import Session
from features.errors import InputError, InsufficientDataError, did_you_mean, listing
from features.families import resolve
from features.leakage import Finding, audit_facts, audit_features
from features.tables import parse_day
from features.tampering import Tamperer
from features.writing import replacing

DEFAULT_OUTPUT = "outputs/audit.csv"


def main(config: Config) -> int:
    session = session_of(config)
    path = Path(config.output or DEFAULT_OUTPUT)
    check_output(path)
    check_suspects(config.audit.suspects)
    logging.getLogger("features.snapshot").setLevel(logging.WARNING)  # or each tampering's build would be reported
    cutoffs_of(session)  # stages the tables, or refuses before anything is written
    with tempfile.TemporaryDirectory(dir=session.cache, prefix=".audit.") as folder:
        findings = list(audit(session, Path(folder)))
    _write(findings, path)
    print(describe(findings))
    wrong = list(dict.fromkeys(finding.subject for finding in findings if finding.fails))
    print(
        f"\n{len(wrong)} that could be promoted must not be: {listing(wrong)}"
        if wrong
        else "\nnothing that could be promoted leaks"
    )
    print(f"{len(findings)} findings in {path}")
    print(f"next: {session.again('tune')}" if not wrong else "next: mend what leaks, and audit again")
    return int(bool(wrong))


def describe(findings: Sequence[Finding]) -> str:
    """The findings as a table."""
    rows = [("check", "subject", "finding", "figures")]
    rows += [(finding.check, finding.subject, finding.finding, finding.figures) for finding in findings]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        " ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


def audit(session: Session, folder: Path) -> Iterator[Finding]:
    """All findings about a shop: its features, every task, the suspected targets, its static facts.

    Parameters
    ----------
    session : Session
    folder : Path
        For tables that were tampered with; to be removed afterwards.
    """
    shop, limits = session.shop, limits_of(session.config.audit)
    tamperer = Tamperer(shop.tables, shop.engine, folder)
    yield from audit_features(tamperer, cutoffs_of(session))
    for name in TASKS:
        try:
            asked = asking(session, name)
            check_tables(asked.task, shop.tables.present())
            cutoffs = cutoffs_of(asked)
        except InputError as error:
            yield Finding("future changed", f"task {name}", "not checked", error.problem, checks=0)
            continue
        yield from audit_task(asked.task, shop, asked.features, tamperer, cutoffs, limits)
    for name, suspect in session.config.audit.suspects.items():
        try:
            yield _suspect(session, f"suspect {name}", suspect, limits)
        except InsufficientDataError as error:
            yield Finding("formula", f"suspect {name}", "not checked", error.problem, checks=0)
    yield from audit_facts(shop.tables, shop.engine)


def limits_of(config: AuditConfig) -> Limits:
    """What the configuration takes for too good."""
    return Limits(**{field.name: getattr(config, field.name) for field in dataclasses.fields(Limits)})


def asking(session: Session, name: str) -> Session:
    """The same shop, asked another question: its own features, model and options, all else as given."""
    if name == session.config.task["name"]:
        return session
    kept = [
        text for text in session.overrides if text.lstrip("+~").partition("=")[0].partition(".")[0] not in OF_THE_TASK
    ]
    other = session_of(*of_task(name, kept))
    other.shop = session.shop
    return other


def cutoffs_of(session: Session) -> list[date]:
    """The configured days, or the first and last of training and validation; none that opens the sealed window.

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


def _suspect(session: Session, subject: str, suspect: SuspectConfig, limits: Limits) -> Finding:
    """What a suspect is found to be: a feature given by others, or labels that are found again."""
    if suspect.labels:
        asked = asking(session, suspect.labels)
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
        writer.write_table(table)
