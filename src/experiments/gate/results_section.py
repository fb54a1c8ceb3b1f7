"""Model results as a section of the report: what is in use for each task, and the gate's verdict on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from experiments.evaluation.amounts import UNRELIABLE
from experiments.evaluation.profit import WORTH
from experiments.gate.chance import Knowledge, knowledge
from experiments.gate.decision_page import figure as short
from experiments.gate.decision_page import in_money
from experiments.gate.ledger import Look, judged_number, look_at
from experiments.gate.rule import UNJUDGED, Decision, Use, counted
from experiments.reports.figures import BLUE, GREEN, GREY, WIDTH, dress
from experiments.reports.material import InUse, Material
from experiments.reports.section import Part, Picture, Table, Text, Topic, enumerated
from experiments.reports.words import worded
from experiments.tasks import in_words
from experiments.tracking.registry import Registry, Version
from experiments.tracking.store import MlflowClient

CAPTION = "What is in use, with its figure. Amounts: how far the actual total may be from the predicted one."
BESIDE = ("best not in use", "its figure", "windows")
COLORS = {"strong": GREEN, "weak": BLUE}


@dataclass(frozen=True)
class Answer:
    """Model in use for a task, and how it was judged.

    Attributes
    ----------
    task : str
        In a marketer's words.
    tags : mapping
        Of the version in use.
    said : str
        The verdict in words.
    use : Use or None
        Its figure, beside the best of the others; None where it was put in use without a look.
    in_use : str
        The model in use, in words.
    decision : Decision or None
        Of the last look at the sealed window; None where there was none.
    known : Knowledge or None
        What the model in use was measured to know; None where it was not measured beside chance.
    money : str
        What the gain is in money; "" where that is not known.
    """

    task: str
    tags: Mapping[str, str]
    said: str
    use: Use | None
    in_use: str
    decision: Decision | None
    known: Knowledge | None = None
    money: str = ""

    @property
    def verdict(self) -> str:
        """The verdict, corrected for the tasks that were judged together."""
        return self.tags.get("verdict", UNJUDGED)

    @property
    def is_baseline(self) -> bool:
        return self.tags.get("kind") == "naive"


class ResultsMaterial(Material, Protocol):
    """Material of the section, in addition to that of any section."""

    @property
    def champions(self) -> Mapping[str, Version]:
        """The version in use of each task that has one, by the task's name."""

    @property
    def verdicts(self) -> Mapping[str, str]:
        """The verdict on each of them, in words."""

    @property
    def client(self) -> MlflowClient: ...


def result_parts(answers: Sequence[Answer]) -> list[Part]:
    """Return a sentence and a row for each task, and the gains in one picture."""
    shown = [answer.task for answer in answers if answer.verdict in COLORS]
    baselines = [answer.task for answer in answers if answer.is_baseline]
    said = f"{len(shown)} of {len(answers)} tasks have a model that beats the best baseline"
    lead = f"{said}: {', '.join(shown)}." if shown else f"{said}."
    if baselines:
        lead += f" A baseline is in use for {enumerated(baselines)}."
    blind = [answer for answer in answers if answer.known is not None and answer.known.is_blind]
    if blind:
        lead += (
            f" Do not choose customers by what is predicted for {enumerated([answer.task for answer in blind])}: it is "
            "not shown to be better than chance."
        )
    parts: list[Part] = [Text(lead, "lead")]
    for answer in answers:
        known = f" {answer.known}" if answer.known is not None else ""
        money = f" In money: {answer.money}." if answer.money else ""
        parts.append(Text(f"{_capital(answer.task)}, {answer.said}.{known}{money}"))
    rows = _rows(answers)
    parts.append(Table("verdicts", rows.drop(columns=list(BESIDE)), CAPTION))
    judged = [answer for answer in answers if answer.decision is not None]
    if judged:
        parts.append(
            Picture(
                "gains",
                gains_figure(judged),
                "Gain over the best baseline, in units of the smallest gain that matters, with its confidence "
                "interval. Right of 1 the gain is worth a model; if the interval contains 0, it may be chance.",
            )
        )
    parts.append(
        Table("beside", rows[["task", *BESIDE]], "The best of the models that are not in use, in the same windows.")
    )
    parts.append(
        Text(
            "Each model was compared with every baseline on the same rows, in windows that it was not chosen on, the "
            "sealed one among them. What is in use measured best, or no other model was shown to be better. Intervals "
            "show how far figures vary with the customers (of a series: the weeks or days), not with the season.",
            "note",
        )
    )
    return parts


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def gains_figure(answers: Sequence[Answer]) -> Figure:
    """Draw the gain over the best baseline and its interval, in units of the smallest effect, by task."""
    figure = Figure(figsize=(WIDTH, 1.7 + 0.5 * len(answers)), dpi=120, layout="constrained")
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
    axes.set_yticks(range(len(answers)), [answer.task for answer in answers])
    axes.set_ylim(len(answers) - 0.4, -0.6)
    axes.margins(x=0.15)
    dress(
        axes,
        title=_found(answers),
        subtitle="gain over it; lines: confidence intervals; dashed: the smallest gain that matters",
        xlabel="gain / smallest gain that matters",
        ylabel="",
    )
    return figure


