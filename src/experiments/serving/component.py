"""A champion's model inside another model: its text, its outputs and the tags that its columns are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from experiments.models.base import Model, load

TAGS = ("task", "horizon_days", "verdict", "population", "amounts", "model")  # that columns and manifest are made of


@dataclass(frozen=True)
class Component:
    """One champion, as it was when it was embedded.

    Attributes
    ----------
    question : str
    name : str
        Of the registered model.
    number : int
        Of the version.
    tags : mapping
        Those of `TAGS` that the version has.
    features, outputs : sequence of str
    allowed : sequence of str
        Code that its text may import: see `models.base.load`.
    model : Model
    """

    question: str
    name: str
    number: int
    tags: Mapping[str, str]
    features: Sequence[str]
    outputs: Sequence[str]
    allowed: Sequence[str]
    model: Model

    @classmethod
    def from_state(cls, state: Mapping[str, Any], text: str) -> Component:
        return cls(**state, model=load(text, state["allowed"]))

    @property
    def state(self) -> dict[str, Any]:
        """All but the model, as values that JSON holds."""
        return {name: value for name, value in self.__dict__.items() if name != "model"}

    @property
    def suffix(self) -> str:
        """End of its columns: options that are not the task's default ones."""
        return self.question.removeprefix(self.tags["task"])

    @property
    def manifest(self) -> dict[str, Any]:
        """Return what an answer says of it."""
        own = {name: self.tags[name] for name in ("model", "verdict") if name in self.tags}
        return {"version": f"{self.name}/{self.number}", **own, "horizon_days": int(self.tags["horizon_days"])}

    def scores(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute all outputs, indexed as X.

        Raises
        ------
        ArithmeticError
            If one is not finite.
        """
        rows = X[list(self.features)].reset_index(drop=True)
        scores = pd.DataFrame(self.model.outputs(rows), columns=list(self.outputs)).set_axis(X.index, axis=0)
        if not np.isfinite(scores.to_numpy(dtype=float)).all():
            raise ArithmeticError(f"{self.question} has an answer that is not finite")
        return scores
