"""Customer tiers as a section of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.description.material import DescriptionMaterial
from experiments.description.tiers.assignment import Tiers, migration, tier_table
from experiments.description.tiers.options import CLV, CLV_ALONE, EQUAL, IN_WORDS, LEARNT
from experiments.description.tiers.scores import restricted
from experiments.description.tiers.weights import Weighing
from experiments.description.value.section import SHARES, held_back, readable_shares
from experiments.evaluation.shares import row_shares
from experiments.reports.figures import BLUE, GREY, ORANGE, WIDTH, dress, require
from experiments.reports.group_charts import customers_figure, movements_figure, shares_figure, staying
from experiments.reports.section import Heading, Part, Picture, Table, Text, Topic, number, percent
from experiments.reports.words import worded

FEW_IN_TOP = 2  # tiers whose share of revenue comes first


def tier_parts(
    before: Tiers, tiers: Tiers, following: pd.Series, weighing: Weighing, *, horizon_days: int, currency: str
) -> list[Part]:
    """Describe what the tiers hold, who moved between them, and how their weights were found.

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
    parts: list[Part] = [
        Text(f"{_lead(table, tiers.cutoff, horizon_days)} {_advice(table, _used(weighing))}", "lead"),
        Text(_of_which_day(tiers, weighing, horizon_days)),
        Text(_staying(moved, before, tiers)),
        Picture(
            "sizes",
            customers_figure(
                table,
                title=f"{table['customers'].idxmax()} is the largest tier",
                subtitle=f"{len(tiers.tier):,} customers on {tiers.cutoff}",
            ),
            "Customers in each tier: "
            + ", ".join(f"{name} {customers:,}" for name, customers in zip(names, table["customers"], strict=True))
            + ".",
        ),
        Picture(
            "revenue_share",
            shares_figure(
                table,
                SHARES,
                title=f"{names[0]}: {percent(table['next_share'].iloc[0])} of the revenue after",
                subtitle=f"before: until {tiers.cutoff}; after: the {window}",
            ),
            "Each tier's share of customers, of revenue before the cutoff, and of revenue after it. Scores use only "
            "data before the cutoff. The choice between learnt and equal weights used the revenue after it.",
        ),
        Table("tiers", _readable(table, currency, horizon_days), f"Tiers on {tiers.cutoff}."),
        Heading("Moves between tiers"),
        Picture(
            "migration",
            movements_figure(
                moved,
                title=staying(moved.loc[names, names], "tier"),
                subtitle="share of each row, and customers",
                xlabel=f"tier on {tiers.cutoff}",
                ylabel=f"tier on {before.cutoff}",
            ),
            f"Tier on {tiers.cutoff} of the customers of each tier on {before.cutoff}. The last row holds customers "
            "who first bought in between.",
        ),
        Table("migration", moved.rename_axis(f"tier on {before.cutoff}"), f"Customers by tier on {tiers.cutoff}."),
        Heading("Weights of the score"),
        Text(_decision(weighing, horizon_days)),
    ]
    if _used(weighing)["clv_gain"] > 0:
        parts.append(Text(_clv_alone(_used(weighing))))
    parts += [
        Picture(
            "weightings",
            weightings_figure(weighing.comparison, used=weighing.used, horizon_days=horizon_days),
            "Gini of each weighting: 1 ranks customers perfectly by their later spend, 0 randomly. Lines are "
            "confidence intervals over customers.",
        ),
        Table(
            "weights",
            _weights(weighing, tiers),
            "Weights of the variables' scores. The weights in use are marked with *.",
        ),
        Table(
            "comparison", _comparison(weighing), f"How well each weighting ranks customers by spend in the {window}."
        ),
    ]
    notes = [
        f"Each variable is scored by its quantile among the customers of the same day. Weights were learnt from the "
        f"{horizon_days} days after {weighing.learnt_at}. They were tested on the {horizon_days} days after "
        f"{weighing.tested_at}, which also decided between learnt and equal weights.",
        *weighing.notes,
        *before.notes,
        *tiers.notes,
    ]
    return [*parts, *(Text(note, "note") for note in dict.fromkeys(notes))]


def weightings_figure(comparison: pd.DataFrame, *, used: str, horizon_days: int) -> Figure:
    """Draw the Gini of each weighting with its interval, the one in use in colour.

    Parameters
    ----------
    comparison : DataFrame
        As `compare_weightings` returns it.
    used : str
    horizon_days : int
    """
    require(comparison, ("gini", "low", "high"))
    figure = Figure(figsize=(WIDTH, 1.7 + 0.42 * len(comparison)), dpi=120, layout="constrained")
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
        title=_best(comparison["gini"]),
        subtitle="lines: confidence intervals over customers",
        xlabel=f"Gini of the spend in {horizon_days} days",
        ylabel="",
    )
    return figure


def _best(gini: pd.Series) -> str:
    """Return which weighting ranks best, as a title."""
    return f"Ranks best: {gini.idxmax()}" if gini.notna().any() else "No weighting can be ranked"


