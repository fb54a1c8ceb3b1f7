"""Rows of features with what models predict of them: rows of customer_360, and of the files of other grains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from experiments.gate.rule import UNJUDGED
from experiments.models.buy_till_you_die import BuyTillYouDie
from experiments.tasks import questions
from experiments.tasks.base import Task
from features.tables import parse_day


class InUse(Protocol):
    """A model in use: a version of the registry, or a copy of one."""

    @property
    def name(self) -> str: ...

    @property
    def number(self) -> int: ...

    @property
    def suffix(self) -> str:
        """End of its columns: options that are not the task's default ones."""

    @property
    def tags(self) -> Mapping[str, str]: ...

    def scores(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute all outputs, indexed as X."""


def kind_of(version: InUse) -> type[Task]:
    """Return the class of the task that a version answers."""
    return questions()[version.tags["task"]]


def about(name: str, version: InUse) -> dict[str, object]:
    """Return the columns that name the horizon, version, verdict, population and amounts behind a task's scores."""
    return {
        f"{name}_horizon_days": int(version.tags["horizon_days"]),
        f"{name}_model": f"{version.name}/{version.number}",
        f"{name}_verdict": version.tags.get("verdict", UNJUDGED),
        f"{name}_population": version.tags["population"],
        **({f"{name}_amounts": version.tags["amounts"]} if "amounts" in version.tags else {}),
    }


@dataclass(frozen=True)
class Scorer:
    """Function of rows of features: the same rows with what the champions predict.

    Attributes
    ----------
    key : tuple of str
        Columns that name a row.
    champions : mapping of question to Version
    currency, as_of : str
    """

    key: tuple[str, ...]
    champions: Mapping[str, InUse]
    currency: str
    as_of: str

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        X = batch.to_pandas().set_index(list(self.key))
        parts = self.before(X)
        parts += [
            self.columns(name, version, X).add_suffix(version.suffix).assign(**about(name, version))
            for name, version in self.champions.items()
        ]
        parts.append(pd.DataFrame({**self.after(X), "currency": self.currency, "as_of": self.as_of}, index=X.index))
        return pa.RecordBatch.from_pandas(pd.concat(parts, axis=1).reset_index(), preserve_index=False)

    def before(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return the columns that stand before the scores."""
        return []

    def columns(self, question: str, version: InUse, X: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that a version's scores become."""
        return version.scores(X)

    def after(self, X: pd.DataFrame) -> dict[str, object]:
        """Return the columns that stand behind the scores."""
        return {}


@dataclass(frozen=True)
class View:
    """View of customers by a task of another grain.

    Attributes
    ----------
    columns : DataFrame, indexed customer_id
    about : mapping of str to object
        Columns that are the same for all: see `about`.
    """

    columns: pd.DataFrame
    about: Mapping[str, object]

    @classmethod
    def of(cls, question: str, version: InUse, scores: pd.DataFrame) -> View | None:
        """Fold scores, or what `Task.lists` makes of them; None where the task keeps them out of customer_360."""
        columns = kind_of(version).customer_view(scores)
        return None if columns is None else cls(columns.add_suffix(version.suffix), about(question, version))


@dataclass(frozen=True)
class CustomerScorer(Scorer):
    """Function of customers' features: their rows of customer_360.

    Attributes
    ----------
    shown : list of str
        Features that tasks show beside the scores.
    views : mapping of question to View
        Of tasks of other grains.
    described : DataFrame or None, indexed customer_id
        Tier, stage and the like.
    purchasing : BuyTillYouDie or None
        Predicts p_alive and expected_purchases.
    horizon_days : int
        Of expected_purchases.
    """

    shown: list[str]
    views: Mapping[str, View]
    purchasing: BuyTillYouDie | None
    horizon_days: int
    described: pd.DataFrame | None = None

    def before(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        return [
            X[self.shown],
            *(view.columns.reindex(X.index).assign(**view.about) for view in self.views.values()),
        ]

    def columns(self, question: str, version: InUse, X: pd.DataFrame) -> pd.DataFrame:
        kind, scores = kind_of(version), version.scores(X)
        columns = kind.customer_columns(scores, parse_day(self.as_of), int(version.tags["horizon_days"]))
        eligible = kind.eligible(question, X)
        return columns if eligible is None else columns.where(pd.Series(eligible, index=X.index))

    def after(self, X: pd.DataFrame) -> dict[str, object]:
        is_fitted = self.purchasing is not None
        known = self.described.reindex(X.index) if self.described is not None else pd.DataFrame(index=X.index)
        return {
            "p_alive": self.purchasing.p_alive(X) if is_fitted else np.nan,
            "expected_purchases": self.purchasing.expected_purchases(X) if is_fitted else np.nan,
            "purchases_horizon_days": self.horizon_days,
            **{str(name): in_words(values) for name, values in known.items()},
        }


def in_words(values: pd.Series) -> pd.Series:
    """Return categories as texts, which every format and engine writes alike; a batch without any is of texts too."""
    return values if pd.api.types.is_numeric_dtype(values) else values.astype("string")
