"""Families of features: each a function of a customer's past, one file per theme."""

from features.families import basket, campaigns, habits, price, profile, rfm, rhythm, shares, value
from features.families.registry import (
    FAMILIES,
    PARAMETRISED,
    Family,
    Parametrised,
    describe,
    family,
    feature_families,
    is_wildcard,
    resolve,
)

__all__ = [
    "FAMILIES",
    "PARAMETRISED",
    "Family",
    "Parametrised",
    "basket",
    "campaigns",
    "describe",
    "family",
    "feature_families",
    "habits",
    "is_wildcard",
    "price",
    "profile",
    "resolve",
    "rfm",
    "rhythm",
    "shares",
    "value",
]
