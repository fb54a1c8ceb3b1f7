"""A probabilistic model and boosted trees, averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import clone

from experiments.models.base import DISCOUNT_RATE, HORIZON_DAYS, MARGIN, Model, check_terms
from experiments.models.boosting import LightGBM, LightGBMProbability, LightGBMSpend
from experiments.models.buy_till_you_die import PROBABILISTIC, BuyTillYouDie
from experiments.models.probabilities import EVENT, PurchaseProbability
from features.errors import InputError, did_you_mean


class WeightedMean(Model):
    """prediction = weight x boosting + (1 - weight) x probabilistic.

    The trees rank better, the probabilistic model extrapolates better from little data; their errors
    differ, so that the mean of both tends to beat either.

    Parameters
    ----------
    probabilistic, boosting : Model
        `probabilistic__penalizer_coef`, `boosting__num_leaves` and the like reach into them.
    weight : float in [0, 1]
        Share of the trees.

    Attributes
    ----------
    probabilistic_, boosting_
        The fitted parts.
    """

    terms: ClassVar[tuple[str, ...]]  # of the task, handed on to the probabilistic part in place of its own

    def __init__(self, probabilistic: Model | None, boosting: LightGBM, weight: float) -> None:
        self.probabilistic = probabilistic
        self.boosting = boosting
        self.weight = weight

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        hidden = {f"probabilistic__{term}" for term in self.terms}
        return {name: value for name, value in super().get_params(deep).items() if name not in hidden}

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit both parts on their own."""
        if not 0 <= self.weight <= 1:
            raise InputError("weight is out of range", where="weight", expected="in [0, 1]", found=str(self.weight))
        self.probabilistic_ = self._probabilistic().fit(X, y)
        self.boosting_ = clone(self.boosting).fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """What both parts predict, averaged: array of shape (n_rows,)."""
        return self.weight * self.boosting_.predict(X) + (1 - self.weight) * self.probabilistic_.predict(X)

    def _probabilistic(self) -> Model:
        return clone(self.probabilistic).set_params(**{term: getattr(self, term) for term in self.terms})

    def get_state(self) -> dict[str, Any]:
        return {"probabilistic": self.probabilistic_.get_state(), "boosting": self.boosting_.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.probabilistic_ = self._probabilistic().set_state(state["probabilistic"])
        self.boosting_ = clone(self.boosting).set_state(state["boosting"])
        return self


class Blend(WeightedMean):
    """Spend by a buy-till-you-die model and by trees, averaged.

    Parameters
    ----------
    probabilistic : BuyTillYouDie
        `set_params` also takes its registered name: "bg_nbd", "mbg_nbd" or "pareto_nbd".
    boosting : LightGBMSpend
    weight : float in [0, 1]
        Share of the trees.
    horizon_days, margin, discount_rate : float
        Terms of the task.
    """

    terms: ClassVar = ("horizon_days", "margin", "discount_rate")

    def __init__(
        self,
        probabilistic: BuyTillYouDie | None,
        boosting: LightGBMSpend,
        weight: float = 0.5,
        horizon_days: float = HORIZON_DAYS,
        margin: float = MARGIN,
        discount_rate: float = DISCOUNT_RATE,
    ) -> None:
        super().__init__(probabilistic, boosting, weight)
        self.horizon_days = horizon_days
        self.margin = margin
        self.discount_rate = discount_rate

    def set_params(self, **params: Any) -> Self:
        name = params.get("probabilistic")
        if name is not None and not isinstance(name, BuyTillYouDie):
            if not isinstance(name, str) or name not in PROBABILISTIC:
                raise InputError(
                    f"there is no probabilistic model {name!r}",
                    where="probabilistic",
                    hint=did_you_mean(str(name), PROBABILISTIC),
                )
            params["probabilistic"] = PROBABILISTIC[name]()
        return super().set_params(**params)

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit both parts on their own."""
        check_terms(self.horizon_days, self.margin, self.discount_rate)
        return super().fit(X, y)


class ProbabilityBlend(WeightedMean):
    """The probability of an event by a buy-till-you-die model and by trees, averaged.

    Parameters
    ----------
    probabilistic : PurchaseProbability
    boosting : LightGBMProbability
    weight : float in [0, 1]
        Share of the trees.
    horizon_days : float
    event : {"purchase", "inactivity"}
        Terms of the task.
    """

    terms: ClassVar = ("horizon_days", "event")

    def __init__(
        self,
        probabilistic: PurchaseProbability,
        boosting: LightGBMProbability,
        weight: float = 0.5,
        horizon_days: float = HORIZON_DAYS,
        event: str = EVENT,
    ) -> None:
        super().__init__(probabilistic, boosting, weight)
        self.horizon_days = horizon_days
        self.event = event


def blend(probabilistic: str = "mbg_nbd", **params: Any) -> Blend:
    """A blend of the probabilistic model of that name and LightGBM, with parameters by double underscore."""
    return Blend(None, LightGBMSpend()).set_params(probabilistic=probabilistic, **params)


def probability_blend(**params: Any) -> ProbabilityBlend:
    """A blend of a buy-till-you-die model's and LightGBM's probabilities, with parameters by double underscore."""
    return ProbabilityBlend(PurchaseProbability(), LightGBMProbability()).set_params(**params)
