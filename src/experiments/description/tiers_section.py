"""Tiers and value tiers as sections of a report."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.description.group_charts import customers_figure, movements_figure, shares_figure
from experiments.description.groups import row_shares
from experiments.description.tiers import (
    CLV_ALONE,
    EQUAL,
    LEARNT,
    Tiers,
    Weighing,
    migration,
    restricted,
    tier_table,
)
from experiments.description.value import ValueOptions, pareto, value_table, value_tiers
from experiments.reports.figures import BLUE, GREY, ORANGE, dress, require
from experiments.reports.section import Heading, Part, Picture, Section, Table, Text, number, percent

FEW_IN_TOP = 2  # tiers whose share of revenue is told first
DAY = (
    "{cutoff} is the last day of which the {days} days that followed may be looked at: those after are kept sealed, to "
    "judge models by."
)


def tiers_section(
    before: Tiers, tiers: Tiers, following: pd.Series, weighing: Weighing, *, horizon_days: int, currency: str
) -> Section:
    """What the tiers hold, who moved between them, and how their weights were found.

    Parameters
    ----------
    before, tiers : Tiers
        At an earlier and at the tested cutoff, by the weights in use.
    following : Series indexed by customer_id
        Spend in the `horizon_days` from the tested cutoff on.
    weighing : Weighing
    currency : str
    """
    table, moved = tier_table(tiers, following), migration(before, tiers)
    names = [str(name) for name in table.index]
    window = f"{horizon_days} days from {tiers.cutoff}"
    columns = {"customers_share": "customers", "past_share": "revenue before", "next_share": "revenue after"}
    parts: list[Part] = [
        Text(_lead(table, tiers.cutoff, horizon_days), "lead"),
        Text(_of_which_day(tiers, weighing, horizon_days)),
        Text(_staying(moved, before, tiers)),
        Picture(
            "sizes",
            customers_figure(table, title="Customers in each tier", subtitle=f"{len(tiers.tier):,} on {tiers.cutoff}"),
            "How many customers each tier has: "
            + ", ".join(f"{name} {customers:,}" for name, customers in zip(names, table["customers"], strict=True))
            + ".",
        ),
        Picture(
            "revenue_share",
            shares_figure(
                table,
                columns,
                title="What each tier brings in",
                subtitle=f"before: all until {tiers.cutoff}; after: the {window}",
            ),
            "Each tier's share of the customers, of the revenue before its customers were put into it, and of the "
            "revenue after that. The last was not known when customers were scored, though the choice between learnt "
            "and equal weights was made on it.",
        ),
        Table("tiers", _readable(table, currency, horizon_days), f"What each tier holds, on {tiers.cutoff}."),
        Heading("Who moved"),
        Picture(
            "migration",
            movements_figure(
                moved,
                title="From tier to tier",
                subtitle="share of each row, and customers",
                xlabel=f"tier on {tiers.cutoff}",
                ylabel=f"tier on {before.cutoff}",
            ),
            f"Of the customers of each tier on {before.cutoff}, how many are in which tier on {tiers.cutoff}; the last "
            "row are those who first bought in between.",
        ),
        Table("migration", moved.rename_axis(f"tier on {before.cutoff}"), f"Customers by tier on {tiers.cutoff}."),
        Heading("Which weights"),
        Text(_decision(weighing, horizon_days)),
    ]
    if _used(weighing)["clv_gain"] > 0:
        parts.append(Text(_clv_alone(_used(weighing))))
    parts += [
        Picture(
            "weightings",
            weightings_figure(weighing.comparison, used=weighing.used, horizon_days=horizon_days),
            "How well each weighting ranks customers by what they went on to spend: 1 is the perfect order, 0 a random "
            "one. Lines are intervals over which customers there are.",
        ),
        Table(
            "weights", _weights(weighing, tiers), "Weights of the variables' scores; what the tiers use is marked by *."
        ),
        Table("comparison", _comparison(weighing), f"Spend in the {window}, ranked by each weighting."),
    ]
    notes = [
        f"Each variable is scored by its quantile among the customers of the same day. Weights were learnt from the "
        f"{horizon_days} days after {weighing.learnt_at} and tested on those after {weighing.tested_at}, on which the "
        "choice between learnt and equal ones was made too.",
        *weighing.notes,
        *before.notes,
        *tiers.notes,
    ]
    parts += [Text(note, "note") for note in dict.fromkeys(notes)]
    return Section("tiers", parts)


def value_tier_parts(tiers: Tiers, following: pd.Series, options: ValueOptions, *, horizon_days: int) -> list[Part]:
    """Value tiers by spend alone, and how few customers make most of the revenue.

    Parameters
    ----------
    tiers : Tiers
        For the spend before their cutoff.
    following : Series indexed by customer_id
        Spend in the `horizon_days` from the cutoff on.
    options : ValueOptions
    """
    past, following = tiers.spend, following.reindex(tiers.spend.index)
    shares = {"before": past, "after": following}
    before, after = (pareto(spend, options.top_share, options.revenue_share) for spend in shares.values())
    table = value_table(value_tiers(past, options), past, following)
    best, top = table.index[0], percent(options.top_share)
    kept = float(table["next_share"].iloc[0])
    followed = (
        f"Those who were {best} then made {percent(kept)} of the revenue in the {horizon_days} days that followed. "
        f"The {top} who turned out best in those days made {percent(after.revenue_of_top)}, but nobody knew them "
        "before: what past spend tells is the first figure."
        if following.sum() > 0
        else f"Nobody spent anything in the {horizon_days} days that followed."
    )
    return [
        Text(
            f"The best {top} of customers made {percent(before.revenue_of_top)} of the revenue before {tiers.cutoff}; "
            f"{percent(before.customers_behind)} of customers made {percent(options.revenue_share)} of it.",
            "lead",
        ),
        Text(f"{DAY.format(cutoff=tiers.cutoff, days=horizon_days)} {followed}"),
        Picture(
            "value_tiers",
            shares_figure(
                table,
                {"customers_share": "customers", "past_share": "revenue before", "next_share": "revenue after"},
                title="Value tiers",
                subtitle=f"by spend until {tiers.cutoff}; after: the {horizon_days} days that follow",
            ),
            "Each value tier's share of the customers, of the revenue that it was made by, and of the revenue after.",
        ),
        Table("value_tiers", _readable_shares(table), f"Value tiers on {tiers.cutoff}."),
        Text(
            "Customers of equal spend are in one tier, so that shares of customers may differ from the cut points.",
            "note",
        ),
    ]


def weightings_figure(comparison: pd.DataFrame, *, used: str, horizon_days: int) -> Figure:
    """The Gini of each weighting with its interval, the one in use in colour.

    Parameters
    ----------
    comparison : DataFrame
        As `analysis.tiers.test` returns it.
    used : str
    horizon_days : int
    """
    require(comparison, ("gini", "low", "high"))
    figure = Figure(figsize=(6.8, 1.7 + 0.42 * len(comparison)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for place, (name, row) in enumerate(comparison.iterrows()):
        color = BLUE if name == used else ORANGE if name == CLV_ALONE else GREY
        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=2.2, solid_capstyle="butt")
        axes.scatter(row["gini"], place, color=color, s=54, zorder=3)
        axes.annotate(
            _three(row["gini"]),
            (row["gini"], place),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
    axes.set_yticks(range(len(comparison)), [f"{name} (in use)" if name == used else name for name in comparison.index])
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.16)
    dress(
        axes,
        title="Which weights rank customers best",
        subtitle="with intervals over who the customers are",
        xlabel=f"Gini of the spend in {horizon_days} days",
        ylabel="",
    )
    return figure


def _lead(table: pd.DataFrame, cutoff: object, horizon_days: int) -> str:
    top = table.iloc[: min(FEW_IN_TOP, len(table) - 1) or 1]
    names = " and ".join(str(name) for name in top.index)
    customers, before, after = top[["customers_share", "past_share", "next_share"]].sum(min_count=1)
    followed = (
        f" and {percent(after)} in the {horizon_days} days after it."
        if np.isfinite(after)
        else f"; nobody spent anything in the {horizon_days} days after it."
    )
    return (
        f"{names}, {percent(customers)} of the customers on {cutoff}, made {percent(before)} of the revenue before "
        f"that day{followed}"
    )


def _of_which_day(tiers: Tiers, weighing: Weighing, horizon_days: int) -> str:
    said = f"{DAY.format(cutoff=tiers.cutoff, days=horizon_days)} Personas and expectations are of today's tiers"
    if weighing.used != LEARNT:
        return f"{said}, by the same weights."
    return (
        f"{said}, by the same weights; behaviour and hypotheses are of tiers by equal ones, as the learnt ones come "
        "from days that those sections tell of."
    )


def _clv_alone(used: pd.Series) -> str:
    gain = f"{used['clv_gain']:+.3f} ({_interval(used['clv_gain_low'], used['clv_gain_high'])}) of the Gini"
    return (
        "To pick customers one by one, clv alone ranks better here than the weights in use, by "
        + (gain if used["clv_gain_low"] > 0 else f"estimate: {gain}, which may be chance")
        + "; the score keeps what can be explained to those who work with the tiers."
    )


def _staying(moved: pd.DataFrame, before: Tiers, after: Tiers) -> str:
    old = moved.iloc[:-1]
    stayed = float(np.trace(old.to_numpy())) / max(int(old.to_numpy().sum()), 1)
    best = row_shares(moved).iloc[0, 0]
    return (
        f"Of the customers of {before.cutoff}, {percent(stayed)} are in the same tier on {after.cutoff}, and of the "
        f"{old.index[0]} customers {percent(best)}. {moved.iloc[-1].sum():,} customers are new since."
    )


def _used(weighing: Weighing) -> pd.Series:
    return weighing.comparison.loc[weighing.used]


def _decision(weighing: Weighing, horizon_days: int) -> str:
    if LEARNT not in weighing.comparison.index:
        return "Equal weights are used: there was nothing to learn others from."
    gain = weighing.comparison.loc[EQUAL]
    learnt, equal = (float(weighing.comparison.loc[name, "gini"]) for name in (LEARNT, EQUAL))
    figures = (
        f"ranked by learnt weights, the spend in the {horizon_days} days after {weighing.tested_at} has a Gini of "
        f"{number(learnt)}, by equal ones {number(equal)}: a gain of {_three(gain['gain'], '+')} "
        f"({_interval(gain['gain_low'], gain['gain_high'])})"
    )
    if weighing.used == LEARNT:
        return f"The learnt weights are used, as they are shown to be better than equal ones: {figures}."
    verdict = (
        f"are worse here: what was learnt after {weighing.learnt_at} did not carry over"
        if gain["gain_high"] < 0
        else "are not shown to be better"
    )
    return f"Equal weights are used, as the learnt ones {verdict}. In figures, {figures}."


LABELS = {
    "customers_share": "share of customers",
    "past_share": "share of revenue before",
    "next_share": "share of revenue after",
    "buyers_share": "bought after",
}


def _readable_shares(table: pd.DataFrame) -> pd.DataFrame:
    shown = table.assign(**{name: table[name].map(percent) for name in LABELS if name in table})
    return shown.rename(columns={**LABELS, "next_mean_spend": "mean spend after"})


def _readable(table: pd.DataFrame, currency: str, horizon_days: int) -> pd.DataFrame:
    means = {name: name.removeprefix("mean_").replace("_", " ") for name in table if name.startswith("mean_")}
    renamed = {"mean spend after": f"mean spend in {horizon_days} days ({currency})", **means}
    return _readable_shares(table).rename(columns={**renamed, "mean_clv": f"clv in {horizon_days} days ({currency})"})


def _weights(weighing: Weighing, tiers: Tiers) -> pd.DataFrame:
    """Weights as the tiers have them: of the variables that there are."""
    marked = {
        f"{name} *" if name == weighing.used else name: restricted(weights, list(tiers.weights.index))
        for name, weights in weighing.weights.items()
    }
    return pd.DataFrame(marked).map(lambda weight: f"{weight:.3f}").rename_axis("variable")


def _comparison(weighing: Weighing) -> pd.DataFrame:
    table = weighing.comparison
    first = table.index[0]
    rows = {
        name: {
            "Gini": _three(row["gini"]),
            "interval": _interval(row["low"], row["high"]),
            f"gain of {first} over it": _three(row["gain"], "+"),
            "interval of the gain": "-" if name == first else _interval(row["gain_low"], row["gain_high"]),
        }
        for name, row in table.iterrows()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("ranked by")


def _interval(low: float, high: float) -> str:
    return f"{_three(low)} to {_three(high)}"


def _three(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if np.isfinite(value) else "-"
