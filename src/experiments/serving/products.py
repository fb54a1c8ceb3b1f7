"""Products to offer to the customers whose rows are sent: of their own purchases, and of what the whole shop taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

import features.affinity as affinity
from experiments.serving.component import Component
from experiments.serving.scorer import View, kind_of
from features.arrays import read_arrays, write_arrays
from features.candidates import FEWEST_ORDERS, LearntCatalogue
from features.live import LiveCandidates, LiveFeatures
from features.tables import REQUIRED

ARRAYS, NAMES = "catalogue.npz", "products.parquet"
ID, NAME, IS_OFFERED = "product_id", "name", "is_offered"


@dataclass(frozen=True)
class Goods:
    """The products of a shop as of a day.

    Attributes
    ----------
    known : LearntCatalogue
    names : Series indexed product_id
        Of all that were sold.
    """

    known: LearntCatalogue
    names: pd.Series

    def write(self, folder: Path) -> None:
        """Write the products into a folder."""
        offered = self.names.index.isin(self.known.product_ids)
        table = {ID: self.names.index, NAME: self.names.to_numpy(), IS_OFFERED: offered}
        pd.DataFrame(table).sort_values(ID).to_parquet(folder / NAMES, index=False)
        write_arrays(folder / ARRAYS, self.known.state)

    @classmethod
    def read(cls, folder: Path) -> Goods:
        """Read what `write` wrote."""
        table = pd.read_parquet(folder / NAMES)
        offered = np.sort(table.loc[table[IS_OFFERED], ID].to_numpy(dtype=object))
        return cls(LearntCatalogue.from_state(offered, read_arrays(folder / ARRAYS)), table.set_index(ID)[NAME])


class Offers:
    """Lists of products by the models in use, for the customers of a request.

    Parameters
    ----------
    goods : Goods
    components : sequence of Component
        Models of candidate pairs.
    live : LiveFeatures
        Of the same shop.
    """

    def __init__(self, goods: Goods, components: Sequence[Component], live: LiveFeatures) -> None:
        self.components = components
        self._known = goods.known
        self._names = goods.names.reindex(goods.known.product_ids)
        self._sold = pa.array(goods.names.index, pa.string())
        features = dict.fromkeys(name for each in components for name in each.features)
        self._candidates = LiveCandidates(list(features), live, goods.known)

    def views(self, rows: Mapping[str, pa.Table], day: date, people: pd.Index) -> dict[str, View]:
        """Return what each model offers to every customer with a purchase before a day, by question."""
        X, bought = self._candidates.of(rows, day, people)
        reasons = affinity.Reasons(
            bought, day, self._names.to_numpy(), minimum_count=FEWEST_ORDERS, counts=self._known.orders
        )
        views = {}
        for each in self.components:
            lists = kind_of(each).listed(each.question, each.scores(X), bought, self._names, reasons)
            views[each.question] = View.of(each.question, each, lists)
        return views

    def lines_of_unknown(self, rows: Mapping[str, pa.Table]) -> int:
        """Count the lines of products that were never sold before the day on which the shop was learnt from."""
        if REQUIRED not in rows:
            return 0
        sold = rows[REQUIRED][ID]
        is_unknown = pc.and_(pc.is_valid(sold), pc.invert(pc.is_in(sold, value_set=self._sold)))
        return int(pc.sum(is_unknown).as_py() or 0)
