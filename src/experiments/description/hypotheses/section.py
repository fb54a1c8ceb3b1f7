"""Hypotheses as a section of the report: verdicts first, then what each rests on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from experiments.description.hypotheses.trend import Trend
from experiments.description.hypotheses.verdict import FAILS, HOLDS, NOT_TESTED, UNDECIDED, Finding, assess
from experiments.description.material import DescriptionMaterial
from experiments.description.purchasing.section import who
from experiments.description.purchasing.window import Window
from experiments.reports.section import Heading, Part, Table, Text, Topic, enumerated, percent

# As said of one, and of several.
VERDICTS = {
    HOLDS: ("holds", "hold"),
    FAILS: ("does not hold", "do not hold"),
    UNDECIDED: ("is undecided", "are undecided"),
    NOT_TESTED: ("is not tested", "are not tested"),
}


def hypothesis_parts(findings: Sequence[Finding], languages: Sequence[str], window: Window) -> list[Part]:
    """Return a table of verdicts, then for each hypothesis what was found, in words and by tier.

    Parameters
    ----------
    findings : sequence of Finding
        As `assess` returns them.
    languages : sequence of str
        Languages of statements beside English, where a hypothesis has them.
    window : Window
        That they were tested on.
    """
    counts = Counter(finding.verdict for finding in findings)
    if not findings:
        return [Text("There are no hypotheses to test.", kind="note")]
    found = [(counts[verdict], words) for verdict, words in VERDICTS.items() if counts[verdict]]
    summary = enumerated([f"{n} {of_one if n == 1 else of_several}" for n, (of_one, of_several) in found])
    parts: list[Part] = [
        Text(f"Of {len(findings)} hypotheses {summary}. {_advice(counts)}", kind="lead"),
        Text(who(window)),
        Table("verdicts", _verdicts(findings), "Each hypothesis with its verdict on these data."),
        Text(
            "A hypothesis holds if its effect is shown and large enough to matter. It does not hold if the effect is "
            "shown to be smaller. Otherwise it is undecided. It must hold in every tier and measure of its table; the "
            "verdict shows the one that decides. p-values test no effect. Testing several claims at once inflates "
            "false positives, so p-values and intervals are corrected (Bonferroni). One year of data contains each "
            "season once, so it cannot separate a season from that year.",
            kind="note",
        ),
    ]
    for finding in findings:
        parts += [Heading(finding.statement["en"]), *_paragraphs(finding, languages)]
    return parts


def _advice(counts: Mapping[str, int]) -> str:
    if counts[HOLDS]:
        return "Plan campaigns on those that hold only."
    return "Do not plan campaigns on any of them."


def _verdicts(findings: Sequence[Finding]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "statement": [finding.statement["en"] for finding in findings],
            "verdict": [finding.verdict for finding in findings],
            "effect": [_with_interval(finding) for finding in findings],
            "p": [_p(finding.p_value) for finding in findings],
            "case study": [
                (finding.hypothesis.reported if finding.hypothesis else None) or "-" for finding in findings
            ],
        }
    ).set_index("statement")
    return table if (table["case study"] != "-").any() else table.drop(columns="case study")


def _paragraphs(finding: Finding, languages: Sequence[str]) -> list[Part]:
    translated = {
        language: text for language, text in finding.statement.items() if language in languages and language != "en"
    }
    parts: list[Part] = [Text(text, lang=language) for language, text in translated.items()]
    hypothesis = finding.hypothesis
    if finding.verdict == NOT_TESTED or hypothesis is None:
        return [*parts, Text(f"Not tested: {finding.message}", kind="note")]
    parts.append(Text(_sentence(finding)))
    parts.append(Table(finding.name, _by_part(finding), _caption(finding)))
    notes = [*finding.notes, *([hypothesis.note.strip()] if hypothesis.note else [])]
    if notes:
        parts.append(Text(" ".join(notes), kind="note"))
    return parts


def _sentence(finding: Finding) -> str:
    hypothesis = finding.hypothesis
    assert hypothesis is not None
    matters = _effect(finding, hypothesis.smallest_effect).lstrip("+")
    verdict = {HOLDS: "This holds", FAILS: "This does not hold"}.get(finding.verdict, "Undecided")
    if _is_trend(finding):
        subject = "on a trend through all tiers, from the lowest to the highest, " + (
            "the rank correlation is" if hypothesis.test.is_correlation else "the mean changes by"
        )
    else:
        subject = "the rate per day differs by"
    kind = "measure" if _is_trend(finding) else "tier"
    decides = f" in {finding.decisive}, the {kind} that decides" if len(finding.parts) > 1 else ""
    reason = {
        HOLDS: f"the effect is shown, and its estimate reaches the {matters} that matters",
        FAILS: f"an effect of {matters}, the smallest that matters, is ruled out",
    }.get(
        finding.verdict,
        f"an effect is shown, but not that it reaches the {matters} that matters"
        if finding.p_value < (1 - finding.confidence) / 2
        else f"the data show neither an effect nor that it is smaller than {matters}",
    )
    reported = f" The case study: {hypothesis.reported}." if hypothesis.reported else ""
    return f"{verdict}: {subject} {_with_interval(finding)}{decides}; {reason}.{reported}"


def _by_part(finding: Finding) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "effect": [_effect(finding, effect) for effect in finding.parts["effect"]],
            "interval": [
                f"{_effect(finding, low)} to {_effect(finding, high)}"
                for low, high in zip(finding.parts["low"], finding.parts["high"], strict=True)
            ],
            "p": [_p(p_value) for p_value in finding.parts["p_value"]],
        },
        index=finding.parts.index.rename("measure" if _is_trend(finding) else "tier"),
    )
    details = finding.parts.drop(columns=["effect", "low", "high", "p_value"])
    return table.join(details)


def _caption(finding: Finding) -> str:
    test = finding.hypothesis.test if finding.hypothesis else None
    if isinstance(test, Trend) and test.absent is not None:
        return f"Means are over all customers of a tier; a customer without purchases counts as {test.absent:g}."
    if isinstance(test, Trend):
        return "Means are over the customers of a tier who bought; the others are left out."
    trend = (
        " The effect is adjusted for a steady growth or decline of the tier."
        if getattr(test, "against_trend", 0)
        else ""
    )
    return f"Rates are per day, over all customers of the tier; intervals are over resampled weeks.{trend}"


def _is_trend(finding: Finding) -> bool:
    return finding.hypothesis is not None and isinstance(finding.hypothesis.test, Trend)


def _effect(finding: Finding, effect: float) -> str:
    """Return a relative change as it is read, "+12.0%", or a rank correlation, "+0.12"."""
    assert finding.hypothesis is not None
    if finding.hypothesis.test.is_correlation and math.isfinite(effect):
        return f"{effect:+.2f}"
    return ("+" if 0 <= effect < math.inf else "") + percent(effect)


def _with_interval(finding: Finding) -> str:
    if finding.verdict == NOT_TESTED:
        return "-"
    low, high = (_effect(finding, end) for end in (finding.low, finding.high))
    return f"{_effect(finding, finding.effect)} ({low} to {high})"


def _p(p_value: float) -> str:
    return "-" if pd.isna(p_value) else "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _write(material: DescriptionMaterial) -> list[Part]:
    tiers = material.tiers
    findings = assess(material.hypotheses, tiers.window, tiers.early.cutoff, confidence=tiers.confidence)
    return hypothesis_parts(findings, material.languages, tiers.window)


HYPOTHESES = Topic("hypotheses", "Hypotheses", 50, _write, reads_models=False)
