"""The verdicts of the gate, first of what a marketer reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from experiments.gate.decision_page import figure as short
from experiments.gate.decision_page import in_words
from experiments.gate.rule import Decision
from experiments.reports.figures import BLUE, GREEN, GREY, dress
from experiments.reports.section import Part, Picture, Section, Table, Text, enumerated

CAPTION = (
    "What is in use; the model that was judged, and its figure on days kept sealed; the simple rule that came nearest."
)
COLORS = {"strong": GREEN, "weak": BLUE}


@dataclass(frozen=True)
class Answer:
    """What is in use for a question, and how it was judged.

    Attributes
    ----------
    question : str
    tags : mapping
        Of the version in use.
    said : str
        The verdict in words.
    judged : str
        The model that was looked at: the one in use, or the one that a naive model stands for.
    decision : Decision or None
        Of the last look at the sealed window; None where there was none.
    window : str
        The days that were looked at.
    """

    question: str
    tags: Mapping[str, str]
    said: str
    judged: str
    decision: Decision | None
    window: str

    @property
    def verdict(self) -> str:
        """After the correction for the questions that were asked together."""
        return self.tags.get("verdict", "not judged")

    @property
    def is_naive(self) -> bool:
        return self.tags.get("kind") == "naive"


def verdicts_section(answers: Sequence[Answer]) -> Section:
    """A sentence and a row for each question, and the gains in one picture."""
    shown = [answer.question for answer in answers if not answer.is_naive and answer.verdict in COLORS]
    naive = [answer.question for answer in answers if answer.is_naive]
    said = f"{len(shown)} of {len(answers)} questions have a model that does measurably better than reckoning by hand"
    lead = f"{said}: {', '.join(shown)}." if shown else f"{said}."
    if naive:
        lead += f" For {enumerated(naive)} a simple rule is used, as nothing better was shown."
    parts: list[Part] = [Text(lead, "lead")]
    for answer in answers:
        parts.append(Text(f"{answer.question}: {answer.said}."))
    parts.append(Table("verdicts", _rows(answers), CAPTION))
    judged = [answer for answer in answers if answer.decision is not None]
    if judged:
        parts.append(
            Picture(
                "gains",
                gains_figure(judged),
                "Gain over the nearest simple rule, in units of the smallest gain that matters, with its interval: "
                "right of 1 it is worth a model, an interval that holds 0 may be chance.",
            )
        )
    parts.append(
        Text(
            "Each model was compared with every simple rule on the same customers, in days that it had not seen. "
            "Intervals say how far figures vary with who the customers are; another season is another draw.",
            "note",
        )
    )
    return Section("verdicts", parts)


def gains_figure(answers: Sequence[Answer]) -> Figure:
    """Gain over the nearest naive model and its interval, in units of the smallest effect, a row for each question."""
    figure = Figure(figsize=(6.8, 1.7 + 0.5 * len(answers)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for row, answer in enumerate(answers):
        assert answer.decision is not None
        nearest, unit = answer.decision.nearest, answer.decision.min_effect or 1.0
        low, high = (end / unit for end in nearest.interval)
        color = COLORS.get(answer.verdict, GREY)
        axes.plot([low, high], [row, row], color=color, linewidth=2.4, solid_capstyle="butt")
        axes.plot(nearest.gain / unit, row, color=color, marker="o", markersize=7)
        axes.annotate(answer.verdict, (high, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.axvline(1, color=GREY, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(answers)), [answer.question for answer in answers])
    axes.set_ylim(len(answers) - 0.4, -0.6)
    axes.margins(x=0.15)
    dress(
        axes,
        title="Gain over the nearest simple rule",
        subtitle="line: interval; dashed: the smallest gain that matters",
        xlabel="gain / smallest gain that matters",
        ylabel="",
    )
    return figure


def _rows(answers: Sequence[Answer]) -> pd.DataFrame:
    rows = []
    for answer in answers:
        row = {"question": answer.question, "verdict": answer.verdict, "in use": in_words(answer.tags["model"])}
        row |= dict.fromkeys(("judged", "figure", "interval", "nearest simple rule", "its figure", "sealed days"), "-")
        if (decision := answer.decision) is not None:
            row |= {
                "judged": in_words(answer.judged),
                "figure": f"{decision.metric} {short(decision.estimate)}",
                "interval": " to ".join(map(short, decision.interval)),
                "nearest simple rule": in_words(decision.baseline),
                "its figure": short(decision.nearest.estimate),
                "sealed days": answer.window,
            }
        rows.append(row)
    return pd.DataFrame(rows)
