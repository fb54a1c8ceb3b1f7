"""Grains: the kinds of row that features and outcomes are computed for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features.tables import Tables

KNOWN_FROM = ("events", "messages", "contacts")  # tables that tell of people who have not bought yet

Rows = Callable[[Tables], ir.Table]


@dataclass(frozen=True)
class Grain:
    """One kind of row.

    Attributes
    ----------
    name : str
        As configurations and messages write it.
    key : tuple of str
        Index levels of a row beside its cutoff; text columns.
    rows : callable
        `(past: Tables) -> ibis table` of the key, each row once: the rows that exist as of the cutoff `past.end`.
    resampled : str
        Index level that a bootstrap draws: "customer_id", or "cutoff" for the steps of a series, drawn in blocks.
    needs : tuple of str
        Canonical tables that `rows` cannot do without.
    block : int
        Resampled units in a row that a bootstrap draws together: a week of a series resembles the week before.
    needs_one_of : tuple of str
        Canonical tables of which `rows` needs at least one.
    of_products : bool
        Rows are of products, which the lines of orders must name.
    step_days : int, optional
        Of a series: days between its cutoffs. The step of a row begins at the row's cutoff and lasts so long.
    """

    name: str
    key: tuple[str, ...]
    rows: Rows
    resampled: str
    needs: tuple[str, ...] = ("transactions",)
    step_days: int | None = None
    block: int = 1
    needs_one_of: tuple[str, ...] = ()
    of_products: bool = False

    @property
    def index(self) -> list[str]:
        """Return the names of the index levels of a frame of such rows."""
        return [*self.key, "cutoff"]

    def lacks(self, tables: Collection[str]) -> list[str]:
        """Return the tables that are missing among these, empty where the rows can be built."""
        absent = [name for name in self.needs if name not in tables]
        if self.needs_one_of and not any(name in tables for name in self.needs_one_of):
            absent.append(" or ".join(self.needs_one_of))
        return absent

    def takes(self, other: Grain) -> bool:
        """Return True if these rows get features of the other grain: its key is part of this one."""
        return set(other.key) <= set(self.key)


def customers(past: Tables) -> ir.Table:
    """Return those who bought before the cutoff: customer_id."""
    return past.transactions.select("customer_id").distinct()


def customer_products(past: Tables) -> ir.Table:
    """Return the pairs of a customer and a product that the customer bought before the cutoff."""
    lines = past.transactions
    return lines.filter(lines.product_id.notnull()).select("customer_id", "product_id").distinct()


def contacts(past: Tables) -> ir.Table:
    """Return the pairs of a campaign and a customer whom it addressed before the cutoff."""
    return past["contacts"].select("campaign_id", "customer_id").distinct()


def messages(past: Tables) -> ir.Table:
    """Return the messages sent before the cutoff, each with its receiver."""
    return past["messages"].select("customer_id", "message_id").distinct()


def prospects(past: Tables) -> ir.Table:
    """Return those known from events, messages or contacts before the cutoff who had not bought by then."""
    ids = [past[name].select("customer_id") for name in KNOWN_FROM if name in past]
    known = ibis.union(*ids, distinct=True) if len(ids) > 1 else ids[0].distinct()
    return known.anti_join(customers(past), "customer_id")


def sessions(past: Tables) -> ir.Table:
    """Return the sessions with an event before the cutoff, each with its visitor."""
    events = past["events"]
    return events.filter(events.session_id.notnull()).select("customer_id", "session_id").distinct()


def categories(past: Tables) -> ir.Table:
    """Return the categories sold before the cutoff."""
    products = past["products"]
    known = products.filter(products.category.notnull())
    sold = known.semi_join(past.transactions, "product_id")
    return sold.select("category").distinct()


def channels(past: Tables) -> ir.Table:
    """Return the channels on which money was spent before the cutoff."""
    spend = past["marketing_spend"]
    return spend.filter(spend.amount > 0).select("channel").distinct()


CUSTOMER = Grain("customer", ("customer_id",), customers, "customer_id")
CUSTOMER_PRODUCT = Grain(
    "customer_product", ("customer_id", "product_id"), customer_products, "customer_id", of_products=True
)
CONTACT = Grain("contact", ("campaign_id", "customer_id"), contacts, "customer_id", needs=("contacts",))
MESSAGE = Grain("message", ("customer_id", "message_id"), messages, "customer_id", needs=("messages",))
PROSPECT = Grain("prospect", ("customer_id",), prospects, "customer_id", needs_one_of=KNOWN_FROM)
SESSION = Grain("session", ("customer_id", "session_id"), sessions, "customer_id", needs=("events",))
CATEGORY_WEEK = Grain(
    "category_week", ("category",), categories, "cutoff", needs=("transactions", "products"), step_days=7, block=4
)
CHANNEL_DAY = Grain("channel_day", ("channel",), channels, "cutoff", needs=("marketing_spend",), step_days=1, block=7)

GRAINS: Mapping[str, Grain] = {
    grain.name: grain
    for grain in (
        CUSTOMER,
        CUSTOMER_PRODUCT,
        CONTACT,
        MESSAGE,
        PROSPECT,
        SESSION,
        CATEGORY_WEEK,
        CHANNEL_DAY,
    )
}
