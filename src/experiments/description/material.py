"""Material of the sections about customers' groups, and the tiers that they read, computed when first needed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Protocol

import pandas as pd

from experiments.description.lifecycle.options import LifecycleOptions
from experiments.description.personas.options import PersonaOptions
from experiments.description.purchasing.behaviour import BehaviourOptions
from experiments.description.purchasing.window import Window
from experiments.description.tiers.assignment import Tiers, assign
from experiments.description.tiers.options import TierOptions
from experiments.description.tiers.scores import equal
from experiments.description.tiers.weights import Weighing, following_spend, weigh
from experiments.evaluation.splits import Splits
from experiments.reports.material import Material
from features.shop import Shop


class TiersInTime:
    """Tiers at the cutoffs that sections read: today's, those that weights were tested at, those that behaviour tests.

    Parameters
    ----------
    shop : Shop
    as_of : datetime.date
        Today: the day of the report.
    splits : Splits
        Weights are learnt and tested before the sealed window.
    options : TierOptions
    n_resamples, seed : int
        Of the bootstrap.
    confidence : float
        Of intervals.
    min_customers : int
        Fewest customers of a group that is described or tested in the window.
    """

    def __init__(
        self,
        shop: Shop,
        as_of: date,
        splits: Splits,
        options: TierOptions,
        *,
        n_resamples: int,
        confidence: float,
        seed: int,
        min_customers: int,
    ) -> None:
        self.shop, self.as_of, self.splits, self.options = shop, as_of, splits, options
        self.n_resamples, self.confidence, self.seed, self.min_customers = n_resamples, confidence, seed, min_customers

    @cached_property
    def weighing(self) -> Weighing:
        """Weights of the scores: learnt and tested before the sealed window."""
        return weigh(
            self.shop,
            self.splits.training[-1],
            self.splits.validation[-1],
            self.options,
            n_resamples=self.n_resamples,
            confidence=self.confidence,
            seed=self.seed,
        )

    def at(self, cutoff: date) -> Tiers:
        """Return the tiers at a cutoff by the weights in use."""
        return assign(self.shop, cutoff, self.weighing.weights[self.weighing.used], self.options)

    @cached_property
    def today(self) -> Tiers:
        """Tiers at `as_of`."""
        return self.at(self.as_of)

    @property
    def about_today(self) -> str:
        """Of which day today's tiers are, and by which weights."""
        return f"Tiers are as of {self.as_of}, the day of this report, with {self.weighing.used} weights."

    @cached_property
    def tested(self) -> tuple[Tiers, pd.Series]:
        """Tiers at the cutoff that weights were tested at, and what their customers went on to spend."""
        tiers = self.at(self.weighing.tested_at)
        return tiers, following_spend(self.shop, tiers.cutoff, self.options.horizon_days)

    @cached_property
    def early(self) -> Tiers:
        """Tiers of equal weights at the last training cutoff: half of the data or more come later, and test them."""
        return assign(self.shop, self.splits.training[-1], equal(self.options), self.options)

    @cached_property
    def window(self) -> Window:
        """The days since the early tiers."""
        early = self.early
        return Window(self.shop, early.tier, early.cutoff, self.as_of, self.n_resamples, self.seed, self.min_customers)


class DescriptionMaterial(Material, Protocol):
    """Material of the sections of this room, in addition to that of any section."""

    @property
    def tiers(self) -> TiersInTime: ...

    @property
    def task_groups(self) -> Mapping[str, pd.Series]:
        """The groups of customers that tasks make, by the name of the task."""

    @property
    def hypotheses(self) -> Mapping[str, object]:
        """Hypotheses to test, as their files declare them: see `hypotheses.verdict.assess`."""

    @property
    def persona_options(self) -> PersonaOptions: ...

    @property
    def behaviour_options(self) -> BehaviourOptions: ...

    @property
    def lifecycle_options(self) -> LifecycleOptions: ...
