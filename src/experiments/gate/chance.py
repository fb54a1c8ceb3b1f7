"""Is a model in use better than chance? What it was measured to know of a row, beside predictions that know nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.gate.decision_page import figure
from experiments.gate.ledger import look_at
from experiments.reports.words import worded

if TYPE_CHECKING:  # MLflow takes seconds to import
    from experiments.tracking.registry import Registry, Version


@dataclass(frozen=True)
class Knowledge:
    """Figure of a model in use, beside that of chance.

    Attributes
    ----------
    metric : str
    estimate : float
    interval : (float, float)
        Two-sided confidence interval of the estimate.
    confidence : float
        Its coverage.
    chance : float
        The metric's value for predictions that know nothing of a row.
    """

    metric: str
    estimate: float
    interval: tuple[float, float]
    confidence: float
    chance: float

    @property
    def is_blind(self) -> bool:
        """True unless the whole interval is better than chance: then nobody is to be chosen by the predictions."""
        return not self.interval[0] > self.chance  # NaN shows nothing

    @property
    def figures(self) -> str:
        """The figures in words.

        >>> Knowledge("roc_auc", 0.52, (0.48, 0.56), 0.95, 0.5).figures
        'roc auc 0.520, 95% interval 0.480 to 0.560, where chance gives 0.5'
        """
        low, high = map(figure, self.interval)
        spread = f"{self.confidence:.0%} interval {low} to {high}"
        return f"{worded(self.metric)} {figure(self.estimate)}, {spread}, where chance gives {self.chance:g}"

    def __str__(self) -> str:
        return f"{'No better' if self.is_blind else 'Better'} than chance: {self.figures}."


def knowledge(registry: Registry, version: Version) -> Knowledge | None:
    """Return what a version in use was measured to know; None where no look measured it beside chance."""
    look = look_at(registry, version)
    use = look.use_of(version) if look is not None else None
    if look is None or use is None or look.decision.chance is None:
        return None
    decision = look.decision
    return Knowledge(decision.metric, use.estimate, use.interval, decision.nearest.confidence, decision.chance)
