"""customer_360 of the customers whose rows are sent: features, scores, tier and stage, by parts that are kept whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from experiments.description.lifecycle.options import LifecycleOptions
from experiments.description.placement import Stages, TierPlaces
from experiments.models.base import dump, load
from experiments.models.buy_till_you_die import BuyTillYouDie
from experiments.serving.component import Component
from experiments.serving.lines import Lines, shown
from experiments.serving.own_lines import canonical, is_own
from experiments.serving.products import Goods, Offers
from experiments.serving.request import IDS, Request
from experiments.serving.scorer import CustomerScorer, View, kind_of
from experiments.tracking.requests import RequestError
from features.grains import CUSTOMER
from features.live import RETURNS, LiveFeatures, ShopFacts
from features.sources.files.sent import Reading
from features.tables import REQUIRED, SPECS

STATE, PLACES, PURCHASING, MODELS, FIXED = "parts.json", "places.parquet", "purchasing.json", "models", "tables"
GOODS = "goods"
(CUSTOMER_ID,) = CUSTOMER.key
SOLD_AT = "sold_at"  # of a return, where its sale is known
SOURCE, OF_LINES, OF_SCORES = "answered_from", "rows", "scores"


@dataclass(frozen=True)
class Parts:
    """All that an answer is made of, beside the rows that are sent.

    Attributes
    ----------
    name, shop, currency, timezone : str
    known_on : datetime.date
        Day of the customers among whom others are placed; as_of where a request has none, and the earliest.
    facts : ShopFacts
    shown : sequence of str
        Features in an answer.
    horizon_days : int
        Of expected_purchases.
    components : sequence of Component
    left_out : mapping of str to str
        What an answer lacks, and why.
    tiers : TierPlaces or None
    stages : Stages or None
    purchasing : BuyTillYouDie or None
    scores : str or None
        Scored file by which customers without rows are answered.
    reading : Reading or None
        How lines of orders in the shop's own columns are read; None where only canonical ones are.
    fixed : mapping of table to Path
        Parquet of the tables that are the same for all customers.
    goods : Goods or None
        Products to offer; None where no component offers any.
    """

    name: str
    shop: str
    currency: str
    timezone: str
    known_on: date
    facts: ShopFacts
    shown: Sequence[str]
    horizon_days: int
    components: Sequence[Component]
    left_out: Mapping[str, str]
    tiers: TierPlaces | None
    stages: Stages | None
    purchasing: BuyTillYouDie | None
    scores: str | None
    reading: Reading | None
    fixed: Mapping[str, Path]
    goods: Goods | None = None

    def write(self, folder: Path) -> None:
        """Write all parts into a new folder."""
        (folder / MODELS).mkdir(parents=True)
        (folder / FIXED).mkdir()
        for component in self.components:
            (folder / MODELS / f"{component.question}.json").write_text(dump(component.model))
        for name, path in self.fixed.items():
            shutil.copyfile(path, folder / FIXED / f"{name}.parquet")
        if self.tiers is not None:
            self.tiers.known.to_parquet(folder / PLACES, index=False)
        if self.goods is not None:
            (folder / GOODS).mkdir()
            self.goods.write(folder / GOODS)
        if self.purchasing is not None:
            (folder / PURCHASING).write_text(dump(self.purchasing))
        state = {
            **{key: getattr(self, key) for key in ("name", "shop", "currency", "timezone", "horizon_days", "scores")},
            "known_on": str(self.known_on),
            "facts": self.facts.state,
            "shown": list(self.shown),
            "left_out": dict(self.left_out),
            "components": [component.state for component in self.components],
            "tiers": self.tiers.state if self.tiers is not None else None,
            "stages": self.stages.options.__dict__ if self.stages is not None else None,
            "reading": self.reading.__dict__ if self.reading is not None else None,
        }
        (folder / STATE).write_text(json.dumps(state, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Parts:
        """Read what `write` wrote."""
        state = json.loads((folder / STATE).read_text())
        texts = {each["question"]: (folder / MODELS / f"{each['question']}.json") for each in state["components"]}
        purchasing = folder / PURCHASING
        facts = ShopFacts.from_state(state["facts"])
        own: dict[str, Any] = {
            "known_on": date.fromisoformat(state["known_on"]),
            "facts": facts,
            "components": [
                Component.from_state(each, texts[each["question"]].read_text()) for each in state["components"]
            ],
            "tiers": TierPlaces.from_state(state["tiers"], pd.read_parquet(folder / PLACES))
            if state["tiers"]
            else None,
            "stages": Stages(LifecycleOptions(**state["stages"])) if state["stages"] else None,
            "reading": Reading(**state["reading"]) if state["reading"] else None,
            "purchasing": load(purchasing.read_text()) if purchasing.exists() else None,
            "goods": Goods.read(folder / GOODS) if (folder / GOODS).is_dir() else None,
            "fixed": {name: folder / FIXED / f"{name}.parquet" for name in facts.fixed},
        }
        return cls(**{**state, **own})

    @property
    def of_customers(self) -> list[Component]:
        """Components whose rows are customers."""
        return [component for component in self.components if kind_of(component).grain == CUSTOMER]

    @property
    def of_products(self) -> list[Component]:
        """Components whose rows are products to offer to customers."""
        return [component for component in self.components if kind_of(component).grain != CUSTOMER]

    @property
    def features(self) -> list[str]:
        """All features of customers that any part reads or an answer shows."""
        read = [*self.shown, *(name for component in self.of_customers for name in component.features)]
        for places in (self.tiers, self.stages):
            read += places.features if places is not None else []
        return list(dict.fromkeys(read))

    @property
    def manifest(self) -> dict[str, Any]:
        """Description of the parts that made an answer."""
        return {
            "model": self.name,
            "shop": self.shop,
            "currency": self.currency,
            "known_on": str(self.known_on),
            "components": {component.question: component.manifest for component in self.components},
            "left_out": dict(self.left_out),
        }


class Customers:
    """Answers of customer_360 to the rows of a request.

    Parameters
    ----------
    parts : Parts
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._features = LiveFeatures(parts.features, parts.facts, parts.fixed)
        self._offers = Offers(parts.goods, parts.of_products, self._features) if parts.goods is not None else None

    @property
    def tables(self) -> list[str]:
        """The tables that a request can bring."""
        return self.parts.facts.sent

    def answer(self, request: Request) -> dict[str, Any]:
        """Return what is known and predicted of each customer of a request, and the manifest of the parts.

        Raises
        ------
        RequestError
            If a row or id is not valid, a customer has no purchase before the day, or one without rows is not in the
            scored file.
        """
        day = request.as_of or self.parts.known_on
        if day < self.parts.known_on:
            raise RequestError(
                f"as_of is {day}; expected {self.parts.known_on} or later, the day of the customers that tiers compare "
                "with: earlier answers would know of later purchases"
            )
        tables, left_out = dict(request.tables), {}
        if (reading := self.parts.reading) is not None and REQUIRED in tables and is_own(tables[REQUIRED], reading):
            tables[REQUIRED], left_out = canonical(tables[REQUIRED], reading, self._features.engine)
        rows = {
            name: lines.read(self._features.schema(name), self.parts.timezone, self._note(name))
            for name, lines in tables.items()
        }
        if RETURNS in tables and SOLD_AT not in tables[RETURNS].columns:
            rows = self._features.with_sales(rows)
        answered = self.rows(rows, day)
        found = [{**row, SOURCE: OF_LINES} for row in answered.to_pylist()]
        known = {row[CUSTOMER_ID] for row in found}
        self._check_answered(tables, rows, known, day)
        found += self._scored([name for name in dict.fromkeys(request.customer_ids) if name not in known])
        if not found:
            raise RequestError(f"the request asks for no customer: send rows of {REQUIRED}, or {IDS}")
        later = {name: _later(table, SPECS[name].known_at, day) for name, table in rows.items()}
        return {
            "customers": found,
            "as_of": str(day),
            "rows_not_read_as_later": {name: count for name, count in later.items() if count},
            "lines_left_out_by_rules": dict(left_out),
            **({"lines_of_unknown_products": self._offers.lines_of_unknown(rows)} if self._offers is not None else {}),
            "manifest": self.parts.manifest,
        }

    def _note(self, table: str) -> str:
        """Return why a table has canonical columns alone, in words; "" where it may have the shop's own."""
        if table != REQUIRED:
            return f": only {REQUIRED} can have columns of the shop's own, {table} has canonical ones"
        if self.parts.reading is None:
            return f": {table} of this shop have canonical columns, as it merges ids of customers or is a packaged shop"
        return ""

    def rows(self, rows: Mapping[str, pa.Table], day: date) -> pa.RecordBatch:
        """Return rows of customer_360, one for each customer who bought before a day, in the order of their ids."""
        X = self._features.of(rows, day)
        if X.empty:
            return pa.RecordBatch.from_pydict({CUSTOMER_ID: []})
        views = self._offers.views(rows, day, X.index) if self._offers is not None else {}
        scorer = self._scorer(X, day, views)
        return scorer(pa.RecordBatch.from_pandas(X.reset_index(), preserve_index=False))

    def _scorer(self, X: pd.DataFrame, day: date, views: Mapping[str, View]) -> CustomerScorer:
        parts = self.parts
        placed = [places.columns(X) for places in (parts.tiers, parts.stages) if places is not None]
        return CustomerScorer(
            key=CUSTOMER.key,
            champions={component.question: component for component in parts.of_customers},
            currency=parts.currency,
            as_of=str(day),
            shown=list(parts.shown),
            views=views,
            purchasing=parts.purchasing,
            horizon_days=parts.horizon_days,
            described=pd.concat(placed, axis=1) if placed else None,
        )

    def _check_answered(
        self, tables: Mapping[str, Lines], rows: Mapping[str, pa.Table], answered: set[str], day: date
    ) -> None:
        if REQUIRED not in tables:
            return
        for number, customer in zip(tables[REQUIRED].numbered, rows[REQUIRED][CUSTOMER_ID].to_pylist(), strict=True):
            if customer not in answered:
                raise RequestError(
                    f"{REQUIRED}, line {number}: {CUSTOMER_ID} is {shown(customer)}, who has no line before {day}; "
                    "expected a purchase before as_of, or a later as_of"
                )

    def _scored(self, customers: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of the scored file of customers whose rows are not sent."""
        if not customers:
            return []
        if self.parts.scores is None:
            raise RequestError(
                f"{IDS} cannot be answered: the model names no scored file; expected rows of {REQUIRED}, or a model "
                "that was built with serve.scores=…"
            )
        try:
            table = ds.dataset(self.parts.scores, format="parquet").to_table(
                filter=pc.field(CUSTOMER_ID).isin(list(customers))
            )
        except (OSError, pa.ArrowInvalid):
            raise RequestError(
                f"{IDS} cannot be answered: {self.parts.scores} cannot be read; expected the file that "
                "experiments score writes"
            ) from None
        found = {row[CUSTOMER_ID]: row for row in table.to_pylist()}
        for number, customer in enumerate(customers, 1):
            if customer not in found:
                raise RequestError(
                    f"{IDS}, entry {number}: {shown(customer)} is not in the scored file; expected a customer of "
                    f"{self.parts.scores}, or rows of {REQUIRED}"
                )
        return [{**found[customer], SOURCE: OF_SCORES} for customer in customers]


def _later(table: pa.Table, moment: str | None, day: date) -> int:
    """Count the rows at or after the midnight that begins a day."""
    if moment is None:
        return 0
    later = pc.greater_equal(table[moment], pa.scalar(datetime.combine(day, time.min), table[moment].type))
    return int(pc.sum(later).as_py() or 0)
