"""Changes since the last report as a section of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pandas as pd

from experiments.description.changes.figures import NOW, Report, compare, largest
from experiments.reports.material import Material
from experiments.reports.section import Heading, Part, Table, Text, Topic, enumerated, number
from features.tables import RECORDED_AT

FIGURES = "figures"  # the table
NAMED = 3  # groups in the first sentence
NOT_RECORDED = Text(
    "No table of this shop says when its rows were recorded, so figures of a past day may change with rows that come"
    " late or are corrected.",
    "note",
)


class ChangeMaterial(Material, Protocol):
    """Material of the section about changes, in addition to that of any section."""

    @property
    def this_report(self) -> Report:
        """Today's figures."""

    @property
    def last_report(self) -> Report | None:
        """Those of the last report of an earlier day; None where there is none."""


def change_parts(now: Report, then: Report | None) -> list[Part]:
    """Describe what differs from the last report; the next one reads the table.

    Parameters
    ----------
    now : Report
    then : Report or None
    """
    if then is None:
        first = "This is the first report on this shop, or older ones cannot be compared: the next one names changes."
        return [Text(first, "note"), Heading("Figures of today"), Table(FIGURES, _shown(now.figures.to_frame(NOW)))]
    changes = compare(now.figures, then.figures)
    return [
        Text(_lead(changes, then), "lead"),
        *(Text(sentence) for sentence in _models(now.models, then.models)),
        Table(FIGURES, _shown(changes.rename(columns={"then": str(then.as_of)})), f"Today and on {then.as_of}."),
    ]


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return whole figures, with what identifies them as columns: the next report reads them."""
    whole = {name: [None if pd.isna(value) else round(value) for value in table[name]] for name in table}
    return table.assign(**whole).reset_index()


def _lead(changes: pd.DataFrame, then: Report) -> str:
    found = largest(changes, NAMED)
    if found.empty and changes["change"].isna().all():
        return f"The figures of {then.as_of} are of other tiers, stages and lists, so that they cannot be compared."
    if found.empty:
        return f"Since {then.as_of} no tier, stage or list that both reports have changed by more than a few customers."
    named = [
        f"{kind} {name} {number(int(row.now))} (was {number(int(row.then))})"
        for (kind, name, _), row in zip(found.index, found.itertuples(), strict=True)
    ]
    return f"Since {then.as_of}, numbers of customers that changed most: {enumerated(named)}.{_of_one(changes)}"


def _of_one(changes: pd.DataFrame) -> str:
    """Return the groups that only one of both reports has; nothing where there are none."""
    alone = changes[changes["change"].isna()]
    named = list(dict.fromkeys(f"{kind} {name}" for kind, name, _ in alone.index))
    return f" In one of both reports only: {enumerated(named)}." if named else ""


def _models(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """Return a sentence for each task whose model in use is another one."""
    return [
        f"{task}: {model} is in use" + (f" in place of {then[task]}." if task in then else ", the first.")
        for task, model in now.items()
        if then.get(task) != model
    ] + [f"{task}: no model is in use any more." for task in then if task not in now]


def _write(material: ChangeMaterial) -> list[Part]:
    parts = change_parts(material.this_report, material.last_report)
    says_when = any(RECORDED_AT in table.columns for table in material.shop.tables.values())
    return parts if says_when else [*parts, NOT_RECORDED]


CHANGES = Topic("changes", "What changed", 6, _write)
