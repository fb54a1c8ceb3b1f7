"""Changes between two reports: differences by hand, and the groups that are named."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from experiments.description.changes.figures import Report, compare, count, joined, largest, of_list, read
from experiments.description.changes.section import change_parts
from experiments.reports.section import Table, Text


def figures(vip: int, gold: int, stake: float) -> pd.Series:
    tiers = pd.Series(pd.Categorical(["VIP"] * vip + ["Gold"] * gold, ["VIP", "Gold"], ordered=True))
    return joined([of_list("At risk", 9, stake, "EUR"), count("tier", tiers)])


def test_figures_are_compared_by_hand_and_survive_their_table() -> None:
    now = figures(60, 100, 12.6)
    then = read(
        pd.DataFrame({"kind": ["tier", "stage"], "name": ["VIP", "new"], "measure": "customers", "now": [40, 7]})
    )
    table = compare(now, then)
    assert [*table.loc[("tier", "VIP", "customers")]] == [60, 40, 20]
    assert np.isnan(table.loc[("tier", "Gold", "customers"), "change"])
    assert table.index[-1] == ("stage", "new", "customers"), "what is gone comes last"
    parts = change_parts(Report(date(2024, 2, 1), now, {"clv": "s-clv version 2"}), Report(date(2024, 1, 1), then, {}))
    lead, model = (part.text for part in parts if isinstance(part, Text))
    assert lead == (
        "Since 2024-01-01, numbers of customers that changed most: tier VIP 60 (was 40). In one of both reports only: "
        "list At risk, tier Gold and stage new."
    )
    assert model == "clv: s-clv version 2 is in use, the first."
    shown = next(part.frame for part in parts if isinstance(part, Table))
    assert read(shown)[("list", "At risk", "at stake, EUR")] == 13


def test_a_group_is_named_by_its_change_for_its_size() -> None:
    index = pd.MultiIndex.from_tuples(
        [("tier", name, "customers") for name in "abc"], names=["kind", "name", "measure"]
    )
    changes = compare(pd.Series([10_050.0, 130, 4], index), pd.Series([10_000.0, 100, 0], index))
    assert [name for _, name, _ in largest(changes, 3).index] == ["b", "a"], "four customers are too few to say"
    assert largest(changes, 1).index[0][1] == "b"


def test_reports_of_other_groups_are_not_called_alike() -> None:
    then = Report(date(2024, 1, 1), figures(5_000, 3_000, 1.0).rename({"VIP": "A", "Gold": "B", "At risk": "C"}), {})
    (lead,) = (
        part.text
        for part in change_parts(Report(date(2024, 2, 1), figures(9, 9, 1.0), {}), then)
        if isinstance(part, Text)
    )
    assert lead == "The figures of 2024-01-01 are of other tiers, stages and lists, so that they cannot be compared."
