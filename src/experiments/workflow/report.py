"""What the shop's customers are like, what its models are worth, what to do; one page."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from experiments.case_study.result import Result
from experiments.case_study.section import as_reported_section
from experiments.case_study.study import as_reported
from experiments.description import personas
from experiments.description.hypotheses import assess, named_times
from experiments.description.hypotheses_section import hypotheses_section
from experiments.description.lifecycle import in_stages, lifecycle
from experiments.description.lifecycle_section import lifecycle_section
from experiments.description.personas_section import Wording, persona_parts
from experiments.description.purchasing import BehaviourOptions, Window, observe
from experiments.description.purchasing_section import behaviour_section
from experiments.description.tiers import Tiers, Weighing, assign, equal, following_spend, weigh
from experiments.description.tiers_section import tiers_section, value_tier_parts
from experiments.description.value import value_tiers
from experiments.description.value_section import InUse, return_parts, value_parts
from experiments.evaluation.splits import Splits
from experiments.gate.results_section import Answer, verdicts_section
from experiments.reports.fonts import use_in_pictures
from experiments.reports.page import page
from experiments.reports.section import Heading, Part, Picture, Section, Table, Text, enumerated, percent
from experiments.tasks.repurchase import Repurchase
from experiments.workflow.output import check_writable
from experiments.workflow.score import find_champions, scored, scoring_day
from experiments.workflow.score import verdicts as in_words
from experiments.workflow.session import Session
from features.errors import InputError, did_you_mean
from features.writing import replacing

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

SUFFIXES = (".html", ".htm")
BINS = (
    "These segments are parts of the customers by what they have spent so far: equal when the parts were made, larger "
    "or smaller since."
)


class Material:
    """What the sections of one report are made from, computed when first needed.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.shop = session.shop
        self.config = session.config
        self.studies: list[Result] = []  # to be tracked, each by a run of its own

    @cached_property
    def as_of(self) -> date:
        return scoring_day(self.session)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Customer_360 by today's champions, indexed customer_id.

        Raises
        ------
        InputError
            If there is none.
        """
        return scored(self.session)

    @cached_property
    def champions(self) -> dict[str, Version]:
        """What is in use for each question.

        Raises
        ------
        InputError
            If nothing is.
        """
        return find_champions(self.session, check=False)

    @cached_property
    def splits(self) -> Splits:
        """Cutoffs for outcomes over the longer of the tiers' and the task's horizon: the sealed window stays shut."""
        return self.session.splits_over(max(self.config.tiers.horizon_days, self.session.task.horizon_days))

    @cached_property
    def weighing(self) -> Weighing:
        """Weights of the tiers' scores: learnt and tested before the sealed window."""
        options = self.config.evaluation
        return weigh(
            self.shop,
            self.splits.training[-1],
            self.splits.validation[-1],
            self.config.tiers,
            n_resamples=options.n_resamples,
            confidence=options.confidence,
            seed=options.seed,
        )

    def tiers_at(self, cutoff: date) -> Tiers:
        """Tiers by the weights in use."""
        return assign(self.shop, cutoff, self.weighing.weights[self.weighing.used], self.config.tiers)

    @cached_property
    def tiers(self) -> Tiers:
        """Today's tiers."""
        return self.tiers_at(self.as_of)

    @property
    def about_tiers(self) -> str:
        """Of which day today's tiers are."""
        return f"Tiers are those of {self.as_of}, the day of this report, by {self.weighing.used} weights."

    @cached_property
    def tested_tiers(self) -> tuple[Tiers, pd.Series]:
        """The tiers at the cutoff that weights were tested at, and what their customers went on to spend."""
        tiers = self.tiers_at(self.weighing.tested_at)
        return tiers, following_spend(self.shop, tiers.cutoff, self.config.tiers.horizon_days)

    @cached_property
    def early_tiers(self) -> Tiers:
        """Tiers of equal weights at the last training cutoff: half of the data or more come later, and test them."""
        return assign(self.shop, self.splits.training[-1], equal(self.config.tiers), self.config.tiers)

    @cached_property
    def window(self) -> Window:
        """The days since then."""
        options, early = self.config.evaluation, self.early_tiers
        few = self.config.personas.min_cell
        return Window(self.shop, early.tier, early.cutoff, self.as_of, options.n_resamples, options.seed, few)

    @cached_property
    def stages(self) -> pd.Series:
        """Today's stages."""
        found = in_stages(self.shop, [self.as_of], self.config.lifecycle)
        return found["stage"].droplevel("cutoff")

    def check_as_of(self) -> None:
        """Refuse a day so early that tiers were not yet tested by then.

        Raises
        ------
        InputError
        """
        try:
            tested = self.splits.sealed
        except InputError:  # too short for any window: each part that needs one says so
            return
        if self.as_of < tested:
            raise InputError(
                "a report of so early a day would tell what was not known by then",
                where="as_of",
                expected=f"{tested}, by which tiers were learnt and tested, or later",
                found=str(self.as_of),
            )

    @cached_property
    def hypotheses(self) -> dict[str, Any]:
        """Those that the configuration names, or all, as `assess` takes them.

        Raises
        ------
        InputError
            If there is none of a name.
        """
        names, there = self.config.report.hypotheses, self.session.hypotheses
        for name in names or ():
            if name not in there:
                raise InputError(
                    f"there is no hypothesis {name!r}", where="report.hypotheses", hint=did_you_mean(name, there)
                )
        return there if names is None else {name: there[name] for name in names}


