"""Material of one report: what its sections are made from, computed when first needed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from experiments.case_study.options import CaseStudyOptions
from experiments.description.lifecycle.options import LifecycleOptions
from experiments.description.material import TiersInTime
from experiments.description.personas.options import PersonaOptions
from experiments.description.purchasing.behaviour import BehaviourOptions
from experiments.evaluation.splits import Splits
from experiments.reports.material import InUse
from experiments.workflow.score import find_champions, kind_of, own_columns, scored, scoring_day, verdicts
from experiments.workflow.session import Session
from features.errors import InputError
from features.shop import Shop

if TYPE_CHECKING:
    from experiments.tracking.registry import Version
    from experiments.tracking.store import MlflowClient

logger = logging.getLogger(__name__)


class ReportMaterial:
    """Material of the sections of one report: see `reports.material.Material`, and what rooms add to it.

    Parameters
    ----------
    session : Session
    hypotheses : mapping of name to mapping
        As their files declare them.
    """

    def __init__(self, session: Session, hypotheses: Mapping[str, object]) -> None:
        self.session = session
        self.hypotheses = hypotheses

    @property
    def shop(self) -> Shop:
        return self.session.shop

    @cached_property
    def as_of(self) -> date:
        return scoring_day(self.session)

    @cached_property
    def splits(self) -> Splits:
        """Cutoffs for outcomes over the longer of the tiers' and the task's horizon; the sealed window stays shut."""
        tiers, task = self.session.config.tiers.horizon_days, self.session.task.horizon_days
        return self.session.splits_over(max(tiers, task))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """customer_360 by today's champions, indexed customer_id; an InputError where there are none."""
        return scored(self.session, self.scoring)

    @cached_property
    def scoring(self) -> Mapping[str, Version]:
        """The versions in use that can score, by question; an InputError where there is none."""
        return find_champions(self.session)

    @cached_property
    def champions(self) -> Mapping[str, Version]:
        """The version in use of each question that has one; an InputError where there is none."""
        return find_champions(self.session, check=False)

    def question(self, names: Sequence[str]) -> str | None:
        own = [question for question, version in self.scoring.items() if version.tags["task"] in names]
        preferred = [self.session.question, *names, *own]
        return next((question for question in preferred if question in own), None)

    @cached_property
    def verdicts(self) -> Mapping[str, str]:
        return verdicts(self.champions)

    @property
    def client(self) -> MlflowClient:
        return self.session.client

    def in_use(self, question: str) -> InUse:
        from experiments.gate.results_section import in_use

        return in_use(self.champions[question], self.client)

    def again(self, command: str) -> str:
        return self.session.again(command)

    @property
    def languages(self) -> Sequence[str]:
        return self.session.config.report.languages

    @cached_property
    def tiers(self) -> TiersInTime:
        config = self.session.config
        return TiersInTime(
            self.shop,
            self.as_of,
            self.splits,
            config.tiers,
            n_resamples=config.evaluation.n_resamples,
            confidence=config.evaluation.confidence,
            seed=config.evaluation.seed,
            min_customers=config.personas.min_cell,
        )

    @property
    def groups(self) -> pd.Series:
        return self.tiers.today.tier

    @property
    def about_groups(self) -> str:
        return self.tiers.about_today

    @property
    def persona_options(self) -> PersonaOptions:
        return self.session.config.personas

    @property
    def lifecycle_options(self) -> LifecycleOptions:
        return self.session.config.lifecycle

    @property
    def behaviour_options(self) -> BehaviourOptions:
        config = self.session.config
        return BehaviourOptions(
            min_support=config.report.min_support,
            min_baskets=config.report.min_baskets,
            n_pairs=config.report.n_pairs,
            confidence=config.evaluation.confidence,
        )

    @property
    def case_study_options(self) -> CaseStudyOptions:
        return self.session.config.as_reported

    @cached_property
    def task_groups(self) -> Mapping[str, pd.Series]:
        """The groups that tasks make, by question; none, with a line that says why, where no customer can be scored."""
        try:
            found = {
                question: (kind_of(version).groups(own_columns(self.scores, version)), version.suffix)
                for question, version in self.scoring.items()
            }
        except InputError as error:
            logger.warning("personas of tasks' groups are left out: %s", error.problem)
            return {}
        return {
            question: groups.rename(f"{groups.name}{suffix}")
            for question, (groups, suffix) in found.items()
            if groups is not None
        }
