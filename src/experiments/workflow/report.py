"""The report: what a shop's customers are like and what its models predict, on one page that is kept in MLflow."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from experiments.reports.fonts import use_in_pictures
from experiments.reports.page import page
from experiments.reports.section import Picture, Record, Section, Table
from experiments.workflow.material import ReportMaterial
from experiments.workflow.output import check_writable
from experiments.workflow.sections import choose, customer_columns, find_writers, write_sections
from experiments.workflow.session import Session
from features.errors import InputError, did_you_mean
from features.writing import replacing

logger = logging.getLogger(__name__)

SUFFIXES = (".html", ".htm")


def report(session: Session, output: str | Path | None = None) -> Path:
    """Write the page, keep it in MLflow with its pictures and tables, and return where it is.

    A section that the data or the configuration do not allow says why, and the others are written.

    Parameters
    ----------
    session : Session
    output : path, optional
        File that ends in .html, in the session's folder; as configured (report.output) when left out.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If a section, a hypothesis or a language is unknown, or a file cannot be written.
    """
    options = session.config.report
    path = session.path(output or options.output)
    customers = session.path(options.customers) if options.customers else None
    writers = choose(find_writers(), options.sections)
    _check_languages(options.languages, session.config.personas.wording)
    _check_output(path, SUFFIXES, "report.output")
    if customers is not None:
        _check_output(customers, (".csv",), "report.customers")
    use_in_pictures()
    material = ReportMaterial(session, _chosen(session.hypotheses, options.hypotheses))
    _check_as_of(material)
    sections = write_sections(writers, material)
    if options.sections is None:
        sections.sort(key=lambda section: section.order)
    staged = session.shop.staged
    about = f"{staged.shop.replace('_', ' ')}, {staged.start} to {material.as_of}, {staged.customers:,} customers"
    html = page("Customer report", about, sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(html, encoding="utf-8")
    _keep(material, path.name, html, sections)
    if customers is not None:
        columns = customer_columns(writers, material)
        if len(columns.columns):
            customers.parent.mkdir(parents=True, exist_ok=True)
            with replacing(customers) as partial:
                columns.to_csv(partial)
            logger.info("tier and stage of each customer: %s", customers)
    return path


def _check_languages(languages: Sequence[str], wording: Mapping[str, object]) -> None:
    for language in languages:
        if language not in wording:
            raise InputError(
                f"personas.wording has no sentences in {language!r}",
                where="report.languages",
                hint=did_you_mean(language, wording),
            )


def _check_output(path: Path, suffixes: Sequence[str], where: str) -> None:
    if path.suffix not in suffixes:
        raise InputError(f"{where} must end in {suffixes[0]}", where=where, found=str(path))
    check_writable(path, where)


def _chosen(hypotheses: Mapping[str, object], names: Sequence[str] | None) -> Mapping[str, object]:
    """Return the hypotheses that the configuration names, or all.

    Raises
    ------
    InputError
        If there is none of a name.
    """
    for name in names or ():
        if name not in hypotheses:
            raise InputError(
                f"there is no hypothesis {name!r}", where="report.hypotheses", hint=did_you_mean(name, hypotheses)
            )
    return hypotheses if names is None else {name: hypotheses[name] for name in names}


def _check_as_of(material: ReportMaterial) -> None:
    """Refuse a day before the tiers' weights were tested.

    Raises
    ------
    InputError
    """
    try:
        tested = material.splits.sealed
    except InputError:  # too short for any window: each section that needs one says so
        return
    if material.as_of < tested:
        raise InputError(
            "as_of is too early: the tiers were validated later",
            where="as_of",
            expected=f"{tested} or later",
            found=str(material.as_of),
        )


def _keep(material: ReportMaterial, name: str, html: str, sections: Sequence[Section]) -> None:
    """Keep a run with the page, its pictures and its tables, and below it one for each record of a section."""
    from experiments.tracking.runs import Runs
    from experiments.tracking.store import answering

    session = material.session
    with answering(session.client):
        params = {"as_of": str(material.as_of), "sections": ",".join(section.name for section in sections)}
        with suppress(InputError):  # nothing is in use yet
            champions = material.champions.items()
            params |= {task: f"{version.name} version {version.number}" for task, version in champions}
        runs = Runs(session.client, f"{session.shop.staged.shop}-report")
        run_id = runs.start(f"report as of {material.as_of}", {"kind": "report"})
        runs.log(run_id, params=params)
        runs.log_artifacts(
            run_id,
            texts={name: html, **session.texts},
            tables={name: part.frame for section in sections for name, part in section.files(Table).items()},
            figures={name: part.png for section in sections for name, part in section.files(Picture).items()},
        )
        runs.log_data(run_id, session.data_input, context="report")
        for record in (part for section in sections for part in section.files(Record).values()):
            child = runs.start(record.name, record.tags, run_id)
            runs.log(child, params=record.params, metrics=record.metrics, note=record.note)
            runs.finish(child)
        runs.finish(run_id)
