"""A task in a few lines, for tests that need one and not its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar

import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.evaluation.spend_metrics import SPEND_METRICS
from experiments.models.registry import Candidate
from experiments.tasks.base import Task
from features import outcomes
from features.grains import CUSTOMER, Grain
from features.outcomes import Outcome


@dataclass(frozen=True)
class SmallTask(Task):
    """Spend in the next 30 days; metrics and models as a test gives them."""

    horizon_days: int = 30
    primary_metric: str = "gini"
    min_effect: float = 0.01
    guards: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    minimum: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, Candidate] = field(default_factory=dict)
    measured: Mapping[str, Metric] = field(default_factory=lambda: SPEND_METRICS)

    name: ClassVar[str] = "small"
    grain: ClassVar[Grain] = CUSTOMER
    outputs: ClassVar[Mapping[str, str]] = {"spend": "spend in 30 days, in currency"}

    def outcome(self) -> Outcome:
        return Outcome("spend_30d", ("y",), outcomes.spend)

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        raise NotImplementedError

    def candidates(self) -> Mapping[str, Candidate]:
        return self.models

    def metrics(self) -> Mapping[str, Metric]:
        return self.measured
