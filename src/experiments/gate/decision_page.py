"""A decision of the gate in words, and as a page for whoever asks why: one file, no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

from experiments.gate.rule import BACKTEST_ORIGINS, Comparison, Decision, Outcome
from experiments.models.registry import label_of
from experiments.reports.html import document, table

MEANING = {
    "strong": "The gain is more than what matters, and not by chance: use the model.",
    "weak": "There is a gain, and not by chance; whether it is large enough to matter is not shown.",
    "none": "These data show that the model does not do better by what matters: reckon by hand as before.",
    "undecided": "These data cannot tell whether the model does better: they would not show a gain of the size that "
    "matters, or chance alone may have made the one that was found.",
}


def statement(ability: str, decision: Decision, outcome: Outcome) -> str:
    """The verdict in one sentence, with the figure.

    Parameters
    ----------
    ability : str
        What a better figure means to a marketer: see `Task.ability`.
    decision, outcome
        What the look said alone, and beside the other questions of the run.

    Examples
    --------
    "strong: ranks customers better than spend in the last 91 days, by .013 (95% .008 to .018), more than the .005 that
    matters"
    """
    nearest, effect = decision.nearest, figure(decision.min_effect)
    does, rival = ability, in_words(nearest.rival)
    low, high = nearest.interval
    spread = f"({nearest.confidence:.0%} {figure(low)} to {figure(high)})"
    by = f"by {figure(abs(nearest.gain))} {spread}"
    match outcome.verdict:
        case "strong":
            said = f"{does} better than {rival}, {by}, more than the {effect} that matters"
        case "weak":
            said = f"{does} better than {rival}, {by}; that it is by more than the {effect} that matters is not shown"
        case "none" if nearest.upper < 0:
            worse = f"{nearest.confidence:.0%} {figure(-high)} to {figure(-low)}"
            said = f"{does} worse than {rival}, by {figure(-nearest.gain)} ({worse})"
        case "none":
            gain = f"a gain of {figure(nearest.gain)} {spread}"
            said = f"{does} no better than {rival}: {gain}, less than the {effect} that matters"
        case _:
            said = (
                f"whether it {does} better than {rival} cannot be told from these data: a gain of "
                f"{figure(nearest.gain)} {spread}, where one of {figure(nearest.detectable)} would have shown"
            )
    alone = f" ({decision.verdict} if no other question had been asked)" if decision.verdict != outcome.verdict else ""
    refused = "; refused all the same" if outcome.verdict in ("strong", "weak") and not outcome.promote else ""
    return f"{outcome.verdict}: {said}{alone}{refused}"


def in_words(rival: str) -> str:
    """Return what people read in place of a rival's name."""
    return "the model in use" if rival == "champion" else label_of(rival)


def figure(value: float) -> str:
    """A figure to three decimals, small ones to four: .013, -.0042, 1.250."""
    if math.isnan(value):
        return "unknown"
    text = f"{value:.{3 if abs(value) >= 0.0095 else 4}f}"
    text = text.removesuffix("0") if abs(value) < 0.0095 else text
    text = text.removeprefix("-") if float(text) == 0 else text
    return text.replace("0.", ".", 1) if text.removeprefix("-").startswith("0.") else text


