"""Mean of several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import Model
from features.errors import InputError


class Ensemble(Model):
    """Mean of the predictions of several models: amounts or probabilities.

    Parameters
    ----------
    members : sequence of Model
        At least two. In configuration, a mapping of each candidate's name to its parameters.

    Attributes
    ----------
    members_ : list of Model
        Fitted, in the order of `members`.

    Examples
    --------
    >>> from experiments.models import Constant, NaiveSpend
    >>> X = pd.DataFrame({"lifetime_spend_rate": [1.0, 3.0]})
    >>> Ensemble([Constant(), NaiveSpend()]).fit(X, pd.Series([80.0, 100.0])).predict(X).tolist()
    [90.0, 180.0]
    """

    def __init__(self, members: Sequence[Model] = ()) -> None:
        self.members = members

    @property
    def context(self) -> tuple[str, ...]:
        """Features that the members read."""
        return tuple(dict.fromkeys(name for member in self.members for name in member.context))

    @property
    def libraries(self) -> tuple[str, ...]:
        """Names of all members, sorted."""
        return tuple(sorted({name for member in self.members for name in member.libraries}))

    def check(self) -> None:
        """Check the members, of which there must be at least two."""
        if len(self.members) < 2:
            raise InputError(
                "the ensemble has too few members",
                where="model.params.members",
                expected="a mapping of at least two candidates to their parameters",
                found=f"{len(self.members)}",
                hint="'model.params.members={lightgbm: {}, mbg_nbd: {}}', or tuning.ensemble=true",
            )
        for member in self.members:
            member.check()

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit each member separately."""
        self.check()
        return self.of([clone(member).fit(X, y) for member in self.members])

    def of(self, fitted: Sequence[Model]) -> Self:
        """Take members that were fitted elsewhere, in the order of `members`."""
        self.members_ = list(fitted)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the mean of the members: array of shape (n_rows,)."""
        check_is_fitted(self)
        return np.mean([member.predict(X) for member in self.members_], axis=0)

    def get_state(self) -> dict[str, Any]:
        return {"members": [member.get_state() for member in self.members_]}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        pairs = zip(self.members, state["members"], strict=True)
        return self.of([clone(member).set_state(own) for member, own in pairs])
