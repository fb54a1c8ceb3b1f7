"""Options of the scores of customers, and of the cuts of tiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.description.groups import BY, check_cuts
from experiments.description.value.value_tiers import ValueOptions
from features.errors import InputError, check_type, did_you_mean, listing
from features.families import resolve

CLV = "clv"  # the one variable that is no feature
LEARNT, EQUAL, CLV_ALONE = "learnt", "equal", "expected spend alone"
IN_WORDS = {CLV: "expected spend"}


@dataclass
class TierOptions:
    """Variables that customers are scored by, and cut points of tiers. Values and their meaning are in conf/tiers/.

    They are checked where tiers are asked for, not when they are read: who tunes a model asks for none.

    Attributes
    ----------
    variables : list of str
        Features, and `clv`: expected spend in the next `horizon_days` by BG/NBD x gamma-gamma.
    reversed : list of str
        Those of them of which less is better.
    rivals : dict of name to weights
        Weights by variable, at least 0, to compare with; scaled to a sum of 1.
    n_levels : int
        Scores run from 1 to this.
    names : list of str
        The tiers, the best first.
    cut_points : list of float
        Rising, one fewer than names: see `groups.cut`.
    by : str
        "quantile": cut points are shares of customers, counted from the best; "score": thresholds of the score.
    horizon_days : int
        In which spend is looked at.
    value : ValueOptions
        Of the tiers by spend alone.
    """

    variables: list[str]
    reversed: list[str]
    rivals: dict[str, dict[str, Any]]
    n_levels: int
    names: list[str]
    cut_points: list[float]
    by: str
    horizon_days: int
    value: ValueOptions

    def check(self) -> None:
        """Refuse options that do not go together; those of the value tiers have a check of their own.

        Raises
        ------
        InputError
        """
        if self.features:
            resolve(self.features, "tiers.variables")
        if not self.variables or len(set(self.variables)) < len(self.variables):
            raise InputError(
                "tiers.variables is empty or has duplicates",
                where="tiers.variables",
                expected="names of features, or clv",
                found=str(self.variables),
            )
        for key, named in {"reversed": self.reversed, **{f"rivals.{k}": v for k, v in self.rivals.items()}}.items():
            unknown = [name for name in named if name not in self.variables]
            if unknown:
                raise InputError(
                    f"{unknown[0]!r} is not one of the variables",
                    where=f"tiers.{key}",
                    expected=f"some of {listing(self.variables)}",
                    hint=did_you_mean(unknown[0], self.variables),
                )
        for name, weights in self.rivals.items():
            if name in (LEARNT, EQUAL, CLV_ALONE):
                raise InputError(f"the name {name!r} is taken", where="tiers.rivals", expected="another name")
            for variable, weight in weights.items():
                check_type(weight, "float", f"tiers.rivals.{name}.{variable}")
            if min(weights.values(), default=0) < 0 or not 0 < sum(weights.values()) < np.inf:
                raise InputError(
                    "the weights are not valid",
                    where=f"tiers.rivals.{name}",
                    expected="weights >= 0 with a sum above 0",
                    found=str(weights),
                )
        for key, least in (("n_levels", 2), ("horizon_days", 1)):
            if getattr(self, key) < least:
                raise InputError(
                    f"{key} is out of range",
                    where=f"tiers.{key}",
                    expected=f"at least {least}",
                    found=str(getattr(self, key)),
                )
        if self.by not in BY:
            raise InputError(
                f"tiers cannot be cut by {self.by!r}",
                where="tiers.by",
                expected=" or ".join(BY),
                hint=did_you_mean(self.by, BY),
            )
        lowest, highest = (0, 1) if self.by == "quantile" else (1, self.n_levels)
        check_cuts(self.names, self.cut_points, "tiers", lowest, highest)

    @property
    def features(self) -> list[str]:
        """The variables that are features."""
        return [name for name in self.variables if name != CLV]
