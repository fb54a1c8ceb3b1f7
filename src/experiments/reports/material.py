"""Material: what sections are made from, as those rooms see it that a report is put together above of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

import pandas as pd

if TYPE_CHECKING:
    from experiments.evaluation.splits import Splits
    from features.shop import Shop


@dataclass(frozen=True)
class InUse:
    """Model in use for a task, as the report describes it.

    Attributes
    ----------
    name : str
        In words: "spend in the last 91 days".
    version : str
        Where to find it: "store-clv, version 2".
    is_baseline : bool
        Whether it is a baseline.
    is_judged : bool
        Whether it, or the model in whose place it is used, was looked at in the sealed window.
    total_ratio : float
        Its total there over the actual total; NaN where it is not known.
    total_interval : (float, float)
        95% interval of that, over customers like these; NaN likewise.
    tenth_ratios : (float, float)
        The same of the tenths of customers predicted lowest and highest; NaN likewise.
    amounts : str
        How far its totals can be trusted, in a sentence; empty where it predicts no amounts, or nothing is known.
    is_unreliable : bool
        Whether its totals are not to be shown: only the order of customers is of use.
    knows : str
        Its figure beside that of chance, in a sentence; empty where it was not measured.
    is_blind : bool
        Whether it was not shown to be better than chance: nobody is to be chosen by its predictions.
    """

    name: str
    version: str
    is_baseline: bool
    is_judged: bool
    total_ratio: float = math.nan
    amounts: str = ""
    total_interval: tuple[float, float] = (math.nan, math.nan)
    tenth_ratios: tuple[float, float] = (math.nan, math.nan)
    is_unreliable: bool = False
    knows: str = ""
    is_blind: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.version})"

    @property
    def standing(self) -> str:
        """Its evaluation in a sentence or two."""
        if not self.is_judged:
            return "It was never evaluated on the sealed window."
        said = ["This is a baseline."] if self.is_baseline else []
        said += [self.knows] if self.knows else []
        if math.isfinite(self.total_ratio):
            low, high = self.total_interval
            spread = f" (95% interval {low:.2f} to {high:.2f})" if math.isfinite(high) else ""
            said.append(f"In the sealed window its total was {self.total_ratio:.2f} times the actual one{spread}.")
        if all(map(math.isfinite, self.tenth_ratios)):
            lowest, highest = (f"{ratio:.2f} times" for ratio in self.tenth_ratios)
            said.append(f"Of the tenth predicted lowest it was {lowest}, of the tenth predicted highest {highest}.")
        return " ".join(said)


@dataclass(frozen=True)
class Evaluated:
    """Evaluation of a model in use, as it was measured in a window that it was not chosen on.

    Attributes
    ----------
    tables : mapping of label to mapping of name to DataFrame
        Tables of the evaluation, of the model itself first, then of those it is compared with.
    window : str
        In words: "sealed window from 2017-10-03".
    """

    tables: Mapping[str, Mapping[str, pd.DataFrame]]
    window: str


class Material(Protocol):
    """Material of any section, computed when first needed; each attribute may raise an InputError that says why not.

    A room that needs more states so in a Protocol of its own.
    """

    @property
    def shop(self) -> Shop: ...

    @property
    def as_of(self) -> date:
        """The day of the report, not included."""

    @property
    def splits(self) -> Splits:
        """Cutoffs whose last validation window ends by the sealed cutoff, for the longest horizon of the report."""

    @property
    def scores(self) -> pd.DataFrame:
        """Predictions of the models in use at `as_of`, with the main features, indexed customer_id."""

    @property
    def groups(self) -> pd.Series:
        """The tier of each customer at `as_of`, an ordered categorical, the best first."""

    @property
    def about_groups(self) -> str:
        """A sentence that says of which day the groups are, and how they were made."""

    @property
    def languages(self) -> Sequence[str]:
        """Of texts that are there in several languages."""

    def question(self, names: Sequence[str]) -> str | None:
        """Return the question that a section shows, of a task that has these names; None if no model answers one.

        The configured question comes first, then those with the task's default options, then others, such as those of
        another horizon. Its columns among the scores end as its name does.
        """

    def in_use(self, question: str) -> InUse:
        """Return the model in use for a question, by its name."""

    def evaluated(self, question: str) -> Evaluated | None:
        """Return how right a question's model in use was; None if unknown."""

    def drivers(self, question: str) -> pd.DataFrame | None:
        """Return what moves a question's predictions: see `evaluation.importances.drivers`; None if unknown."""

    def again(self, command: str) -> str:
        """Return a command to type, with the choices of this one."""
