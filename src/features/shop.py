"""An open shop: its staged tables on an engine, and the frames that are computed from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from features import assortment, snapshot
from features.analyses import kept
from features.assortment import CATEGORY, PRODUCT
from features.engines import Engine
from features.errors import InputError, did_you_mean, listing
from features.grains import CUSTOMER, Grain
from features.outcomes import Outcome
from features.sources import contact_details, stage
from features.sources.shop_config import NO_GOODS, no_goods
from features.sources.staged import Staged
from features.tables import Tables


@dataclass(frozen=True)
class Shop:
    """A shop's staged tables, the engine that reads them and the cache of what was computed.

    Attributes
    ----------
    staged : Staged
        Name, currency, digest, rows and drops of the staged data.
    tables : Tables
        The canonical tables on the engine.
    engine : Engine
        Runs the expressions.
    cache : pathlib.Path
        Folder of frames, under the digest of all that they were computed from.
    no_goods : tuple of str
        Categories of products that descriptions leave out, as they are no goods. Features and outcomes keep them.
    """

    staged: Staged
    tables: Tables
    engine: Engine
    cache: Path
    no_goods: tuple[str, ...] = field(default=(), kw_only=True)

    @classmethod
    def open(cls, source: Mapping[str, Any], engine: Engine, cache: Path) -> Shop:
        """Stage the source's tables, unless that was done before, and open them."""
        staged = stage(source, cache)
        left_out = no_goods(source)
        return cls(staged=staged, tables=staged.open(engine), engine=engine, cache=cache, no_goods=left_out)

    def contact_details(self, source: Mapping[str, Any]) -> pd.DataFrame | None:
        """Read the columns of customers that the source's config names for lists; None where it names none.

        They are in no table, feature or file of the cache.

        Parameters
        ----------
        source : mapping
            The shop's config.

        Returns
        -------
        DataFrame indexed by customer_id
            One row for each customer who has one: under the customer's own id, else the first that is merged into it.
        """
        found = contact_details(source)
        if found is None:
            return None
        own, links = found["customer_id"], self.tables.identities
        if links is not None:
            led = self.engine.frame(links.select("id", "customer_id")).drop_duplicates("id")
            found = found.assign(customer_id=own.map(led.set_index("id")["customer_id"]).fillna(own))
        first = found.assign(is_other=found["customer_id"] != own, own=own).sort_values(
            ["is_other", "own"], kind="stable"
        )
        return first.drop(columns=["is_other", "own"]).drop_duplicates("customer_id").set_index("customer_id")

    @cached_property
    def goods(self) -> Tables:
        """The tables without the products that are no goods.

        Raises
        ------
        InputError
            If products have no such category.
        """
        products = self.tables.products
        if not self.no_goods or products is None:
            return self.tables
        known = self.engine.frame(products.select("category").distinct())["category"].dropna()
        for name in self.no_goods:
            if name not in set(known):
                raise InputError(
                    f"there is no category {name!r}",
                    where=f"data.{NO_GOODS}",
                    expected="categories of the table products",
                    found=listing(sorted(known)),
                    hint=did_you_mean(name, list(known)),
                )
        left_out = products.filter(products.category.isin(self.no_goods)).product_id
        lines = self.tables.transactions
        return self.tables.with_tables(  # their lines stay, as orders do, and say no more what they are of
            products=products.filter(products.product_id.notin(left_out)),
            transactions=lines.mutate(
                product_id=ibis.ifelse(lines.product_id.isin(left_out), ibis.null("string"), lines.product_id)
            ),
        )

    @cached_property
    def names_products(self) -> bool:
        """Return whether a line of an order names its product."""
        return assortment.names_products(self.tables, self.engine)

    @cached_property
    def level(self) -> str:
        """The level at which goods are described: see `assortment`."""
        products = self.goods.products
        if products is None:
            return PRODUCT
        known = self.engine.frame(products.aggregate(known=products.category.count()))["known"]
        return CATEGORY if known.iloc[0] else PRODUCT

    def expand(self, names: Sequence[str], cutoff: date) -> list[str]:
        """Replace wildcards among the names by the largest values as of the cutoff: see `snapshot.expand`."""
        return snapshot.expand(names, self.tables.as_of(cutoff), self.engine)

    def features(self, names: Sequence[str], cutoffs: Sequence[date], grain: Grain = CUSTOMER) -> pd.DataFrame:
        """Return the named features at each cutoff, indexed (*grain.key, cutoff): see `snapshot.snapshot`."""
        return snapshot.snapshot(
            self.tables, names, cutoffs, self.engine, cache=self.cache, digest=self.staged.digest, grain=grain
        )

    def snapshot(self, names: Sequence[str], cutoff: date, grain: Grain = CUSTOMER) -> Path:
        """Write the named features at one cutoff as Parquet; return its path: see `snapshot.snapshot_files`."""
        files = snapshot.snapshot_files(
            self.tables, names, [cutoff], self.engine, cache=self.cache, digest=self.staged.digest, grain=grain
        )
        return files[cutoff]

    def outcome(
        self, outcome: Outcome, cutoffs: Sequence[date], horizon_days: int, grain: Grain = CUSTOMER
    ) -> pd.DataFrame:
        """Return the outcome of the `horizon_days` from each cutoff, indexed as `features`: see `snapshot.outcome`."""
        return snapshot.outcome(
            self.tables,
            outcome,
            cutoffs,
            horizon_days,
            self.engine,
            cache=self.cache,
            digest=self.staged.digest,
            grain=grain,
        )

    def behaviour(
        self, expression: Callable[[Tables, ir.Table], ir.Table], groups: pd.Series, start: date, end: date
    ) -> pd.DataFrame:
        """Return totals of groups of customers in [start, end), by an expression of `features.group_totals`.

        Parameters
        ----------
        expression : callable
            `(window, groups) -> ibis table`, such as `group_totals.by_day`; its window has goods only.
        groups : Series
            Group of each customer, indexed by customer_id; customers of no group (NaN) are left out.
        start, end : datetime.date

        Returns
        -------
        DataFrame
            The expression's columns, in no promised order of rows; `group` is of the same type as `groups`.
        """
        known = groups.dropna()
        kind = (
            groups.dtype
            if isinstance(groups.dtype, pd.CategoricalDtype)
            else pd.CategoricalDtype(pd.Index(known.unique()))
        )
        codes = pd.Categorical(known, dtype=kind).codes.astype("int64")
        table = ibis.memtable(
            pd.DataFrame({"customer_id": known.index.astype(str), "group": codes}),
            schema=ibis.schema({"customer_id": "string", "group": "int64"}),
        )
        frame = self.engine.frame(expression(self.goods.between(start, end), table))
        frame["group"] = pd.Categorical.from_codes(frame["group"], dtype=kind)
        return frame

    def analysis(
        self, name: str, depends_on: Sequence[object], compute: Callable[[], pd.DataFrame], *, code: Path
    ) -> pd.DataFrame:
        """Return the frame of a slow analysis, computed once for the same data, settings and code: `analyses.kept`."""
        return kept(name, depends_on, compute, code=code, cache=self.cache, digest=self.staged.digest)

    def rows_of(self, customers: Collection[str], names: Collection[str]) -> dict[str, pd.DataFrame]:
        """Return the canonical rows of some customers, by table.

        Parameters
        ----------
        customers : collection of str
        names : collection of str
            Tables about customers.
        """
        wanted = list(customers)
        tables = {name: self.tables[name] for name in names}
        return {name: self.engine.frame(table.filter(table.customer_id.isin(wanted))) for name, table in tables.items()}

    def during(self, names: Sequence[str], start: date, end: date) -> pd.DataFrame:
        """Return the named features of the window [start, end) for those who bought in it, by customer_id.

        The window takes the place of the past: T counts from the first purchase in it, and `left_truncated` says
        nothing of the customer's own.
        """
        window = self.tables.between(start, end)
        return self.engine.frame(snapshot.feature_rows(window, list(names))).set_index("customer_id").sort_index()
