"""The calendar: facts of the cutoff itself, the same for every customer."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.families.registry import family
from features.seasons import CUTOFF_DAY, days_since_epoch
from features.tables import Tables


@family(
    needs=("transactions",),
    complete=True,
    features={
        CUTOFF_DAY: "days from 1970-01-01 to the cutoff, which calibrates amounts by the season; models do not learn it"
    },
)
def calendar(past: Tables) -> ir.Table:
    """Give every customer the day of the cutoff."""
    customers = past.transactions.select("customer_id").distinct()
    return customers.mutate(**{CUTOFF_DAY: ibis.literal(days_since_epoch(past.end))})
