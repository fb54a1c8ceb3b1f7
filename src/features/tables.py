"""The canonical tables: what every source is staged to and every feature reads.

Money is DECIMAL in the shop's own currency and becomes double once, in `snapshot`: two threads that
sum doubles do not give the same bits twice. Timestamps are naive, in the shop's time zone, to the
microsecond. Days are calendar days of the shop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

import ibis
import ibis.expr.types as ir

from features.errors import InputError

MONEY = "decimal(18, 4)"
QUANTITY = "decimal(18, 3)"
MOMENT = "timestamp(6)"


@dataclass(frozen=True)
class Column:
    """One canonical column.

    Attributes
    ----------
    type : str
        Ibis type.
    meaning : str
        What a value says, with its unit.
    required : bool
        No value may be null; a source without the column cannot be staged.
    minimum, maximum : float, optional
        Inclusive range.
    after_the_fact : bool
        Measured at the end of the data, so that it encodes the future: `Tables.as_of` removes it.
    """

    type: str
    meaning: str
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    after_the_fact: bool = False


@dataclass(frozen=True)
class TableSpec:
    """One canonical table: its columns, its key, and the column that says when a row became known.

    A table without `known_at` holds facts of unknown date (a customer's region, a product's brand).
    """

    meaning: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    known_at: str | None = None

    @property
    def schema(self) -> ibis.Schema:
        return ibis.schema({name: column.type for name, column in self.columns.items()})


SPECS: Mapping[str, TableSpec] = {
    "transactions": TableSpec(
        meaning="one row per line of an order",
        key=("order_id", "line_number"),
        known_at="timestamp",
        columns={
            "order_id": Column("string", "one visit to the till or one web order of one customer", required=True),
            "line_number": Column("int64", "counts the source's lines", required=True, minimum=0),
            "customer_id": Column("string", "who bought", required=True),
            "timestamp": Column(MOMENT, "when, in the shop's time zone", required=True),
            "amount": Column(MONEY, "what the shop takes for the line, after discounts", required=True, minimum=0),
            "product_id": Column("string", "what was bought"),
            "quantity": Column(QUANTITY, "units; null where the source's figure is no count of units", minimum=0),
            "list_amount": Column(MONEY, "the line at regular price, before discounts", minimum=0),
            "coupon_discount": Column(MONEY, "value of the coupons used on the line", minimum=0),
            "coupon_status": Column("string", "what became of the offered coupon, as the source words it"),
            "tax_amount": Column(MONEY, "tax on the line", minimum=0),
            "delivery_amount": Column(MONEY, "delivery charge, on one line of each order only", minimum=0),
            "store_id": Column("string", "where"),
            "channel": Column("string", "through what"),
        },
    ),
    "customers": TableSpec(
        meaning="one row per customer, facts of unknown date",
        key=("customer_id",),
        columns={
            "customer_id": Column("string", "who", required=True),
            "gender": Column("string", "as the source words it"),
            "region": Column("string", "as the source words it"),
            "age_band": Column("string", "years, a band such as 45-54 or 65+"),
            "income_band": Column("string", "thousands of currency a year, a band such as 50-74K"),
            "marital_status": Column("string", "as the source words it"),
            "home_ownership": Column("string", "as the source words it"),
            "household_size": Column("string", "persons, a count such as 2 or 5+"),
            "household_composition": Column("string", "as the source words it"),
            "children": Column("string", "children, a count such as 0 or 3+"),
            "tenure_months": Column(
                "int64", "months since registration at the end of the data", minimum=0, after_the_fact=True
            ),
        },
    ),
    "products": TableSpec(
        meaning="one row per product, facts of unknown date",
        key=("product_id",),
        columns={
            "product_id": Column("string", "which", required=True),
            "name": Column("string", "as sold"),
            "department": Column("string", "coarsest level of the assortment"),
            "category": Column("string", "level at which the shop plans"),
            "subcategory": Column("string", "finest level above the product"),
            "brand": Column("string", "brand or kind of brand"),
            "manufacturer": Column("string", "who makes it"),
            "size": Column("string", "as the source words it"),
        },
    ),
    "discounts": TableSpec(
        meaning="one row per coupon or price cut and what it holds for",
        key=("discount_id", "campaign_id", "product_id", "category", "starts_at"),
        known_at="starts_at",
        columns={
            "discount_id": Column("string", "coupon or offer", required=True),
            "campaign_id": Column("string", "campaign that carries it"),
            "product_id": Column("string", "product it holds for; null for all of the category"),
            "category": Column("string", "category it holds for; null where a product is named"),
            "starts_at": Column(MOMENT, "first moment it holds", required=True),
            "ends_at": Column(MOMENT, "first moment it no longer holds", required=True),
            "discount_rate": Column("float64", "share of the price taken off", minimum=0, maximum=1),
        },
    ),
    "campaigns": TableSpec(
        meaning="one row per campaign",
        key=("campaign_id",),
        known_at="starts_at",
        columns={
            "campaign_id": Column("string", "which", required=True),
            "kind": Column("string", "as the source words it"),
            "starts_at": Column(MOMENT, "first moment", required=True),
            "ends_at": Column(MOMENT, "first moment after it", required=True),
        },
    ),
    "contacts": TableSpec(
        meaning="one row per customer addressed by a campaign",
        key=("campaign_id", "customer_id"),
        known_at="contacted_at",
        columns={
            "campaign_id": Column("string", "which campaign", required=True),
            "customer_id": Column("string", "who", required=True),
            "contacted_at": Column(MOMENT, "when; the campaign's start where no day is recorded", required=True),
            "channel": Column("string", "through what"),
        },
    ),
    "responses": TableSpec(
        meaning="one row per recorded response to a campaign",
        key=("campaign_id", "customer_id", "discount_id", "responded_at"),
        known_at="responded_at",
        columns={
            "campaign_id": Column("string", "which campaign", required=True),
            "customer_id": Column("string", "who", required=True),
            "responded_at": Column(MOMENT, "when", required=True),
            "discount_id": Column("string", "coupon redeemed"),
            "kind": Column("string", "redemption, click, ..."),
        },
    ),
    "marketing_spend": TableSpec(
        meaning="one row per day and channel",
        key=("spent_at", "channel"),
        known_at="spent_at",
        columns={
            "spent_at": Column(MOMENT, "day, at midnight", required=True),
            "channel": Column("string", "where it went", required=True),
            "amount": Column(MONEY, "what was spent", required=True, minimum=0),
        },
    ),
    "taxes": TableSpec(
        meaning="one row per category, facts of unknown date",
        key=("category",),
        columns={
            "category": Column("string", "category taxed", required=True),
            "tax_rate": Column("float64", "share of the price", required=True, minimum=0, maximum=1),
        },
    ),
}


def midnight(day: date) -> ir.Scalar:
    """The first moment of a day, as an expression that compares with canonical timestamps."""
    return ibis.literal(datetime.combine(day, time.min), type=MOMENT)


def parse_day(text: object, what: str = "cutoff") -> date:
    """Read a day written as YYYY-MM-DD.

    Raises
    ------
    InputError
        If the text is no such day.
    """
    if isinstance(text, datetime):
        return text.date()
    if isinstance(text, date):
        return text
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise InputError(
            f"{what}={text} is no day", expected="YYYY-MM-DD", found=str(text), hint=f"write it as {what}=2017-10-03"
        ) from None


@dataclass(frozen=True)
class Tables:
    """A shop's canonical tables over the days [start, end).

    Whatever reads customers' past takes `as_of(cutoff)`, whatever reads their future takes
    `between(start, end)`. As both only ever narrow the window, nothing that holds the past can reach
    what came later: leakage is ruled out by construction.

    Attributes
    ----------
    start, end : datetime.date
        First day, and the first day after the last: the window that the rows cover.
    burn_in_days : int
        Customers first seen within so many days of `start` may have bought before it: their T is a
        lower bound, and they are marked left-truncated.
    transactions, customers, ... : ibis table or None
        One field per canonical table; None where the shop has none.
    """

    start: date
    end: date
    transactions: ir.Table
    customers: ir.Table | None = None
    products: ir.Table | None = None
    discounts: ir.Table | None = None
    campaigns: ir.Table | None = None
    contacts: ir.Table | None = None
    responses: ir.Table | None = None
    marketing_spend: ir.Table | None = None
    taxes: ir.Table | None = None
    burn_in_days: int = field(default=0, kw_only=True)

    def present(self) -> dict[str, ir.Table]:
        """The tables that this shop has, by name."""
        return dict(self._items())

    def as_of(self, cutoff: date) -> Tables:
        """What was known before the midnight that begins `cutoff`.

        Rows dated at or after the cutoff, and columns measured after the fact, are gone. Tables of
        undated facts stay whole.

        Raises
        ------
        InputError
            If the cutoff is not in (start, end]: at most the last day + 1.
        """
        self.check_cutoff(cutoff)
        kept = {}
        for name, table in self._items():
            spec = SPECS[name]
            table = table.select(
                [c for c in table.columns if c not in spec.columns or not spec.columns[c].after_the_fact]
            )
            kept[name] = table.filter(table[spec.known_at] < midnight(cutoff)) if spec.known_at else table
        return dataclasses.replace(self, end=cutoff, **kept)

    def between(self, start: date, end: date) -> Tables:
        """What happened in [start, end).

        Raises
        ------
        InputError
            If the window does not lie inside the data.
        """
        self.check_window(start, end)
        kept = {}
        for name, table in self._items():
            known_at = SPECS[name].known_at
            if known_at:
                moment = table[known_at]
                table = table.filter((moment >= midnight(start)) & (moment < midnight(end)))
            kept[name] = table
        return dataclasses.replace(self, start=start, end=end, **kept)

    def check_cutoff(self, cutoff: date) -> None:
        """Refuse a cutoff outside the data, as `as_of` does."""
        if not self.start < cutoff <= self.end:
            raise InputError(
                f"{cutoff} is outside the data",
                expected=f"a day from {self.start + timedelta(days=1)} to {self.end} (the last day of data + 1)",
                found=str(cutoff),
                hint="choose a cutoff in this range, or add the missing days to the source",
            )

    def check_window(self, start: date, end: date) -> None:
        """Refuse a window that does not lie inside the data, as `between` does."""
        if not self.start <= start < end <= self.end:
            raise InputError(
                f"the window {start} to {end} is not covered by the data",
                expected=f"days within {self.start} to {self.end} (end exclusive)",
                found=f"[{start}, {end})",
                hint="choose an earlier cutoff or a shorter horizon_days",
            )

    def _items(self) -> Iterator[tuple[str, ir.Table]]:
        for name in SPECS:
            table = getattr(self, name)
            if table is not None:
                yield name, table