def _found(answers: Sequence[Answer]) -> str:
    """Return what the picture shows, as its title."""
    better = sum(answer.verdict in COLORS for answer in answers)
    return f"{better} of {len(answers)} tasks beat the best baseline"


def _rows(answers: Sequence[Answer]) -> pd.DataFrame:
    rows = []
    for answer in answers:
        row = {"task": answer.task, "verdict": answer.verdict, "in use": answer.in_use}
        row |= dict.fromkeys(("figure", "interval", "windows", "best not in use", "its figure"), "-")
        if answer.use is not None and answer.decision is not None:
            use = answer.use
            row |= {
                "figure": f"{worded(answer.decision.metric)} {short(use.estimate)}",
                "interval": " to ".join(map(short, use.interval)),
                "windows": counted(use.windows),
            }
            row |= {"best not in use": use.other_label, "its figure": short(use.other_estimate)} if use.other else {}
        rows.append({**row, "amounts": answer.tags.get("amounts", "-")})
    return pd.DataFrame(rows)


def in_use(version: Version, client: MlflowClient) -> InUse:
    """Return a version as the report describes it, with its total in the sealed window where it was evaluated."""
    evaluated = Registry(client, version.name).get(judged_number(version))
    logged = client.get_run(evaluated.run_id).data.metrics
    known = knowledge(Registry(client, version.name), version)
    evaluated_as = "sealed/total_ratio"
    if version.is_baseline:  # the gate evaluates baselines as they are, and one in use is calibrated
        evaluated_as = "" if "amounts" in version.tags else f"sealed/{version.tags['model']}/total_ratio"
    return InUse(
        name=version.label,
        version=f"{version.name}, version {version.number}",
        is_baseline=version.is_baseline,
        is_judged=any(metric.startswith("sealed/") for metric in logged),
        amounts=version.tags.get("amounts_said", ""),
        total_ratio=logged.get(evaluated_as, math.nan),
        total_interval=(logged.get(f"{evaluated_as}_low", math.nan), logged.get(f"{evaluated_as}_high", math.nan)),
        tenth_ratios=(
            logged.get(f"{evaluated_as}_lowest_tenth", math.nan),
            logged.get(f"{evaluated_as}_highest_tenth", math.nan),
        ),
        is_unreliable=version.tags.get("amounts") == UNRELIABLE,
        knows=str(known) if known is not None else "",
        is_blind=known is not None and known.is_blind,
    )


def _write(material: ResultsMaterial) -> list[Part]:
    answers = []
    for task, version in material.champions.items():
        registry = Registry(material.client, version.name)
        last = look_at(registry, version)
        answers.append(
            Answer(
                task=in_words(task, version.tags["task"]),
                tags=version.tags,
                said=material.verdicts[task],
                use=last.use_of(version) if last else None,
                in_use=version.label,
                decision=last.decision if last else None,
                known=knowledge(registry, version),
                money=_money(material, registry, version, last),
            )
        )
    return result_parts(answers)


def _money(material: ResultsMaterial, registry: Registry, version: Version, last: Look | None) -> str:
    """Say what the gain of the last look is in money; "" where the task's metric has no such worth."""
    if last is None:
        return ""
    evaluated = registry.get(judged_number(version))
    worth = material.client.get_run(evaluated.run_id).data.metrics.get(f"sealed/{WORTH}", math.nan)
    return in_money(last.decision, worth, version.tags.get("currency", "")) if math.isfinite(worth) else ""


RESULTS = Topic("verdicts", "Model results", 10, _write)
