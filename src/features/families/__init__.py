"""Families of features: each a function of the past, one file per theme.

Each module here that registers a family is found by itself. To add a family is to add its file, or to add a function to
one.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from features.families.registry import (
    FAMILIES,
    PARAMETRISED,
    Family,
    Parametrised,
    family,
    feature_families,
    feature_meanings,
    is_wildcard,
    resolve,
)

__all__ = [
    "FAMILIES",
    "PARAMETRISED",
    "Family",
    "Parametrised",
    "family",
    "feature_families",
    "feature_meanings",
    "is_wildcard",
    "resolve",
]

for _name in sorted(module.name for module in iter_modules(__path__)):  # the registry's order is that of the names
    import_module(f"{__name__}.{_name}")
