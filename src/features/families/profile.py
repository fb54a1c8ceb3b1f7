"""Facts about the person, of unknown date, as numbers."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.families.registry import family
from features.tables import Tables

UNKNOWN = -1.0
LEADING_NUMBER = r"^\s*(\d+)"
ANY_NUMBER = r"\d"
_STATEMENTS = ("is_homeowner", "is_married", "is_female")
_BANDS = {
    "age_band_start": "age_band",
    "income_band_start": "income_band",
    "household_size_number": "household_size",
    "children_number": "children",
}


@family(
    needs=("customers",),
    features={
        "profile_known": "1 if any fact below is known, else 0",
        "age_band_start": "youngest age of the band, in years; -1 for unknown",
        "income_band_start": "lower end of the band, thousands of currency a year, 0 for `under`; -1 for unknown",
        "household_size_number": "persons in the household, 5 for 5+; -1 for unknown",
        "children_number": "children in the household, 3 for 3+; -1 for unknown",
        "is_homeowner": "1 owns the home, probably so included, 0 does not; -1 for unknown",
        "is_married": "1 married, 0 not; -1 for unknown",
        "is_female": "1 female, 0 not; -1 for unknown",
    },
    fallbacks={name: UNKNOWN for name in (*_BANDS, *_STATEMENTS)},
    ranges={
        "profile_known": (0, 1),
        **dict.fromkeys(_BANDS, (UNKNOWN, None)),
        **dict.fromkeys(_STATEMENTS, (UNKNOWN, 1)),
    },
    undated=True,
)
def profile(past: Tables) -> ir.Table:
    """Read numbers out of what the source recorded about a customer, at an unknown date."""
    people = past["customers"]
    numbers = {name: _band_start(people[column]) for name, column in _BANDS.items()}
    statements = {
        "is_homeowner": people.home_ownership.lower().contains("owner"),
        "is_married": _is_one_of(people.marital_status, "married", "m"),
        "is_female": _is_one_of(people.gender, "female", "f"),
    }
    return people.select(
        "customer_id",
        profile_known=ibis.or_(*(fact.notnull() for fact in (*numbers.values(), *statements.values()))),
        **numbers,
        **statements,
    )


def _is_one_of(text: ir.StringValue, *words: str) -> ir.BooleanValue:
    """Compare with each word in turn: Ibis keeps the values of `isin` in a set, whose order no process repeats."""
    return ibis.or_(*(text.lower() == word for word in words))


def _band_start(band: ir.StringValue) -> ir.FloatingValue:
    """Return the lower end of a band: 45 for "45-54", 65 for "65+", 0 for "Under 15K", null for no number."""
    number = band.re_extract(LEADING_NUMBER, 1).nullif("").cast("float64")
    return ibis.ifelse(band.re_search(ANY_NUMBER), number.fill_null(0.0), ibis.null("float64"))
