"""A probabilistic model and boosted trees, averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone

from experiments.models.base import DISCOUNT_RATE, HORIZON_DAYS, MARGIN, Model, check_terms
from experiments.models.boosting import LightGBMSpend
from experiments.models.probabilistic import PROBABILISTIC, BuyTillYouDie
from features.errors import InputError, did_you_mean

TERMS = ("horizon_days", "margin", "discount_rate")


class Blend(Model):
    """prediction = weight x boosting + (1 - weight) x probabilistic.

    The trees rank better, the probabilistic model extrapolates better from little data; their errors
    differ, so that the mean of both tends to beat either.

    Parameters
    ----------
    probabilistic : BuyTillYouDie
        `set_params` also takes its registered name; `probabilistic__penalizer_coef` and the like reach into it.
    boosting : LightGBMSpend
        `boosting__num_leaves` and the like reach into it.
    weight : float in [0, 1]
        Share of the trees.
    horizon_days, margin, discount_rate : float
        Terms of the task, handed on to the probabilistic part in place of its own.

    Attributes
    ----------
    probabilistic_, boosting_
        The fitted parts.
    """

    def __init__(
        self,
        probabilistic: BuyTillYouDie | None,
        boosting: LightGBMSpend,
        weight: float = 0.5,
        horizon_days: float = HORIZON_DAYS,
        margin: float = MARGIN,
        discount_rate: float = DISCOUNT_RATE,
    ) -> None:
        self.probabilistic = probabilistic
        self.boosting = boosting
        self.weight = weight
        self.horizon_days = horizon_days
        self.margin = margin
        self.discount_rate = discount_rate

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        hidden = {f"probabilistic__{term}" for term in TERMS}
        return {name: value for name, value in super().get_params(deep).items() if name not in hidden}

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
        if not 0 <= self.weight <= 1:
            raise InputError("weight is out of range", where="weight", expected="in [0, 1]", found=str(self.weight))
        check_terms(self.horizon_days, self.margin, self.discount_rate)
        self.probabilistic_ = self._probabilistic().fit(X, y)
        self.boosting_ = clone(self.boosting).fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Value in the horizon, in currency: array of shape (n_rows,), >= 0."""
        return self.weight * self.boosting_.predict(X) + (1 - self.weight) * self.probabilistic_.predict(X)

    def _probabilistic(self) -> BuyTillYouDie:
        return clone(self.probabilistic).set_params(**{term: getattr(self, term) for term in TERMS})

    def get_state(self) -> dict[str, Any]:
        return {"probabilistic": self.probabilistic_.get_state(), "boosting": self.boosting_.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.probabilistic_ = self._probabilistic().set_state(state["probabilistic"])
        self.boosting_ = clone(self.boosting).set_state(state["boosting"])
        return self


def blend(probabilistic: str = "mbg_nbd", **params: Any) -> Blend:
    """A blend of the probabilistic model of that name and LightGBM, with parameters by double underscore."""
    return Blend(None, LightGBMSpend()).set_params(probabilistic=probabilistic, **params)
