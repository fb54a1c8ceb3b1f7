"""Tier, value tier and stage of further customers, placed among the customers of one day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from experiments.description.groups import cut
from experiments.description.lifecycle.options import LifecycleOptions
from experiments.description.lifecycle.stages import stage_of
from experiments.description.material import TiersInTime
from experiments.description.tiers.options import CLV, TierOptions
from experiments.description.tiers.scores import CLV_READS, expected_spend, levels, score
from experiments.description.value.value_tiers import ValueOptions, value_tiers
from experiments.models.base import Model, dump, load

SPENT, SCORE = "total_spend", "tier_score"


@dataclass(frozen=True)
class TierPlaces:
    """Places among the customers of one day, by which others are put into tiers.

    Attributes
    ----------
    options : TierOptions
    weights : Series
        Of the variables that were present that day.
    known : DataFrame
        The variables, the score and the spend of that day's customers, each column in an order of its own.
    clv : Model or None
        The day's model of expected spend; None where it is no variable.
    """

    options: TierOptions
    weights: pd.Series
    known: pd.DataFrame
    clv: Model | None

    @classmethod
    def of(cls, tiers: TiersInTime) -> TierPlaces:
        """Return the places among the customers of today.

        Raises
        ------
        InputError
            If there are no tiers of that day.
        """
        today, options, clv = tiers.today, tiers.options, None
        if CLV in today.values:
            clv = expected_spend(tiers.shop.features(CLV_READS, [today.cutoff]).droplevel("cutoff"), options)
        known = today.values.assign(**{SCORE: today.score, SPENT: today.spend})
        return cls(options, today.weights, pd.DataFrame({name: np.sort(known[name]) for name in known}), clv)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], known: pd.DataFrame) -> TierPlaces:
        options = {**state["options"], "value": ValueOptions(**state["options"]["value"])}
        weights = pd.Series(state["weights"], dtype=float)
        clv = load(state["clv"]) if state["clv"] is not None else None
        return cls(TierOptions(**options), weights, known, clv)

    @property
    def state(self) -> dict[str, Any]:
        """All but `known`, as values that JSON holds."""
        clv = dump(self.clv) if self.clv is not None else None
        return {"options": asdict(self.options), "weights": self.weights.to_dict(), "clv": clv}

    @property
    def features(self) -> list[str]:
        """Features that a customer is placed by."""
        own = [name for name in self.weights.index if name != CLV]
        return list(dict.fromkeys([*own, SPENT, *(CLV_READS if self.clv is not None else ())]))

    def columns(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return tier, tier_score and value_tier, indexed as `X`."""
        options, values = self.options, pd.DataFrame(index=X.index)
        for name in self.weights.index:
            values[name] = self.clv.predict(X[list(CLV_READS)]) if name == CLV and self.clv is not None else X[name]
        final = score(levels(values, options.reversed, options.n_levels, self.known), self.weights)
        tier = cut(final, options.names, options.cut_points, options.by, self.known[SCORE].to_numpy())
        value = value_tiers(X[SPENT], options.value, self.known[SPENT].to_numpy())
        return pd.DataFrame({"tier": tier, SCORE: final, "value_tier": value})


@dataclass(frozen=True)
class Stages:
    """Rules of the stages, which read no other customer."""

    options: LifecycleOptions

    @property
    def features(self) -> list[str]:
        """Features that the rules read."""
        return list(self.options.features)

    def columns(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return stage, indexed as `X`."""
        return stage_of(X, self.options).to_frame()
