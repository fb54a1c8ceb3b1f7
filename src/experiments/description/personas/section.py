"""Personas as a section of the report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.description.material import DescriptionMaterial
from experiments.description.personas.personas import Persona, Personas, habits, make_personas
from experiments.description.personas.wording import Wording
from experiments.reports.section import Heading, Part, Table, Text, Topic, between, enumerated, number, percent

logger = logging.getLogger(__name__)

TRAITS = 3  # habits of a group in the comparison


def persona_parts(
    personas: Personas,
    wordings: Mapping[str, Wording],
    languages: Sequence[str],
    strategy: Mapping[str, Mapping[str, str]],
    currency: str,
    kind: str,
) -> list[Part]:
    """Return headings, texts and tables of all groups.

    Parameters
    ----------
    personas : Personas
    wordings : mapping of language to its sentences
        English among them, which tables are in.
    languages : sequence of str
        Those of the texts.
    strategy : mapping of group to language to what to do
    currency : str
    kind : str
        What the groups are, for captions: "tier".
    """
    parts: list[Part] = []
    for persona in personas.personas:
        parts.append(Heading(persona.group))
        for language in languages:
            text = " ".join(wordings[language].sentences(persona, currency))
            todo = strategy.get(persona.group, {}).get(language)
            lang = language if len(languages) > 1 or language != "en" else None
            parts.append(Text(text, lang=lang))
            if todo:
                parts.append(Text(f"→ {todo}", lang=lang))
        if len(persona.stands_out):
            parts.append(
                Table(
                    f"{kind}_{persona.group}",
                    _index_table(persona, wordings["en"]),
                    "Index against all customers: 100 is as often as all customers.",
                )
            )
    small = {group: n for group, n in personas.too_small.items() if n}
    if small:
        named = ", ".join(small)
        parts.append(Text(f"Not shown, because so few customers could be identified: {named}.", "note"))
    return parts


def comparison(personas: Personas, wording: Wording, currency: str) -> pd.DataFrame | None:
    """Return one row a group: its size, revenue, orders, and the `TRAITS` habits that set it apart most.

    Habits are those whose index is surely highest, by the lower end of its interval; of each aspect only one. Months
    are left out: they show when a group was active.
    """
    rows = []
    for persona in personas.personas:
        apart = (
            persona.stands_out.query("aspect != 'month'")
            .sort_values("low", ascending=False, kind="stable")
            .drop_duplicates("aspect")
        )
        traits = [
            f"{row.aspect.replace('_', ' ')} {wording.name(row.aspect, row.value)} ({row.index_:.0f})"
            for row in apart.head(TRAITS).rename(columns={"index": "index_"}).itertuples()
        ]
        facts = persona.facts
        rows.append(
            {
                "group": persona.group,
                "customers": persona.customers,
                "share of revenue": percent(facts["revenue_share"]),
                "orders each": number(facts["orders_per_customer"]),
                f"order value, {currency}": number(facts["average_order_value"]),
                "sets it apart (index)": "; ".join(traits) or "nothing that is sure",
            }
        )
    return pd.DataFrame(rows).set_index("group") if rows else None


def _index_table(persona: Persona, wording: Wording) -> Any:
    table = persona.stands_out
    return table.assign(
        value=[wording.name(aspect, value) for aspect, value in zip(table["aspect"], table["value"], strict=True)],
        share=table["share"].map(percent),
        share_of_all=table["share_of_all"].map(percent),
        index=table["index"].map(number),
        interval=[between(low, high) for low, high in zip(table["low"], table["high"], strict=True)],
    )[["aspect", "value", "index", "interval", "share", "share_of_all", "customers"]].rename(
        columns={"share_of_all": "share of all"}
    )


def _write(material: DescriptionMaterial) -> list[Part]:
    """Describe the tiers, and the groups that tasks make."""
    options, shop, tiers = material.persona_options, material.shop, material.tiers.today
    wordings = {language: Wording.from_config(language, content) for language, content in options.wording.items()}
    grouped = {"tier": tiers.tier, **{str(groups.name): groups for groups in material.task_groups.values()}}
    names = [str(name) for groups in grouped.values() for name in groups.cat.categories]
    if unused := options.strategy.keys() - names:
        logger.warning(
            "personas.strategy: %s is not a group of this report; groups are %s",
            ", ".join(sorted(unused)),
            enumerated(names),
        )
    start, end = shop.tables.start, material.as_of
    counts = habits(shop, start, end, options.largest)
    found = {
        kind: make_personas(
            shop,
            groups,
            counts,
            start,
            end,
            q=options.q,
            min_cell=options.min_cell,
            min_index=options.min_index,
            most=options.most,
        )
        for kind, groups in grouped.items()
    }
    made_by = {str(groups.name): material.in_use(task) for task, groups in material.task_groups.items()}
    currency = shop.staged.currency
    parts: list[Part] = [
        Text(_lead(found["tier"]), "lead"),
        Text(" ".join([material.about_groups, *tiers.notes])),
    ]
    for kind, personas in found.items():
        compared = comparison(personas, wordings["en"], currency)
        if compared is not None:
            about = f"Each {kind} beside the others. Index: 100 is as often as all customers."
            parts.append(Table(f"{kind}_comparison", compared, about))
    for kind, personas in found.items():
        if kind in made_by:
            parts.append(Heading(f"Personas by {kind}"))
            parts.append(Text(f"Made by {made_by[kind]}; sizes have changed since it was trained.", "note"))
        parts += persona_parts(personas, wordings, material.languages, options.strategy, currency, kind)
    parts.append(
        Text(
            f"Personas describe all days before {end}, those that made the tiers too; they are not a forecast. An "
            "index compares shares of what was bought, or of orders, not counts. Its interval is corrected for the "
            f"number of comparisons: of the differences that are named, {percent(options.q)} may be chance (false "
            "discovery rate). Months also show when a group was active, because tiers depend on when customers last "
            f"bought. Cells with fewer than {options.min_cell} customers are not shown.",
            "note",
        )
    )
    return parts


def _lead(tiers: Personas) -> str:
    """Return the tier with most revenue, in numbers, and what personas are good for."""
    advice = "Choose what to offer to each group by the habits below."
    if not tiers.personas:
        return f"No tier has enough customers to be described. {advice}"
    first = max(tiers.personas, key=lambda persona: persona.facts["revenue_share"])
    return (
        f"{first.group}, {percent(first.facts['share'])} of customers, brought {percent(first.facts['revenue_share'])} "
        f"of revenue with {number(first.facts['orders_per_customer'])} orders per customer. {advice}"
    )


PERSONAS = Topic("personas", "Personas", 30, _write)
