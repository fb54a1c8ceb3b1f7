"""Facts about each customer that need no model in use: tier, stage and what further sections add."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property

import pandas as pd

from experiments.case_study.options import CaseStudyOptions
from experiments.case_study.result import Result, Skipped
from experiments.case_study.study import run_parts
from experiments.description.lifecycle.options import LifecycleOptions
from experiments.description.material import TiersInTime
from experiments.description.personas.options import PersonaOptions
from experiments.description.purchasing.behaviour import BehaviourOptions
from experiments.evaluation.splits import Splits
from experiments.workflow.sections import customer_columns, find_writers
from experiments.workflow.session import Session
from features.errors import InputError
from features.shop import Shop

logger = logging.getLogger(__name__)


class CustomerMaterial:
    """Material of the sections that read no model in use: see `description.material.DescriptionMaterial`.

    Parameters
    ----------
    session : Session
    as_of : datetime.date
        Today.
    horizon_days : int, optional
        Of the task; that of the session's when left out.
    """

    def __init__(self, session: Session, as_of: date, horizon_days: int | None = None) -> None:
        self.session = session
        self.as_of = as_of
        self.horizon_days = session.task.horizon_days if horizon_days is None else horizon_days

    @property
    def shop(self) -> Shop:
        return self.session.shop

    @cached_property
    def splits(self) -> Splits:
        """Cutoffs for outcomes over the longer of the tiers' and the task's horizon; the sealed window stays shut."""
        return self.session.splits_over(max(self.session.config.tiers.horizon_days, self.horizon_days))

    def again(self, command: str) -> str:
        return self.session.again(command)

    @property
    def languages(self) -> Sequence[str]:
        given = self.session.config.report.languages
        return given if given is not None else ["en"] if self.session.has_own_tables else ["en", "ko"]

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
        options = self.session.config.personas
        if not self.session.shows_case_study:
            return options
        return replace(options, strategy={**options.proposals, **options.strategy})

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
            level=self.shop.level,
        )

    @property
    def case_study_options(self) -> CaseStudyOptions:
        return self.session.config.as_reported

    @cached_property
    def case_study(self) -> Sequence[Result | Skipped]:
        return run_parts(self.shop, self.splits, self.case_study_options)

    @cached_property
    def described(self) -> pd.DataFrame:
        """The columns that sections give of each customer, indexed customer_id; without those that cannot be given."""
        try:
            self.check_as_of()
        except InputError as error:
            logger.warning("tiers and stages are left out: %s", error.sentence)
            return pd.DataFrame(index=pd.Index([], name="customer_id"))
        return customer_columns(find_writers(), self)

    def check_as_of(self) -> None:
        """Refuse a day before the tiers' weights were tested.

        Raises
        ------
        InputError
        """
        try:
            tested = self.splits.sealed
        except InputError:  # too short for any window: each section that needs one says so
            return
        if self.as_of < tested:
            raise InputError(
                "as_of is too early: the tiers were validated later",
                where="as_of",
                expected=f"{tested} or later",
                found=str(self.as_of),
            )