def verdicts(material: Material) -> Section:
    from experiments.gate.ledger import Look
    from experiments.tracking.registry import Registry

    session = material.session
    said, answers = in_words(material.champions), []
    for question, version in material.champions.items():
        own, registry = _judged(version), Registry(session.client, version.name)
        looks = [Look(entry, fresh=False) for entry in registry.ledger()]
        judged = [look for look in looks if look.version == own and look.entry["decision"] and look.outcome]
        last = judged[-1] if judged else None
        window = f"{last.entry['start']} to {last.entry['end']}" if last else ""
        judged_model = registry.get(own).tags["model"] if last else ""
        decision = last.decision if last else None
        answers.append(Answer(question, version.tags, said[question], judged_model, decision, window))
    return verdicts_section(answers)


def tiers(material: Material) -> Section:
    now, following = material.tested_tiers
    before = material.tiers_at(material.weighing.learnt_at)
    return tiers_section(
        before,
        now,
        following,
        material.weighing,
        horizon_days=material.config.tiers.horizon_days,
        currency=material.shop.staged.currency,
    )


def describe_groups(material: Material) -> Section:
    """Personas of the tiers, and of the segments where a segmentation is in use."""
    options, shop = material.config.personas, material.shop
    wordings = {language: Wording.from_config(language, content) for language, content in options.wording.items()}
    grouped = {"tier": material.tiers.tier}
    try:
        if "segment" not in material.scores:
            raise InputError("no segmentation is in use")
        segments = material.scores["segment"].astype(int)
        names = [f"Segment {number}" for number in sorted(segments.unique())]
        labels = pd.Categorical("Segment " + segments.astype(str), names, ordered=True)
        grouped["segment"] = pd.Series(labels, index=segments.index)
    except InputError as error:
        logger.warning("personas of segments are left out: %s", error.problem)
    names = [str(name) for groups in grouped.values() for name in groups.cat.categories]
    if unused := options.strategy.keys() - names:
        logger.warning(
            "personas.strategy: %s is no tier or segment, which are %s", ", ".join(sorted(unused)), enumerated(names)
        )
    counts = personas.habits(shop, shop.tables.start, material.as_of, options.largest)
    parts: list[Part] = [Text(" ".join([material.about_tiers, *material.tiers.notes]))]
    for kind, groups in grouped.items():
        found = personas.describe(
            shop,
            groups,
            counts,
            shop.tables.start,
            material.as_of,
            q=options.q,
            min_cell=options.min_cell,
            min_index=options.min_index,
            most=options.most,
        )
        if kind == "segment":
            parts.append(Heading("The same of the segments"))
            if material.champions["segmentation"].tags["model"].startswith("quantile_bins"):
                parts.append(Text(BINS, "note"))
        parts += persona_parts(
            found,
            wordings,
            material.config.report.languages,
            options.strategy,
            shop.staged.currency,
            kind,
        )
    parts.append(
        Text(
            f"From all days before {material.as_of}, those that made the tiers too: a description, no forecast. An "
            "index compares shares of what was bought, or of orders, not counts. Its interval takes into account how "
            f"many were compared: of a habit's differences some {percent(options.q)} may be chance. Months tell when a "
            "group was active, too, as tiers are made of when customers last bought. Cells under "
            f"{options.min_cell} customers are not shown.",
            "note",
        )
    )
    return Section("personas", parts)


