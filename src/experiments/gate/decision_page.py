"""A decision of the gate in one sentence, and as a page with every reason: one HTML file that needs no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from experiments.gate.next_steps import advise
from experiments.gate.rule import Comparison, Decision, Outcome
from experiments.models.registry import label_of
from experiments.reports.html import document, table

MEANING = {
    "strong": "The model adds something: the gain is significant and above the required size.",
    "weak": "The model adds something: the gain is significant. A gain above the required size is not shown.",
    "none": "The model adds nothing of the required size.",
    "undecided": "Not enough data to decide: a gain of the required size would not be detected, or the gain that was "
    "found may be chance.",
}


def statement(ability: str, decision: Decision, outcome: Outcome) -> str:
    """Return the verdict in one sentence, with the figure.

    Parameters
    ----------
    ability : str
        What a better figure means to a marketer: see `Task.ability`.
    decision : Decision
        Of the look alone.
    outcome : Outcome
        Corrected for the other tasks of the run.

    Examples
    --------
    "strong: ranks customers better than spend in the last 91 days, by 0.013 (95% confidence interval 0.008 to
    0.018), more than the required 0.005"
    """
    nearest, effect = decision.nearest, figure(decision.min_effect)
    does, rival = ability, in_words(nearest)
    low, high = nearest.interval
    shown = {"strong": decision.min_effect, "weak": 0.0}.get(outcome.verdict, -math.inf)
    # A claim has one direction, an interval two: where it holds what is ruled out, the deciding bound stands beside it.
    bound = f"; above {figure(nearest.lower)} in a one-sided test" if low <= shown else ""
    spread = f"({nearest.confidence:.0%} confidence interval {figure(low)} to {figure(high)}{bound})"
    by = f"by {figure(abs(nearest.gain))} {spread}"
    match outcome.verdict:
        case "strong":
            said = f"{does} better than {rival}, {by}, more than the required {effect}"
        case "weak":
            said = f"{does} better than {rival}, {by}; a gain above the required {effect} is not shown"
        case "none" if nearest.p_values["loss"] < decision.alpha:
            worse = f"{nearest.confidence:.0%} confidence interval {figure(-high)} to {figure(-low)}"
            said = f"{does} worse than {rival}, by {figure(-nearest.gain)} ({worse})"
        case "none":
            gain = f"the gain is {figure(nearest.gain)} {spread}"
            said = f"{does} no better than {rival}: {gain}, less than the required {effect}"
        case _:
            said = (
                f"not enough data to say whether it {does} better than {rival}: the gain is "
                f"{figure(nearest.gain)} {spread}, the smallest detectable gain {figure(nearest.detectable)}"
            )
    alone = f" ({decision.verdict} if tested alone)" if decision.verdict != outcome.verdict else ""
    return f"{outcome.verdict}: {said}{alone}"


def in_money(decision: Decision, worth: float, currency: str) -> str:
    """Say what the smallest gain that matters, and the gain found, are in money.

    Parameters
    ----------
    decision : Decision
    worth : float
        What a gain of 1 in the primary metric is worth: see `evaluation.profit.worth_of_gini`.
    currency : str
    """
    nearest, effect = decision.nearest, decision.min_effect
    low, high = (f"{worth * bound:,.0f}" for bound in nearest.interval)
    return (
        f"a gain of {effect:g}, the smallest that matters, is {worth * effect:,.0f} {currency} more from those "
        "addressed, on average over lists of all lengths; the gain found is "
        f"{worth * nearest.gain:,.0f} ({nearest.confidence:.0%} interval {low} to {high})"
    )


def in_words(comparison: Comparison) -> str:
    """Return what people read in place of a rival's name."""
    return comparison.label or label_of(comparison.rival)