def decision_page(
    *,
    title: str,
    model: str,
    ability: str,
    decision: Decision,
    outcome: Outcome,
    look: Mapping[str, Any],
    looks: Sequence[Mapping[str, Any]],
    horizon_days: int,
    champion: str,
) -> str:
    """The page, as HTML.

    Parameters
    ----------
    title : str
        Model and version.
    model : str
        Kind of the candidate.
    ability, decision, outcome
        As for `statement`.
    look : mapping
        Its entry in the ledger.
    looks : sequence of mapping
        The whole ledger.
    horizon_days : int
    champion : str
        What is in use now.
    """
    verdict, words = statement(ability, decision, outcome).split(": ", 1)
    shown = verdict in ("strong", "weak")
    meaning = MEANING[verdict] if outcome.promote or not shown else "There is a gain, and something else in the way."
    became = "It is the new champion." if outcome.promote else "It was not promoted."
    parts = [
        f"<p class=eyebrow>{escape(title)} &middot; {escape(model)} &middot; "
        f"{look['start']} to {look['end']}, {horizon_days} days</p>",
        f"<h1 class={verdict}><span>{verdict}</span> {escape(words[0].upper() + words[1:])}.</h1>",
        f"<p class=lead>{meaning} {became} In use: {escape(champion)}.</p>",
        _reasons(outcome),
        "<h2>How much better</h2>",
        f"<p>Gain in {escape(decision.metric)} over each rival, on the same customers, with its "
        f"{decision.nearest.confidence:.0%} interval. Dashed: {figure(decision.min_effect)}, the smallest gain that "
        "matters. The model must beat all of them.</p>",
        _gains(decision),
        "<h2>The figures</h2>",
        _figures(decision, model),
        "<h2>Guards</h2>",
        table(
            ["guard", "found", "must lie within", ""],
            (
                [name, figure(found), f"{low:g} to {high:g}", "holds" if low <= found <= high else "broken"]
                for name, (low, found, high) in decision.guards.items()
            ),
        ),
        "<h2>From earlier days</h2>",
        _backtest(decision),
        "<h2>Looks at this window</h2>",
        _ledger(look, looks),
        "<h2>What it would take</h2>",
        _needed(decision),
        "<p class=foot>Intervals say how far the figures vary with who the customers are, in this window "
        "(bootstrap over customers); another season is another draw.</p>",
    ]
    return document(f"{title}: the decision", "\n".join(part for part in parts if part), STYLE)


def _reasons(outcome: Outcome) -> str:
    if not outcome.reasons:
        return ""
    return "<p>What stood in the way:</p><ul>" + "".join(f"<li>{escape(r)}</li>" for r in outcome.reasons) + "</ul>"


def _gains(decision: Decision) -> str:
    """A strip for each rival; all on one scale, which holds 0, the smallest effect and all intervals."""
    ends = [0.0, decision.min_effect]
    ends += [end for comparison in decision.comparisons for end in comparison.interval if not math.isnan(end)]
    low, high = min(ends), max(ends)
    margin = 0.05 * (high - low) or 1.0

    def x(value: float) -> float:
        return round(100 * (value - low + margin) / (high - low + 2 * margin), 2)

    def line(at: float, name: str, top: int = 0, bottom: int = 24) -> str:
        return f'<line x1="{at}" x2="{at}" y1="{top}" y2="{bottom}" class={name} />'

    rows = []
    for comparison in decision.comparisons:
        start, end = comparison.interval
        strip = line(x(0.0), "zero") + line(x(decision.min_effect), "effect")
        if not any(map(math.isnan, (start, end, comparison.gain))):
            strip += f'<line x1="{x(start)}" x2="{x(end)}" y1="12" y2="12" class=interval />'
            strip += line(x(comparison.gain), "gain", 5, 19)
        said = f"{figure(comparison.gain)} ({figure(start)} to {figure(end)})"
        rows.append(
            f"<div class=rival><span>{escape(in_words(comparison.rival))}</span><b>{said}</b>"
            f'<svg viewBox="0 0 100 24" preserveAspectRatio="none" role="img" '
            f'aria-label="{escape(said)}">{strip}</svg></div>'
        )
    return "".join(rows)


def _figures(decision: Decision, model: str) -> str:
    def row(name: str, estimate: float, interval: tuple[float, float], comparison: Comparison | None) -> list[str]:
        spread = f"{figure(interval[0])} to {figure(interval[1])}"
        gain = figure(comparison.gain) if comparison else ""
        return [name, figure(estimate), spread, gain, figure(comparison.lower) if comparison else ""]

    rows = [row(f"{model} (candidate)", decision.estimate, decision.interval, None)]
    rows += [row(c.rival, c.estimate, c.estimate_interval, c) for c in decision.comparisons]
    interval = f"{decision.nearest.confidence:.0%} interval"
    return table(["", decision.metric, interval, "gain over it", "at least"], rows) + (
        f"<p>&ldquo;At least&rdquo; is wrong with a probability of {decision.alpha:.4f}, the level of this look.</p>"
    )


