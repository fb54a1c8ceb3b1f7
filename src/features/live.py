"""Features of customers whose rows are sent, in memory: the expressions of training over the tables of a request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from features.candidates import CANDIDATES, SCHEMA, LearntCatalogue, bought_lines, purchases_of
from features.engines import InMemory
from features.families import resolve
from features.learnt import with_learnt_from
from features.snapshot import feature_rows
from features.sources.files.returns import OF_THE_SALE, in_time, pairs
from features.tables import REQUIRED, SPECS, Tables

if TYPE_CHECKING:
    from features.affinity import Purchases

RETURNS = "returns"
CATALOGUE, PAIRS = "learnt_catalogue", "candidate_pairs"  # tables beside those of the shop
KEPT_DAYS = 32  # days whose queries are kept: to compile one takes half a second


@dataclass(frozen=True)
class ShopFacts:
    """Facts of a shop that features read beside its rows.

    Attributes
    ----------
    start : datetime.date
        First day of the data.
    burn_in_days : int
    spend : {"net", "gross"}
    schemas : mapping of str to mapping of column to Ibis type
        Of the tables that features read.
    """

    start: date
    burn_in_days: int
    spend: str
    schemas: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, tables: Tables, names: Sequence[str]) -> ShopFacts:
        """Return the facts that the named features read of a shop."""
        read = {REQUIRED, *(table for family in resolve(names) for table in family.needs)}
        if tables.nets_returns:
            read.add("returns")
        schemas = {name: _types(tables[name].schema()) for name in tables if name in read}
        return cls(tables.start, tables.burn_in_days, tables.spend, schemas)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ShopFacts:
        return cls(**{**state, "start": date.fromisoformat(state["start"])})

    @property
    def state(self) -> dict[str, Any]:
        """The facts as values that JSON holds."""
        return {**self.__dict__, "start": str(self.start)}

    @property
    def sent(self) -> list[str]:
        """The tables whose rows belong to customers: a request brings them."""
        return [name for name in self.schemas if SPECS[name].is_about_customers]

    @property
    def fixed(self) -> list[str]:
        """The tables that are the same for all customers, such as products."""
        return [name for name in self.schemas if name not in self.sent]

    def tables(self, end: date) -> Tables:
        """Return tables without rows, for expressions."""
        empty = {name: ibis.table(schema, name=name) for name, schema in self.schemas.items()}
        return Tables(start=self.start, end=end, burn_in_days=self.burn_in_days, spend=self.spend, **empty)


class DailyQuery:
    """Query about the past of a day, for the latest days that were asked about.

    Parameters
    ----------
    facts : ShopFacts
    build : callable
        `(past: Tables) -> ibis table`
    """

    def __init__(self, facts: ShopFacts, build: Callable[[Tables], ir.Table]) -> None:
        self._facts = facts
        self._build = build
        self._texts: OrderedDict[date, str] = OrderedDict()

    def of(self, as_of: date) -> str:
        """Return the query's SQL."""
        text = self._texts.get(as_of)
        if text is None:
            rows = self._build(self._facts.tables(as_of).as_of(as_of))
            text = self._texts[as_of] = str(ibis.to_sql(rows, dialect="duckdb"))
            if len(self._texts) > KEPT_DAYS:
                self._texts.popitem(last=False)
        return text


