"""The report: what a shop's customers are like and what its models predict, on one page that is kept in MLflow."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pandas as pd

from experiments.case_study.section import CASE_STUDY
from experiments.reports.fonts import use_in_pictures
from experiments.reports.page import page
from experiments.reports.section import Picture, Record, Section, Table
from experiments.workflow.material import OWN_PARAMS, ReportMaterial, report_experiment
from experiments.workflow.output import check_writable
from experiments.workflow.sections import Writer, choose, find_writers, joined, written
from experiments.workflow.session import Session, chosen
from features.errors import InputError, did_you_mean
from features.progress import SELDOM, steps
from features.writing import replacing

logger = logging.getLogger(__name__)

SUFFIXES = (".html", ".htm")
DEFAULT_OUTPUT = "report.html"


def report(session: Session, output: str | Path | None = None) -> Path:
    """Write the page, keep it in MLflow with its pictures and tables, and return where it is.

    A section that the data or the configuration do not allow says why, and the others are written.

    Parameters
    ----------
    session : Session
    output : path, optional
        File that ends in .html, in the session's folder; as configured (report.output) when left out, else
        outputs/<shop>/report.html.

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
        self._writers = choose(find_writers(), options.sections)
        if options.sections is None and not session.shows_case_study:
            self._writers = [writer for writer in self._writers if writer.name != CASE_STUDY.name]
        _check_languages(options.languages or (), session.config.personas.wording)
        given = output or options.output
        self._path = session.path(given) if given else session.outputs / DEFAULT_OUTPUT
        _check_output(self._path, SUFFIXES, "report.output")
        hypotheses = chosen(session.hypotheses, options.hypotheses, "hypothesis", "report.hypotheses")
        self._material = ReportMaterial(session, hypotheses)
        self._material.check_as_of()
        self.written: dict[Writer, Section | None] = {}

    @property
    def described(self) -> pd.DataFrame:
        """The columns that sections give of each customer: see `score`."""
        return self._material.described

    def write_ahead(self) -> None:
        """Write the sections that read no model in use."""
        self._write([writer for writer in self._writers if not writer.reads_models])

    def finish(self) -> Path:
        """Write the other sections and the page, and keep them in MLflow; return the page."""
        self._write(self._writers)
        sections = joined(self.written[writer] for writer in self._writers)
        if self._material.session.config.report.sections is None:
            sections.sort(key=lambda section: section.order)
        html = page("Customer report", self._about(), sections)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as partial:
            partial.write_text(html, encoding="utf-8")
        _keep(self._material, self._path.name, html, sections)
        return self._path

    def _write(self, writers: Sequence[Writer]) -> None:
        use_in_pictures()
        left = [writer for writer in writers if writer not in self.written]
        for writer in steps(left, "report", len(left), "sections", every=SELDOM):
            self.written[writer] = written(writer, self._material)

    def _about(self) -> str:
        staged, as_of = self._material.shop.staged, self._material.as_of
        last = as_of - timedelta(days=1)
        return f"{staged.shop.replace('_', ' ')}, {staged.start} to {last}, {staged.customers:,} customers"


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


def _keep(material: ReportMaterial, name: str, html: str, sections: Sequence[Section]) -> None:
    """Keep a run with the page, its pictures and its tables, and below it one for each record of a section.

    A page that is kept already, as on a night on which nothing changed, is not kept again.
    """
    from experiments.tracking.runs import PAGE_DIGEST, REPORT, Runs
    from experiments.tracking.store import answering

    session = material.session
    with answering(session.client):
        own = (str(material.as_of), ",".join(section.name for section in sections))
        params = dict(zip(OWN_PARAMS, own, strict=True)) | material.models
        shop = session.shop.staged.shop
        runs = Runs(session.client, report_experiment(shop), f"Reports on {shop}")
        runs.end_orphans()
        digest = hashlib.sha256(html.encode()).hexdigest()
        if runs.is_last_report(digest):
            logger.info("MLflow has the same page already")
            return
        run_id = runs.start(f"report as of {material.as_of}", {"kind": REPORT, PAGE_DIGEST: digest})
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
            runs.end(child)
        runs.end(run_id)