def figure(value: float) -> str:
    """Return a figure with three decimals, a small one with four: 0.013, -0.0042, 1.250."""
    if math.isnan(value):
        return "unknown"
    text = f"{value:.{3 if abs(value) >= 0.0095 else 4}f}"
    text = text.removesuffix("0") if abs(value) < 0.0095 else text
    return text.removeprefix("-") if float(text) == 0 else text


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
    """Return the page as HTML.

    Parameters
    ----------
    title : str
        Model and version.
    model : str
        Name of the candidate's model.
    ability, decision, outcome
        See `statement`.
    look : mapping
        Entry of the look in the ledger.
    looks : sequence of mapping
        All entries of the ledger.
    horizon_days : int
    champion : str
        Version and model in use now, with its figure.
    """
    verdict, words = statement(ability, decision, outcome).split(": ", 1)
    parts = [
        f"<p class=eyebrow>{escape(title)} &middot; {escape(model)} &middot; "
        f"{look['start']} to {look['end']}, {horizon_days} days</p>",
        f"<h1 class={verdict}><span>{verdict}</span> {escape(words[0].upper() + words[1:])}.</h1>",
        f"<p class=lead>{MEANING[verdict]} In use: {escape(champion)}.</p>",
        _reasons(outcome),
        "<h2>Gain over each rival</h2>",
        f"<p>Gain in {escape(decision.metric)} over each rival, on the same rows, with its "
        f"{decision.nearest.confidence:.0%} confidence interval. Dashed: {figure(decision.min_effect)}, the required "
        f"gain. The verdict is about the best baseline, {escape(in_words(decision.nearest))}.</p>",
        _gains(decision),
        "<h2>Figures</h2>",
        _figures(decision, model),
        _guards(decision),
        "<h2>Windows</h2>",
        _windows(decision),
        "<h2>Looks at this window</h2>",
        _ledger(look, looks),
        "<h2>What would help</h2>",
        _needed(decision),
        "".join(["<ul>", *(f"<li>{escape(said)}</li>" for said in advise(decision, verdict, horizon_days)), "</ul>"]),
        "<p class=foot>Intervals describe how much the figures vary over resamples of this window "
        "(bootstrap); another season varies too.</p>",
    ]
    return document(f"{title}: the decision", "\n".join(part for part in parts if part), STYLE)


def _reasons(outcome: Outcome) -> str:
    if not outcome.reasons:
        return ""
    return (
        "<p>Why the candidate is not used:</p><ul>"
        + "".join(f"<li>{escape(r)}</li>" for r in outcome.reasons)
        + "</ul>"
    )


def _guards(decision: Decision) -> str:
    if not decision.guards:
        return ""
    rows = (
        [name, figure(found), f"{low:g} to {high:g}", "holds" if low <= found <= high else "broken"]
        for name, (low, found, high) in decision.guards.items()
    )
    return "<h2>Guards</h2>" + table(["guard", "found", "allowed", ""], rows)


def _gains(decision: Decision) -> str:
    """Draw a strip for each rival, all on one scale that contains 0, the required gain and all intervals."""
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
            f"<div class=rival><span>{escape(in_words(comparison))}</span><b>{said}</b>"
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
    return table(["", decision.metric, interval, "gain over it", "lower bound"], rows) + (
        f"<p>A lower bound is wrong with a probability of {decision.alpha:.4f}, the level of this look.</p>"
    )


def _windows(decision: Decision) -> str:
    days = list(decision.backtest)
    rows = ([day + (" (sealed)" if day == days[-1] else ""), figure(gain)] for day, gain in decision.backtest.items())
    pooled = (
        "The pooled gain is their mean; a customer is drawn with the rows of all windows."
        if len(days) > 1
        else "The history holds no earlier window that the candidate was not chosen on."
    )
    return (
        f"<p>Gain over {escape(in_words(decision.nearest))} in each window that the candidate was not chosen on. "
        f"{pooled} In earlier windows its parameters were fitted on windows that had ended by then.</p>"
        + table(["from", f"gain in {escape(decision.metric)}"], rows)
    )


def _ledger(look: Mapping[str, Any], looks: Sequence[Mapping[str, Any]]) -> str:
    seen = [past for past in looks if past["start"] < look["end"] and look["start"] < past["end"]]
    rows = [
        [
            str(past["look"]),
            str(past["at"])[:10],
            f"version {past['version']}",
            f"{past['alpha']:.4f}",
            (past["decision"] or {}).get("verdict", "interrupted"),
            {True: "promoted", False: "not used", None: ""}[(past.get("outcome") or {}).get("promote")],
        ]
        for past in seen
    ]
    spent = sum(past["alpha"] for past in seen)
    together = look["together"]
    others = (
        f" {len(together)} tasks were tested in this run ({escape(', '.join(together))}), so p-values are corrected "
        "for their number (Holm)."
        if len(together) > 1
        else ""
    )
    return (
        f"<p>Every further look inflates false positives, so the k-th look at overlapping windows is tested at level "
        f"0.05 &times; 6 / (&pi;&sup2; k&sup2;); {spent:.4f} of 0.05 is spent.{others}</p>"
        + table(["look", "day", "version", "level", "verdict alone", "outcome"], rows)
    )


def _needed(decision: Decision) -> str:
    nearest, effect = decision.nearest, decision.min_effect
    if math.isnan(nearest.detectable):
        return "<p>Unknown, because the gain has no interval.</p>"
    text = f"With these data a gain of <b>{figure(nearest.detectable)}</b> is detected with a power of 80%"
    if nearest.detectable <= effect or not effect:
        return f"<p>{text}, which is enough for the required {figure(effect)}.</p>"
    factor = (nearest.detectable / effect) ** 2
    return (
        f"<p>{text}. To detect the required {figure(effect)} with the same power, about {factor:.1f} times as "
        "many rows are needed.</p>"
    )


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
