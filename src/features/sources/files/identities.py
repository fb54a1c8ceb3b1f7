"""Ids of one customer: an id is replaced by the customer that identities lead to, through chains of any length."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.tables import SPECS

IDENTITIES = "identities"
CUSTOMER = "customer_id"
OWN = "staging_own_id"  # the customer's id as the table has it
LINK = "staging_link"  # of a row of identities, for messages


def linked(rows: ir.Table, engine: DuckDB) -> ir.Table:
    """Follow each id to its last customer, and mark what cannot be followed.

    `is_conflicting` marks an id of several customers, `is_circular` one whose chain ends in a circle: their customer
    stays. `is_repeated_id` marks all rows of an id but the first, `is_link` those that lead to another id.

    Parameters
    ----------
    rows : ibis table
        Columns id and customer_id.
    engine : DuckDB
        Keeps the links of each step.
    """
    links = rows.select("id", CUSTOMER).filter(
        lambda row: row.id.notnull() & row.customer_id.notnull() & (row.id != row.customer_id)
    )
    customers = links.group_by("id").aggregate(
        end=lambda row: row.customer_id.min(), n=lambda row: row.customer_id.nunique()
    )
    ends = _followed(customers.filter(customers.n == 1).select("id", "end"), engine)
    known = customers.filter(customers.n > 1).select("id").mutate(is_conflicting=True)
    table = rows.mutate(**{LINK: rows.id + " -> " + rows.customer_id})
    table = table.left_join(known, "id").drop("id_right")
    table = table.left_join(ends, "id").drop("id_right")
    leads_on = table.end.notnull() & ~table.is_circular
    return table.mutate(
        customer_id=ibis.ifelse(leads_on, table.end, table.customer_id),
        is_conflicting=table.is_conflicting.fill_null(False),
        is_circular=table.is_circular.fill_null(False),
        is_link=(table.id != rows.customer_id).fill_null(False),
        is_repeated_id=table.id.notnull() & (ibis.row_number().over(group_by="id", order_by=LINK) > 0),
    ).drop("end")


def customers_of(identities: ir.Table) -> ir.Table:
    """Return the customer of each id that `linked` could follow: columns id and customer."""
    followed = identities.filter(~(identities.is_conflicting | identities.is_circular))
    led = followed.filter(followed.id != followed.customer_id)
    return led.select("id", customer=led.customer_id).distinct()


def with_customers(table: ir.Table, customers: ir.Table) -> ir.Table:
    """Replace the ids of customers; the id that a row had stays beside."""
    found = customers.select(staging_id=customers.id, staging_customer=customers.customer)
    joined = table.left_join(found, table[CUSTOMER] == found.staging_id)
    merged = joined.mutate(
        **{OWN: joined[CUSTOMER], CUSTOMER: ibis.coalesce(joined.staging_customer, joined[CUSTOMER])}
    )
    return merged.drop("staging_id", "staging_customer")


def is_doubled(name: str, table: ir.Table) -> ir.BooleanColumn | None:
    """Mark the rows that merging made equal in their table's key to one that is kept; None where none can be.

    The rows under the customer's own id are kept, else those under the first of the ids.
    """
    if name == IDENTITIES:
        return table.is_repeated_id
    key = [column for column in SPECS[name].key if column in table.columns]
    if CUSTOMER not in key or OWN not in table.columns:
        return None
    of_key = ibis.window(group_by=key, order_by=[table[OWN] != table[CUSTOMER], table[OWN]])
    return (table[OWN] != table[OWN].first().over(of_key)).fill_null(False)


def effect(name: str, table: ir.Table) -> Iterator[str]:
    """Yield how many customers a table has by its own ids and by identities, and how many rows these moved, if any."""
    if OWN not in table.columns:
        return
    moved = (table[OWN] != table[CUSTOMER]).fill_null(False).sum()
    counts = table.aggregate(own=table[OWN].nunique(), merged=table[CUSTOMER].nunique(), moved=moved)
    ((own, merged, moved_rows),) = counts.to_pyarrow().to_pandas().itertuples(index=False)
    if moved_rows:
        yield (
            f"{name}: {own:,} ids are {merged:,} customers by identities; {int(moved_rows):,} rows went to another id, "
            "by links of unknown date"
        )


def _followed(links: ir.Table, engine: DuckDB) -> ir.Table:
    """Return id, end, is_circular: links of unlike ids, each followed to its end.

    A step doubles the reach of all links. A chain of length n has links of each length below, so that the number of
    links that lead on falls with each step until only circles are left.
    """
    links, before = _kept(links, engine), None
    while True:
        further = links.select(further=links.id, beyond=links.end)
        joined = links.left_join(further, links.end == further.further)
        leading = int(joined.further.notnull().sum().to_pyarrow().as_py() or 0)
        if leading in (0, before):
            return joined.select("id", "end", is_circular=joined.further.notnull())
        before = leading
        links = _kept(joined.select("id", end=ibis.coalesce(joined.beyond, joined.end)), engine)


def _kept(links: ir.Table, engine: DuckDB) -> ir.Table:
    return engine.connection.create_table(f"links_{uuid4().hex}", links, temp=True)
