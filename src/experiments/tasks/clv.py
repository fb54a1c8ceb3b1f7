"""How valuable is this customer: spend in the next `horizon_days`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import ClassVar

import pandas as pd

from experiments.evaluation.metrics import SPEND_METRICS, calibration_table, cumulative_gain
from experiments.models import MODELS
from experiments.models.base import Model, check_terms
from experiments.tasks.base import Build, Dataset, Evaluation, Task, check_guards, check_minimum, check_primary_metric
from features import outcomes
from features.shop import Shop

# Metrics of which more is better, and what that means; errors in currency are won by predicting zero.
HIGHER_IS_BETTER = {
    "gini": "ranks customers",
    "spearman": "ranks customers",
    "top_decile_lift": "finds the best customers",
}


@dataclass(frozen=True)
class CustomerValue(Task):
    """Spend of each customer in the `horizon_days` after a cutoff.

    y = margin x sum of amount / (1 + discount_rate)^(days / 365), in the shop's currency, over the
    purchases in [cutoff, cutoff + horizon_days); 0 for customers who do not come back.

    Attributes
    ----------
    horizon_days : int
    discount_rate : float
        A year.
    margin : float
        Profit per unit of revenue.
    primary_metric : str
        One of `HIGHER_IS_BETTER`: what the search maximises and the gate decides on.
    min_effect : float
        Smallest gain in the primary metric that is worth a change of champion.
    guards : mapping of metric to (lowest, highest)
    minimum : mapping of what is counted to the least that each window must hold
        See `sufficiency.COUNTS`.
    """

    horizon_days: int
    discount_rate: float
    margin: float
    primary_metric: str
    min_effect: float
    guards: Mapping[str, tuple[float, float]]
    minimum: Mapping[str, int]

    name: ClassVar[str] = "clv"
    needs: ClassVar[tuple[str, ...]] = ("transactions",)
    grain: ClassVar[str] = "customer x cutoff"
    outputs: ClassVar[tuple[str, ...]] = ("clv",)
    judged: ClassVar[str] = "clv"

    def __post_init__(self) -> None:
        check_primary_metric(self.primary_metric, HIGHER_IS_BETTER)
        check_guards(self.guards, SPEND_METRICS)
        check_minimum(self.minimum)
        check_terms(self.horizon_days, self.margin, self.discount_rate)

    @property
    def objective(self) -> str:
        return self.primary_metric

    @property
    def target(self) -> str:
        """The target in one string: models of different targets are never compared."""
        return f"spend_{self.horizon_days}d_discount{self.discount_rate:g}_margin{self.margin:g}"

    @property
    def ability(self) -> str:
        return HIGHER_IS_BETTER[self.primary_metric]

    def dataset(self, shop: Shop, features: Sequence[str], cutoffs: Sequence[date]) -> Dataset:
        spend = partial(outcomes.spend, discount_rate=self.discount_rate, margin=self.margin)
        return Dataset(
            X=shop.features(features, cutoffs),
            y=shop.target(spend, cutoffs, self.horizon_days, self.target),
        )

    def candidates(self) -> Mapping[str, Build]:
        terms = {"horizon_days": self.horizon_days, "discount_rate": self.discount_rate, "margin": self.margin}
        return {
            name: partial(model, **{term: value for term, value in terms.items() if term in model().get_params()})
            for name, model in MODELS.items()
        }

    def metric(self) -> Callable[..., float]:
        return SPEND_METRICS[self.primary_metric]

    def evaluate(self, model: Model, dataset: Dataset) -> Evaluation:
        prediction = pd.Series(model.predict(dataset.X), index=dataset.y.index, name="prediction")
        return Evaluation(
            y=dataset.y,
            prediction=prediction,
            metrics={name: metric(dataset.y, prediction) for name, metric in SPEND_METRICS.items()},
            tables={
                "calibration": calibration_table(dataset.y, prediction),
                "cumulative_gain": cumulative_gain(dataset.y, prediction),
                "perfect_gain": cumulative_gain(dataset.y, dataset.y),
            },
        )