def behave(material: Material) -> Section:
    report, options = material.config.report, material.config.evaluation
    found = observe(
        material.window,
        BehaviourOptions(
            min_support=report.min_support,
            min_baskets=report.min_baskets,
            n_pairs=report.n_pairs,
            confidence=options.confidence,
        ),
    )
    return behaviour_section(found, named_times(material.hypotheses), seed=options.seed)


def hypothesise(material: Material) -> Section:
    confidence = material.config.evaluation.confidence
    findings = assess(material.hypotheses, material.window, material.early_tiers.cutoff, confidence=confidence)
    return hypotheses_section(findings, material.config.report.languages, material.window)


def value(material: Material) -> Section:
    """Few customers and most of the revenue; and what the model in use expects of whom."""
    now, following = material.tested_tiers
    options = material.config.tiers
    parts = value_tier_parts(now, following, options.value, horizon_days=options.horizon_days)
    parts.append(Heading("What is expected of them"))
    try:
        scores = material.scores
        if "clv" not in scores:
            raise InputError("how valuable customers will be was not asked", hint=material.session.again("run"))
        parts += value_parts(
            scores["clv"],
            material.tiers.tier,
            horizon_days=int(scores["clv_horizon_days"].iloc[0]),
            currency=material.shop.staged.currency,
            model=in_use(material, "clv"),
            about=material.about_tiers,
        )
    except InputError as error:
        parts.append(left_out(error))
    return Section("value", parts)


def come_back(material: Material) -> Section:
    scores = material.scores
    question = next((name for name in Repurchase.names() if f"p_{name}" in scores), None)
    if question is None:
        raise InputError("whether customers come back was not asked", hint=material.session.again("run"))
    p = scores[f"p_{question}"]
    parts = return_parts(
        p if question.startswith("repurchase") else 1 - p,
        material.tiers.tier,
        scores,
        horizon_days=int(scores[f"{question}_horizon_days"].iloc[0]),
        model=in_use(material, question),
        about=material.about_tiers,
    )
    return Section("return", parts)


def in_use(material: Material, question: str) -> InUse:
    """What foretells the answer to a question, and what its total was in the sealed window, where it was looked at."""
    from experiments.tracking.registry import Registry

    version, client = material.champions[question], material.session.client
    looked_at = Registry(client, version.name).get(_judged(version))
    logged = client.get_run(looked_at.run_id).data.metrics
    model = version.tags["model"]
    return InUse(
        name=version.label,
        version=f"{version.name}, version {version.number}",
        is_naive=version.is_baseline,
        is_judged=any(metric.startswith("sealed/") for metric in logged),
        total_ratio=logged.get(
            f"sealed/{model}/total_ratio" if version.is_baseline else "sealed/total_ratio", math.nan
        ),
    )


def _judged(version: Version) -> int:
    """The number of the version that was looked at: a naive model stands for the candidate that lost."""
    return int(version.tags.get("instead_of", version.number))


def stages(material: Material) -> Section:
    options = material.config.lifecycle
    found = lifecycle(material.shop, material.splits.sealed, options, material.as_of)
    return lifecycle_section(found, options, currency=material.shop.staged.currency)


def reproduce(material: Material) -> Section:
    results = as_reported(material.shop, material.splits, material.config.as_reported)
    material.studies += [result for result in results if isinstance(result, Result)]
    return as_reported_section(results)


SECTIONS: Mapping[str, Callable[[Material], Section]] = {
    "verdicts": verdicts,
    "tiers": tiers,
    "personas": describe_groups,
    "behaviour": behave,
    "hypotheses": hypothesise,
    "value": value,
    "return": come_back,
    "lifecycle": stages,
    "as_reported": reproduce,
}


