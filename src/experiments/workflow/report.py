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
from experiments.workflow.sections import Writer, choose, customer_columns, find_writers, joined, written
from experiments.workflow.session import Session
from features.csv_files import write_csv
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
    return Draft(session, output).finish()


class Draft:
    """A report whose sections are written as soon as what they read is there.

    Parameters
    ----------
    session : Session
    output : path, optional
        As of `report`, whose errors are raised here.

    Attributes
    ----------
    written : dict of Writer to Section or None
        The sections so far.
    """

    def __init__(self, session: Session, output: str | Path | None = None) -> None:
        options = session.config.report
        self._path = session.path(output or options.output)
        self._customers = session.path(options.customers) if options.customers else None
        self._writers = choose(find_writers(), options.sections)
        _check_languages(options.languages, session.config.personas.wording)
        _check_output(self._path, SUFFIXES, "report.output")
        if self._customers is not None:
            _check_output(self._customers, (".csv",), "report.customers")
        self._material = ReportMaterial(session, _chosen(session.hypotheses, options.hypotheses))
        _check_as_of(self._material)
        self.written: dict[Writer, Section | None] = {}

    def write_ahead(self) -> None:
        """Write the sections that read no model in use."""
        self._write([writer for writer in self._writers if not writer.reads_models])

    def finish(self) -> Path:
        """Write the other sections, the page and the list of customers, and keep them in MLflow; return the page."""
        self._write(self._writers)
        sections = joined(self.written[writer] for writer in self._writers)
        if self._material.session.config.report.sections is None:
            sections.sort(key=lambda section: section.order)
        html = page("Customer report", self._about(), sections)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as partial:
            partial.write_text(html, encoding="utf-8")
        _keep(self._material, self._path.name, html, sections)
        if self._customers is not None:
            self._list_customers(self._customers)
        return self._path

    def _write(self, writers: Sequence[Writer]) -> None:
        use_in_pictures()
        for writer in writers:
            if writer not in self.written:
                self.written[writer] = written(writer, self._material)

    def _about(self) -> str:
        staged, as_of = self._material.shop.staged, self._material.as_of
        return f"{staged.shop.replace('_', ' ')}, {staged.start} to {as_of}, {staged.customers:,} customers"

    def _list_customers(self, path: Path) -> None:
        columns = customer_columns(self._writers, self._material)
        if len(columns.columns):
            write_csv(columns, path)
            logger.info("tier and stage of each customer: %s", path)


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