def _lead(table: pd.DataFrame, cutoff: object, horizon_days: int) -> str:
    top = table.iloc[: min(FEW_IN_TOP, len(table) - 1) or 1]
    names = " and ".join(str(name) for name in top.index)
    customers, before, after = top[["customers_share", "past_share", "next_share"]].sum(min_count=1)
    followed = (
        f" and {percent(after)} in the {horizon_days} days after it."
        if np.isfinite(after)
        else f"; nobody bought in the {horizon_days} days after it."
    )
    return (
        f"{names}, {percent(customers)} of customers on {cutoff}, made {percent(before)} of the revenue before that "
        f"day{followed}"
    )


def _advice(table: pd.DataFrame, ranked: pd.Series) -> str:
    """Return advice: the best tier gets the budget if its customers also spent most after the cutoff, beyond chance."""
    if ranked["low"] <= 0:
        return (
            f"Do not spend by tier: these tiers are not shown to rank customers better than chance (Gini "
            f"{_three(ranked['gini'])}, interval {_interval(ranked['low'], ranked['high'])})."
        )
    mean, best = table["next_mean_spend"], str(table.index[0])
    if not mean.notna().any() or not mean.max() > 0:
        return "These data do not show which tier to spend the budget on."
    if str(mean.idxmax()) == best:
        return f"Spend the budget of retention on {best} first: its customers also spent most afterwards."
    return f"Check {mean.idxmax()} before {best} gets the budget: its customers spent most afterwards."


def _of_which_day(tiers: Tiers, weighing: Weighing, horizon_days: int) -> str:
    said = f"{held_back(tiers.cutoff, horizon_days)} Personas and predictions use today's tiers, with the same weights."
    if weighing.used != LEARNT:
        return said
    return (
        f"{said} Purchasing behaviour and hypotheses use tiers with equal weights, because the learnt weights come "
        "from days that those sections describe."
    )


def _clv_alone(used: pd.Series) -> str:
    gain = f"{used['clv_gain']:+.3f} ({_interval(used['clv_gain_low'], used['clv_gain_high'])}) of the Gini"
    return (
        "To pick single customers, expected spend alone ranks better than the weights in use, by "
        + (gain if used["clv_gain_low"] > 0 else f"estimate: {gain}, which may be chance")
        + ". The score is kept because it can be explained to those who work with the tiers."
    )


def _staying(moved: pd.DataFrame, before: Tiers, after: Tiers) -> str:
    old = moved.iloc[:-1]
    stayed = float(np.trace(old.to_numpy())) / max(int(old.to_numpy().sum()), 1)
    best = row_shares(moved).iloc[0, 0]
    return (
        f"{percent(stayed)} of the customers of {before.cutoff} are in the same tier on {after.cutoff}, and "
        f"{percent(best)} of the {old.index[0]} customers. {moved.iloc[-1].sum():,} customers are new since."
    )


def _used(weighing: Weighing) -> pd.Series:
    return weighing.comparison.loc[weighing.used]


def _decision(weighing: Weighing, horizon_days: int) -> str:
    if LEARNT not in weighing.comparison.index:
        return "Equal weights are used: no others could be learnt."
    gain = weighing.comparison.loc[EQUAL]
    learnt, equal = (float(weighing.comparison.loc[name, "gini"]) for name in (LEARNT, EQUAL))
    figures = (
        f"For spend in the {horizon_days} days after {weighing.tested_at}, learnt weights have a Gini of "
        f"{number(learnt)} and equal weights {number(equal)}: a gain of {_three(gain['gain'], '+')} "
        f"({_interval(gain['gain_low'], gain['gain_high'])})."
    )
    if weighing.used == LEARNT:
        return f"Learnt weights are used: they rank better than equal weights. {figures}"
    verdict = (
        f"rank worse: what was learnt after {weighing.learnt_at} did not carry over"
        if gain["gain_high"] < 0
        else "are not shown to rank better"
    )
    return f"Equal weights are used, because the learnt weights {verdict}. {figures}"


def _readable(table: pd.DataFrame, currency: str, horizon_days: int) -> pd.DataFrame:
    means = {name: worded(name.removeprefix("mean_"), IN_WORDS) for name in table if name.startswith("mean_")}
    renamed = {"mean spend after": f"mean spend in {horizon_days} days ({currency})", **means}
    expected = f"expected spend in {horizon_days} days ({currency})"
    return readable_shares(table).rename(columns={**renamed, f"mean_{CLV}": expected})


def _weights(weighing: Weighing, tiers: Tiers) -> pd.DataFrame:
    """Return the weights of the variables present, as the tiers use them."""
    marked = {
        f"{name} *" if name == weighing.used else name: restricted(weights, list(tiers.weights.index))
        for name, weights in weighing.weights.items()
    }
    shown = pd.DataFrame(marked).map(lambda weight: f"{weight:.3f}").rename_axis("variable")
    return shown.rename(index=lambda name: worded(str(name), IN_WORDS))


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


def _write(material: DescriptionMaterial) -> list[Part]:
    tiers = material.tiers
    now, following = tiers.tested
    return tier_parts(
        tiers.at(tiers.weighing.learnt_at),
        now,
        following,
        tiers.weighing,
        horizon_days=tiers.options.horizon_days,
        currency=material.shop.staged.currency,
    )


def _columns(material: DescriptionMaterial) -> dict[str, pd.Series]:
    return {"tier": material.tiers.today.tier, "tier_score": material.tiers.today.score}


TIERS = Topic("tiers", "Customer tiers", 20, _write, _columns, reads_models=False)
