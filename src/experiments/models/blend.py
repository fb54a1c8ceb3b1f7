"""Weighted means of a probabilistic model and boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import clone

from experiments.models.base import DISCOUNT_RATE, HORIZON_DAYS, MARGIN, Model, check_terms
from experiments.models.boosting import LightGBM, LightGBMProbability, LightGBMSpend
from experiments.models.buy_till_you_die import BuyTillYouDie
from experiments.models.buy_till_you_die import probabilistic as named
from experiments.models.probabilities import EVENT, PurchaseProbability
from features.errors import InputError


class WeightedMean(Model):
    """Weighted mean of two models: weight x boosting + (1 - weight) x probabilistic.

    The trees rank better; the probabilistic model extrapolates better from little data. Their errors differ, so
    their mean tends to beat both.

    Parameters
    ----------
    probabilistic, boosting : Model
        Set their parameters with a double underscore: `probabilistic__penalizer_coef`, `boosting__num_leaves`.
    weight : float in [0, 1]
        Share of the trees.

    Attributes
    ----------
    probabilistic_, boosting_
        The fitted parts.
    """

    terms: ClassVar[tuple[str, ...]]  # set by the task; they replace those of the probabilistic part

    def __init__(self, probabilistic: Model | None, boosting: LightGBM, weight: float) -> None:
        self.probabilistic = probabilistic
        self.boosting = boosting
        self.weight = weight

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        hidden = {f"probabilistic__{term}" for term in self.terms}
        return {name: value for name, value in super().get_params(deep).items() if name not in hidden}

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit each part separately."""
        if not 0 <= self.weight <= 1:
            raise InputError("weight is out of range", where="weight", expected="in [0, 1]", found=str(self.weight))
        self.probabilistic_ = self._probabilistic().fit(X, y)
        self.boosting_ = clone(self.boosting).fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the weighted mean of both parts: array of shape (n_rows,)."""
        return self.weight * self.boosting_.predict(X) + (1 - self.weight) * self.probabilistic_.predict(X)

    def contributions(self, X: pd.DataFrame) -> pd.DataFrame | None:
        """Return those of the trees: the probabilistic part reads the history of purchases alone."""
        return self.boosting_.contributions(X)

    def _probabilistic(self) -> Model:
        return clone(self.probabilistic).set_params(**{term: getattr(self, term) for term in self.terms})

    def get_state(self) -> dict[str, Any]:
        return {"probabilistic": self.probabilistic_.get_state(), "boosting": self.boosting_.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.probabilistic_ = self._probabilistic().set_state(state["probabilistic"])
        self.boosting_ = clone(self.boosting).set_state(state["boosting"])
        return self


class Blend(WeightedMean):
    """Spend, as the weighted mean of a buy-till-you-die model and of boosted trees.

    Parameters
    ----------
    probabilistic : BuyTillYouDie
        `set_params` also takes its registered name: "bg_nbd", "mbg_nbd" or "pareto_nbd".
    boosting : LightGBMSpend
    weight : float in [0, 1]
        Share of the trees.
    horizon_days, margin, discount_rate : float
        Terms of the task.

    Examples
    --------
    >>> blend("bg_nbd", weight=0.3)
    Blend(boosting=LightGBMSpend(), probabilistic=BGNBD(), weight=0.3)
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
            params["probabilistic"] = named(name, "probabilistic")()
        return super().set_params(**params)

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit each part separately."""
        check_terms(self.horizon_days, self.margin, self.discount_rate)
        return super().fit(X, y)


class ProbabilityBlend(WeightedMean):
    """Probability of an event, as the weighted mean of a buy-till-you-die model and of boosted trees.

    Parameters
    ----------
    probabilistic : PurchaseProbability
    boosting : LightGBMProbability
    weight : float in [0, 1]
        Share of the trees.
    horizon_days : float
    event : {"purchase", "inactivity"}
        Terms of the task.

    Examples
    --------
    >>> probability_blend(weight=0.3, boosting__num_leaves=7).boosting
    LightGBMProbability(num_leaves=7)
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
    """Build a blend of LightGBM and the named probabilistic model; `part__parameter` sets a part's parameter."""
    return Blend(None, LightGBMSpend()).set_params(probabilistic=probabilistic, **params)


def probability_blend(**params: Any) -> ProbabilityBlend:
    """Build a blend of LightGBM's and a buy-till-you-die model's probabilities; parameters as in `blend`."""
    return ProbabilityBlend(PurchaseProbability(), LightGBMProbability()).set_params(**params)