def _backtest(decision: Decision) -> str:
    gains = [gain for gain in decision.backtest.values() if not math.isnan(gain)]
    if not gains:
        return "<p>No back-test.</p>"
    wanted = "" if len(gains) >= BACKTEST_ORIGINS else f", {BACKTEST_ORIGINS} wanted: the history allows no more"
    days = list(decision.backtest)
    rows = ([day + (" (sealed)" if day == days[-1] else ""), figure(gain)] for day, gain in decision.backtest.items())
    return (
        f"<p>Median gain over {escape(in_words(decision.naive))}: <b>{figure(median(gains))}</b>, from {len(gains)} "
        f"origins{wanted}. Each time the model was fitted on windows that had ended by then. Its parameters were "
        "chosen at earlier origins among these, so that gains there flatter it; the sealed window was not used for "
        "that.</p>" + table(["from", f"gain in {escape(decision.metric)}"], rows)
    )


def _ledger(look: Mapping[str, Any], looks: Sequence[Mapping[str, Any]]) -> str:
    seen = [past for past in looks if past["start"] < look["end"] and look["start"] < past["end"]]
    rows = [
        [
            str(past["look"]),
            str(past["at"])[:10],
            f"version {past['version']}",
            f"{past['alpha']:.4f}",
            (past["decision"] or {}).get("verdict", "broken off"),
            {True: "promoted", False: "refused", None: ""}[(past.get("outcome") or {}).get("promote")],
        ]
        for past in seen
    ]
    spent = sum(past["alpha"] for past in seen)
    together = look["together"]
    others = (
        f" This look was one of {len(together)} in one run ({escape(', '.join(together))}): what counts is corrected "
        "for their number (Holm)."
        if len(together) > 1
        else ""
    )
    return (
        f"<p>Whoever looks often enough finds something. So the k-th look at overlapping windows is tested at "
        f".05 &times; 6 / (&pi;&sup2; k&sup2;); {spent:.4f} of .05 is spent.{others}</p>"
        + table(["look", "day", "version", "level", "alone", "outcome"], rows)
    )


def _needed(decision: Decision) -> str:
    nearest, effect = decision.nearest, decision.min_effect
    if math.isnan(nearest.detectable):
        return "<p>Unknown: the gain has no interval.</p>"
    text = f"With these customers a gain of <b>{figure(nearest.detectable)}</b> is found four times in five"
    if nearest.detectable <= effect or not effect:
        return f"<p>{text}, which is enough for one of {figure(effect)}.</p>"
    factor = (nearest.detectable / effect) ** 2
    return f"<p>{text}. To find one of {figure(effect)} as surely takes some {factor:.1f} times as many customers.</p>"


STYLE = """
main { max-width: 46rem }
h1 span { color: #fff; background: #8a8f98; border-radius: .3rem; padding: .05em .45em; margin-right: .2em }
h1.strong span { background: #2e7d4f } h1.weak span { background: #2563a8 } h1.none span { background: #b23a48 }
.rival { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; margin: .7rem 0; font-size: .9375rem }
.rival b { font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap }
.rival svg { grid-column: 1 / -1; width: 100%; height: 1.5rem; background: #f0f2f5; border-radius: .2rem }
svg line { vector-effect: non-scaling-stroke; stroke: #8a8f98 }
svg .effect { stroke-dasharray: 4 3 } svg .interval { stroke: #2563a8; stroke-width: 3px }
svg .gain { stroke: #2563a8; stroke-width: 4px } td { white-space: nowrap }
@media (max-width: 30rem) { .rival { grid-template-columns: 1fr } }
"""
