"""Families of features: each a function of a customer's past, one file per theme."""

from features.groups import basket, campaigns, price, profile, rfm, rhythm, value
from features.groups.registry import FAMILIES, Family, describe, family, feature_families, resolve

__all__ = [
    "FAMILIES",
    "Family",
    "basket",
    "campaigns",
    "describe",
    "family",
    "feature_families",
    "price",
    "profile",
    "resolve",
    "rfm",
    "rhythm",
    "value",
]