def report(session: Session, output: str | Path | None = None) -> Path:
    """Write the page, keep it in MLflow with its pictures and tables, and return where it is.

    A section that these data or this configuration do not allow says why, and the others are written all the same.

    Raises
    ------
    InputError
        If a section or a language is unknown, or the page cannot be written.
    """
    path = session.path(output or session.config.report.output)
    names, wording = session.config.report.sections, session.config.personas.wording
    for name in names:
        if name not in SECTIONS:
            raise InputError(
                f"a report has no section {name!r}", where="report.sections", hint=did_you_mean(name, SECTIONS)
            )
    for language in session.config.report.languages:
        if language not in wording:
            raise InputError(
                f"personas.wording has no sentences in {language!r}",
                where="report.languages",
                hint=did_you_mean(language, wording),
            )
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{path} is no page",
            where="report.output",
            expected="a file that ends in .html",
            found=path.suffix or "none",
        )
    check_writable(path, "report.output")
    customers = session.path(session.config.report.customers) if session.config.report.customers else None
    if customers is not None:
        if customers.suffix != ".csv":
            raise InputError(
                f"{customers} is no list", where="report.customers", expected="a file that ends in .csv, or null"
            )
        check_writable(customers, "report.customers")
    use_in_pictures()
    material = Material(session)
    material.check_as_of()
    if "hypotheses" in names:
        _ = material.hypotheses  # a wrong name is seen before any work
    sections = [_section(name, material) for name in names]
    staged = session.shop.staged
    about = f"{staged.shop.replace('_', ' ')}, {staged.start} to {material.as_of}, {staged.customers:,} customers"
    html = page("The shop's customers", about, sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(html, encoding="utf-8")
    _keep(material, path.name, html, sections)
    groups = groups_of_customers(material) if customers is not None else pd.DataFrame()
    if customers is not None and len(groups.columns):
        customers.parent.mkdir(parents=True, exist_ok=True)
        with replacing(customers) as partial:
            groups.to_csv(partial)
        logger.info("which customer is in which tier and stage: %s", customers)
    return path


def groups_of_customers(material: Material) -> pd.DataFrame:
    """Today's tier of each customer, its score, the value tier and the stage: those whose sections are in the report.

    Returns
    -------
    DataFrame indexed by customer_id
    """
    columns: Mapping[str, tuple[str, Callable[[], pd.Series]]] = {
        "tier": ("tiers", lambda: material.tiers.tier),
        "tier_score": ("tiers", lambda: material.tiers.score),
        "value_tier": ("value", lambda: value_tiers(material.tiers.spend, material.config.tiers.value)),
        "stage": ("lifecycle", lambda: material.stages),
    }
    found = {}
    for name, (section, column) in columns.items():
        if section in material.config.report.sections:
            with suppress(InputError):  # which that section has told
                found[name] = column()
    return pd.DataFrame(found).rename_axis("customer_id")


def _section(name: str, material: Material) -> Section:
    begun = time.monotonic()
    try:
        section = SECTIONS[name](material)
    except InputError as error:
        logger.warning("%s is left out: %s", name, error.sentence)
        return Section(name, [left_out(error)])
    logger.info("%s in %.1f s", name, time.monotonic() - begun)
    return section


def left_out(error: InputError) -> Text:
    """What a reader is told of a part that these data do not allow."""
    return Text(f"Left out: {error.sentence}", "note")


def _keep(material: Material, name: str, html: str, sections: list[Section]) -> None:
    """A run with the page, its pictures and its tables, and below it one for each part of the case study."""
    from experiments.tracking.runs import Runs
    from experiments.tracking.store import answering

    session = material.session
    with answering(session.client):
        told = {"as_of": str(material.as_of), "sections": ",".join(section.name for section in sections)}
        with suppress(InputError):  # nothing is in use yet
            champions = material.champions.items()
            told |= {question: f"{version.name} version {version.number}" for question, version in champions}
        runs = Runs(session.client, f"{session.shop.staged.shop}-report")
        run_id = runs.start(f"report as of {material.as_of}", {"kind": "report"})
        runs.log(run_id, params=told)
        runs.log_artifacts(
            run_id,
            texts={name: html, **session.texts},
            tables={name: part.frame for section in sections for name, part in section.files(Table).items()},
            figures={name: part.png for section in sections for name, part in section.files(Picture).items()},
        )
        runs.log_data(run_id, session.data_input, context="report")
        for study in material.studies:
            child = runs.start(f"case study: {study.part}", study.tags, run_id)
            runs.log(child, params=study.params, metrics=study.metrics, note=f"{study.verdict} No model is kept.")
            runs.finish(child)
        runs.finish(run_id)
