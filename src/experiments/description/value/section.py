"""Value tiers, and how few customers make most of the revenue, as a section of the report."""

from __future__ import annotations

import pandas as pd

from experiments.description.material import DescriptionMaterial
from experiments.description.tiers.assignment import Tiers
from experiments.description.value.value_tiers import ValueOptions, pareto, value_table, value_tiers
from experiments.reports.group_charts import shares_figure
from experiments.reports.section import Part, Picture, Table, Text, Topic, percent


def value_tier_parts(tiers: Tiers, following: pd.Series, options: ValueOptions, *, horizon_days: int) -> list[Part]:
    """Describe value tiers by spend alone, and how few customers make most of the revenue.

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
    best, top = table.index[0], percent(options.top_share, 0)
    kept = float(table["next_share"].iloc[0])
    followed = (
        f"The {best} tier then made {percent(kept)} of the revenue in the {horizon_days} days that followed. The {top} "
        f"who spent most in those days made {percent(after.revenue_of_top)}, but they were not known before: past "
        "spend achieves the first figure."
        if following.sum() > 0
        else f"Nobody bought in the {horizon_days} days that followed."
    )
    advice = (
        "No revenue followed, so these data do not show whom to address."
        if not following.sum() > 0
        else f"Past spend finds most of the next revenue: address the {best} tier first."
        if kept >= 0.5
        else f"Past spend finds less than half of the next revenue: do not address the {best} tier alone."
    )
    return [
        Text(
            f"The best {top} of customers made {percent(before.revenue_of_top)} of the revenue before {tiers.cutoff}; "
            f"{percent(before.customers_behind)} of customers made {percent(options.revenue_share, 0)} of it. {advice}",
            "lead",
        ),
        Text(f"{held_back(tiers.cutoff, horizon_days)} {followed}"),
        Picture(
            "value_tiers",
            shares_figure(
                table,
                SHARES,
                title=f"{best}: {percent(kept)} of the revenue after",
                subtitle=f"by spend until {tiers.cutoff}; after: the {horizon_days} days from then on",
            ),
            "Each value tier's share of customers, of revenue before the cutoff, and of revenue after it.",
        ),
        Table("value_tiers", readable_shares(table), f"Value tiers on {tiers.cutoff}."),
        Text(
            "Customers of equal spend are in the same tier, so shares of customers may differ from the cut points.",
            "note",
        ),
    ]


def held_back(cutoff: object, days: int) -> str:
    """Return why a section is as of an earlier day than the report."""
    return (
        f"{cutoff} is the last day whose following {days} days may be shown; later days belong to the sealed window, "
        "on which models are evaluated."
    )


SHARES = {"customers_share": "customers", "past_share": "revenue before", "next_share": "revenue after"}
LABELS = {
    "customers_share": "share of customers",
    "past_share": "share of revenue before",
    "next_share": "share of revenue after",
    "buyers_share": "bought after",
}


def readable_shares(table: pd.DataFrame) -> pd.DataFrame:
    shown = table.assign(**{name: table[name].map(percent) for name in LABELS if name in table})
    return shown.rename(columns={**LABELS, "next_mean_spend": "mean spend after"})


def _write(material: DescriptionMaterial) -> list[Part]:
    now, following = material.tiers.tested
    options = material.tiers.options
    return value_tier_parts(now, following, options.value, horizon_days=options.horizon_days)


def _columns(material: DescriptionMaterial) -> dict[str, pd.Series]:
    return {"value_tier": value_tiers(material.tiers.today.spend, material.tiers.options.value)}


# The task clv adds what is predicted.
VALUE = Topic("value", "Expected value", 60, _write, _columns, reads_models=False)