class LiveFeatures:
    """Features of customers, computed from their rows alone.

    Parameters
    ----------
    names : sequence of str
        Features of customers.
    facts : ShopFacts
    fixed : mapping of str to Path
        Parquet of the tables that are the same for all customers.
    """

    def __init__(self, names: Sequence[str], facts: ShopFacts, fixed: Mapping[str, Path]) -> None:
        self.names = list(names)
        self.facts = facts
        self.engine = InMemory(fixed)
        self._rows = DailyQuery(facts, lambda past: feature_rows(past, self.names).order_by("customer_id"))

    def of(self, rows: Mapping[str, pa.Table], as_of: date) -> pd.DataFrame:
        """Compute the features of every customer with a purchase before a day.

        Parameters
        ----------
        rows : mapping of table to Arrow table
            Canonical rows of the tables that `ShopFacts.sent` names; a table that is left out has none.
        as_of : datetime.date
            First day that is not included.

        Returns
        -------
        DataFrame
            float64, indexed by customer_id, sorted by it.
        """
        return self.run(self._rows, rows, as_of).set_index("customer_id")

    def run(self, query: DailyQuery, rows: Mapping[str, pa.Table], as_of: date, **further: pa.Table) -> pd.DataFrame:
        """Run a query about a day over rows as of `of`, and further tables by name."""
        given = {name: rows.get(name, self.schema(name).empty_table()) for name in self.facts.sent}
        return self.engine.run(query.of(as_of), {**given, **further}).to_pandas()

    def with_sales(self, rows: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Give each return the sale that it takes back, as staging finds it.

        Parameters
        ----------
        rows : mapping of table to Arrow table
            As of `of`, with returns that name an order, a product or neither.

        Returns
        -------
        dict of table to Arrow table
            The same rows. Returns have the order, line and time of their sale, null where there is none, and are not
            earlier than it.
        """
        given = {name: rows.get(name, self.schema(name).empty_table()) for name in (REQUIRED, RETURNS)}
        found = pairs(self.engine.run(self._sales_and_returns, given).to_pylist())
        sales = {pair["return_number"]: pair for pair in found}
        back = given[RETURNS].to_pylist()
        for row in back:
            row |= {name: sales.get(row["return_number"], {}).get(name) for name in OF_THE_SALE}
            row["returned_at"] = max(row["returned_at"], row["sold_at"] or row["returned_at"])
        return {**rows, RETURNS: pa.Table.from_pylist(back, schema=self.schema(RETURNS))}

    @cached_property
    def _sales_and_returns(self) -> str:
        tables = {name: ibis.table(self.facts.schemas[name], name=name) for name in (REQUIRED, RETURNS)}
        return str(ibis.to_sql(in_time(tables[RETURNS], tables[REQUIRED]), dialect="duckdb"))

    def schema(self, table: str) -> pa.Schema:
        """Return the Arrow schema of one of the tables that a request brings."""
        return ibis.schema(dict(self.facts.schemas[table])).to_pyarrow()


class LiveCandidates:
    """Candidate pairs of customers and products: of customers' rows, and of what was learnt from the whole shop.

    Parameters
    ----------
    names : sequence of str
        Features of candidate pairs.
    live : LiveFeatures
        Of the same shop.
    known : LearntCatalogue
    """

    def __init__(self, names: Sequence[str], live: LiveFeatures, known: LearntCatalogue) -> None:
        self._live = live
        self._known = known
        self._catalogue = {CATALOGUE: pa.table({"product_id": pa.array(known.product_ids, pa.string())})}
        among = ibis.table({"product_id": "string"}, name=CATALOGUE)
        chosen = list(names)
        self._lines = DailyQuery(live.facts, lambda past: bought_lines(past, among))
        self._pairs = DailyQuery(
            live.facts,
            lambda past: with_learnt_from(feature_rows(past, chosen, CANDIDATES), PAIRS).order_by(list(CANDIDATES.key)),
        )

    def of(self, rows: Mapping[str, pa.Table], as_of: date, people: pd.Index) -> tuple[pd.DataFrame, Purchases]:
        """Choose the candidates of customers.

        Parameters
        ----------
        rows, as_of
            As of `LiveFeatures.of`. Purchases of products that are not in the catalogue change nothing.
        people : Index of customer_id
            Every customer with a purchase before the day, as `LiveFeatures.of` finds them.

        Returns
        -------
        DataFrame
            The features, float64, indexed by customer_id and product_id, sorted by them.
        Purchases
            What the customers bought of the catalogue, whose codes its products have.
        """
        lines = self._live.run(self._lines, rows, as_of, **self._catalogue)
        past = purchases_of(lines, people.to_frame(index=False)).among(self._known.product_ids)
        schema = ibis.schema(SCHEMA).to_pyarrow()
        pairs = pa.Table.from_pandas(self._known.pairs(past), schema=schema, preserve_index=False)
        return self._live.run(self._pairs, rows, as_of, **{PAIRS: pairs}).set_index(list(CANDIDATES.key)), past


def _types(schema: ibis.Schema) -> dict[str, str]:
    return {name: str(kind).removeprefix("!") for name, kind in schema.items()}
