"""Section of the lists: what to do with which customers, and where their list is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from experiments.campaigns.lists import ContactList
from experiments.reports.material import Material
from experiments.reports.section import Part, Table, Text, Topic, number


class CampaignMaterial(Material, Protocol):
    """Material of the section about lists, in addition to that of any section."""

    @property
    def contact_lists(self) -> tuple[Sequence[tuple[ContactList, pd.DataFrame, str]], Sequence[str]]:
        """Each list with its members and the file that `experiments score` writes; and why others are left out."""


def _write(material: CampaignMaterial) -> list[Part]:
    currency = material.shop.staged.currency
    rows: list[dict[str, Any]] = []
    customers: set[object] = set()
    lists, left_out = material.contact_lists
    for each, members, file in lists:
        stake = each.stake(members)
        customers |= set(members.index)
        rows.append(
            {
                "list": each.title,
                "customers": stake.customers,
                f"at stake, {currency}": stake.value,
                "measured by": stake.label if stake.column else "not known: amounts are unreliable",
                "what to do": each.action,
                "who": each.rule,
                "held back": stake.held_back,
                "file": Path(file).name,
            }
        )
    notes = [Text(f"Left out: {sentence}", "note") for sentence in left_out]
    if not rows:
        return notes or [Text("No list is declared: add a file to conf/lists/.", "note")]
    table = pd.DataFrame(rows).set_index("list")
    if not table["held back"].any():
        table = table.drop(columns="held back")
    about = "A customer can be on several lists; customer_360 has the action of the first of them."
    measures = table["measured by"].unique()
    if len(measures) == 1:  # a phone shows few columns
        table, about = table.drop(columns="measured by"), f"At stake: {measures[0]}. {about}"
    return [
        Text(_lead(rows, len(customers), currency), "lead"),
        Table("lists", table, about),
        Text(
            f"The files are in {Path(lists[0][2]).parent}, the most valuable customers first; experiments score writes "
            "them anew. Lists are declared in conf/lists/; campaign.control_share=0.1 holds a tenth of each back, so "
            "that its effect can be measured.",
            "note",
        ),
        *notes,
    ]


def _lead(rows: Sequence[Mapping[str, Any]], customers: int, currency: str) -> str:
    """Return how many customers are on how many lists, and the first list by priority that has any."""
    filled = [row for row in rows if row["customers"]]
    if not filled:
        return "No list has customers today."
    first, empty = filled[0], len(rows) - len(filled)
    value = first[f"at stake, {currency}"]
    stake = f", {currency} {number(value)} of {first['measured by']} at stake" if value > 0 else ""
    others = f"; {_many(empty, 'other list')} without customers" if empty else ""
    return (
        f"{_many(customers, 'customer')} on {_many(len(filled), 'list')}{others}. Begin with {first['list']}, the "
        f"first in priority: {_many(first['customers'], 'customer')}{stake}. {first['what to do']}"
    )


def _many(count: int, noun: str) -> str:
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


LISTS = Topic("lists", "What to do now", 5, _write)
